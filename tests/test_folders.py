"""What people have on disk: read right, or refused with a line that says what it is. Never some without a word."""

import io
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from commands import read_splits
from datasets import load_dataset_builder
from PIL import Image
from releases import TEXTS, at, index_of, members, pack, raw_zip, read, unpack

import celeba_dialog
from conversion import check
from conversion.release.errors import ConflictError, DamagedFileError, FormatError, MissingFileError
from conversion.release.finding import Release
from conversion.release.missing import missing_roles, remarks
from conversion.release.official import FILES
from conversion.release.rows import check_side
from conversion.release.vocabulary import HQ, STANDARD

pytest_plugins = ["building"]

DRIVE = "20230401T120000Z-001.zip"


def said(root):
    """What `check` prints of a release."""
    return check.as_text(check.examine(Release(root)))


def noted(root):
    """The paths of everything that is not read, and of what is left aside."""
    notes = Release(root).notes
    return {note.path for note in notes if not note.aside}, {note.path for note in notes if note.aside}


def renamed(entries, name):
    """Members or files under other base names: `name` is a function of (number, rest of the base name)."""
    result = []
    for path, data in entries:
        folder, base = os.path.split(path)
        digits = re.match("[0-9]+", base)[0]
        result.append((os.path.join(folder, name(int(digits), base[len(digits) :])), data))
    return result


def write(folder, entries):
    """Writes (path, bytes) as files."""
    for name, data in entries:
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def take(root, role):
    """The members of a zip of the release, as (base name, bytes); the zip goes."""
    entries = [(os.path.basename(name), data) for name, data in members(at(root, role))]
    at(root, role).unlink()
    return entries


def resized(data, size, kind="JPEG"):
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").resize(size).save(file, kind)
    return file.getvalue()


def in_folder(entries, folder):
    return [(f"{folder}/{name}", data) for name, data in entries]


# ---------------------------------------------------------------------------------------------------- read all the same
# Each takes the root of a copy and changes it; its rows are still the truth. It returns what is left aside.

READ = []


def form(function):
    READ.append(function)
    return function


def _padded(digits):
    return lambda number, rest: f"{number:0{digits}d}{rest}"


@form
def hq_numbers_of_five_digits_in_zips(root):
    for role in ("hq_images", "hq_masks"):
        pack(at(root, role), renamed(members(at(root, role)), _padded(5)))


@form
def hq_numbers_of_five_digits_in_folders(root):
    write(root / "CelebA-HQ-img", renamed(take(root, "hq_images"), _padded(5)))
    write(root / "masks", renamed(take(root, "hq_masks"), _padded(5)))


@form
def hq_numbers_of_six_digits_as_the_standard_ones_in_a_zip(root):
    pack(at(root, "hq_images"), renamed(members(at(root, "hq_images")), _padded(6)))


@form
def hq_numbers_of_six_digits_as_the_standard_ones_in_a_folder(root):
    write(root / "celeba_hq", renamed(take(root, "hq_images"), _padded(6)))
    write(root / "masks", renamed(take(root, "hq_masks"), _padded(6)))


@form
def hq_numbers_of_eight_digits(root):
    write(root / "faces", renamed(take(root, "hq_images"), _padded(8)))


@form
def some_numbers_with_zeros_and_some_without(root):
    for role in ("hq_images", "hq_masks"):
        pack(at(root, role), renamed(members(at(root, role)), lambda number, rest: f"{number:0{number % 6}d}{rest}"))


@form
def numbers_with_zeros_beside_those_without(root):
    """Two copies of each image, in one folder."""
    entries = take(root, "hq_images")
    write(root / "image", entries)
    write(root / "image", renamed(entries, _padded(5)))


@form
def part_masks_without_zeros(root):
    pack(at(root, "hq_parts"), renamed(members(at(root, "hq_parts")), _padded(0)))


@form
def standard_numbers_without_zeros(root):
    write(root / "img_align_celeba", renamed(take(root, "standard_images"), _padded(0)))


@form
def standard_numbers_without_zeros_in_a_folder_of_another_name(root):
    write(root / "celeba", renamed(take(root, "standard_images"), _padded(0)))


@form
def images_that_end_in_jpeg(root):
    for role, ending in (("hq_images", ".JPEG"), ("standard_images", ".jpeg")):
        pack(at(root, role), [(name.replace(".jpg", ending), data) for name, data in members(at(root, role))])


@form
def endings_in_capitals_in_folders(root):
    write(root / "CelebA-HQ-img", [(name.upper(), data) for name, data in take(root, "hq_images")])
    write(root / "img_align_celeba", [(name.upper(), data) for name, data in take(root, "standard_images")])
    write(root / "palette", [(name.upper(), data) for name, data in take(root, "hq_masks")])
    pack(at(root, "hq_parts"), [(name.replace(".png", ".PNG"), data) for name, data in members(at(root, "hq_parts"))])


@form
def celebamask_hq_as_one_zip(root):
    """As CelebAMask-HQ comes, and the texts of CelebA-Dialog beside it."""
    entries = in_folder(take(root, "hq_images"), "CelebAMask-HQ/CelebA-HQ-img")
    for name, data in take(root, "hq_parts"):
        entries.append((f"CelebAMask-HQ/CelebAMask-HQ-mask-anno/{int(name[:5]) // 2000}/{name}", data))
    for role in ("mapping", "hq_attributes"):
        entries.append((f"CelebAMask-HQ/{FILES[role].name}", at(root, role).read_bytes()))
        at(root, role).unlink()
    pack(root / "CelebAMask-HQ.zip", [*entries, ("CelebAMask-HQ/README.txt", b"Read me.")], zipfile.ZIP_DEFLATED)


@form
def everything_in_one_zip(root):
    """The whole release unpacked and zipped again."""
    for role in ("hq_images", "hq_masks", "hq_parts", "standard_images"):
        unpack(root, role, at(root, role).parent)
    entries = []
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.name != "README.txt":
            entries.append((path.relative_to(root).as_posix(), path.read_bytes()))
            path.unlink()
    pack(root / "celeba dialog.zip", entries, zipfile.ZIP_DEFLATED)


@form
def everything_in_one_zip_with_working_copies(root):
    everything_in_one_zip(root)
    entries = members(root / "celeba dialog.zip")
    small = [
        (f"celeba_64/{os.path.basename(name)}", resized(data, (64, 64))) for name, data in entries if "align" in name
    ]
    pack(root / "celeba dialog.zip", [*small, *entries])
    return {"celeba dialog.zip: celeba_64/"}


@form
def drive_zips_of_folders(root):
    """Google Drive zips what is selected; of more than 2 GB it makes several zips."""
    entries = in_folder(take(root, "hq_images"), "image")
    pack(root / f"image-{DRIVE}", entries[:10])
    pack(root / "image-20230401T120000Z-002 (1).zip", entries[10:])
    texts = [f"hq_{kind}" for kind in ("captions", "requests", "requests_txt", "request_labels")]
    pack(root / f"text-{DRIVE}", [(f"text/{FILES[role].name}", at(root, role).read_bytes()) for role in texts])
    for role in texts:
        at(root, role).unlink()


@form
def drive_zip_that_was_unpacked_and_kept(root):
    with zipfile.ZipFile(root / f"CelebA-Dialog (HQ)-{DRIVE}", "w") as archive:
        for role in ("hq_images", "hq_masks", "mapping"):
            archive.write(at(root, role), FILES[role].path)


@form
def parts_of_a_zip(root):
    entries = in_folder(take(root, "hq_images"), "image")
    for index in range(3):
        pack(root / f"image-{index + 1:03d}.zip", entries[index::3])


@form
def zip_half_unpacked_in_place(root):
    path = at(root, "hq_images")
    write(path.parent, members(path)[:9])
    pack(path, members(path)[5:])


@form
def folders_of_each_split(root):
    for role, folder in (("hq_images", "celeba_hq"), ("standard_images", "aligned")):
        entries = take(root, role)
        shares = ("train/female", "train/male", "val/female", "val/male")
        for index, share in enumerate(shares):
            write(root / folder / share, entries[index :: len(shares)])


@form
def folders_of_a_thousand(root):
    for name, data in take(root, "hq_images"):
        write(root / "faces" / f"{int(name[:-4]) // 1000:05d}", [(name, data)])


@form
def images_of_both_parts_in_one_folder(root):
    write(root / "all", take(root, "hq_images") + take(root, "standard_images") + take(root, "hq_masks"))


@form
def a_zip_and_what_was_unpacked_from_it(root):
    entries = take(root, "hq_images")
    pack(root / "faces.zip", entries)
    write(root / "faces", entries)


@form
def texts_in_zips(root):
    for subset in (HQ, STANDARD):
        roles = [role for role in TEXTS if FILES[role].subset == subset.name]
        pack(
            root / f"{subset.name} texts.zip",
            [(FILES[role].path, at(root, role).read_bytes()) for role in roles],
            zipfile.ZIP_DEFLATED,
        )
        for role in roles:
            at(root, role).unlink()


def _commas(text):
    return "".join(",".join(line.split()) + "\n" for line in text.splitlines())


@form
def kaggle(root):
    """Its archive of CelebA: the images twice in a folder of their name, and the lists as CSV with a header."""
    entries = in_folder(take(root, "standard_images"), "img_align_celeba/img_align_celeba")
    headers = {
        "standard_attributes": lambda text: "image_id," + _commas(text.split("\n", 1)[1]),
        "partition": lambda text: "image_id,partition\n" + _commas(text),
        "standard_identity": lambda text: "image_id,identity\n" + _commas(text),
    }
    for role, change in headers.items():
        text = change(at(root, role).read_text())
        entries.append((FILES[role].name.replace(".txt", ".csv"), text.encode()))
        at(root, role).unlink()
    pack(root / "archive.zip", [*entries, ("list_bbox_celeba.csv", b"image_id,x_1\n")], zipfile.ZIP_DEFLATED)


@form
def all_lists_as_csv(root):
    for role in TEXTS:
        path = at(root, role)
        if path.suffix == ".txt" and not role.endswith("_txt"):
            path.with_suffix(".csv").write_text(_commas(path.read_text()))
            path.unlink()


@form
def the_list_of_progressive_gan(root):
    """In place of the mapping."""
    rows = [line.split() for line in at(root, "mapping").read_text().splitlines()[1:]]
    at(root, "mapping").unlink()
    lines = [f"{' '.join(row)} {'0' * 32} {'f' * 32}\n" for row in rows]
    (root / "image_list.txt").write_text("idx orig_idx orig_file proc_md5 final_md5\n" + "".join(lines))


@form
def working_copies_of_images(root):
    """Any experiment below the root."""
    images = [(os.path.basename(name), data) for name, data in members(at(root, "standard_images"))]
    write(root / "celeba_128", [(name, resized(data, (128, 128))) for name, data in images])
    faces = [(f"{number}.jpg", resized(images[0][1], (256, 256))) for number in range(64)]
    write(root / "results" / "samples", faces)
    write(root / "results" / "epoch 3" / "images", faces)
    write(
        root / HQ.folder / "image_512_downsampled_from_hq_1024",
        [(name, resized(data, (512, 512))) for name, data in faces],
    )
    write(root / STANDARD.folder / "img_celeba", [(name, resized(data, (300, 400))) for name, data in images])
    masks = [(os.path.basename(name), data) for name, data in members(at(root, "hq_masks"))]
    write(root / "results" / "masks", [*masks[1:], ("29998.png", masks[0][1])])
    pack(root / "celeba_64.zip", [(f"celeba_64/{name}", resized(data, (64, 64))) for name, data in images])
    return {
        "celeba_128/",
        "results/samples/",
        "results/epoch 3/images/",
        "CelebA-Dialog (HQ)/image_512_downsampled_from_hq_1024/",
        "CelebA-Dialog (standard)/img_celeba/",
        "results/masks/",
        "celeba_64.zip: celeba_64/",
    }


@form
def working_copies_of_texts(root):
    (root / "captions_blip.json").write_text('{"0.jpg": {"overall_caption": "a photo of a face"}}')
    (root / "identity_mine.txt").write_text("0.jpg 3\n")
    (root / "list_attr_celeba.csv").write_bytes(at(root, "standard_attributes").read_bytes().replace(b" ", b","))
    return {"captions_blip.json", "identity_mine.txt", "list_attr_celeba.csv"}


@form
def names_with_other_separators_and_additions(root):
    for role, name in (
        ("mapping", "CelebA HQ to CelebA mapping.txt"),
        ("hq_labels", "combined-annotation-hq (1).txt"),
        ("hq_attributes", "CelebAMask_HQ_attribute_anno copy.txt"),
        ("hq_captions", "captions-hq.json.txt"),
        ("standard_attributes", "list_attr_celeba.txt.txt"),
        ("hq_images", "Image 2.zip"),
        ("hq_parts", "CelebAMask_HQ_mask_anno-1.zip"),
        ("standard_images", "img-align-celeba - Copy (2).zip"),
    ):
        at(root, role).rename(root / name)


@form
def masks_in_grey_and_in_colours(root):
    """As CelebAMask-HQ's scripts prepare both: indices are preferred to colours."""
    entries = take(root, "hq_masks")
    write(root / "CelebAMask-HQ-mask", entries)
    write(root / "CelebAMask-HQ-mask-color", [(name, resized(data, (512, 512), "PNG")) for name, data in entries])
    return {"CelebAMask-HQ-mask-color/"}


@form
def other_peoples_files(root):
    """Of the same kinds of names, and nothing of the release."""
    (root / "class_mapping.txt").write_text("0 cat\n1 dog\n")
    (root / "image_list.txt").write_text("0.jpg\n1.jpg\n")
    (root / "requirements.txt").write_text("torch\n")
    (root / "request_utils.py").write_text("pass\n")
    write(root / "photos", [("20240131.jpg", b"\xff\xd8"), ("IMG_0001.jpg", b"\xff\xd8"), ("123456789.png", b"x")])
    return set()


@pytest.mark.parametrize("change", READ, ids=lambda function: function.__name__)
def test_read_all_the_same(change, demo, copy, same_rows):
    aside = change(copy) or set()
    for config in ("hq_parts", "standard"):
        same_rows(read(copy, config), demo.rows(config), config)
    assert noted(copy) == (set(), aside)
    report = check.examine(Release(copy))
    assert report["complete"], check.as_text(report)
    for path in aside:
        assert f"\n{path}: " in check.as_text(report)


# ---------------------------------------------------------------------------------------------------------- refused
# Each: a change of a copy, the config that is refused, the error, and what its message says.

REFUSED = {}


def refused(config, error, *says):
    def add(function):
        REFUSED[function.__name__] = function, config, error, says
        return function

    return add


def _png_of(data):
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).save(file, "PNG")
    return file.getvalue()


@refused(
    "standard", MissingFileError, "no standard images", "img_align_celeba_png/: 90 PNG copies of 178×218 pixels", "JPEG"
)
def png_copies_of_standard_images(root):
    entries = take(root, "standard_images")
    write(root / "img_align_celeba_png", [(name.replace("jpg", "png"), _png_of(data)) for name, data in entries])


@refused("hq", MissingFileError, "no hq images", "CelebA-HQ-img/: 24 PNG copies of 1024×1024 pixels", "JPEG")
def png_copies_of_hq_images(root):
    entries = renamed(take(root, "hq_images"), lambda number, rest: f"{number:05d}.png")
    write(root / "CelebA-HQ-img", [(name, _png_of(data)) for name, data in entries])


@refused("hq", MissingFileError, "no hq images", "image.zip: 24 PNG copies of 512×512 pixels", "JPEG")
def png_copies_as_large_as_masks(root):
    """Told from masks by what is in them."""
    entries = [(name.replace("jpg", "png"), resized(data, (512, 512), "PNG")) for name, data in take(root, "hq_images")]
    pack(root / "image.zip", entries)


@refused("standard", MissingFileError, "no standard images", "img_celeba/: 90 JPEGs of 400×500 pixels", "uncropped")
def uncropped_images(root):
    write(root / "img_celeba", [(name, resized(data, (400, 500))) for name, data in take(root, "standard_images")])


@refused("standard", FormatError, "img_align_celeba/0", "400×500 pixels", "uncropped CelebA (img_celeba)")
def uncropped_images_of_the_official_name(root):
    write(
        root / "img_align_celeba", [(name, resized(data, (400, 500))) for name, data in take(root, "standard_images")]
    )


@refused("standard", MissingFileError, "no standard images", "celeba_64/: 90 JPEGs of 64×64 pixels", "resized copy")
def resized_standard_images(root):
    write(root / "celeba_64", [(name, resized(data, (64, 64))) for name, data in take(root, "standard_images")])


@refused("hq", FormatError, "512×512 pixels", "hq_512 and hq_256 can be made")
def hq_images_of_512_pixels(root):
    entries = [(name, resized(data, (512, 512))) for name, data in take(root, "hq_images")]
    write(root / "image_512_downsampled_from_hq_1024", entries)


@refused("hq", FormatError, "image.zip", "256×256 pixels", "hq_256 can be made")
def hq_images_of_256_pixels_in_the_official_zip(root):
    entries = [(name, resized(data, (256, 256))) for name, data in take(root, "hq_images")]
    pack(root / "image.zip", entries)


@refused("hq", ConflictError, "5380.jpg", "05380.jpg", "differ")
def two_images_of_one_number(root):
    entries = take(root, "hq_images")
    write(root / "image", [*entries, ("05380.jpg", entries[0][1])])


@refused("hq", DamagedFileError, "b/", "a/: these may be the HQ images", "image.zip or image/")
def two_folders_and_no_official_name(root):
    entries = take(root, "hq_images")
    write(root / "a", entries)
    write(root / "b", entries)


@refused("hq", FormatError, "image/: 30000.jpg is no image of the hq subset")
def numbers_beyond_the_last(root):
    write(root / "image", [*take(root, "hq_images"), ("30000.jpg", b"\xff\xd8")])


@refused("standard", FormatError, "img_align_celeba.zip: 000000.jpg is no image of the standard subset")
def a_standard_image_of_number_0(root):
    entries = take(root, "standard_images")
    pack(root / "img_align_celeba.zip", [*entries, ("000000.jpg", entries[0][1])])


@refused(
    "hq",
    MissingFileError,
    "no hq images",
    f"CelebA-Dialog (HQ)-{DRIVE}: Google Drive's own zip",
    "image.zip",
    "Unpack it there",
)
def drive_zip_of_zips(root):
    with zipfile.ZipFile(root / f"CelebA-Dialog (HQ)-{DRIVE}", "w") as archive:
        for role in FILES:
            if FILES[role].subset == "hq":
                archive.write(at(root, role), FILES[role].path)
                at(root, role).unlink()


@refused("hq", MissingFileError, f"image-{DRIVE}: Google Drive's own zip", "holds image.zip", "Unpack it there")
def drive_zip_of_one_zip(root):
    with zipfile.ZipFile(root / f"image-{DRIVE}", "w") as archive:
        archive.write(at(root, "hq_images"), "image.zip")
    at(root, "hq_images").unlink()


@refused("hq", MissingFileError, "image.zip: a zip of zips: it holds image.zip", "Unpack it there")
def drive_zip_renamed_as_what_it_holds(root):
    with zipfile.ZipFile(root / "image.zip", "w") as archive:
        archive.write(at(root, "hq_images"), "image.zip")
    at(root, "hq_images").unlink()


@refused("hq", MissingFileError, f"image-{DRIVE}: Google Drive's own zip", "results/samples/: 64 JPEGs", "left aside")
def drive_zip_of_one_zip_beside_samples(root):
    """They are not taken for what is in the zip."""
    drive_zip_of_one_zip(root)
    image = resized(members(at(root, "standard_images"))[0][1], (256, 256))
    write(root / "results" / "samples", [(f"{number}.jpg", image) for number in range(64)])


@refused("hq", MissingFileError, "no hq images", "faces/: 24 pictures, not read", "seed0000", "no file numbers")
def images_of_other_names(root):
    write(root / "faces", renamed(take(root, "hq_images"), lambda number, rest: f"seed{number:06d}{rest}"))


@refused("hq", MissingFileError, "no hq images", "faces/: 24 WEBP copies", "JPEG")
def webp_copies(root):
    write(root / "faces", [(name.replace("jpg", "webp"), b"RIFF") for name, _ in take(root, "hq_images")])


@refused(
    "standard", MissingFileError, "release.zip: a zip of zips: it holds", "img_align_celeba.zip", "Unpack it there"
)
def a_zip_of_the_release_as_it_is(root):
    with zipfile.ZipFile(root / "release.zip", "w") as archive:
        for role in FILES:
            archive.write(at(root, role), FILES[role].path)
            at(root, role).unlink()


@refused("hq", MissingFileError, "10msPsx1Fouh5h8m8LoSaPTh9R4dv_mLG", "0.9 MB", "celeba-dialog fetch", "image_list.txt")
def images_and_captions_only(root):
    for role in FILES:
        if role not in ("hq_images", "hq_captions"):
            at(root, role).unlink()


@refused("standard", MissingFileError, "no standard images", "img_celeba.7z.001: one piece of an archive")
def pieces_of_an_archive(root):
    at(root, "standard_images").unlink()
    for index in range(1, 4):
        (root / f"img_celeba.7z.{index:03d}").write_bytes(b"7z\xbc\xaf")


@refused("hq", MissingFileError, "no hq images", "image.tar.gz: an archive of a kind that is not read")
def a_tar(root):
    at(root, "hq_images").rename(root / "image.tar.gz")


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, copy):
    """Whoever reads, checks or builds is told the same."""
    change, config, error, says = REFUSED[name]
    change(copy)
    with pytest.raises(error) as caught:
        check_side(index_of(copy, config), None)
    text = said(copy)
    for part in says:
        assert part in str(caught.value)
        assert part in text or part.startswith("no ")
    assert f"{config}: cannot be built" in text or f"{config}, " in text.split("cannot be built")[0]


@pytest.mark.parametrize("name", [name for name, case in REFUSED.items() if case[2] is MissingFileError])
def test_build_and_load_say_the_same(name, copy, commands, tmp_path):
    change, config, error, says = REFUSED[name]
    change(copy)
    done = commands.run("build", copy, tmp_path / "out", "--config", config)
    assert done.status == 1
    celeba_dialog.register()
    with pytest.raises(error) as loaded:
        load_dataset_builder("celeba_dialog", config, data_dir=str(copy)).as_streaming_dataset()
    for part in says:
        assert part in done.text
        assert part in str(loaded.value)


# ------------------------------------------------------------------------------------------------ some of it, and why

UNREAD = {
    "list_attr_celeba.npy": "list_attr_celeba.txt",
    "captions_hq.jsonl": "captions_hq.json",
    "captions.csv": "captions.json",
    "request_annotated_hq.pkl": "request_annotated_hq.json",
    "combined_annotation_hq.xlsx": "combined_annotation_hq.txt",
    "captions_hq.json.gz": "Unpack it there",
    "image.rar": "Unpack it there",
    "img_celeba.7z.001": "Put the pieces together",
    "image.z01": "Put the pieces together",
    "image.zip.001": "Put the pieces together",
    "CelebAMask-HQ.tar": "Unpack it there",
    "image.zip.crdownload": "because of its ending",
    "image.zip.1": "because of its ending",
    "captions_hq.json.old": "because of its ending",
    "celeba_hq.h5": "not read in this form",
    "celebahq-r10.tfrecords": "not read in this form",
    "captions_of_mine.json": "holds no file name",
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", UNREAD)
def test_what_is_like_the_release_and_not_read_is_noted(name, zipped, copy):
    if zipped:
        pack(copy / "more.zip", [(f"deep/{name}", b"whatever")])
    else:
        (copy / name).write_bytes(b"whatever")
    path = f"more.zip: deep/{name}" if zipped else name
    assert noted(copy) == ({path}, set())
    line = next(line for line in said(copy).splitlines() if line.startswith(f"{path}: "))
    assert UNREAD[name] in line


@pytest.mark.parametrize("zipped", [False, True])
def test_pictures_beside_the_others_are_noted(zipped, copy, demo, same_rows):
    strange = ["image/copy of 5.jpg", "image/5 (1).jpg", "image/face.webp", "image/1234567.jpg"]
    if zipped:
        pack(at(copy, "hq_images"), [*members(at(copy, "hq_images")), *((name, b"x") for name in strange)])
    else:
        unpack(copy, "hq_images", copy)
        write(copy, [(name, b"x") for name in strange])
    same_rows(read(copy, "hq"), demo.rows("hq"))
    line = next(line for line in said(copy).splitlines() if "pictures are not read" in line)
    assert line.startswith(f"{at(copy, 'hq_images').relative_to(copy) if zipped else 'image/'}: 4 pictures")
    assert "copy of 5.jpg" in line


def test_grey_masks_are_masks(copy, demo):
    """As CelebAMask-HQ's own script prepares them, in a folder of its own name."""
    entries = []
    for name, data in take(copy, "hq_masks"):
        file = io.BytesIO()
        Image.fromarray(np.asarray(Image.open(io.BytesIO(data)))).save(file, "PNG")
        entries.append((name, file.getvalue()))
    write(copy / "CelebAMask-HQ-mask", entries)
    for row, other in zip(read(copy, "hq"), demo.rows("hq"), strict=True):
        found, expected = (Image.open(io.BytesIO(each["mask"]["bytes"])) for each in (row, other))
        assert found.mode == "P"
        assert np.array_equal(np.asarray(found), np.asarray(expected))
    assert noted(copy) == (set(), set())


def test_masks_beside_png_copies_of_the_images(copy, demo, same_rows):
    """Both named by numbers; each is told by what it is."""
    entries = [
        (os.path.basename(name).replace("jpg", "png"), _png_of(data)) for name, data in members(at(copy, "hq_images"))
    ]
    write(copy / "faces", entries)
    write(copy / "masks", take(copy, "hq_masks"))
    same_rows(read(copy, "hq"), demo.rows("hq"))
    assert noted(copy) == ({"faces/"}, set())


@pytest.mark.parametrize("side, configs", [(512, ["hq_512", "hq_256"]), (256, ["hq_256"])])
def test_what_smaller_hq_images_can_make(side, configs, copy):
    write(copy / "celeba_hq", [(name, resized(data, (side, side))) for name, data in take(copy, "hq_images")])
    report = check.examine(Release(copy))
    assert [name for name, why in report["refused"].items() if not why] == [*configs, "standard"]
    options = "".join(f" --config {name}" for name in configs)
    assert f"Next: celeba-dialog build {copy} celeba_dialog{options} --config standard" in check.as_text(report)


def test_hq_512_takes_images_of_512_pixels_as_they_are(copy, commands, tmp_path):
    entries = {name: resized(data, (512, 512)) for name, data in take(copy, "hq_images")}
    write(copy / "image_512_downsampled_from_hq_1024", entries.items())
    done = commands.run("build", copy, tmp_path / "out", "--config", "hq_512", "--config", "hq_256")
    assert done.status == 0, done.text
    rows = [row for split in read_splits(tmp_path / "out", "hq_512").values() for row in split]
    assert {row["file_name"]: row["image"]["bytes"] for row in rows} == entries
    rows = [row for split in read_splits(tmp_path / "out", "hq_256").values() for row in split]
    assert {Image.open(io.BytesIO(row["image"]["bytes"])).size for row in rows} == {(256, 256)}


def test_a_text_that_is_encrypted_in_a_zip(copy):
    name = FILES["hq_captions"].name
    data = at(copy, "hq_captions").read_bytes()
    at(copy, "hq_captions").unlink()
    (copy / "texts.zip").write_bytes(raw_zip([{"name": name, "data": data, "flags": 1}]))
    with pytest.raises(DamagedFileError, match=rf"texts\.zip: {name}: encrypted in this zip"):
        read(copy, "hq")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


@pytest.mark.parametrize("role", ["hq_images", "hq_captions", "mapping"])
def test_a_pointer_of_git_lfs(role, copy):
    at(copy, role).write_bytes(POINTER)
    with pytest.raises(DamagedFileError, match="Git LFS.*git lfs pull"):
        read(copy, "hq")


def test_samples_of_an_experiment_are_no_release(copy, commands, tmp_path):
    """Of a standard release alone, whose mapping is there for one of its columns."""
    for role in FILES:
        if FILES[role].subset == "hq" and role != "mapping":
            at(copy, role).unlink()
    image = resized(members(at(copy, "standard_images"))[0][1], (256, 256))
    write(copy / "results" / "samples", [(f"{number}.jpg", image) for number in range(64)])
    assert noted(copy) == ({"results/samples/"}, set())
    done = commands.run("build", copy, tmp_path / "out")
    assert done.status == 0, done.text
    assert "no hq images below it, so the config hq is left out" in done.text


def test_the_loader_tells_once_what_is_left_aside(copy, caplog, monkeypatch):
    from datasets.utils.logging import get_logger

    write(copy / "celeba_128", [("000001.jpg", resized(members(at(copy, "standard_images"))[0][1], (128, 128)))])
    (copy / "captions_blip.json").write_text('{"000001.jpg": {"overall_caption": "a face"}}')
    at(copy, "standard_requests").unlink()
    at(copy, "standard_requests_txt").unlink()
    (copy / "request.jsonl").write_text("{}")
    monkeypatch.setattr(get_logger("datasets"), "propagate", True)
    celeba_dialog.register()
    for _ in range(2):
        load_dataset_builder("celeba_dialog", "standard", data_dir=str(copy)).as_streaming_dataset()
    lines = [record.getMessage() for record in caplog.records if str(copy) in record.getMessage()]
    assert len(lines) == 2, lines
    assert lines[0].startswith(
        f"{copy}: captions_blip.json, celeba_128/ left aside, because the official files are there"
    )
    assert lines[1].startswith(f"{copy}: request.json not found, so request is empty.\n  request.jsonl: not read")


def test_a_missing_list_is_said_in_the_words_of_its_column(copy):
    """Of three lists of degrees two are there, and serve."""
    at(copy, "standard_labels").unlink()
    at(copy, "labels_test").unlink()
    release = Release(copy)
    missing = missing_roles(release, "standard")
    assert missing == ["labels_test"]
    (line,) = remarks(release, missing, "standard")
    assert "test_attr_list.txt not found, so bangs, eyeglasses, beard, smiling and age are -1 in the split test" in line


@pytest.mark.parametrize(
    "role", ["standard_attributes", "standard_identity", "partition", "mapping", "standard_labels"]
)
def test_csv_is_found(role, copy):
    at(copy, role).rename(at(copy, role).with_suffix(".csv"))
    assert role in Release(copy).sources


def test_the_list_of_progressive_gan_is_found(copy):
    lines = at(copy, "mapping").read_text().splitlines()[1:]
    rows = [f"{' '.join(line.split())} {'0' * 32} {'0' * 32}\n" for line in lines]
    (copy / "image_list.txt").write_text("idx orig_idx orig_file proc_md5 final_md5\n" + "".join(rows))
    assert noted(copy) == (set(), {"image_list.txt"})
    at(copy, "mapping").unlink()
    (source,) = Release(copy).sources["mapping"]
    assert source.path == f"{copy}/image_list.txt"


def test_a_zip_inside_a_zip_is_no_source(copy):
    drive_zip_of_one_zip(copy)
    assert "hq_images" not in Release(copy).sources
    assert "found as image-" not in said(copy)


def test_a_damaged_zip_of_any_name(copy):
    """It may have held what is missing."""
    at(copy, "hq_images").unlink()
    (copy / "CelebAMask-HQ.zip").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(MissingFileError, match=r"CelebAMask-HQ\.zip: the zip is cut off"):
        read(copy, "hq")
    assert "CelebAMask-HQ.zip: the zip is cut off" in said(copy)

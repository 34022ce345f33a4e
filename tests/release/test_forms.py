"""The release in every form that people have it: whatever is changed on disk, its rows are still the truth."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest
from commands import stamps
from pictures import in_folder, renamed, resized, take, write
from releases import TEXTS, ZIPS, at, members, pack, read, unpack

from conversion.release.errors import MissingFileError, UsageError
from conversion.release.finding import Release
from conversion.release.official import FILES
from conversion.release.vocabulary import DEGREES, HQ, STANDARD

UNLABELED_HQ, UNLABELED = "5380.jpg", "039459.jpg"
DRIVE = "20230401T120000Z-001.zip"


def commas(text):
    return "".join(",".join(line.split()) + "\n" for line in text.splitlines())


class Forms:
    """Each takes the root of a copy and changes it. Returns None, or another root, or the set of what is left aside."""

    def unpacked_in_place(root):
        for role in ZIPS:
            unpack(root, role, at(root, role).parent)

    def half_unpacked(root):
        """The zip holds the first images, the folder that it is unpacked into the others and some of the first."""
        path = at(root, "hq_images")
        entries = members(path)
        write(path.parent, entries[5:])
        pack(path, entries[:9])

    def renamed_folders_far_below(root):
        (root / HQ.folder / "text").rename(root / HQ.folder / "text_hq")
        (root / HQ.folder).rename(root / "celebADialogHQ")
        (root / "a" / "b c").mkdir(parents=True)
        standard = (root / STANDARD.folder).rename(root / "a" / "b c" / "img")
        (standard / "Anno").mkdir()
        (standard / "list_attr_celeba.txt").rename(standard / "Anno" / "list_attr_celeba.txt")
        return Path(root.rename(root.with_name("Größe 顔\u202f\xa0'x' (1)")))

    def part_masks_in_two_folders(root):
        """Those of official name serve, though the others have other pixels."""
        entries = take(root, "hq_parts")
        write(root / "Parts of mine", [(name, b"x") for name, _ in entries[:9]])
        write(root / "CelebAMask-HQ-mask-anno", entries)
        return {"Parts of mine/"}

    def other_files_around(root):
        hidden = ".git|.ipynb_checkpoints|__MACOSX|$RECYCLE.BIN/S-1|#recycle/a|System Volume Information"
        for folder in hidden.split("|"):
            for name in ("combined_annotation.txt", "captions.json", "3.jpg", "000003.jpg"):
                write(root, [(f"{folder}/{name}", b"000003.jpg of another time")])
        for name in ("list_bbox_celeba.txt", "list_landmarks_align_celeba.txt", "notes.txt", "Thumbs.db"):
            write(root, [(name, b"000001.jpg 1 2 3 4\n")])
        for name in ("class_mapping.txt", "image_list.txt", "image_sizes.txt"):
            write(root, [(name, b"0.jpg 1024 1024\n")])
        for name in ("preview.png", "celeba_000001.jpg", "photos/20240131.jpg"):
            write(root, [(name, b"x")])
        pack(root / "code.zip", [("main.py", b"print()"), ("figure.jpg", b"x")])

    def working_copies(root):
        """Of any experiment below the root."""
        images = [(os.path.basename(name), data) for name, data in members(at(root, "standard_images"))]
        small = [(name, resized(data, (64, 64))) for name, data in images]
        write(root / "results" / "epoch 3" / "images", [(f"{number}.jpg", images[0][1]) for number in range(64)])
        write(root / "celeba_64", small)
        pack(root / "celeba_64.zip", in_folder(small, "celeba_64"))
        masks = [(os.path.basename(name), data) for name, data in members(at(root, "hq_masks"))]
        write(root / "results" / "masks", [*masks[1:], ("29998.png", masks[0][1])])
        (root / "captions_blip.json").write_text('{"0.jpg": {"overall_caption": "a photo of a face"}}')
        (root / "list_attr_celeba.csv").write_bytes(at(root, "standard_attributes").read_bytes().replace(b" ", b","))
        folders = {"celeba_64/", "celeba_64.zip: celeba_64/", "results/epoch 3/images/", "results/masks/"}
        return folders | {"captions_blip.json", "list_attr_celeba.csv"}

    def linked_folders(root):
        """The parts lie elsewhere, two links make circles, and the root is a link itself."""
        elsewhere = root.with_name("elsewhere")
        elsewhere.mkdir()
        for folder in (HQ.folder, STANDARD.folder):
            (root / folder).rename(elsewhere / folder)
            (root / folder).symlink_to(elsewhere / folder)
        (elsewhere / HQ.folder / "up").symlink_to(root)
        (elsewhere / HQ.folder / "self").symlink_to(".")
        root.with_name("link").symlink_to(root)
        return root.with_name("link")

    def links_to_nothing_and_pipes(root):
        """Opening a pipe would wait for ever."""
        for name, target in (("loop", "loop"), ("ping", "pong"), ("pong", "ping"), ("nothing", "/nowhere")):
            (root / name).symlink_to(target)
        (root / HQ.folder / "image (1).zip").symlink_to("image (1).zip")
        (root / "captions.json").symlink_to("/nowhere/captions.json")
        for name in ("request.json", "img_align_celeba.zip", "4.jpg"):
            os.mkfifo(root / name)

    # names

    def renamed_by_a_browser(root):
        for role, file in FILES.items():
            path, (stem, _, kind) = at(root, role), file.name.rpartition(".")
            path.rename(path.with_name(f"{stem} (1).{kind}" if role in ZIPS else f"{stem}(2).{kind}"))

    def names_with_other_separators_and_additions(root):
        for role, name in (
            ("mapping", "CelebA HQ to CelebA mapping.txt"),
            ("hq_labels", "combined-annotation-hq (1).txt"),
            ("hq_attributes", "CelebAMask_HQ_attribute_anno copy.txt"),
            ("hq_captions", "captions-hq.json.txt"),
            ("standard_labels", "COMBINED_ANNOTATION.TXT"),
            ("hq_images", "Image 2.zip"),
            ("standard_images", "img-align-celeba - Copy (2).ZIP"),
        ):
            at(root, role).rename(root / name)

    def hq_texts_named_as_the_standard_ones(root):
        names = (("hq_captions", "captions"), ("hq_requests", "request"), ("hq_labels", "combined_annotation"))
        for role, name in names:
            at(root, role).rename(at(root, role).with_name(name + at(root, role).suffix))

    def two_copies_of_everything(root):
        for role, file in FILES.items():
            data = at(root, role).read_bytes()
            write(root / "backup", [(file.path, data if role in ZIPS else data.replace(b"\r\n", b"\n"))])

    def padded_numbers_in_zips(root):
        for role, digits in (("hq_images", 5), ("hq_masks", 3), ("hq_parts", 0)):
            pack(at(root, role), renamed(members(at(root, role)), digits))

    def padded_numbers_in_folders(root):
        """Those of HQ as long as the standard ones, which have none."""
        write(root / "CelebA-HQ-img", renamed(take(root, "hq_images"), 6))
        write(root / "CelebAMask-HQ-mask-color-palette", renamed(take(root, "hq_masks"), 8))
        write(root / "img_align_celeba", renamed(take(root, "standard_images"), 0))

    def other_endings(root):
        for name, role in (("CELEBAMASK-HQ-MASK-COLOR-PALETTE", "hq_masks"), ("Image copy", "hq_images")):
            write(root / name, [(base.upper(), data) for base, data in take(root, role)])
        path = at(root, "standard_images")
        pack(path, [(name.replace(".jpg", ".jpeg"), data) for name, data in members(path)])

    # zips of people

    def celebamask_hq_as_one_zip(root):
        """As CelebAMask-HQ comes, and the texts of CelebA-Dialog beside it."""
        entries = in_folder(take(root, "hq_images"), "CelebAMask-HQ/CelebA-HQ-img")
        for name, data in take(root, "hq_parts"):
            entries.append((f"CelebAMask-HQ/CelebAMask-HQ-mask-anno/{int(name[:5]) // 2000}/{name}", data))
        for role in ("mapping", "hq_attributes"):
            entries.append((f"CelebAMask-HQ/{FILES[role].name}", at(root, role).read_bytes()))
            at(root, role).unlink()
        pack(root / "CelebAMask-HQ.zip", [*entries, ("CelebAMask-HQ/README.txt", b"Read me.")], zipfile.ZIP_DEFLATED)

    def everything_in_one_zip_with_working_copies(root):
        for role in ZIPS:
            unpack(root, role, at(root, role).parent)
        images = sorted((root / STANDARD.folder / "img_align_celeba").iterdir())
        entries = [(f"celeba_64/{path.name}", resized(path.read_bytes(), (64, 64))) for path in images]
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.name != "README.txt":
                entries.append((path.relative_to(root).as_posix(), path.read_bytes()))
                path.unlink()
        pack(root / "celeba dialog.zip", entries, zipfile.ZIP_DEFLATED)
        return {"celeba dialog.zip: celeba_64/"}

    def drive_zips_of_folders(root):
        """Google Drive zips what is selected; of more than 2 GB it makes several zips."""
        entries = in_folder(take(root, "hq_images"), "image")
        pack(root / f"image-{DRIVE}", entries[:10])
        pack(root / "image-20230401T120000Z-002 (1).zip", entries[10:])
        texts = [f"hq_{kind}" for kind in ("captions", "requests", "requests_txt", "request_labels")]
        pack(root / f"text-{DRIVE}", [(f"text/{FILES[role].name}", at(root, role).read_bytes()) for role in texts])
        for role in texts:
            at(root, role).unlink()

    def texts_that_stand_in_for_others(root):
        """Three lists of degrees, requests as text, progressive GAN's list in place of the mapping."""
        for role in ("standard_labels", "hq_requests", "standard_requests"):
            at(root, role).unlink()
        rows = [line.split() for line in at(root, "mapping").read_text().splitlines()[1:]]
        at(root, "mapping").unlink()
        lines = [f"{' '.join(row)} {'0' * 32} {'f' * 32}\n" for row in rows]
        (root / "image_list.txt").write_text("idx orig_idx orig_file proc_md5 final_md5\n" + "".join(lines))

    def kaggle(root):
        """Its archive of CelebA: the images twice in a folder of their name, and the lists as CSV with a header."""
        entries = in_folder(take(root, "standard_images"), "img_align_celeba/img_align_celeba")
        headers = {
            "standard_attributes": lambda text: "image_id," + commas(text.split("\n", 1)[1]),
            "partition": lambda text: "image_id,partition\n" + commas(text),
            "standard_identity": lambda text: "image_id,identity\n" + commas(text),
        }
        for role, change in headers.items():
            text = change(at(root, role).read_text())
            entries.append((FILES[role].name.replace(".txt", ".csv"), text.encode()))
            at(root, role).unlink()
        pack(root / "archive.zip", [*entries, ("list_bbox_celeba.csv", b"image_id,x_1\n")], zipfile.ZIP_DEFLATED)


FORMS = {name: form for name, form in vars(Forms).items() if not name.startswith("_")}


@pytest.mark.parametrize("name", FORMS)
def test_forms(name, demo, copy, same_rows):
    result = FORMS[name](copy)
    root = result if isinstance(result, Path) else copy
    for config in ("hq_parts", "standard"):
        same_rows(read(root, config), demo.rows(config), config)
    notes = Release(root).notes
    assert {note.path for note in notes if not note.aside} == set()
    assert {note.path for note in notes if note.aside} == (result if isinstance(result, set) else set())


# --------------------------------------------------------------------------------------------- something is not there

NO_REQUEST = dict.fromkeys(("attribute", "mode", "direction", "value", "target"), -1)
NO_DEGREES = dict.fromkeys(DEGREES, -1)
NO_CAPTIONS = {"caption": "", "attribute_captions": dict.fromkeys(DEGREES, "")}
NO_TEXTS = NO_DEGREES | NO_CAPTIONS | {"attributes": [-1] * 40, "request": "", "request_labels": NO_REQUEST}
# Roles that are not there -> what the columns of each config say then; all others stay.
WITHOUT = {
    ("hq_labels",): {"hq": NO_DEGREES},
    ("standard_labels", "labels_train", "labels_validation", "labels_test"): {"standard": NO_DEGREES},
    ("hq_attributes", "standard_attributes"): {"hq": {"attributes": [-1] * 40}, "standard": {"attributes": [-1] * 40}},
    ("hq_captions", "standard_captions"): {"hq": NO_CAPTIONS, "standard": NO_CAPTIONS},
    ("hq_requests", "hq_requests_txt"): {"hq": {"request": ""}},
    ("hq_request_labels",): {"hq": {"request_labels": NO_REQUEST}},
    ("hq_identity", "standard_identity"): {"hq": {"identity": -1}, "standard": {"identity": -1}},
    ("hq_masks",): {"hq": {"mask": None}},
    tuple(role for role in TEXTS if role != "mapping"): dict.fromkeys(("hq", "standard"), NO_TEXTS | {"identity": -1}),
}


@pytest.mark.parametrize("roles", WITHOUT, ids=lambda roles: roles[0] if len(roles) < 9 else "all texts")
def test_without_some_files(roles, demo, copy, same_rows):
    """The columns say missing. Where no file of degrees is left, no image is known to be unlabeled."""
    for role in roles:
        at(copy, role).unlink()
    for config in ("hq", "standard"):
        splits = demo.splits(config)
        if f"{config}_labels" in roles:
            splits["train"] += splits.pop("unlabeled")
            splits["train"].sort(key=lambda row: int(row["file_name"][:-4]))
        rows = [row | WITHOUT[roles].get(config, {}) for rows in splits.values() for row in rows]
        same_rows(read(copy, config), rows, config)


def no_hq_identity(root):
    """The standard identities serve, through the mapping, for the HQ images whose CelebA image is in the demo."""
    at(root, "hq_identity").unlink()
    known = {line.split()[0] for line in at(root, "standard_identity").read_text().splitlines()}
    return lambda row: row if row.get("celeba_file_name", UNLABELED) in known else row | {"identity": -1}


def half_of_the_images(root):
    pack(at(root, "hq_images"), members(at(root, "hq_images"))[::2])
    kept = {os.path.basename(name) for name, _ in members(at(root, "hq_images"))}
    return lambda row: row if row["file_name"] in kept or "mask" not in row else None


def some_masks(root):
    pack(at(root, "hq_masks"), members(at(root, "hq_masks"))[1::3])
    names = {os.path.basename(name) for name, _ in members(at(root, "hq_masks"))}
    parts = ("hair.png", "l_eye.png")
    pack(at(root, "hq_parts"), [entry for entry in members(at(root, "hq_parts")) if entry[0].endswith(parts)])

    def change(row):
        if "mask" not in row:
            return row
        kept = [part for part in row["parts"] if part["mask"]["path"].endswith(parts)]
        return row | {"parts": kept, "mask": row["mask"] if row["mask"]["path"] in names else None}

    return change


def no_mapping_and_no_hq(root):
    shutil.rmtree(root / HQ.folder)
    return lambda row: row | {"hq_file_name": ""} if "hq_file_name" in row else None


def no_standard(root):
    shutil.rmtree(root / STANDARD.folder)
    (root / STANDARD.folder).mkdir()
    return lambda row: row if "mask" in row else None


LESS = [no_hq_identity, half_of_the_images, some_masks, no_mapping_and_no_hq, no_standard]


@pytest.mark.parametrize("change", LESS)
def test_rows_of_what_is_there(change, demo, copy, same_rows):
    expect = change(copy)
    for config in ("hq_parts", "standard"):
        rows = [row for row in map(expect, demo.rows(config)) if row]
        if rows:
            same_rows(read(copy, config), rows, config)
        else:
            with pytest.raises(MissingFileError, match=f"no {config.removesuffix('_parts')} images"):
                read(copy, config)


def test_nothing_is_written_and_nothing_extracted(copy, tmp_path, monkeypatch):
    for role, front in (("hq_images", "../"), ("standard_images", "/abs/olute/")):
        entries = [(front + os.path.basename(name), data) for name, data in members(at(copy, role))]
        pack(at(copy, role), entries, zipfile.ZIP_DEFLATED)
    monkeypatch.chdir(copy)
    before = stamps(tmp_path)
    for config in ("hq_parts", "standard"):
        read(copy, config)
    assert stamps(tmp_path) == before
    assert not os.path.exists("/abs")


def test_roots(copy, monkeypatch):
    monkeypatch.chdir(copy.parent)
    monkeypatch.setenv("HOME", str(copy.parent))
    for root in ("release", "./release/", "~/release", f"file://{copy}", copy):
        assert Release(root).root == str(copy)
    for root in ("", "  "):
        with pytest.raises(UsageError, match="empty"):
            Release(root)
    with pytest.raises(UsageError, match="not valid text"):
        Release(os.fsdecode(b"/tmp/\xff"))
    with pytest.raises(UsageError, match="nosuch"):
        Release("nosuch://x/y")

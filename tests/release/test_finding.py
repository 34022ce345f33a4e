"""What is not read: named in one line, with what it is and what to do. Never some of it, and nothing on a guess."""

import os
import re
import zipfile

import pytest
from datasets import load_dataset_builder
from pictures import in_folder, resized, take, write
from releases import QUOTA, TEXTS, ZIPS, at, edit, index_of, members, pack, raw_zip, read, unpack

import celeba_dialog
from conversion.release.errors import ConflictError, DamagedFileError, EnvironmentFault, FormatError, MissingFileError
from conversion.release.finding import Release
from conversion.release.members import find_members
from conversion.release.official import FILES
from conversion.release.rows import check_first
from conversion.release.table import read_index

DRIVE = "20230401T120000Z-001.zip"
WHERE = "images are read from image/, CelebA-HQ-img/ or img_align_celeba/ alone"


# ---------------------------------------------------------------------------------------------------------- refused
# Name of a case -> (change of a copy, config that is refused, error, what its message says).

REFUSED = {}


def refused(config, error, *says):
    def add(function):
        REFUSED[function.__name__] = function, config, error, says
        return function

    return add


def moved(role, folder, config="hq"):
    """A case in which the images of a role lie in a folder of another name."""
    return lambda root: write(root / folder, take(root, role)), config, MissingFileError


FOREIGN = "numbered by somebody else"
RENAME = f"JPEGs, not read: {WHERE}. If these are the official images under the official numbers, rename the folder to "
REFUSED |= {
    "a folder images": (*moved("hq_images", "images"), (f"images/: 24 {RENAME}image/",)),
    "a folder celeba": (*moved("standard_images", "celeba", "standard"), (f"celeba/: 90 {RENAME}img_align_celeba/",)),
}


@refused("hq", MissingFileError, "image/: 24 JPEGs, not read: two of its folders begin at the same number", FOREIGN)
def shares_of_both_beginnings_under_the_official_name(root):
    entries = [data for _, data in take(root, "hq_images")]
    for folder, share in (("train", entries[:16]), ("valid", entries[16:])):
        write(root / "image" / folder, [(f"{number}.jpg", data) for number, data in enumerate(share)])


def as_ffhq(entries):
    return [(f"{n // 8 * 1000:05d}/{n // 8 * 1000 + n % 8:05d}.jpg", data) for n, (_, data) in enumerate(entries)]


@refused("hq", MissingFileError, "image/: 24 JPEGs, not read: the official images lie in one folder", FOREIGN)
def ffhq_under_the_official_name(root):
    write(root / "image", as_ffhq(take(root, "hq_images")))


@refused("hq", MissingFileError, "image.zip: image/: 24 JPEGs, not read: the official images lie in one", FOREIGN)
def ffhq_in_a_zip_of_the_official_name(root):
    pack(root / "image.zip", in_folder(as_ffhq(take(root, "hq_images")), "image"))


@refused("hq", ConflictError, "CelebA-HQ-img/: 0.jpg (", "image.zip: image/0.jpg (", f"{FOREIGN}, or changed", "alone")
def two_sets_of_official_names(root):
    faces = [data for _, data in members(at(root, "hq_images"))]
    write(root / "CelebA-HQ-img", [(f"{number}.jpg", data) for number, data in enumerate(faces[1:])])


@refused("hq", ConflictError, "image/: 5380.jpg (", "image/: 05380.jpg (", FOREIGN)
def two_images_of_one_number(root):
    entries = take(root, "hq_images")
    write(root / "image", [*entries, ("05380.jpg", entries[0][1])])


@refused("hq", FormatError, "image/000123.jpg: no HQ image of this release", "mapping.txt, which is whole", "Move it")
def a_stray_image(root):
    """Told by its own name; the mapping is not to blame."""
    write(root / "image", [*take(root, "hq_images"), ("000123.jpg", b"\xff\xd8")])


@refused("hq", FormatError, "mapping.txt: no row for ", " other images", "cut off or edited", "Download it again")
def a_mapping_that_is_cut_off(root):
    lines = at(root, "mapping").read_text().splitlines(keepends=True)
    at(root, "mapping").write_text("".join(lines[:10]))


@refused("hq", MissingFileError, "10msPsx1Fouh5h8m8LoSaPTh9R4dv_mLG", "0.9 MB", "celeba-dialog fetch", "image_list.txt")
def images_without_a_mapping(root):
    at(root, "mapping").unlink()


@refused("hq", MissingFileError, "image.zip: image/: 24 PNGs, not read", "the official images are JPEGs")
def png_copies_under_the_official_name(root):
    small = [(name, resized(data, (64, 64), "PNG")) for name, data in take(root, "hq_images")]
    pack(root / "image.zip", [(f"image/{name}".replace("jpg", "png"), data) for name, data in small])


@refused("hq", MissingFileError, f"{DRIVE}: Google Drive's own zip", "image.zip", "Unpack it there")
def drive_zip_of_zips(root):
    with zipfile.ZipFile(root / f"CelebA-Dialog (HQ)-{DRIVE}", "w") as archive:
        for role in FILES:
            if FILES[role].subset == "hq":
                archive.write(at(root, role), FILES[role].path)
                at(root, role).unlink()


@refused("hq", MissingFileError, "CelebAMask-HQ.zip: the zip is cut off")
def a_damaged_zip_of_any_name(root):
    """It may have held what is missing."""
    at(root, "hq_images").unlink()
    (root / "CelebAMask-HQ.zip").write_bytes(b"PK\x03\x04 cut off")


@refused("hq", MissingFileError, "faces/: 24 pictures, not read: their names, face_0.jpg", "are no file numbers")
def pictures_without_numbers(root):
    write(root / "faces", [(f"face_{n}.jpg", data) for n, (_, data) in enumerate(take(root, "hq_images"))])


@refused("standard", MissingFileError, "png/: 90 PNG copies, not read: the official images are JPEGs", "celeba.zip")
def png_copies_in_a_folder(root):
    write(root / "png", [(name.replace("jpg", "png"), b"\x89PNG") for name, _ in take(root, "standard_images")])


@refused("hq", FormatError, "captions_hq.json: 1,073,741,825 bytes, where at most 1,073,741,824 are plausible")
def a_text_of_a_gigabyte(root):
    os.truncate(at(root, "hq_captions"), (1 << 30) + 1)


def in_a_zip_of_texts(root, change, **fields):
    at(root, "hq_captions").unlink()
    data = raw_zip([{"name": "captions_hq.json", "data": b'{"0.jpg": {}}'} | fields])
    (root / "texts.zip").write_bytes(data.replace(*change))


@refused("hq", DamagedFileError, "texts.zip: captions_hq.json: encrypted in this zip", "Unpack it there")
def an_encrypted_text(root):
    in_a_zip_of_texts(root, (b"", b""), flags=1)


@refused("hq", DamagedFileError, "texts.zip: captions_hq.json: captions_hq.json is not where the directory says")
def a_text_without_a_header(root):
    in_a_zip_of_texts(root, (b"PK\3\4", b"PK\3\5"))


@refused("hq", MissingFileError, "a folder that `build` wrote, not the official files", 'load_dataset("')
def a_built_folder(root):
    for path in root.iterdir():
        path.rename(root.with_name(path.name))
    (root / "manifest.json").write_text('{\n  "dataset": "celeba_dialog"}')
    write(root / "hq", [("train-00000-of-00001.parquet", b"PAR1")])


@pytest.fixture
def locked(monkeypatch):
    """No folder called locked can be listed."""
    scandir = os.scandir

    def listed(path):
        if os.path.basename(path) == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", listed)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, copy):
    change, config, error, says = REFUSED[name]
    change(copy)
    with pytest.raises(error) as caught:
        check_first(index_of(copy, config), None)
    for part in says:
        assert part in str(caught.value)
    assert "should be the same" not in str(caught.value)
    if FOREIGN in str(caught.value):
        assert "rename" not in str(caught.value) and "Move" not in str(caught.value)
    celeba_dialog.register()
    with pytest.raises(error) as loaded:
        load_dataset_builder("celeba_dialog", config, data_dir=str(copy)).as_streaming_dataset()
    assert str(loaded.value) == str(caught.value)


# ------------------------------------------------------------------------------------------------- beside the others


@pytest.mark.parametrize("name", ["shares_of_both_beginnings_under_the_official_name", "ffhq_under_the_official_name"])
def test_foreign_sets_beside_the_official_one(name, copy, demo, same_rows):
    """No row has one of their images, and they are told."""
    data = at(copy, "hq_images").read_bytes()
    REFUSED[name][0](copy)
    at(copy, "hq_images").write_bytes(data)
    same_rows(read(copy, "hq"), demo.rows("hq"))
    (note,) = Release(copy).notes
    assert note.aside and FOREIGN in str(note)


UNREAD = {
    "list_attr_celeba.npy": "list_attr_celeba.txt",
    "captions_hq.jsonl": "captions_hq.json",
    "combined_annotation_hq.xlsx": "combined_annotation_hq.txt",
    "hq_captions.parquet": None,
    "captions_hq.json.gz": "Unpack it there",
    "captions_hq.json.old": "because of its ending",
    "img_celeba.7z.001": "Put the pieces together",
    "image.zip.crdownload": "a download that is not finished",
    "celeba_hq.h5": "not read in this form",
    "captions_of_mine.json": "holds no name such as 0.jpg or 000001.jpg",
    ".captions_hq.json.icloud": "its content is in iCloud, not on this machine",
}


@pytest.mark.parametrize("zipped", [False, True])
def test_what_is_like_a_file_of_the_release_is_noted(zipped, copy):
    if zipped:
        pack(copy / "more.zip", [(f"deep/{name}", b"whatever") for name in UNREAD])
    else:
        write(copy, [(name, b"whatever") for name in UNREAD])
    notes = {note.path: note.text for note in Release(copy).notes}
    for name, says in UNREAD.items():
        path = f"more.zip: deep/{name}" if zipped else name
        if says is None or (zipped and name.startswith(".")):  # iCloud leaves none in a zip
            assert path not in notes
        else:
            assert says in notes[path]


@pytest.mark.parametrize("zipped", [False, True])
def test_pictures_beside_the_others_are_noted(zipped, copy, demo, same_rows):
    strange = ["image/copy of 5.jpg", "image/5 (1).jpg", "image/face.webp", "image/1234567.jpg"]
    if zipped:
        pack(at(copy, "hq_images"), [*members(at(copy, "hq_images")), *((name, b"x") for name in strange)])
    else:
        unpack(copy, "hq_images", copy)
        write(copy, [(name, b"x") for name in strange])
    same_rows(read(copy, "hq"), demo.rows("hq"))
    (note,) = find_members(Release(copy), "hq_images").notes
    assert note.path == (at(copy, "hq_images").relative_to(copy).as_posix() if zipped else "image/")
    front = "image/" if zipped else ""
    names = f"{front}1234567.jpg, {front}5 (1).jpg, {front}copy of 5.jpg and 1 more."
    assert note.text == f"4 pictures are not read, for their names are no file numbers: {names}"


def test_a_folder_that_cannot_be_listed_beside_the_whole_release(copy, demo, same_rows, locked):
    (copy / "locked").mkdir()
    same_rows(read(copy, "hq"), demo.rows("hq"))
    assert not Release(copy).notes
    at(copy, "standard_requests_txt").unlink()
    assert [(note.path, note.aside) for note in Release(copy).notes] == [("locked", False)]
    (copy.parent / "locked").mkdir()
    with pytest.raises(EnvironmentFault, match="locked: cannot be listed: Permission denied"):
        Release(copy.parent / "locked")


# ------------------------------------------------------------------------------------- another thing under the name

PAGE = r": this is a web page, as Google Drive sends where its quota is used up or a login is asked for"


@pytest.mark.parametrize("data, part", [(QUOTA, PAGE), (b"", ": this is an empty file"), (b"\x1f\x8b", "a gzip")])
def test_every_file_is_named_that_is_another_kind_of_file(data, part, copy):
    for role in (*TEXTS, *ZIPS):
        at(copy, role).write_bytes(data)
    release = Release(copy)
    for role in release.sources:
        with pytest.raises(DamagedFileError, match=re.escape(FILES[role].name) + f".*{part}.*Unpack|{part}.*Download"):
            release.read(role) if role in TEXTS else find_members(release, role)
    assert set(release.sources) == set(FILES)


def test_only_what_a_config_needs_is_opened(demo, copy, same_rows):
    """What is wrong with the part masks or with the standard part does not trouble who wants hq."""
    for role in ("hq_parts", "standard_images", "standard_captions", "standard_attributes", "standard_labels"):
        at(copy, role).write_bytes(QUOTA)
    same_rows(read(copy, "hq"), demo.rows("hq"))
    for config in ("hq_parts", "standard"):
        with pytest.raises(DamagedFileError, match="web page"):
            read(copy, config)


# --------------------------------------------------------------------------------------- what differs, what changes


@pytest.mark.parametrize("role, old, new", [("hq_labels", b"\t0\n", b"\t1\n"), ("hq_captions", b"The", b"the"),
                                            ("mapping", b"idx ", b"id  "), ("hq_identity", b"\n", b"1\n")])  # fmt: skip
def test_two_copies_of_a_text_that_differ(role, old, new, copy):
    second = copy / "copy" / FILES[role].name
    second.parent.mkdir()
    second.write_bytes(at(copy, role).read_bytes().replace(b"\n", b"\r\n"))
    Release(copy).read(role)  # line ends make no difference
    second.write_bytes(at(copy, role).read_bytes().replace(old, new, 1))
    with pytest.raises(ConflictError, match=re.escape(FILES[role].path) + f" and copy/.*{FILES[role].name} are both"):
        read(copy, "hq")


def test_lists_of_degrees_that_disagree(copy):
    row = at(copy, "labels_train").read_bytes().split(b"\n")[0]
    at(copy, "standard_labels").unlink()
    edit(copy, "labels_test", lambda data: data + re.sub(rb" \d", b" 5", row) + b"\n")
    with pytest.raises((ConflictError, FormatError), match=r"train_attr_list\.txt.*test_attr_list\.txt"):
        read(copy, "standard")


@pytest.mark.parametrize("role", ["hq_images", "hq_captions"])
def test_a_file_that_vanishes_is_missed_by_name(role, copy):
    release = Release(copy)
    at(copy, role).unlink()
    with pytest.raises(MissingFileError, match=re.escape(FILES[role].name)):
        read_index(release, "hq")


def test_a_file_that_goes_while_its_folder_is_listed(copy, monkeypatch):
    class Gone:
        def __init__(self, entry):
            self.name, self.path, self.is_file, self.is_dir = entry.name, entry.path, entry.is_file, entry.is_dir

        def stat(self):
            os.unlink(self.path)
            raise FileNotFoundError

    scandir, name = os.scandir, FILES["hq_captions"].name
    monkeypatch.setattr(os, "scandir", lambda path: (Gone(e) if e.name == name else e for e in scandir(path)))
    with pytest.raises(MissingFileError, match=f"{name}: not there any more"):
        Release(copy)


def test_a_readme_of_somebody_elses(tmp_path):
    (tmp_path / "README.txt").write_text("Faces. 24 images in CelebA-Dialog (HQ)/image.zip")
    assert Release(tmp_path).demo == {}


def test_a_text_that_is_cut_off_while_it_is_read(copy):
    """At the end of a line, where nothing else would show it."""
    release = Release(copy)
    data = at(copy, "hq_labels").read_bytes()
    os.truncate(at(copy, "hq_labels"), data.index(b"\n", len(data) // 2) + 1)
    with pytest.raises(DamagedFileError, match="combined_annotation_hq.txt.*changed"):
        read_index(release, "hq")


def test_the_loader_tells_once_what_is_left_aside_or_missing(copy, loaded):
    write(copy / "celeba_128", [("162000.jpg", b"\xff\xd8")])
    (copy / "captions_blip.json").write_text('{"000001.jpg": {"overall_caption": "a face"}}')
    at(copy, "standard_requests").unlink()
    at(copy, "standard_requests_txt").unlink()
    (copy / "request.jsonl").write_text("{}")
    aside, missing = loaded(copy, "standard")
    names = "captions_blip.json, celeba_128/"
    assert aside.startswith(f"{copy}: {names} left aside, because the official files are there.")
    assert missing.startswith(f"{copy}: request.json not found, so request is empty.\n  request.jsonl: not read")

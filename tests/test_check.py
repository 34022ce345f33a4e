"""`check`: what it says of every file in every state, what to do next, and that `build` agrees with it."""

import hashlib
import io
import json
import shutil
import zipfile

import pytest
from commands import held
from commands import tree
from PIL import Image
from releases import PALETTE
from releases import TEXTS
from releases import at
from releases import change_json
from releases import edit
from releases import members
from releases import pack

import celeba_dialog
from celeba_dialog import CONFIGS
from celeba_dialog import FILES
from celeba_dialog import SUBSETS
from celeba_dialog import CelebADialogError
from celeba_dialog import Release
from conversion import check
from conversion.build import command as build
from conversion.demo.command import write_release

pytest_plugins = ["building"]

OFFICIAL = {role: file.count for role, file in FILES.items()}
QUOTA = b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>No.</body></html>"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The path of a release of a few images."""
    root = tmp_path_factory.mktemp("tiny") / "release"
    write_release(str(root), hq=4, standard=18, side=64)
    return root


@pytest.fixture
def release(tiny, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(tiny, tmp_path / "release")


@pytest.fixture
def complete(tiny, monkeypatch):
    """Makes the tiny release as large as the official one is to be."""
    for role in FILES:
        monkeypatch.setitem(FILES, role, FILES[role]._replace(count=held(tiny, role)))


def remove(root, role):
    at(root, role).unlink()


def shorten(root, role):
    """Takes away the last image, entry or row; a count in the first line is corrected."""
    path = at(root, role)
    if path.suffix == ".zip":
        pack(path, members(path)[:-1])
    elif path.suffix == ".json":
        change_json(root, role, lambda entries: dict(list(entries.items())[:-1]))
    else:

        def change(data):
            lines = data.splitlines(keepends=True)[:-1]
            count = lines[0].strip()
            if count.isdigit():
                lines[0] = lines[0].replace(count, str(int(count) - 1).encode())
            return b"".join(lines)

        edit(root, role, change)


def ruin(root, role):
    at(root, role).write_bytes(QUOTA)


def lines_of(report):
    return {line["role"]: line for line in report["files"]}


# ------------------------------------------------------------------------------------------------- agreement with build


def what_builds(root, role):
    """Whether `build` takes a release without --allow-incomplete, as far as one file of it is concerned."""
    release = Release(root)
    subsets = [subset for subset in SUBSETS if role in celeba_dialog.roles_of(subset)]
    try:
        return not build.shortfalls({subset: celeba_dialog.read_index(release, subset) for subset in subsets})
    except CelebADialogError:
        return False


def test_a_complete_release(tiny, complete, tmp_path, capsys, monkeypatch):
    assert check.run_check(tiny)
    text = capsys.readouterr().out
    assert text.endswith(f"\nNext: celeba-dialog build {tiny} celeba_dialog\n")
    for name in CONFIGS:
        assert f"config {name}: complete" in text
    assert "missing" not in text
    monkeypatch.setattr(build.card, "render", lambda *arguments: {"README.md": b""})
    manifest = build.build(tiny, tmp_path / "out", workers=1)
    assert manifest["release"]["incomplete"] == []
    assert check.run_check(tiny, deep=True)
    assert "0 images or masks cannot be decoded" in capsys.readouterr().out


# Roles that stand in for others where those are missing.
INSTEAD = {
    "hq_requests": ["hq_requests_txt"],
    "standard_requests": ["standard_requests_txt"],
    "hq_identity": ["standard_identity"],
    "standard_labels": ["labels_train", "labels_validation", "labels_test"],
}

# Every file that goes missing, and one of each kind, and all with alternatives, in the other states.
SOME = [*INSTEAD, "hq_images", "hq_parts", "mapping", "labels_train", "standard_captions", "partition"]


@pytest.mark.parametrize(
    "role, defect",
    [*((role, remove) for role in FILES), *((role, defect) for role in SOME for defect in (shorten, ruin))],
)
def test_check_and_build_agree(role, defect, release, complete):
    """Exit status 0 means that a full build works, and nothing else does."""
    defect(release, role)
    report = check.examine(Release(release))
    line = lines_of(report)[role]
    assert line["state"] in {remove: ("missing", "not needed"), shorten: ("partial",), ruin: ("damaged",)}[defect]
    assert line["count"] == {remove: None, shorten: FILES[role].count - 1, ruin: None}[defect]
    assert report["complete"] == what_builds(release, role)
    assert bool(line["next"]) != report["complete"]
    if line["next"]:
        assert line["next"].startswith("https://drive.google.com/")
        assert line["next"].endswith(FILES[role].path)
    if role == "hq_images":
        assert not report["complete"]


@pytest.mark.parametrize("defect", [remove, shorten, ruin])
@pytest.mark.parametrize("role", INSTEAD)
def test_a_file_that_another_stands_in_for(role, defect, release, complete):
    remove(release, role)
    for other in INSTEAD[role]:
        defect(release, other)
    assert not check.examine(Release(release))["complete"]
    assert not what_builds(release, role)


# ------------------------------------------------------------------------------------------------------------- the text


def test_a_part_of_the_release(release, commands):
    """What a newcomer sees who has a few images of it: a line per file, and what to fetch."""
    for role in ("hq_images", "standard_captions"):
        remove(release, role)
    ruin(release, "standard_images")
    before = tree(release)
    done = commands.run("check", release)
    assert done.status == 1
    lines = done.text.splitlines()
    assert lines[0] == str(release)
    for role, file in FILES.items():
        name = file.path.split("/", 1)[1]
        found = [line for line in lines if f" {name} " in line]
        assert len(found) == 1, name
        state = {"hq_images": "missing", "standard_captions": "missing", "standard_images": "damaged"}.get(role)
        assert found[0].split()[0] == (state or "partial")
        assert f"{OFFICIAL[role]:,} {file.holds}" in found[0]
        if state is None:
            assert f" {held(release, role):,} of {OFFICIAL[role]:,}" in found[0]
    assert f"Next: celeba-dialog fetch {release} --accept-agreement" in done.text
    quota = next(line for line in lines if "web page" in line)
    assert "img_align_celeba.zip" in quota
    assert "quota" in quota
    steps = lines[next(i for i, line in enumerate(lines) if line.startswith("Next: ")) + 1 :]
    assert {step.split(" → ")[1] for step in steps} >= {
        FILES[role].path for role in ("hq_images", "standard_captions", "standard_images")
    }
    assert "1A2dNWabg6_um-V3lhw1tyead5hCpjaW8" in next(step for step in steps if step.endswith("/image.zip"))
    assert tree(release) == before


def test_json(release, complete, commands):
    remove(release, "hq_captions")
    done = commands.run("check", release, "--json")
    assert done.status == 1
    report = json.loads(done.text)
    assert report["release"] == str(release)
    assert report["complete"] is False
    assert [line["role"] for line in report["files"]] == list(FILES)
    assert FILES["hq_captions"].path in report["configs"]["hq"]
    assert report["damaged_images"] is None
    assert sum(report["splits"]["standard"].values()) == 18
    assert sum(report["splits"]["hq"].values()) == 4
    report = json.loads(commands.run("check", release, "--json", "--deep").text)
    assert report["damaged_images"] == []


def test_the_counts_per_split(demo):
    report = check.examine(Release(demo.root))
    for subset in ("hq", "standard"):
        assert report["splits"][subset] == {split: len(rows) for split, rows in demo.splits(subset).items()}


def test_where_files_were_found(release, complete):
    shutil.move(at(release, "hq_images"), release / "pictures (1).zip")
    text = check.as_text(check.examine(Release(release)))
    assert "found as pictures (1).zip" in text
    assert text.endswith(f"Next: celeba-dialog build {release} celeba_dialog")


def test_a_folder_zip_of_google_drive(release, complete):
    name = "CelebA-Dialog (HQ)-20240101T120000Z-001.zip"
    with zipfile.ZipFile(release / name, "w") as archive:
        archive.write(at(release, "mapping"), "CelebA-Dialog (HQ)/CelebA-HQ-to-CelebA-mapping.txt")
    remove(release, "mapping")
    text = check.as_text(check.examine(Release(release)))
    assert f"{name}: Google Drive's own zip of a folder. Unpack it there" in text


def test_two_copies_of_a_file(release, complete):
    path = at(release, "hq_captions")
    shutil.copy(path, path.parent / "captions_hq (1).json")
    assert check.examine(Release(release))["complete"]
    path.write_bytes(path.read_bytes().replace(b"The ", b"the ", 1))
    line = lines_of(check.examine(Release(release)))["hq_captions"]
    assert line["state"] == "damaged"
    assert "captions_hq.json" in line["note"]
    assert "captions_hq (1).json" in line["note"]


def test_published_checksums(release, complete, monkeypatch):
    data = at(release, "hq_attributes").read_bytes()
    cases = {
        (len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()): "as published",
        (len(data), "0" * 32): f"of the published size, but its MD5 is not {'0' * 32}",
        (len(data) + 1, "0" * 32): "another copy than the published one: its size differs",
    }
    for published, note in cases.items():
        monkeypatch.setitem(celeba_dialog.CHECKSUMS, "hq_attributes", published)
        assert lines_of(check.examine(Release(release)))["hq_attributes"]["note"] == note


# ----------------------------------------------------------------------------------------------------------------- deep


def replace_member(root, role, data):
    """Puts other bytes in the place of the first member. Returns its name."""
    path = at(root, role)
    (name, _), *others = members(path)
    pack(path, [(name, data), *others])
    return name


def png(color):
    file = io.BytesIO()
    image = Image.new("P" if isinstance(color, int) else "RGB", (512, 512), color)
    if image.mode == "P":
        image.putpalette(PALETTE)
    image.save(file, "PNG")
    return file.getvalue()


DEEP = {
    "an image that is none": ("hq_images", b"\xff\xd8 no JPEG", "the JPEG cannot be decoded"),
    "a standard image that is none": ("standard_images", b"GIF89a", "the JPEG cannot be decoded"),
    "a mask of class 19": ("hq_masks", png(19), "class 19, expected 0 to 18"),
    "a mask in a strange colour": ("hq_masks", png((1, 2, 3)), "the colour [1, 2, 3] is none of the 19 official ones"),
    "a part mask that is none": ("hq_parts", b"\x89PNG no", "the PNG cannot be decoded"),
}


@pytest.mark.parametrize("case", DEEP)
def test_deep(case, release, complete):
    role, data, says = DEEP[case]
    name = replace_member(release, role, data)
    assert check.examine(Release(release))["complete"]
    report = check.examine(Release(release), deep=True)
    assert not report["complete"]
    assert len(report["damaged_images"]) == 1
    assert name in report["damaged_images"][0]
    assert says in report["damaged_images"][0]
    assert "1 images or masks cannot be decoded" in check.as_text(report)


@pytest.mark.parametrize("role", ["hq_images", "hq_masks", "hq_parts", "standard_images"])
def test_deep_finds_a_bad_checksum(role, release, complete, commands):
    path = at(release, role)
    pack(path, members(path))  # not compressed, so that the bytes of a member are found
    name, content = members(path)[-1]
    data = bytearray(path.read_bytes())
    data[data.index(content) + len(content) // 2] ^= 1
    path.write_bytes(data)
    assert check.examine(Release(release))["complete"]
    done = commands.run("check", release, "--deep")
    assert done.status == 1
    assert f"{name} holds {len(content):,} bytes with CRC " in done.text
    assert "Traceback" not in done.text


def test_deep_finds_a_truncated_jpeg(release, complete):
    """Cut off after the header, with a checksum that fits."""
    data = members(at(release, "hq_images"))[0][1]
    replace_member(release, "hq_images", data[: len(data) * 2 // 3])
    assert "cannot be decoded" in check.examine(Release(release), deep=True)["damaged_images"][0]


# ------------------------------------------------------------------------------------------------------------ wrong use


def test_wrong_use(commands, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name, what in (("nowhere", "no such folder"), ("file", "is a file")):
        done = commands.run("check", tmp_path / name)
        assert done.status == 1
        assert done.text.startswith(f"{tmp_path / name}: {what}")
        assert done.text.count("\n") == 1
    assert commands.run("check").status == 2
    done = commands.run("check", tmp_path / "empty")
    assert done.status == 1
    states = [line.split()[0] for line in done.text.splitlines() if line.startswith("  ") and " of " not in line]
    assert "missing" in states
    assert "complete" not in states
    assert "config hq: incomplete without image.zip" in done.text
    for role in TEXTS:
        if not role.startswith("labels_") and role not in ("partition", "hq_requests_txt", "standard_requests_txt"):
            assert f"→ {FILES[role].path}" in done.text

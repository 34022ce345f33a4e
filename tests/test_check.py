"""`check`: what it says of every file in every state, what to do next, and that `build` agrees with it."""

import hashlib
import json
import re
import shutil

import pytest
from commands import held, tree
from making import write_release
from pictures import saved
from PIL import Image
from releases import PALETTE, QUOTA, at, change_json, members, pack

from celeba_dialog import CONFIGS
from conversion import card
from conversion.__main__ import main
from conversion.parquet import command as build
from conversion.release.errors import CelebADialogError
from conversion.release.finding import Release
from conversion.release.official import CHECKSUMS, FILES, Sums, roles_of
from conversion.release.table import read_index
from conversion.release.vocabulary import SUBSETS
from conversion.report import as_text, examine

OFFICIAL = {role: file.total for role, file in FILES.items()}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The path of a release of a few images."""
    root = tmp_path_factory.mktemp("tiny") / "release"
    write_release(str(root), hq=4, standard=18)
    return root


@pytest.fixture
def release(tiny, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(tiny, tmp_path / "release")


@pytest.fixture
def partial(release):
    """The same without the counts of a demo: a small part of the official release."""
    readme = release / "README.txt"
    readme.write_text("\n".join(line for line in readme.read_text().splitlines() if not re.match(" +[0-9]+ ", line)))
    return release


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
        first, *lines = path.read_bytes().splitlines(keepends=True)[:-1]
        if (count := first.strip()).isdigit():
            first = first.replace(count, b"%d" % (int(count) - 1))
        path.write_bytes(b"".join([first, *lines]))


def ruin(root, role):
    at(root, role).write_bytes(QUOTA)


def line_of(report, role):
    return report["files"][list(FILES).index(role)]


def what_builds(root, role):
    """Whether `build` takes a release without --allow-incomplete, as far as one file of it is concerned."""
    release = Release(root)
    subsets = [subset for subset in SUBSETS if role in roles_of(subset)]
    try:
        return not build.shortfalls({subset: read_index(release, subset) for subset in subsets})
    except CelebADialogError:
        return False


@pytest.fixture
def build_it(tmp_path, monkeypatch):
    """A function that builds a release in full, without a card, and returns the manifest."""
    monkeypatch.setattr(card, "render", lambda *_: {"README.md": b""})

    def build_it(release):
        assert main(["build", str(release), str(tmp_path / "out"), "--workers=1"]) == 0
        return json.loads((tmp_path / "out" / "manifest.json").read_text())

    return build_it


def test_a_complete_release(tiny, build_it, capsys):
    """A demo is whole by its own count, and builds as its last line says."""
    assert main(["check", str(tiny), "--deep"]) == 0
    text = capsys.readouterr().out
    root, verdict, step = text.split("\n\n")[:3]
    assert root == str(tiny)
    assert verdict == ("a demo of 4 and 18 images: every file is there and sound; sizes are not those of the release")
    assert step == f"Next: celeba-dialog build {tiny} celeba_dialog"
    assert "missing" not in text
    assert "0 images or masks cannot be decoded" in text
    assert build_it(tiny)["release"]["incomplete"] == []


@pytest.mark.parametrize("sizes", [(1, 1), (2, 1), (3, 4)])
def test_the_smallest_demos_are_whole(sizes, build_it, tmp_path):
    """Even where a split has no image, and the list of its degrees no row."""
    write_release(str(tmp_path / "demo"), *sizes)
    report = examine(Release(tmp_path / "demo"))
    assert f"a demo of {sizes[0]} and {sizes[1]} images: every file is there" in as_text(report)
    assert [sum(splits.values()) for splits in report["splits"].values()] == list(sizes)
    assert sizes != (3, 4) or {"train", "validation", "test"} < set(report["splits"]["standard"])
    build_it(tmp_path / "demo")


def test_the_official_release_is_told_by_its_own_counts(monkeypatch, tmp_path):
    """As large as the official release is to be, and without the README of a demo."""
    release = tmp_path / "release"
    write_release(str(release), hq=2, standard=4)
    (release / "README.txt").unlink()
    for role in FILES:
        monkeypatch.setitem(FILES, role, FILES[role]._replace(total=held(release, role)))
    for role in ("labels_validation", "labels_test"):  # empty in one that small
        remove(release, role)
    report = examine(Release(release))
    assert report["complete"] and report["demo"] is None
    lines = as_text(report).split("\n\n")
    assert lines[1] == f"configs {', '.join(CONFIGS)}: can be built"
    assert lines[2] == f"Next: celeba-dialog build {release} celeba_dialog"


# Roles that stand in for others where those are missing.
INSTEAD = {
    "hq_requests": ["hq_requests_txt"],
    "standard_requests": ["standard_requests_txt"],
    "hq_identity": ["standard_identity"],
    "standard_labels": ["labels_train", "labels_validation", "labels_test"],
}

# Every file that goes missing, and one of each kind, and all with alternatives, in the other states.
SOME = [*INSTEAD, "hq_images", "hq_parts", "mapping", "labels_train", "standard_captions", "partition"]

DEFECTS = [*((role, remove) for role in FILES), *((role, defect) for role in SOME for defect in (shorten, ruin))]


@pytest.mark.parametrize("role, defect", DEFECTS)
def test_check_and_build_agree(role, defect, release):
    """Exit status 0 means that a full build works, and nothing else does."""
    defect(release, role)
    report = examine(Release(release))
    line = line_of(report, role)
    assert line["state"] in {remove: ("missing", "not needed"), shorten: ("partial",), ruin: ("damaged",)}[defect]
    assert line["count"] == {remove: None, shorten: line["official"] - 1, ruin: None}[defect]
    assert report["complete"] == what_builds(release, role)
    assert line["next"] == ("" if report["complete"] else FILES[role].path)  # and no address: this is a demo
    text = as_text(report)
    assert "every file is there" not in text and FILES[role].name in text
    assert (f"Next: celeba-dialog demo {release} writes it anew" in text) != report["complete"]
    assert "Next: celeba-dialog fetch" not in text
    assert not (role == "hq_images" and report["complete"])


@pytest.mark.parametrize("defect", [remove, shorten, ruin])
@pytest.mark.parametrize("role", INSTEAD)
def test_a_file_that_another_stands_in_for(role, defect, release):
    remove(release, role)
    for other in INSTEAD[role]:
        defect(release, other)
    assert not examine(Release(release))["complete"]
    assert not what_builds(release, role)


def test_a_part_of_the_release(partial, capsys):
    """What a newcomer sees who has a few images of it: first what can be built, then what to do, then what is there."""
    for role in ("hq_images", "standard_captions"):
        remove(partial, role)
    ruin(partial, "standard_requests")
    before = tree(partial)
    assert main(["check", str(partial)]) == 1
    text = capsys.readouterr().out
    root, verdict, steps, *_ = text.split("\n\n")
    assert root == str(partial)
    hq, standard = verdict.splitlines()
    assert hq == "configs hq, hq_512, hq_256, hq_parts: cannot be built: no hq images"
    assert standard.startswith(f"config standard: cannot be built: {FILES['standard_requests'].path}: ")
    assert "web page" in standard and "quota" in standard
    first, *steps = steps.splitlines()
    assert first.startswith(f"Next: celeba-dialog fetch {partial}, or by hand, into any folder below:")
    assert "--accept-agreement" not in text
    steps = {step.split(" -> ")[1].rsplit(" (", 1)[0]: step for step in steps if " -> " in step}
    states = {"hq_images": "missing", "standard_captions": "missing", "standard_requests": "damaged"}
    for role, file in FILES.items():
        if role in states:
            assert steps[file.path].endswith(f"({states[role]})")
            assert text.count(f"{file.path} ") == 1  # said once
        else:
            count = f"{held(partial, role):,} of {OFFICIAL[role]:,} {file.holds}"
            assert re.search(rf"^  partial +{re.escape(file.name)} +{count}$", text, re.MULTILINE), role
    assert "1A2dNWabg6_um-V3lhw1tyead5hCpjaW8" in steps[FILES["hq_images"].path]
    assert tree(partial) == before


def test_what_would_be_missing_is_said_in_the_words_of_the_columns(partial):
    for role in ("hq_captions", "hq_masks", "standard_labels", "labels_test"):
        remove(partial, role)
    assert as_text(examine(Release(partial))).split("\n\n")[1] == (
        "configs hq, hq_512, hq_256, hq_parts: can be built, incomplete: 4 of 30,000 images; mask is None; "
        "caption and attribute_captions are empty\n"
        "config standard: can be built, incomplete: 18 of 202,599 images; "
        "bangs, eyeglasses, beard, smiling and age are -1 in the split test"
    )


def test_json(release, capsys):
    remove(release, "hq_captions")
    assert main(["check", str(release), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["release"], report["complete"], report["damaged_images"]) == (str(release), False, None)
    assert [line["role"] for line in report["files"]] == list(FILES)
    assert FILES["hq_captions"].path in report["configs"]["hq"]
    assert {subset: sum(splits.values()) for subset, splits in report["splits"].items()} == {"hq": 4, "standard": 18}


def test_where_files_were_found(release):
    """Two copies that are alike are one file."""
    shutil.move(at(release, "hq_images"), release / "pictures (1).zip")
    shutil.copy(at(release, "hq_captions"), at(release, "hq_captions").with_name("captions_hq (1).json"))
    text = as_text(examine(Release(release)))
    assert "found as pictures (1).zip" in text
    assert f"Next: celeba-dialog build {release} celeba_dialog" in text


def test_published_checksums(partial, monkeypatch):
    monkeypatch.setitem(FILES, "hq_attributes", FILES["hq_attributes"]._replace(total=4))
    data = at(partial, "hq_attributes").read_bytes()
    md5, differs = hashlib.md5(data, usedforsecurity=False).hexdigest(), "differs from the published file: "
    cases = {
        (len(data), md5): "as published",
        (0, md5): "as published",  # of a size that is not known
        (len(data), "0" * 32): f"{differs}its MD5 is {md5}, expected {'0' * 32}",
        (len(data) + 1, md5): f"{differs}{len(data):,} bytes, expected {len(data) + 1:,}",
    }
    for published, note in cases.items():
        monkeypatch.setitem(CHECKSUMS, "hq_attributes", Sums(*published))
        assert line_of(examine(Release(partial)), "hq_attributes")["note"] == note


def test_sums_are_those_of_sha256sum(partial, capsys):
    assert main(["check", str(partial), "--sums"]) == 0
    printed = capsys.readouterr().out
    told = dict(line.split("  ", 1)[::-1] for line in printed.splitlines() if not line.startswith("#"))
    assert len(told) >= 10
    for path, digest in told.items():
        assert hashlib.sha256((partial / path).read_bytes()).hexdigest() == digest
    assert "report yours" in printed.splitlines()[-1]


def later(root, role):
    """(name, bytes) of a member that nothing but --deep looks at: the image of the last row, or the last mask."""
    last = ("/5380.jpg", "/039459.jpg") if role.endswith("_images") else ".png"
    return [entry for entry in members(at(root, role)) if entry[0].endswith(last)][-1]


def class_19(_):
    mask = Image.new("P", (512, 512), 19)
    mask.putpalette(PALETTE)
    return saved(mask, "PNG")


@pytest.mark.parametrize(
    "role, change, says",
    [
        ("hq_images", lambda data: b"\xff\xd8 no JPEG", "the JPEG cannot be decoded"),
        ("standard_images", lambda data: data[: len(data) * 2 // 3], "the JPEG cannot be decoded"),
        ("hq_masks", class_19, "class 19, expected 0 to 18"),
        ("hq_parts", lambda data: b"\x89PNG no", "the PNG cannot be decoded"),
    ],
)
def test_deep(role, change, says, release):
    wrong, _ = later(release, role)
    entries = [(name, change(data) if name == wrong else data) for name, data in members(at(release, role))]
    pack(at(release, role), entries)
    assert examine(Release(release))["complete"]
    report = examine(Release(release), deep=True)
    assert not report["complete"]
    (line,) = report["damaged_images"]
    assert wrong in line and says in line
    assert "1 images or masks cannot be decoded" in as_text(report)


def test_two_damaged_files_of_a_subset(release):
    """A config is refused for the first; the second is told as well."""
    ruin(release, "hq_captions")
    at(release, "hq_labels").write_text("0.jpg 1 2\n")
    text = as_text(examine(Release(release)))
    assert "3 words, expected 6" in text and text.count("a web page, as Google Drive sends") == 1


@pytest.mark.parametrize("role", ["hq_images", "hq_masks", "hq_parts", "standard_images"])
def test_deep_finds_a_bad_checksum(role, release):
    path = at(release, role)
    pack(path, members(path))  # not compressed, so that the bytes of a member are found
    name, content = later(release, role)
    data = bytearray(path.read_bytes())
    data[data.index(content) + len(content) // 2] ^= 1
    path.write_bytes(data)
    assert examine(Release(release))["complete"]
    (line,) = examine(Release(release), deep=True)["damaged_images"]
    assert f"{name} holds {len(content):,} bytes with CRC " in line


def test_nothing_of_the_release(tmp_path):
    """A folder of icons: neither twenty lines on them nor a download into it."""
    for number in range(10):
        (tmp_path / f"icon{number}").mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / f"icon{number}" / f"{number}.jpg")
    report = examine(Release(tmp_path))
    lines = as_text(report).splitlines()
    assert lines[1].startswith("Nothing of CelebA-Dialog is below this folder. Give the folder that holds")
    assert len(lines) <= 8 and f"fetch {tmp_path}" not in as_text(report)
    assert not report["complete"]


@pytest.mark.parametrize("subset", ["hq", "standard"])
def test_the_counts_of_a_subset(subset, demo):
    """Of its splits, and of the images that have a value in each column."""
    report = examine(Release(demo.root))
    assert report["splits"][subset] == {split: len(rows) for split, rows in demo.splits(subset).items()}
    values = report["values"][subset]
    rows = [row for split, rows in demo.splits(subset).items() if split != "unlabeled" for row in rows]
    assert values["smiling"] == values["caption"] == values["attributes"] == values["request_labels"] == len(rows)
    beards = sum(row["attribute_captions"]["beard"] != "" for row in rows)
    assert 0 < values["attribute_captions.beard"] == beards < len(rows)
    assert ("mask" in values) == (subset == "hq")


def test_a_column_that_is_empty_is_told(copy):
    at(copy, "hq_captions").unlink()
    text = as_text(examine(Release(copy)))
    assert "of the 23 annotated, with a value: caption 0, attribute_captions.bangs 0, " in text
    assert "of the 89 annotated, with a value: attribute_captions." in text

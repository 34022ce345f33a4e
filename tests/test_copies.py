"""What the release says twice has to be the same: no two files of one fact, and no columns out of place."""

import json
import re
from pathlib import Path

import pytest
from releases import at, change_json, edit

from conversion.release.errors import ConflictError, logger
from conversion.release.finding import Release
from conversion.release.official import FILES
from conversion.release.table import check_agreement, check_fit, read_index
from conversion.release.texts import read_attributes, read_degrees, read_mapping
from conversion.release.vocabulary import ATTRIBUTES, HQ, PARTITION, RELEASE_NAMES, STANDARD

pytest_plugins = ["building"]

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"


def cells(change, skip=0):
    """A function of a text file: puts the words of each row through `change(list of rows)`, names in the first column.

    The first `skip` lines stay.
    """

    def edited(data):
        lines = data.decode().splitlines()
        rows = change([line.split() for line in lines[skip:]])
        return "".join(f"{line}\n" for line in [*lines[:skip], *map(" ".join, rows)]).encode()

    return edited


def shifted(rows):
    """The values move a row down, the names stay."""
    values = [row[1:] for row in rows]
    return [[row[0], *value] for row, value in zip(rows, values[-1:] + values[:-1])]


def swapped(one, other):
    """Two columns change places; the name of the image is column 0."""

    def change(rows):
        for row in rows:
            row[one], row[other] = row[other], row[one]
        return rows

    return change


def one_more(rows):
    """The degree in the third row and column is another one."""
    rows[2][3] = str((int(rows[2][3]) + 1) % 6)
    return rows


def first_with(column, value):
    def change(rows):
        row = next(row for row in rows if row[column] != value)
        row[column] = value
        return rows

    return change


def refused(root, config):
    with pytest.raises(ConflictError) as caught:
        read_index(Release(root), config)
    message = str(caught.value)
    assert "\n" not in message and "Download both again." in message
    return message


CONFLICTS = {
    # case: (config, role that is edited, its edit, the other file, what the message says of images)
    "combined and a list": (
        "standard", "standard_labels", cells(one_more, skip=1), "labels_train", "different degrees of 1 images,",
    ),
    "combined, shifted": (
        "standard", "standard_labels", cells(shifted, skip=1), "labels_train", r"different degrees of \d+ images,",
    ),
    "a list, two columns swapped": (
        "standard", "labels_test", cells(swapped(1, 5)), "standard_labels", r"different degrees of \d+ images",
    ),
    "HQ and standard attributes": (
        "hq", "hq_attributes", cells(first_with(7, "1"), skip=2), "standard_attributes",
        r"different attributes of 1 images, first of \d+\.jpg",
    ),
    "HQ and standard attributes, from the other side": (
        "standard", "hq_attributes", cells(first_with(7, "1"), skip=2), "standard_attributes",
        r"different attributes of 1 images, first of \d{6}\.jpg",
    ),
    "HQ attributes, shifted": (
        "hq", "hq_attributes", cells(shifted, skip=2), "standard_attributes", r"different attributes of \d+ images",
    ),
    "HQ and standard identities": (
        "hq", "hq_identity", cells(first_with(1, "10177")), "standard_identity", "different identities of 1 images",
    ),
    "standard identities, shifted": (
        "standard", "standard_identity", cells(shifted), "hq_identity", r"different identities of \d+ images",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONFLICTS)
def test_two_files_that_differ(case, copy):
    config, role, change, other, says = CONFLICTS[case]
    edit(copy, role, change)
    message = refused(copy, config)
    assert FILES[role].name in message and FILES[other].name in message
    assert re.search(says, message), message


# Of the five, those that contradict a binary attribute when their column is out of place.
@pytest.mark.parametrize("columns", [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4), (1, 5), (4, 5)])
@pytest.mark.parametrize("config, role", [("hq", "hq_labels"), ("standard", "standard_labels")])
def test_columns_of_degrees_that_are_swapped(columns, config, role, copy):
    for split in PARTITION:
        at(copy, f"labels_{split}").unlink()
    edit(copy, role, cells(swapped(*columns), skip=1))
    message = refused(copy, config)
    assert FILES[role].name in message and FILES[f"{config}_attributes"].name in message
    assert "contradict each other on " in message


@pytest.mark.parametrize("config, role", [("hq", "hq_labels"), ("standard", "labels_train")])
def test_rows_of_degrees_that_are_shifted(config, role, copy):
    at(copy, "standard_labels").unlink()
    edit(copy, role, cells(shifted, skip=role == "hq_labels"))
    assert "contradict each other on " in refused(copy, config)


@pytest.mark.parametrize("name", ["Bangs", "Eyeglasses", "No_Beard", "Smiling"])
def test_attributes_that_are_swapped(name, copy):
    """Without the standard ones, which would tell at once."""
    at(copy, "standard_attributes").unlink()
    edit(copy, "hq_attributes", cells(swapped(1 + ATTRIBUTES.index(name), 1 + ATTRIBUTES.index("Male")), skip=2))
    assert "contradict each other on " in refused(copy, "hq")


def test_one_contradiction_is_let_pass(copy):
    """As the real release has: the bangs of 073219.jpg."""
    at(copy, "standard_attributes").unlink()
    edit(copy, "hq_attributes", cells(first_with(1 + ATTRIBUTES.index("Smiling"), "1"), skip=2))
    assert read_index(Release(copy), "hq").table.num_rows == 24


def test_a_partition_that_says_otherwise(copy):
    edit(copy, "partition", cells(first_with(1, "2")))
    with pytest.raises(ConflictError, match="list_eval_partition.txt: line 1: 2, where CelebA puts .* into train"):
        read_index(Release(copy), "standard")


def test_what_only_one_file_says_is_no_conflict(copy, demo):
    """Half of each copy is gone, another half of each."""
    edit(copy, "labels_train", lambda data: b"".join(data.splitlines(keepends=True)[::2]))
    edit(copy, "standard_labels", lambda data: b"".join(data.splitlines(keepends=True)[:10]))
    table = read_index(Release(copy), "standard").table
    truth = {row["file_name"]: row["smiling"] for row in demo.rows("standard")}
    known = [row for row in table.select(["file_name", "smiling"]).to_pylist() if row["smiling"] >= 0]
    assert len(known) > 40
    assert all(truth[row["file_name"]] == row["smiling"] for row in known)


@pytest.mark.parametrize(
    "config, role",
    [
        ("standard", "labels_train"),
        ("standard", "partition"),
        ("hq", "standard_attributes"),
        ("hq", "standard_identity"),
    ],
)
def test_a_copy_that_cannot_be_read_is_left_aside(config, role, copy, demo, same_rows, monkeypatch):
    """Nothing comes from it. A warning says so."""
    warnings = []
    monkeypatch.setattr(logger, "warning", warnings.append)
    edit(copy, role, lambda data: b"<!DOCTYPE html><title>Google Drive - Quota exceeded</title>")
    index = read_index(Release(copy), config)
    assert index.table["file_name"].to_pylist() == [row["file_name"] for row in demo.rows(config)]
    assert index.table["identity"].to_pylist() == [row["identity"] for row in demo.rows(config)]
    (said,) = warnings
    assert FILES[role].name in said and "this is a web page" in said and "left aside" in said
    assert role not in index.counts


@pytest.mark.parametrize("command", ["check", "build"])
def test_the_commands_refuse_it(command, copy, commands, tmp_path):
    edit(copy, "standard_labels", cells(one_more, skip=1))
    out = [] if command == "check" else [tmp_path / "celeba_dialog", "--allow-incomplete"]
    done = commands.run(command, copy, *out)
    assert done.status == 1
    assert "different degrees of 1 images" in done.text and "Traceback" not in done.text
    assert not (tmp_path / "celeba_dialog").exists()


@pytest.mark.skipif(not REAL.is_dir(), reason="no real excerpts beside the checkout")
def test_the_real_files_agree():
    """All real labels there are: 162,754 degrees with their attributes, 30,000 HQ attributes with the standard ones."""
    standard, hq = STANDARD, HQ
    degrees, count = read_degrees((REAL / "standard/train_attr_list.txt").read_bytes(), "t", standard)
    attributes, _ = read_attributes((REAL / "standard/list_attr_celeba.txt").read_bytes(), "a", standard)
    assert count == 162754
    path = REAL / "hq/classification_label/CelebAMask-HQ-attribute-anno.txt"
    theirs, _ = read_attributes(path.read_bytes(), "h", hq)
    mapping, _ = read_mapping((REAL / "hq/CelebA-HQ-to-CelebA-mapping.txt").read_bytes(), "m")

    class Named:
        sources = {"standard_labels": [], "labels_train": []}

        def named(self, role):
            return FILES[role].name

    for column, name in enumerate(RELEASE_NAMES.values()):
        attribute = attributes[:, ATTRIBUTES.index(name)]
        check_fit(Named(), standard, column, degrees[:, column], attribute)
        moved = degrees[:, column].copy()
        moved[1:] = degrees[:-1, column]
        with pytest.raises(ConflictError, match=name):
            check_fit(Named(), standard, column, moved, attribute)
        for other in range(5):
            if other != column and 4 not in (other, column):
                with pytest.raises(ConflictError, match=name):
                    check_fit(Named(), standard, column, degrees[:, other], attribute)
    check_agreement(Named(), "attributes", "standard_attributes", attributes[mapping], "hq_attributes", theirs)


def test_requests_in_three_forms(copy):
    """The text of a request stands in request.json, request.txt and request_annotated.json."""
    first = next(iter(json.loads(at(copy, "hq_requests").read_bytes())))
    edit(copy, "hq_requests_txt", lambda data: data.replace(b"\t", b"\tPlease! ", 1))
    message = refused(copy, "hq")
    assert "request_hq.json" in message and "request_hq.txt" in message
    assert f"different requests of 1 images, first of {first}" in message


def test_the_text_beside_the_structured_request(copy):
    def change(entries):
        first = next(iter(entries))
        entries[first]["text"] = "Another one."

    change_json(copy, "standard_request_labels", change)
    message = refused(copy, "standard")
    assert "request.json" in message and "request_annotated.json" in message
    assert "different requests of 1 images" in message

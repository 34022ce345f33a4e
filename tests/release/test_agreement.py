"""What files of a release say of the same images has to fit: no two of one fact, no rows or columns out of place."""

import json
import re
import shutil

import numpy as np
import pyarrow as pa
import pytest
from releases import REAL, at, change_json, edit, real

from conversion.release.agreement import check_agreement, check_captions_fit, check_degrees_fit
from conversion.release.copies import compare_copies
from conversion.release.errors import ConflictError
from conversion.release.finding import Release
from conversion.release.lists import read_attributes, read_degrees, read_mapping
from conversion.release.official import FILES
from conversion.release.table import read_index
from conversion.release.vocabulary import ATTRIBUTES, HQ, PARTITION, RELEASE_NAMES, STANDARD


def cells(change, skip=0):
    """A function of a text: puts the words of each row through `change(rows)`, but for the first `skip` lines."""

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


def first_with(column, value):
    def change(rows):
        row = next(row for row in rows if row[column] != value)
        row[column] = value
        return rows

    return change


def compared(root, config):
    """What `check`, `build` and `verify` do before they use an index."""
    compare_copies(Release(root), config, read_index(Release(root), config))


def refused(root, config, call=lambda root, config: read_index(Release(root), config)):
    with pytest.raises(ConflictError, match="Download both again.") as caught:
        call(root, config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -------------------------------------------------------------------------------- what the loader sees by itself


# Of the pairs of columns, some that contradict a binary attribute when they have changed places.
OUT_OF_PLACE = [
    *[
        (config, role, cells(swapped(*columns), skip=1))
        for config, role in (("hq", "hq_labels"), ("standard", "standard_labels"))
        for columns in ((1, 2), (1, 4), (3, 4), (1, 5))
    ],
    ("hq", "hq_labels", cells(shifted, skip=1)),
    ("standard", "labels_train", cells(shifted)),
    *[
        ("hq", "hq_attributes", cells(swapped(1 + ATTRIBUTES.index(name), 1 + ATTRIBUTES.index("Male")), skip=2))
        for name in ("Bangs", "Eyeglasses", "No_Beard", "Smiling")
    ],
]


@pytest.mark.parametrize("config, role, change", OUT_OF_PLACE)
def test_rows_or_columns_out_of_place(config, role, change, copy):
    """Degrees contradict the binary attributes, where no other file of degrees is there to be held against them."""
    for other in {"standard_labels", *(f"labels_{split}" for split in PARTITION)} - {role}:
        at(copy, other).unlink()
    edit(copy, role, change)
    message = refused(copy, config)
    assert FILES[role].name in message and FILES[f"{config}_attributes"].name in message
    assert "contradict each other on " in message


def test_two_copies_of_a_file_that_only_repeats(copy):
    index = read_index(Release(copy), "standard")
    (copy / "copy").mkdir()
    shutil.copy(at(copy, "partition"), copy / "copy")
    edit(copy, "partition", lambda data: data[: data.rindex(b"2")])
    with pytest.raises(ConflictError, match="are both "):
        compare_copies(Release(copy), "standard", index)


def test_one_contradiction_is_let_pass(copy):
    """As the real release has: the bangs of 073219.jpg."""
    edit(copy, "hq_attributes", cells(first_with(1 + ATTRIBUTES.index("Smiling"), "1"), skip=2))
    assert read_index(Release(copy), "hq").table.num_rows == 24


def test_captions_of_other_images(copy):
    """Each caption stands at the next image."""

    def shift(entries):
        values = list(entries.values())
        return dict(zip(entries, values[-1:] + values[:-1]))

    change_json(copy, "standard_captions", shift)
    message = refused(copy, "standard")
    assert "captions.json and " in message and "list_attr_celeba.txt contradict each other on Male in " in message
    assert re.search(r"in \d+ of \d+ images, first in \d{6}\.jpg: attribute (yes|no), caption '", message)
    at(copy, "standard_attributes").unlink()
    assert read_index(Release(copy), "standard").table.num_rows == 90  # nothing there to hold them against


def test_few_captions_of_other_images_are_let_pass(demo):
    """From forty that tell he or she on, and more than a tenth in contradiction."""
    for of_men, of_women in ((0, 39), (90, 10), (36, 4), (0, 40), (35, 5), (80, 10)):
        captions = ["The man is young."] * of_men + ["She has a big smile."] * of_women + ["He or she?"] * 9
        male = np.ones(len(captions), np.int8)
        if (of_men, of_women) in ((0, 39), (90, 10), (36, 4)):
            check_captions_fit(Release(demo.root), STANDARD, pa.array(captions), male)
        else:
            with pytest.raises(ConflictError, match=f"on Male in {of_women} of {of_men + of_women} images"):
                check_captions_fit(Release(demo.root), STANDARD, pa.array(captions), male)


def test_the_text_beside_the_structured_request(copy):
    edit(copy, "standard_request_labels", lambda data: data.replace(b'"text": "', b'"text": "And ', 1))
    message = refused(copy, "standard")
    assert "request.json" in message and "request_annotated.json" in message
    assert "different requests of 1 images" in message


# --------------------------------------------------------------------------------------- files that only repeat others

OTHER_BEARD = cells(first_with(3, "5"), skip=1)
OTHER_SMILE = cells(first_with(7, "1"), skip=2)
CONFLICTS = [  # (config, role that is edited, its edit, the other file, what the message says of images)
    ("standard", "standard_labels", OTHER_BEARD, "labels_train", "different degrees of 1 images,"),
    ("standard", "labels_test", cells(swapped(1, 5)), "standard_labels", r"different degrees of \d+ images"),
    ("hq", "hq_attributes", OTHER_SMILE, "standard_attributes", r"attributes of 1 images, first of \d+\.jpg"),
    ("standard", "hq_attributes", OTHER_SMILE, "standard_attributes", r"attributes of 1 images, first of \d{6}\.jpg"),
    ("hq", "hq_identity", cells(first_with(1, "10177")), "standard_identity", "different identities of 1 images"),
    ("standard", "standard_identity", cells(shifted), "hq_identity", r"different identities of \d+ images"),
    ("hq", "hq_requests_txt", lambda data: data.replace(b"\t", b"\tAnd ", 1), "hq_requests", "requests of 1 images"),
]


@pytest.mark.parametrize("config, role, change, other, says", CONFLICTS)
def test_two_files_that_differ(config, role, change, other, says, copy):
    """The loader reads one of the two; whoever compares names both."""
    edit(copy, role, change)
    assert read_index(Release(copy), config).copies is None
    message = refused(copy, config, compared)
    assert FILES[role].name in message and FILES[other].name in message
    assert re.search(says, message), message


@pytest.mark.parametrize("config, role", [("standard", "labels_train"), ("standard", "partition"),
                                          ("hq", "standard_attributes"), ("hq", "hq_requests_txt")])  # fmt: skip
def test_a_copy_that_cannot_be_read_is_left_aside(config, role, copy, warnings):
    """Nothing comes from it, so the loader says nothing; whoever compares says that it cannot be compared."""
    edit(copy, role, lambda data: b"<!DOCTYPE html><title>Google Drive - Quota exceeded</title>")
    index = read_index(Release(copy), config)
    assert role not in index.counts and not warnings
    compare_copies(Release(copy), config, index)
    (said,) = warnings
    assert FILES[role].name in said and "this is a web page" in said and "left aside" in said


@real
def test_the_real_files_agree(demo):
    """All real labels there are: degrees with their attributes, 30,000 HQ attributes with the standard ones,
    and 50 captions with Male."""
    degrees, _ = read_degrees((REAL / "standard/train_attr_list.txt").read_bytes(), "t", STANDARD)
    attributes, _ = read_attributes((REAL / "standard/list_attr_celeba.txt").read_bytes(), "a", STANDARD)
    path = REAL / "hq/classification_label/CelebAMask-HQ-attribute-anno.txt"
    theirs, _ = read_attributes(path.read_bytes(), "h", HQ)
    mapping, _ = read_mapping((REAL / "hq/CelebA-HQ-to-CelebA-mapping.txt").read_bytes(), "m", HQ)
    for column, name in enumerate(RELEASE_NAMES.values()):
        attribute = attributes[:, ATTRIBUTES.index(name)]
        check_degrees_fit(Release(demo.root), STANDARD, column, degrees[:, column], attribute)
    mapped = attributes[mapping]
    check_agreement(Release(demo.root), "attributes", "standard_attributes", mapped, "hq_attributes", theirs)
    captions = json.loads((REAL / "standard/overall_captions_000001-000050.json").read_bytes())
    texts = ["", *(captions[f"{number:06d}.jpg"] for number in range(1, 51))]
    male = attributes[:51, ATTRIBUTES.index("Male")]
    check_captions_fit(Release(demo.root), STANDARD, pa.array(texts), male)

"""The real files, where they lie beside the checkout: every value equals what plain Python or pandas makes of them.

Nothing of them stands here but counts that are published.
"""

import io
import json
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import celeba_dialog
from conversion.release.masks import mask_indices, palette_mask
from conversion.release.official import part_of
from conversion.release.texts import read_attributes, read_degrees, read_identity, read_mapping, read_partition
from conversion.release.vocabulary import ATTRIBUTES, DEGREES, HQ, MASK_COLORS, PARTITION, STANDARD

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="the real excerpts are not beside the checkout")


def words(path, skip=0):
    """Lists of words, one per line that has any."""
    return [line.split() for line in path.read_text(encoding="ascii").splitlines()[skip:] if line.strip()]


def number(name):
    return int(name.removesuffix(".jpg"))


def by_pandas(path, columns):
    import pandas as pd

    frame = pd.read_csv(path, sep=r"\s+", skiprows=2, names=["file", *columns], index_col="file")
    assert list(frame.columns) == list(columns)
    return frame


@pytest.mark.parametrize(
    ("path", "subset"),
    [
        ("standard/list_attr_celeba.txt", STANDARD),
        ("hq/classification_label/CelebAMask-HQ-attribute-anno.txt", HQ),
    ],
)
def test_attributes(path, subset):
    count, names = (line.split() for line in (REAL / path).open(encoding="ascii").readlines()[:2])
    found, rows = read_attributes((REAL / path).read_bytes(), path, subset)
    assert [rows] == [int(word) for word in count] == [subset.images]
    assert tuple(names) == ATTRIBUTES
    expected = by_pandas(REAL / path, names)
    assert list(expected.index) == [subset.file_name(n) for n in range(subset.first, subset.first + subset.images)]
    assert np.array_equal(found[subset.first :], expected.to_numpy() == 1)
    assert set(np.unique(expected)) == {-1, 1}


def test_the_attributes_of_both_subsets_agree_through_the_mapping():
    standard, _ = read_attributes((REAL / "standard/list_attr_celeba.txt").read_bytes(), "", STANDARD)
    path = REAL / "hq/classification_label/CelebAMask-HQ-attribute-anno.txt"
    hq, _ = read_attributes(path.read_bytes(), "", HQ)
    mapping, _ = read_mapping((REAL / "hq/CelebA-HQ-to-CelebA-mapping.txt").read_bytes(), "")
    assert np.array_equal(hq, standard[mapping])


def test_the_attributes_are_read_without_a_loop_per_value():
    """Eight million values in a few thousand lines of Python that are run."""
    data = (REAL / "standard/list_attr_celeba.txt").read_bytes()
    lines = 0

    def count(frame, event, argument):
        nonlocal lines
        lines += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        read_attributes(data, "list_attr_celeba.txt", STANDARD)
    finally:
        sys.settrace(before)
    assert 0 < lines < 20_000


def test_identities():
    path = REAL / "standard/identity_CelebA.txt"
    found, rows = read_identity(path.read_bytes(), path.name, STANDARD)
    expected = {number(name): int(identity) for name, identity in words(path)}
    assert rows == len(expected) == 202599
    assert dict(enumerate(found.tolist())) == expected | {0: -1}
    assert len(set(expected.values())) == 10177


def test_degrees_of_train():
    path = REAL / "standard/train_attr_list.txt"
    found, rows = read_degrees(path.read_bytes(), path.name, STANDARD)
    expected = {number(name): [int(word) for word in degrees] for name, *degrees in words(path)}
    assert rows == len(expected) == 162754
    assert {n: found[n].tolist() for n in np.flatnonzero((found >= 0).all(axis=1)).tolist()} == expected
    assert (found[[n for n in range(202600) if n not in expected]] == -1).all()
    smiling = found[:, list(DEGREES).index("smiling")]
    assert np.bincount(smiling[smiling >= 0]).tolist() == [84676, 17113, 12902, 41232, 5537, 1294]


def test_mapping():
    path = REAL / "hq/CelebA-HQ-to-CelebA-mapping.txt"
    found, rows = read_mapping(path.read_bytes(), path.name)
    expected = {int(hq): number(name) for hq, _, name in words(path, skip=1)}
    assert rows == len(expected) == 30000
    assert dict(enumerate(found.tolist())) == expected


def test_splits():
    path = REAL / "standard/list_eval_partition.txt"
    assert read_partition(path.read_bytes(), path.name) == (None, 202599)
    partition = {number(name): int(split) for name, split in words(path)}
    standard = np.arange(1, 202600)
    assert part_of(standard).tolist() == [partition[n] for n in standard.tolist()]
    assert Counter(partition.values()) == {0: 162770, 1: 19867, 2: 19962}
    mapping, _ = read_mapping((REAL / "hq/CelebA-HQ-to-CelebA-mapping.txt").read_bytes(), "")
    assert part_of(mapping).tolist() == [partition[n] for n in mapping.tolist()]
    assert np.bincount(part_of(mapping)).tolist() == [24183, 2993, 2824]


# ---------------------------------------------------------------------------------------------------------- the release

RELEASE = REAL / "releases"


def expected_rows(subset, folder):
    """The rows of the excerpt, by file name; read with split, json and zipfile."""
    hq = subset == "hq"
    archive = zipfile.ZipFile(folder / ("image.zip" if hq else "img_align_celeba.zip"))
    labels = "classification_label/combined_annotation_hq.txt" if hq else "combined_annotation.txt"
    attributes = "classification_label/CelebAMask-HQ-attribute-anno.txt" if hq else "list_attr_celeba.txt"
    degrees = {name: [int(word) for word in values] for name, *values in words(folder / labels, skip=1)}
    binary = {name: [int(word == "1") for word in values] for name, *values in words(folder / attributes, skip=2)}
    captions = {} if hq else json.loads((folder / "celeba_caption/captions.json").read_bytes())
    identities = dict(words(RELEASE / "CelebA-Dialog (standard)" / "identity_CelebA.txt"))
    other = counterparts(hq)
    rows = {}
    for member in archive.namelist():
        name = member.rsplit("/", 1)[-1]
        if not name.endswith(".jpg"):
            continue
        rows[name] = {
            "image": {"bytes": archive.read(member), "path": name},
            **({"mask": None} if hq else {}),
            **dict(zip(DEGREES, degrees.get(name, [-1] * 5))),
            "attributes": binary[name],
            "caption": captions[name]["overall_caption"] if name in captions else "",
            "attribute_captions": dict.fromkeys(DEGREES, ""),
            "request": "",
            "request_labels": dict.fromkeys(("attribute", "mode", "direction", "value", "target"), -1),
            "identity": int(identities.get(other[name] if hq else name, -1)),
            "file_name": name,
            "celeba_file_name" if hq else "hq_file_name": other.get(name, ""),
        }
    return rows


def counterparts(hq):
    """{name of an image: its name in the other subset}, by the official mapping."""
    pairs = words(RELEASE / "CelebA-Dialog (HQ)" / "CelebA-HQ-to-CelebA-mapping.txt", skip=1)
    return {f"{n}.jpg": name for n, _, name in pairs} if hq else {name: f"{n}.jpg" for n, _, name in pairs}


@pytest.mark.parametrize("mode", ["map", "stream"])
@pytest.mark.parametrize(("subset", "count"), [("hq", 4), ("standard", 50)])
def test_the_excerpt(subset, count, mode, tmp_path, same_rows):
    import datasets

    builder = celeba_dialog.CelebADialog(config_name=subset, data_dir=str(RELEASE), cache_dir=str(tmp_path))
    if mode == "map":
        builder.download_and_prepare()
        found = builder.as_dataset()
    else:
        found = builder.as_streaming_dataset()
    folder = RELEASE / (HQ.folder if subset == "hq" else STANDARD.folder)
    expected = expected_rows(subset, folder)
    assert len(expected) == count
    partition = {name: PARTITION[int(split)] for name, split in words(REAL / "standard/list_eval_partition.txt")}
    for split, dataset in found.items():
        decoded = [row["image"] for row in dataset]
        for column in ("image", "mask") if subset == "hq" else ("image",):
            dataset = dataset.cast_column(column, datasets.Image(decode=False))
        rows = list(dataset)
        same_rows(rows, [expected[row["file_name"]] for row in rows], f"{subset} {split}")
        for row, image in zip(rows, decoded):
            part = partition[row.get("celeba_file_name", row["file_name"])]
            assert split == (part if row["smiling"] >= 0 else "unlabeled")
            plain = Image.open(io.BytesIO(expected[row["file_name"]]["image"]["bytes"]))
            assert np.array_equal(np.asarray(image), np.asarray(plain))
            assert image.size == (HQ if subset == "hq" else STANDARD).side
            expected.pop(row["file_name"])
    assert not expected


def test_the_real_masks_are_taken_as_they_are():
    paths = sorted((REAL / "hq/mask_palette").glob("*.png"))
    assert len(paths) == 2
    for path in paths:
        data = path.read_bytes()
        assert palette_mask(data, path.name) == data
        plain = Image.open(path)
        indices = mask_indices(data, path.name)
        assert np.array_equal(indices, np.asarray(plain))
        colors = np.array(list(MASK_COLORS.values()))[indices]
        assert np.array_equal(colors, np.asarray(plain.convert("RGB")))

"""The annotation table: splits, what is not annotated, what is not there, and the real and the whole release."""

import json
import re
import shutil
import zipfile
from collections import Counter

import datasets
import numpy as np
import pandas
import pytest
from pictures import write, zip_of_names
from PIL import Image
from releases import REAL, at, edit, index_of, members, pack, real

import celeba_dialog
from conversion.release.lists import read_attributes, read_degrees, read_identity, read_mapping, read_partition
from conversion.release.masks import mask_indices, sized_mask
from conversion.release.missing import short_lines, unlisted_lines
from conversion.release.official import FILES, UNLABELED_NUMBERS, part_of
from conversion.release.vocabulary import DEGREES, HQ, MASK_COLORS, PARTITION, SPLITS, STANDARD, SUBSETS

pytest_plugins = ["building"]


def names(index, split):
    return index.table["file_name"].to_pylist()[slice(*index.splits.get(split, (0, 0)))]


# ---------------------------------------------------------------------------------------------------------- splits


def test_the_splits_are_those_of_the_truth(demo):
    for subset in ("hq", "standard"):
        index = index_of(demo.root, subset)
        expected = {split: [row["file_name"] for row in rows] for split, rows in demo.splits(subset).items()}
        assert {split: names(index, split) for split in index.splits} == expected
        assert [split for split, rows in expected.items() if len(rows) == 1] == ["unlabeled"]
        assert (index.short, index.unlisted, index.missing, index.copies) == ({}, {}, [], None)


@pytest.mark.parametrize("filler", [None, b"-1", b"None"])
def test_an_image_that_the_file_of_degrees_does_not_list(filler, copy, demo):
    """Or lists with fillers: it is in `unlabeled`, with all else that is known of it."""
    if filler:
        edit(copy, "hq_labels", lambda data: data + b"5380.jpg" + 5 * (b"\t" + filler) + b"\n")
    index = index_of(copy, "hq")
    assert names(index, "unlabeled") == ["5380.jpg"]
    assert index.unlisted == {}
    row = index.table.slice(index.splits["unlabeled"][0], 1).to_pylist()[0]
    (expected,) = demo.splits("hq")["unlabeled"]
    assert [row[name] for name in DEGREES] == [-1] * 5
    assert (row["attributes"], row["identity"]) == (expected["attributes"], expected["identity"])


def test_a_list_covers_its_own_part_only(copy, demo):
    """With the list of train alone, the images of validation and test stay there, without degrees."""
    for role in ("standard_labels", "labels_validation", "labels_test"):
        at(copy, role).unlink()
    index = index_of(copy, "standard")
    for split, rows in demo.splits("standard").items():
        assert names(index, split) == [row["file_name"] for row in rows]
    smiling = index.table["smiling"].to_pylist()
    assert set(smiling[slice(*index.splits["validation"])]) == {-1}
    assert -1 not in smiling[slice(*index.splits["train"])]


def test_a_release_whose_images_all_have_degrees(copy, tmp_path):
    edit(copy, "hq_labels", lambda data: data + b"5380.jpg" + b"\t0" * 5 + b"\n")
    builder = celeba_dialog.CelebADialog(config_name="hq", data_dir=str(copy), cache_dir=str(tmp_path))
    builder.download_and_prepare()
    assert list(builder.as_dataset()) == list(PARTITION)
    for ask in (builder.as_dataset, builder.as_streaming_dataset):
        with pytest.raises(ValueError, match="unlabeled.*train.*validation.*test"):
            ask(split="unlabeled")


# (role, rows that are cut off, images of which that is told)
CUT_OFF = [("hq_labels", 7, 7), ("standard_labels", 30, 30), ("labels_train", 1, 1), ("labels_validation", 2, 2)]
CUT_OFF += [("labels_test", 3, 3), ("labels_test", 2, 0)]  # which two images of test have no degrees is not known


def cut_off(root, role, count):
    """Cuts off a file of degrees, and removes those that stand in for it. Returns the line that says so."""
    others = ["standard_labels"] if role.startswith("labels_") else [f"labels_{split}" for split in PARTITION]
    for other in others:
        at(root, other).unlink()
    edit(root, role, lambda data: b"".join(data.splitlines(keepends=True)[:-count]))
    return f"{FILES[role].path}: no degrees for {count} images that it should list, so they are in the split unlabeled."


@pytest.mark.parametrize("role, count, short", CUT_OFF)
def test_a_file_of_degrees_that_was_cut_off(role, count, short, copy):
    line = cut_off(copy, role, count)
    index = index_of(copy, FILES[role].subset)
    assert len(names(index, "unlabeled")) == 1 + count
    assert index.unlisted == ({role: short} if short else {})
    assert [text.startswith(line) for text in unlisted_lines(index)] == [True] * bool(short)


def test_whoever_reads_degrees_tells_that_they_were_cut_off(small, loaded, commands, tmp_path):
    """They do not fill `unlabeled` without a word."""
    root, out = shutil.copytree(small, tmp_path / "release"), tmp_path / "celeba_dialog"
    line = cut_off(root, "hq_labels", 2)
    assert len([said for said in loaded(root, "hq") if line in said]) == 1
    for argv, status in (
        (("build", root, out, "--config=hq"), 1),
        (("build", root, out, "--config=hq", "--allow-incomplete"), 0),
        (("verify", out, root), 0),
        (("check", root), 1),
    ):
        done = commands.run(*argv)
        assert done.status == status and line in done.text, done.text
    assert line in (out / "README.md").read_text()


# ----------------------------------------------------------------------------------------------- fewer than there are


HALVES = {  # role -> (folder that holds half of it, None for the zip; what is told)
    "hq_images": ("image", "images that the texts list are not there, the first is {}."),
    "standard_images": (None, "images that the texts list are not there, the first is {}."),
    "hq_masks": ("CelebAMask-HQ-mask-color-palette", "images have no mask, the first is {}, so mask is None there."),
    "hq_parts": ("CelebAMask-HQ-mask-anno", "images have no part mask, the first is {}, so parts is empty there."),
}


@pytest.mark.parametrize("role", HALVES)
def test_half_of_it_is_told_once(role, copy, loaded):
    """Whoever loads rows, prepared or as a stream, gets one line in a process, with the first that is not there."""
    folder, says = HALVES[role]
    entries = [(int(re.match(r"\d+", name.split("/")[-1])[0]), name, data) for name, data in members(at(copy, role))]
    numbers = sorted({number for number, _, _ in entries})
    half = [(name, data) for number, name, data in entries if number in numbers[::2]]
    if folder is None:
        pack(at(copy, role), half)
    else:
        at(copy, role).unlink()
        write(copy / folder, half)
    subset = SUBSETS[FILES[role].subset]
    count, whole, first = len(numbers) // 2, len(numbers), subset.file_name(numbers[1])
    index = index_of(copy, "hq_parts" if role == "hq_parts" else subset.name)
    assert index.short == {role: [count, whole, first]}
    line = f"{FILES[role].path}: {count} of the {whole} {says.format(first)}"
    assert short_lines(index) == [line]
    lines = loaded(copy, "hq_parts" if role == "hq_parts" else subset.name)
    assert [said.startswith(f"{copy}: {line} To see what is there") for said in lines] == [True], lines


def test_images_that_nobody_annotated_are_not_missed(copy):
    pack(at(copy, "hq_images"), [entry for entry in members(at(copy, "hq_images")) if "5380" not in entry[0]])
    at(copy, "hq_attributes").unlink()  # which lists it too
    index = index_of(copy)
    assert index.short == {} and "unlabeled" not in index.splits


# ------------------------------------------------------------------------------------------- the whole release, counted


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All file names of the official release, with labels and empty images, which no index reads."""
    root = tmp_path_factory.mktemp("whole")
    unlabeled = {*UNLABELED_NUMBERS["standard"], 190001, 200001}
    assert len(unlabeled) == 21
    rng = np.random.default_rng(0)
    others = np.setdiff1d(np.arange(1, STANDARD.images + 1), [*unlabeled])
    # As many of each part as the paper counts; 5380.jpg is made from 039459.jpg.
    ends = ((0, 162770, 24182), (162770, 182637, 2993), (182637, 202599, 2824))
    parts = [rng.choice(others[(others > low) & (others <= high)], count, False) for low, high, count in ends]
    made_from = rng.permutation(np.concatenate(parts)).tolist()
    made_from.insert(5380, 39459)
    rows = [f"{number:06d}.jpg 0 1 2 3 4 \n" for number in range(1, 202600) if number not in unlabeled]
    pairs = [f"{n} {number - 1} {number:06d}.jpg\n" for n, number in enumerate(made_from)]
    degrees = [f"{number}.jpg\t0\t1\t2\t3\t4\n" for number in range(30000) if number != 5380]
    texts = {
        "train_attr_list.txt": rows[:162754],
        "val_attr_list.txt": rows[162754:182618],
        "test_attr_list.txt": rows[182618:],
        "CelebA-HQ-to-CelebA-mapping.txt": ["idx orig_idx orig_file\n", *pairs],
        "combined_annotation_hq.txt": ["img_name\tBangs\tEyeglasses\tNo_Beard\tSmiling\tYoung\n", *degrees],
    }
    write(root, [(name, "".join(lines).encode()) for name, lines in texts.items()])
    for subset, numbers in ((HQ, range(30000)), (STANDARD, range(1, 202600))):
        zip_of_names(root / FILES[f"{subset.name}_images"].name, list(map(subset.file_name, numbers)))
    return root


COUNTS = {"hq": (24182, 2993, 2824, 1), "standard": (162754, 19864, 19960, 21)}


@pytest.mark.parametrize("subset", COUNTS)
def test_the_official_counts(subset, whole):
    index = index_of(whole, subset)
    assert list(index.splits) == list(SPLITS)
    assert tuple(last - first for first, last in index.splits.values()) == COUNTS[subset] == tuple(SUBSETS[subset].rows)
    first, last = index.splits["unlabeled"]
    smiling = index.table["smiling"].to_numpy()
    assert (smiling[:first] == 3).all() and (smiling[first:last] == -1).all() and last == len(smiling)
    assert (index.unlisted, index.short) == ({}, {})


# ---------------------------------------------------------------------- the real files: what plain Python makes of them

EXCERPT = REAL / "releases"
LISTS = [  # (path, its reader, subset, lines before its rows, rows)
    ("standard/list_attr_celeba.txt", read_attributes, STANDARD, 2, 202599),
    ("hq/classification_label/CelebAMask-HQ-attribute-anno.txt", read_attributes, HQ, 2, 30000),
    ("standard/identity_CelebA.txt", read_identity, STANDARD, 0, 202599),
    ("standard/train_attr_list.txt", read_degrees, STANDARD, 0, 162754),
    ("hq/CelebA-HQ-to-CelebA-mapping.txt", read_mapping, HQ, 1, 30000),
]


def words(path, skip=0):
    """Lists of words, one per line that has any."""
    return [line.split() for line in path.read_text(encoding="ascii").splitlines()[skip:] if line.strip()]


@real
@pytest.mark.parametrize(("path", "read", "subset", "skip", "count"), LISTS)
def test_the_real_lists(path, read, subset, skip, count):
    found, rows = read((REAL / path).read_bytes(), path, subset)
    plain = pandas.read_csv(REAL / path, sep=r"\s+", skiprows=skip, header=None)
    assert rows == len(plain) == count
    if read is read_mapping:
        numbers, values = plain[0], plain[2].str[:6].astype(int)
    else:
        numbers, values = plain[0].str.removesuffix(".jpg").astype(int), plain.drop(columns=0)
    expected = np.full((len(found), found.size // len(found)), -1)
    expected[numbers] = (values == 1 if read is read_attributes else values).to_numpy().reshape(count, -1)
    assert np.array_equal(found.reshape(expected.shape), expected)


@real
def test_the_real_splits():
    path = REAL / "standard/list_eval_partition.txt"
    assert read_partition(path.read_bytes(), path.name, STANDARD) == (None, 202599)
    partition = [int(split) for _, split in words(path)]
    assert part_of(np.arange(1, 202600)).tolist() == partition
    mapped = [int(name[:6]) for _, _, name in words(REAL / "hq/CelebA-HQ-to-CelebA-mapping.txt", skip=1)]
    assert Counter(partition[number - 1] for number in mapped) == {0: 24183, 1: 2993, 2: 2824}


@real
def test_the_real_masks_are_taken_as_they_are():
    for path in sorted((REAL / "hq/mask_palette").iterdir()):
        data, image = path.read_bytes(), Image.open(path)
        assert sized_mask(data, None, path.name) == data
        indices = mask_indices(data, path.name)
        assert np.array_equal(indices, np.asarray(image))
        assert np.array_equal(np.array(list(MASK_COLORS.values()))[indices], np.asarray(image.convert("RGB")))


def excerpt_rows(subset, folder):
    """The rows of the excerpt, by file name; read with split, json and zipfile."""
    hq = subset == "hq"
    archive = zipfile.ZipFile(folder / ("image.zip" if hq else "img_align_celeba.zip"))
    masks = zipfile.ZipFile(folder / "mask" / "CelebAMask-HQ-mask-color-palette.zip") if hq else None
    masks = {name.rsplit("/", 1)[-1]: masks.read(name) for name in masks.namelist()} if masks else {}
    labels = "classification_label/combined_annotation_hq.txt" if hq else "combined_annotation.txt"
    attributes = "classification_label/CelebAMask-HQ-attribute-anno.txt" if hq else "list_attr_celeba.txt"
    degrees = {name: [int(word) for word in values] for name, *values in words(folder / labels, skip=1)}
    binary = {name: [int(word == "1") for word in values] for name, *values in words(folder / attributes, skip=2)}
    captions = {} if hq else json.loads((folder / "celeba_caption/captions.json").read_bytes())
    identities = dict(words(EXCERPT / STANDARD.folder / "identity_CelebA.txt"))
    pairs = words(EXCERPT / HQ.folder / "CelebA-HQ-to-CelebA-mapping.txt", skip=1)
    other = {f"{n}.jpg": name for n, _, name in pairs} if hq else {name: f"{n}.jpg" for n, _, name in pairs}
    rows = {}
    for member in archive.namelist():
        name = member.rsplit("/", 1)[-1]
        if not name.endswith(".jpg"):
            continue
        mask = masks.get(name.replace("jpg", "png"))
        rows[name] = {
            "image": {"bytes": archive.read(member), "path": name},
            **({"mask": mask and {"bytes": mask, "path": name.replace("jpg", "png")}} if hq else {}),
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


@real
@pytest.mark.parametrize(("subset", "count"), [("hq", 4), ("standard", 50)])
def test_the_real_excerpt(subset, count, tmp_path, same_rows):
    builder = celeba_dialog.CelebADialog(config_name=subset, data_dir=str(EXCERPT), cache_dir=str(tmp_path))
    found = builder.as_streaming_dataset()
    expected = excerpt_rows(subset, EXCERPT / SUBSETS[subset].folder)
    assert len(expected) == count
    partition = {name: PARTITION[int(split)] for name, split in words(REAL / "standard/list_eval_partition.txt")}
    for split, dataset in found.items():
        for column in ("image", "mask") if subset == "hq" else ("image",):
            dataset = dataset.cast_column(column, datasets.Image(decode=False))
        rows = list(dataset)
        same_rows(rows, [expected.pop(row["file_name"]) for row in rows], f"{subset} {split}")
        for row in rows:
            part = partition[row.get("celeba_file_name", row["file_name"])]
            assert split == (part if row["smiling"] >= 0 else "unlabeled")
    assert not expected

"""The annotation table: splits, what is not annotated, what is not there, and the real and the whole release."""

import io
import json
import re
import zipfile
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
from pictures import take, write, zip_of_names
from PIL import Image
from releases import at, edit, index_of, members, pack

import celeba_dialog
from conversion.release.lists import read_attributes, read_degrees, read_identity, read_mapping, read_partition
from conversion.release.masks import mask_indices, sized_mask
from conversion.release.missing import short_lines, unlisted_lines
from conversion.release.official import FILES, UNLABELED_NUMBERS, part_of
from conversion.release.vocabulary import ATTRIBUTES, DEGREES, HQ, MASK_COLORS, PARTITION, SPLITS, STANDARD, SUBSETS

pytest_plugins = ["building"]


def names(index, split):
    return index.table["file_name"].to_pylist()[slice(*index.splits.get(split, (0, 0)))]


@pytest.fixture
def loaded(tmp_path, caplog):
    """A function that makes a stream and prepares rows, by the class and by name: the lines that were logged."""

    def loaded(root, config):
        caplog.clear()
        celeba_dialog.register()
        for cache in ("one", "other"):
            options = dict(data_dir=str(root), cache_dir=str(tmp_path / cache))
            celeba_dialog.CelebADialog(config_name=config, **options).as_streaming_dataset()
            datasets.load_dataset("celeba_dialog", config, **options)
        return [record.getMessage() for record in caplog.records if record.name == "celeba_dialog"]

    return loaded


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


@pytest.mark.parametrize(
    "config, role, count, short",
    [
        ("hq", "hq_labels", 7, 7),
        ("standard", "standard_labels", 30, 30),
        ("standard", "labels_train", 1, 1),
        ("standard", "labels_validation", 2, 2),
        ("standard", "labels_test", 3, 3),
        ("standard", "labels_test", 2, 0),  # it is not known which two images of test have no degrees
    ],
)
def test_a_file_of_degrees_that_was_cut_off(config, role, count, short, copy, tmp_path, loaded, commands):
    """It does not fill `unlabeled` without a word."""
    if role.startswith("labels_"):
        at(copy, "standard_labels").unlink()
    else:
        for split in PARTITION:
            at(copy, f"labels_{split}").unlink()
    edit(copy, role, lambda data: b"".join(data.splitlines(keepends=True)[:-count]))
    index = index_of(copy, config)
    assert len(names(index, "unlabeled")) == 1 + count
    assert index.unlisted == ({role: short} if short else {})
    line = f"{FILES[role].path}: no degrees for {short} images that it should list, so they are in the split unlabeled."
    assert [text.startswith(line) for text in unlisted_lines(index)] == [True] * bool(short)
    if count == 7:
        assert len([said for said in loaded(copy, config) if line in said]) == 1
        out = tmp_path / "celeba_dialog"
        for argv, status in (
            (("build", copy, out, f"--config={config}"), 1),
            (("build", copy, out, f"--config={config}", "--allow-incomplete"), 0),
            (("verify", out, copy), 0),
            (("check", copy), 1),
        ):
            done = commands.run(*argv)
            assert done.status == status and line in done.text, done.text
        assert line in (out / "README.md").read_text()


# ----------------------------------------------------------------------------------------------- fewer than there are


def half_a_folder_of_images(root):
    """As a mounted Drive leaves it."""
    entries = take(root, "hq_images")
    write(root / "image", entries[::2])
    return "hq_images", 12, 24, entries[1::2]


def half_a_zip_of_standard_images(root):
    entries = members(at(root, "standard_images"))
    pack(at(root, "standard_images"), entries[:40])
    return "standard_images", 50, 90, entries[40:]


def half_a_folder_of_masks(root):
    entries = take(root, "hq_masks")
    write(root / "CelebAMask-HQ-mask-color-palette", entries[:9])
    return "hq_masks", 15, 24, entries[9:]


def some_folders_of_part_masks(root):
    entries = take(root, "hq_parts")
    for name, data in entries:
        if int(name[:5]) < 6000:
            write(root / "CelebAMask-HQ-mask-anno" / str(int(name[:5]) // 2000), [(name, data)])
    gone = [entry for entry in entries if int(entry[0][:5]) >= 6000]
    return "hq_parts", len({name[:5] for name, _ in gone}), 24, gone


HALVES = {
    half_a_folder_of_images: "{} of the {} annotated images are not there, the first is {}.",
    half_a_zip_of_standard_images: "{} of the {} annotated images are not there, the first is {}.",
    half_a_folder_of_masks: "{} of the {} images have no mask, the first is {}, so mask is None there.",
    some_folders_of_part_masks: "{} of the {} images have no part mask, the first is {}, so parts is empty there.",
}


@pytest.mark.parametrize("change", HALVES)
def test_half_of_it_is_told_once(change, copy, loaded):
    """Whoever loads rows, prepared or as a stream, gets one line in a process, with the first that is not there."""
    role, count, whole, gone = change(copy)
    subset = SUBSETS[FILES[role].subset]
    first = subset.file_name(min(int(re.search(r"(\d+)[^/]*$", name)[1]) for name, _ in gone))
    config = "hq_parts" if role == "hq_parts" else subset.name
    index = index_of(copy, config)
    assert index.short == {role: [count, whole, first]}
    line = f"{FILES[role].path}: {HALVES[change].format(count, whole, first)}"
    assert short_lines(index) == [line]
    lines = loaded(copy, config)
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
    for name, lines in {
        "train_attr_list.txt": rows[:162754],
        "val_attr_list.txt": rows[162754:182618],
        "test_attr_list.txt": rows[182618:],
        "CelebA-HQ-to-CelebA-mapping.txt": ["idx orig_idx orig_file\n", *pairs],
        "combined_annotation_hq.txt": ["img_name\tBangs\tEyeglasses\tNo_Beard\tSmiling\tYoung\n", *degrees],
    }.items():
        (root / name).write_text("".join(lines))
    for subset, numbers in ((HQ, range(30000)), (STANDARD, range(1, 202600))):
        zip_of_names(root / FILES[f"{subset.name}_images"].name, list(map(subset.file_name, numbers)))
    return root


@pytest.mark.parametrize(
    "subset, counts",
    [
        ("hq", {"train": 24182, "validation": 2993, "test": 2824, "unlabeled": 1}),
        ("standard", {"train": 162754, "validation": 19864, "test": 19960, "unlabeled": 21}),
    ],
)
def test_the_official_counts(subset, counts, whole):
    index = index_of(whole, subset)
    assert {split: last - first for split, (first, last) in index.splits.items()} == counts
    assert dict(zip(SPLITS, SUBSETS[subset].rows)) == counts
    first, last = index.splits["unlabeled"]
    smiling = index.table["smiling"].to_numpy()
    assert (smiling[:first] == 3).all() and (smiling[first:last] == -1).all() and last == len(smiling)
    assert (index.unlisted, index.short) == ({}, {})


# ---------------------------------------------------------------------- the real files: what plain Python makes of them

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
EXCERPT = REAL / "releases"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real excerpts are not beside the checkout")
HQ_ATTRIBUTES = "hq/classification_label/CelebAMask-HQ-attribute-anno.txt"


def words(path, skip=0):
    """Lists of words, one per line that has any."""
    return [line.split() for line in path.read_text(encoding="ascii").splitlines()[skip:] if line.strip()]


def number(name):
    return int(name.removesuffix(".jpg"))


@real
@pytest.mark.parametrize(("path", "subset"), [("standard/list_attr_celeba.txt", STANDARD), (HQ_ATTRIBUTES, HQ)])
def test_the_real_attributes(path, subset):
    import pandas

    found, rows = read_attributes((REAL / path).read_bytes(), path, subset)
    assert rows == subset.images
    expected = pandas.read_csv(REAL / path, sep=r"\s+", skiprows=2, names=["file", *ATTRIBUTES], index_col="file")
    assert list(expected.index) == [subset.file_name(n) for n in range(subset.first, subset.first + subset.images)]
    assert np.array_equal(found[subset.first :], expected.to_numpy() == 1)
    assert tuple((REAL / path).open(encoding="ascii").readlines()[1].split()) == ATTRIBUTES


@real
def test_the_real_lists():
    path = REAL / "standard/identity_CelebA.txt"
    found, rows = read_identity(path.read_bytes(), path.name, STANDARD)
    expected = {number(name): int(identity) for name, identity in words(path)}
    assert rows == len(expected) == 202599 and len(set(expected.values())) == 10177
    assert dict(enumerate(found.tolist())) == expected | {0: -1}
    path = REAL / "standard/train_attr_list.txt"
    found, rows = read_degrees(path.read_bytes(), path.name, STANDARD)
    expected = {number(name): [int(word) for word in degrees] for name, *degrees in words(path)}
    assert rows == len(expected) == 162754
    assert {n: found[n].tolist() for n in np.flatnonzero((found >= 0).all(axis=1)).tolist()} == expected
    smiling = found[:, list(DEGREES).index("smiling")]
    assert np.bincount(smiling[smiling >= 0]).tolist() == [84676, 17113, 12902, 41232, 5537, 1294]


@real
def test_the_real_splits():
    path = REAL / "standard/list_eval_partition.txt"
    assert read_partition(path.read_bytes(), path.name, STANDARD) == (None, 202599)
    partition = {number(name): int(split) for name, split in words(path)}
    standard = np.arange(1, 202600)
    assert part_of(standard).tolist() == [partition[n] for n in standard.tolist()]
    assert Counter(partition.values()) == {0: 162770, 1: 19867, 2: 19962}
    path = REAL / "hq/CelebA-HQ-to-CelebA-mapping.txt"
    mapping, rows = read_mapping(path.read_bytes(), path.name, HQ)
    expected = {int(hq): number(name) for hq, _, name in words(path, skip=1)}
    assert rows == len(expected) == 30000
    assert dict(enumerate(mapping.tolist())) == expected
    assert np.bincount(part_of(mapping)).tolist() == [24183, 2993, 2824]


@real
def test_the_real_masks_are_taken_as_they_are():
    paths = sorted((REAL / "hq/mask_palette").glob("*.png"))
    assert len(paths) == 2
    for path in paths:
        data = path.read_bytes()
        assert sized_mask(data, None, path.name) == data
        indices = mask_indices(data, path.name)
        assert np.array_equal(indices, np.asarray(Image.open(path)))
        colors = np.array(list(MASK_COLORS.values()))[indices]
        assert np.array_equal(colors, np.asarray(Image.open(path).convert("RGB")))


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
@pytest.mark.parametrize("mode", ["map", "stream"])
@pytest.mark.parametrize(("subset", "count"), [("hq", 4), ("standard", 50)])
def test_the_real_excerpt(subset, count, mode, tmp_path, same_rows):
    builder = celeba_dialog.CelebADialog(config_name=subset, data_dir=str(EXCERPT), cache_dir=str(tmp_path))
    if mode == "map":
        builder.download_and_prepare()
    found = builder.as_dataset() if mode == "map" else builder.as_streaming_dataset()
    expected = excerpt_rows(subset, EXCERPT / SUBSETS[subset].folder)
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
            plain = Image.open(io.BytesIO(expected.pop(row["file_name"])["image"]["bytes"]))
            assert np.array_equal(np.asarray(image), np.asarray(plain))
            assert image.size == SUBSETS[subset].side
    assert not expected

"""Rows as training code takes them: no null, no label of -1 in train, validation and test, whole rows in batches."""

import io
import json
import logging
import re
import zipfile

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from releases import at, edit

from celeba_dialog import CelebADialog
from conversion.release.finding import Release
from conversion.release.official import FILES, UNLABELED_NUMBERS
from conversion.release.table import read_index
from conversion.release.vocabulary import DEGREES, HQ, MASK_CLASSES, SPLITS, STANDARD, SUBSETS

pytest_plugins = ["building"]

ANNOTATED = ("train", "validation", "test")


def loaded(root, config, cache, streaming=False):
    builder = CelebADialog(config_name=config, data_dir=str(root), cache_dir=str(cache))
    if streaming:
        return builder.as_streaming_dataset()
    builder.download_and_prepare()
    return builder.as_dataset()


def nulls(value, path=""):
    """Where there is a None in a row, at any depth."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from nulls(part, f"{path}.{name}")
    elif isinstance(value, list):
        for part in value:
            yield from nulls(part, path)


# ------------------------------------------------------------------------------------------------------- whole batches


@pytest.mark.parametrize("config", ["hq_256", "hq_512", "standard"])
@pytest.mark.parametrize("streaming", [False, True])
def test_whole_rows_are_collated_over_an_epoch(config, streaming, demo, tmp_path):
    """With nothing but torch's own collate; the demo lacks what the real release lacks."""
    torch = pytest.importorskip("torch")
    truth = demo.splits("standard" if config == "standard" else "hq")
    rows = [row for split in ANNOTATED for row in truth[split]]
    assert sum(row["attribute_captions"]["beard"] == "" for row in rows) > len(rows) / 4
    assert config != "standard" or sum(row["hq_file_name"] == "" for row in rows) > len(rows) / 2
    for split, dataset in loaded(demo.root, config, tmp_path, streaming).items():
        dataset = dataset.with_format("torch").shuffle(seed=1)
        seen = []
        for batch in torch.utils.data.DataLoader(dataset, batch_size=4):
            seen += batch["file_name"]
            assert batch["image"].shape[0] == len(batch["file_name"]) == len(batch["caption"])
        assert sorted(seen) == sorted(row["file_name"] for row in truth[split]), split


@pytest.mark.parametrize("config", ["hq", "hq_parts", "standard"])
def test_no_column_is_null(config, demo, built, tmp_path):
    for dataset in loaded(demo.root, config, tmp_path).values():
        for row in celeba_rows(dataset):
            assert not list(nulls(row)), row["file_name"]
    for path in (built / config).glob("*.parquet"):
        for row in pq.read_table(path).to_pylist():
            assert not list(nulls(row)), row["file_name"]


def celeba_rows(dataset):
    return dataset.remove_columns([name for name in ("image", "mask", "parts") if name in dataset.column_names])


def test_without_any_text_or_counterpart(copy, tmp_path):
    """The columns are there, and empty."""
    for role in ("standard_captions", "standard_requests", "standard_requests_txt", "standard_request_labels"):
        at(copy, role).unlink()
    at(copy, "mapping").unlink()
    for dataset in loaded(copy, "standard", tmp_path).values():
        for row in celeba_rows(dataset):
            assert not list(nulls(row))
            texts = [row["caption"], row["request"], row["hq_file_name"], *row["attribute_captions"].values()]
            assert set(texts) == {""}
            assert set(row["request_labels"].values()) == {-1}


@pytest.mark.parametrize("config", ["hq", "standard"])
def test_every_class_label_of_an_annotated_row_has_a_name(config, demo, tmp_path):
    found = loaded(demo.root, config, tmp_path)
    directions = set()
    for split in ANNOTATED:
        dataset = celeba_rows(found[split])
        features = dataset.features
        for row in dataset:
            for name in DEGREES:
                assert features[name].int2str(row[name]) in DEGREES[name]
            names = {
                name: features["request_labels"][name].int2str(row["request_labels"][name])
                for name in ("attribute", "mode", "direction")
            }
            assert (names["direction"] == "none") == (names["mode"] == "target")
            directions.add(names["direction"])
            assert features["attributes"].feature.int2str(row["attributes"][0]) in ("no", "yes")
    assert directions == {"none", "negative", "positive"}


def test_a_request_that_leaves_its_direction_out(copy):
    """As the release's own files do: `attribute`, `request_mode` and `target_score` are the keys seen in them."""
    asked = json.loads(at(copy, "hq_request_labels").read_bytes())
    kept = {
        key: {name: entry.get(name) for name in ("attribute", "request_mode", "target_score")}
        for key, entry in asked.items()
    }
    at(copy, "hq_request_labels").write_text(json.dumps(kept))
    table = read_index(Release(copy), "hq").table
    for row in table.select(["file_name", "request_labels"]).to_pylist():
        assert row["request_labels"]["direction"] == (0 if row["file_name"] in asked else -1)
        assert row["request_labels"]["value"] == -1


@pytest.mark.parametrize("config", ["hq", "standard"])
def test_splits_can_be_stratified_by_a_degree(config, demo, tmp_path):
    """No class has one member for want of a label; the demo's rows twice, since it has few of each degree."""
    train = celeba_rows(loaded(demo.root, config, tmp_path)["train"])
    twice = datasets.concatenate_datasets([train, train])
    parts = twice.train_test_split(test_size=0.5, stratify_by_column="smiling", seed=0)
    assert sorted(parts["train"]["smiling"]) == sorted(parts["test"]["smiling"]) == sorted(train["smiling"])


# ---------------------------------------------------------------------------------------------------------- the splits


def names(index, split):
    return index.table["file_name"].to_pylist()[slice(*index.splits.get(split, (0, 0)))]


def drop_rows(count, keep=""):
    """A function of a file of degrees that drops its last `count` lines but for those of a name."""

    def change(data):
        lines = data.decode().splitlines(keepends=True)
        gone = [line for line in lines if keep == "" or not line.startswith(keep)][-count:]
        return "".join(line for line in lines if line not in gone).encode()

    return change


@pytest.mark.parametrize("filler", [None, b"-1", b"None"])
def test_an_image_that_the_file_of_degrees_does_not_list(filler, copy, demo):
    """Or lists with fillers: it is in `unlabeled`, with all else that is known of it."""
    if filler:
        edit(copy, "hq_labels", lambda data: data + b"5380.jpg" + 5 * (b"\t" + filler) + b"\n")
    index = read_index(Release(copy), "hq")
    assert names(index, "unlabeled") == ["5380.jpg"]
    assert index.unlisted == {}
    row = index.table.slice(index.splits["unlabeled"][0], 1).to_pylist()[0]
    (expected,) = demo.splits("hq")["unlabeled"]
    assert [row[name] for name in DEGREES] == [-1] * 5
    assert (row["attributes"], row["identity"]) == (expected["attributes"], expected["identity"])


def test_without_any_file_of_degrees(copy, demo):
    for role in ("hq_labels", "standard_labels", "labels_train", "labels_validation", "labels_test"):
        at(copy, role).unlink()
    for config in ("hq", "standard"):
        index = read_index(Release(copy), config)
        assert "unlabeled" not in index.splits
        assert index.table["file_name"].to_pylist() == [row["file_name"] for row in demo.rows_by_part(config)]
        assert set(index.table["smiling"].to_pylist()) == {-1}


def test_a_list_covers_its_own_part_only(copy, demo):
    """With the list of train alone, the images of validation and test stay there, without degrees."""
    for role in ("standard_labels", "labels_validation", "labels_test"):
        at(copy, role).unlink()
    index = read_index(Release(copy), "standard")
    for split, rows in demo.splits("standard").items():
        assert names(index, split) == [row["file_name"] for row in rows]
    first, last = index.splits["validation"]
    assert set(index.table["smiling"].slice(first, last - first).to_pylist()) == {-1}
    first, last = index.splits["train"]
    assert -1 not in index.table["smiling"].slice(first, last - first).to_pylist()


def test_a_release_whose_images_all_have_degrees(copy, tmp_path):
    edit(copy, "hq_labels", lambda data: data + b"5380.jpg" + b"\t0" * 5 + b"\n")
    found = loaded(copy, "hq", tmp_path)
    assert list(found) == list(ANNOTATED)
    builder = CelebADialog(config_name="hq", data_dir=str(copy), cache_dir=str(tmp_path))
    for ask in (builder.as_dataset, builder.as_streaming_dataset):
        with pytest.raises(ValueError, match="unlabeled.*train.*validation.*test"):
            ask(split="unlabeled")


@pytest.mark.parametrize(
    "config, role, count, short",
    [
        ("hq", "hq_labels", 1, 1),
        ("hq", "hq_labels", 7, 7),
        ("standard", "standard_labels", 30, 30),
        ("standard", "labels_train", 1, 1),
        ("standard", "labels_validation", 2, 2),
        ("standard", "labels_test", 3, 3),
        ("standard", "labels_test", 2, 0),  # it is not known which two images of test have no degrees
    ],
)
def test_a_file_of_degrees_that_was_cut_off(config, role, count, short, copy, tmp_path, caplog, commands):
    """It does not fill `unlabeled` without a word."""
    if role.startswith("labels_"):
        at(copy, "standard_labels").unlink()
    if role == "standard_labels":
        for split in ANNOTATED:
            at(copy, f"labels_{split}").unlink()
    edit(copy, role, drop_rows(count))
    index = read_index(Release(copy), config)
    assert len(names(index, "unlabeled")) == 1 + count
    assert index.unlisted == ({role: short} if short else {})
    says = re.compile(rf"{re.escape(FILES[role].path)}: no degrees for {short} images that it should list")
    logger = logging.getLogger("datasets")
    logger.addHandler(caplog.handler)
    try:
        loaded(copy, config, tmp_path / "cache", streaming=True)
    finally:
        logger.removeHandler(caplog.handler)
    assert bool(says.search(caplog.text)) == bool(short)
    if count == 1:
        return
    out = tmp_path / "celeba_dialog"
    done = commands.run("build", copy, out, f"--config={config}")
    assert done.status == 1 and bool(says.search(done.text)) == bool(short)
    done = commands.run("build", copy, out, f"--config={config}", "--allow-incomplete")
    assert done.status == 0 and bool(says.search(done.text)) == bool(short), done.text
    assert bool(says.search((out / "README.md").read_text())) == bool(short)
    done = commands.run("verify", out, copy)
    assert done.status == 0 and bool(says.search(done.text)) == bool(short), done.text
    done = commands.run("check", copy)
    assert done.status == 1 and bool(says.search(done.text)) == bool(short), done.text


# ------------------------------------------------------------------------------------------- the whole release, counted


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All file names of the official release, with labels and empty images, which no index reads."""
    root = tmp_path_factory.mktemp("whole")
    hq, standard = HQ, STANDARD
    unlabeled = {*UNLABELED_NUMBERS["standard"], 190001, 200001}
    assert len(unlabeled) == 21
    rng = np.random.default_rng(0)
    others = np.setdiff1d(np.arange(1, standard.images + 1), [*unlabeled])
    # As many of each part as the paper counts; 5380.jpg is made from 039459.jpg.
    parts = [
        others[(others > low) & (others <= high)] for low, high in ((0, 162770), (162770, 182637), (182637, 202599))
    ]
    made_from = rng.permutation(
        np.concatenate([rng.choice(part, count, False) for part, count in zip(parts, (24182, 2993, 2824))])
    ).tolist()
    made_from.insert(5380, 39459)
    rows = [f"{number:06d}.jpg 0 1 2 3 4 \n" for number in range(1, 202600) if number not in unlabeled]
    lists = {"train_attr_list.txt": rows[:162754], "val_attr_list.txt": rows[162754:182618]}
    lists["test_attr_list.txt"] = rows[182618:]
    for name, lines in lists.items():
        (root / name).write_text("".join(lines))
    pairs = [f"{n} {number - 1} {number:06d}.jpg\n" for n, number in enumerate(made_from)]
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("idx orig_idx orig_file\n" + "".join(pairs))
    degrees = [f"{number}.jpg\t0\t1\t2\t3\t4\n" for number in range(30000) if number != 5380]
    (root / "combined_annotation_hq.txt").write_text(
        "img_name\tBangs\tEyeglasses\tNo_Beard\tSmiling\tYoung\n" + "".join(degrees)
    )
    for subset, numbers in ((hq, range(30000)), (standard, range(1, 202600))):
        with zipfile.ZipFile(root / FILES[f"{subset.name}_images"].name, "w") as archive:
            for number in numbers:
                archive.writestr(zipfile.ZipInfo(subset.file_name(number)), b"")
    return root


@pytest.mark.parametrize(
    "subset, counts",
    [
        ("hq", {"train": 24182, "validation": 2993, "test": 2824, "unlabeled": 1}),
        ("standard", {"train": 162754, "validation": 19864, "test": 19960, "unlabeled": 21}),
    ],
)
def test_the_official_counts(subset, counts, whole):
    index = read_index(Release(whole), subset)
    assert {split: last - first for split, (first, last) in index.splits.items()} == counts
    assert dict(zip(SPLITS, SUBSETS[subset].rows)) == counts
    first, last = index.splits["unlabeled"]
    smiling = index.table["smiling"].to_numpy()
    assert (smiling[:first] == 3).all() and (smiling[first:last] == -1).all() and last == len(smiling)
    assert index.unlisted == {}


# ----------------------------------------------------------------------------------------------------- mask classes


def test_the_mask_classes_lie_beside_the_card(built):
    """As the segmentation examples of transformers read them."""
    found = json.loads((built / "id2label.json").read_bytes())
    assert {int(index): name for index, name in found.items()} == dict(enumerate(MASK_CLASSES))
    assert (found["0"], found["13"], found["18"], len(found)) == ("background", "hair", "cloth", 19)
    manifest = json.loads((built / "manifest.json").read_bytes())
    assert manifest["files"]["id2label.json"]["size"] == len((built / "id2label.json").read_bytes())


def test_masks_decode_to_those_classes(demo, tmp_path):
    row = next(iter(loaded(demo.root, "hq", tmp_path, streaming=True)["train"]))
    truth = next(row for row in demo.splits("hq")["train"])
    assert row["mask"].mode == "P"
    with io.BytesIO(truth["mask"]["bytes"]) as file:
        from PIL import Image

        assert np.array_equal(np.asarray(row["mask"]), np.asarray(Image.open(file)))

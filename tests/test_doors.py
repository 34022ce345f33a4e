"""Rows as a user gets them: by the class and by name, prepared and streamed, in many processes, in training code."""

import io
import itertools
import json
import os
import re

import datasets
import numpy as np
import pytest
from datasets.distributed import split_dataset_by_node
from doors import streamed, undecoded
from pictures import lanczos
from PIL import Image
from releases import at, members, pack

import celeba_dialog
from celeba_dialog import CelebADialog
from conversion.release.errors import FormatError, MissingFileError, UsageError
from conversion.release.vocabulary import DEGREES

datasets.disable_progress_bars()
SIDES = {"hq_512": 512, "hq_256": 256}


@pytest.fixture
def register(monkeypatch):
    """register(), undone after the test."""
    for module in (datasets.load, datasets.inspect):
        monkeypatch.setattr(module, "dataset_module_factory", module.dataset_module_factory)
    celeba_dialog.register()


def prepared(root, config, cache, **options):
    builder = CelebADialog(config_name=config, data_dir=str(root), cache_dir=str(cache), **options)
    builder.download_and_prepare()
    return builder.as_dataset()


def prepared_by_name(root, config, cache, **options):
    return datasets.load_dataset("celeba_dialog", config, data_dir=str(root), cache_dir=str(cache), **options)


def streamed_by_name(root, config, cache, **options):
    return prepared_by_name(root, config, cache, streaming=True, **options)


def names(dataset):
    return [row["file_name"] for row in undecoded(dataset)]


def at_another_size(rows, side):
    """What rows have at another size, made by Pillow alone; masks that would grow stay as they are."""
    return [row | {"image": row["image"] | {"bytes": lanczos(row["image"]["bytes"], side)}} for row in rows]


def same_masks(found, expected, side):
    """Masks by their pixels, each of which is one of the original's."""
    for one, other in zip(found, expected):
        small, whole = (Image.open(io.BytesIO(mask["bytes"])) for mask in (one, other))
        assert one["path"] == other["path"] and small.mode == whole.mode
        assert small.getpalette() == whole.getpalette()
        assert np.array_equal(small, whole.resize((min(side, 512),) * 2, Image.Resampling.NEAREST))


# -------------------------------------------------------------------------------------------------- the same rows


EVERY = (prepared, streamed, prepared_by_name, streamed_by_name)
WAYS = [(config, way) for config in ("hq", "standard") for way in EVERY]
WAYS += [("hq_512", prepared), ("hq_512", streamed_by_name), ("hq_256", prepared_by_name), ("hq_256", streamed)]
WAYS += [("hq_parts", prepared_by_name), ("hq_parts", streamed)]


@pytest.mark.parametrize("config, way", WAYS)
def test_every_config_in_every_way(config, way, demo, tmp_path, same_rows, register):
    found = way(demo.root, config, tmp_path)
    truth = demo.splits("hq" if config in SIDES else config)
    assert list(found) == list(truth) == ["train", "validation", "test", "unlabeled"]
    for split, expected in truth.items():
        rows = list(undecoded(found[split]))
        if config in SIDES:
            expected = at_another_size(expected, SIDES[config])
            same_masks([row.pop("mask") for row in rows], [row.pop("mask") for row in expected], SIDES[config])
        same_rows(rows, expected, f"{config} {split}")


def test_any_image_size(demo, tmp_path, same_rows):
    rows = list(undecoded(streamed(demo.root, "hq_parts", tmp_path, image_size=40)["validation"]))
    expected = at_another_size(demo.splits("hq_parts")["validation"], 40)
    for row, other in zip(rows, expected):
        parts, whole = row.pop("parts"), other.pop("parts")
        assert [part["part"] for part in parts] == [part["part"] for part in whole]
        same_masks([part["mask"] for part in parts], [part["mask"] for part in whole], 40)
        same_masks([row.pop("mask")], [other.pop("mask")], 40)
    same_rows(rows, expected)


def test_decoded_images(demo, tmp_path):
    """What a user sees: pictures in RGB of the right size, masks whose pixels are the classes."""
    rows = list(prepared(demo.root, "hq_parts", tmp_path)["test"])
    for row, other in zip(rows, demo.splits("hq_parts")["test"]):
        assert (row["image"].mode, row["mask"].mode) == ("RGB", "P")
        assert np.array_equal(row["image"], Image.open(io.BytesIO(other["image"]["bytes"])))
        mask = np.asarray(row["mask"])
        assert np.array_equal(mask, Image.open(io.BytesIO(other["mask"]["bytes"])))
        assert mask.shape == (512, 512) and mask.max() <= 18
        for part in row["parts"]:  # the demo cuts its parts from the mask
            assert np.array_equal(np.asarray(part["mask"]) == 255, mask == part["part"] + 1)
    (row,) = itertools.islice(streamed(demo.root, "standard", tmp_path)["train"], 1)
    assert (row["image"].mode, row["image"].size) == ("RGB", (178, 218))


def test_features_are_those_of_the_contract():
    features = CelebADialog(config_name="hq", data_dir=".").info.features
    columns = "image mask bangs eyeglasses beard smiling age attributes caption attribute_captions request "
    columns += "request_labels identity file_name celeba_file_name"
    assert list(features) == columns.split()
    for name in DEGREES:
        assert isinstance(features[name], datasets.ClassLabel) and features[name].num_classes == 6
    assert features["smiling"].str2int("very_big_smile") == 5
    assert features["attributes"].length == 40
    assert features["attributes"].feature.names == ["no", "yes"]
    assert features["identity"] == datasets.Value("int32")
    labels = features["request_labels"]
    assert labels["attribute"].names == columns.split()[2:7]
    assert labels["mode"].names == ["target", "change_definite", "change_indefinite"]
    assert labels["direction"].names == ["none", "negative", "positive"]
    assert labels["value"] == labels["target"] == datasets.Value("int8")
    standard = CelebADialog(config_name="standard", data_dir=".").info.features
    assert set(features) - set(standard) == {"mask", "celeba_file_name"}
    assert set(standard) - set(features) == {"hq_file_name"}


@pytest.mark.parametrize("row", [0, 5])
def test_an_image_that_cannot_be_right(row, demo, copy, tmp_path):
    """The error names it; `datasets` wraps that of a later image, the first is looked at before."""
    name = f"image/{demo.splits('hq')['train'][row]['file_name']}"
    entries = dict(members(at(copy, "hq_images")))
    entries[name] = entries[name][: len(entries[name]) // 2]
    pack(at(copy, "hq_images"), entries.items())
    says = rf"image\.zip: {name}: the JPEG cannot be decoded"
    for config in ("hq", "hq_256"):
        with pytest.raises(FormatError, match=says):
            list(streamed(copy, config, tmp_path)["train"])
    with pytest.raises((FormatError, datasets.exceptions.DatasetGenerationError)) as caught:
        prepared(copy, "hq_256", tmp_path)
    error = caught.value if row == 0 else caught.value.__cause__
    assert isinstance(error, FormatError) and re.search(says, str(error))


# ------------------------------------------------------------------------------------------------ where the release is


def test_the_release_may_come_from_the_environment(demo, tmp_path, monkeypatch, register):
    monkeypatch.setenv("CELEBA_DIALOG_RELEASE", str(demo.root))
    found = CelebADialog(config_name="hq", cache_dir=str(tmp_path)).as_streaming_dataset()
    named = datasets.load_dataset("celeba_dialog", "hq", streaming=True, cache_dir=str(tmp_path))
    assert names(found["test"]) == names(named["test"]) == [row["file_name"] for row in demo.splits("hq")["test"]]


def test_without_a_release_the_error_says_what_to_run(tmp_path, monkeypatch, register):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for call in (
        lambda: CelebADialog(config_name="hq", cache_dir=str(tmp_path)).download_and_prepare(),
        lambda: CelebADialog(config_name="hq", cache_dir=str(tmp_path)).as_streaming_dataset(),
        lambda: datasets.load_dataset("celeba_dialog", "hq"),
    ):
        with pytest.raises(MissingFileError, match="data_dir=.*CELEBA_DIALOG_RELEASE.*celeba-dialog fetch"):
            call()


NO_OPTIONS = [
    ("standard", {"image_size": 64}, "only HQ images can be resized"),
    *[("hq", {"image_size": size}, f"image_size is {size!r}") for size in (0, 1025, "64", True)],
    ("standard", {"parts": True}, "only HQ images have part masks"),
    ("hq", {"subset": "celeba"}, "subset is 'celeba', expected hq or standard"),
]


@pytest.mark.parametrize("config, options, message", NO_OPTIONS)
def test_options_that_do_not_exist(config, options, message, demo, tmp_path):
    with pytest.raises(UsageError, match=message):
        CelebADialog(config_name=config, data_dir=str(demo.root), cache_dir=str(tmp_path), **options)


# -------------------------------------------------------------------------------------------------- nothing stale, ever


def change_captions(root):
    """A file of the same size and, as far as one can tell by its dates, of the same age."""
    path = at(root, "hq_captions")
    status, data = path.stat(), path.read_bytes()
    path.write_bytes(data.replace(b"This ", b"That "))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == len(data) and path.read_bytes() != data
    return {"caption", "attribute_captions"}


def change_images(root):
    entries = members(at(root, "hq_images"))
    pack(at(root, "hq_images"), [(name, data) for (name, _), (_, data) in zip(entries, entries[1:] + entries[:1])])
    return {"image"}


def remove_labels(root):
    at(root, "hq_labels").unlink()
    return set(DEGREES)


CHANGES = [(change_captions, prepared), (change_captions, streamed_by_name), (change_images, prepared_by_name)]
CHANGES += [(change_images, streamed), (remove_labels, prepared_by_name)]


@pytest.mark.parametrize("change, way", CHANGES)
def test_rows_follow_the_release(change, way, copy, tmp_path, register):
    def rows():
        found = way(copy, "hq", tmp_path / "cache")
        return {row["file_name"]: row for dataset in found.values() for row in undecoded(dataset)}

    before = rows()
    assert rows() == before
    columns = change(copy)
    after = rows()
    assert sorted(before) == sorted(after)
    changed = {name for key in before for name in before[key] if before[key][name] != after[key][name]}
    assert changed and changed <= columns


def test_two_releases_at_once(demo, copy, tmp_path):
    """Rows of one are never those of the other, in one process and one cache."""
    change_captions(copy)
    one, other = (streamed(root, "hq", tmp_path)["train"] for root in (demo.root, copy))
    mixed = [(a["caption"], b["caption"]) for a, b in zip(undecoded(one), undecoded(other))]
    assert [a for a, _ in mixed] == [row["caption"] for row in demo.splits("hq")["train"]]
    assert [b.replace("That ", "This ") for _, b in mixed] == [a for a, _ in mixed]
    assert any(a != b for a, b in mixed)


@pytest.mark.parametrize("ways", [(prepared_by_name, prepared), (prepared, prepared_by_name)])
def test_the_class_and_load_dataset_keep_their_rows_in_one_folder(ways, demo, tmp_path, register):
    """Neither removes what the other made, nor makes it again."""
    folders, made = set(), set()
    for way in (*ways, *ways):
        found = way(demo.root, "standard", tmp_path)
        for dataset in found.values():
            (file,) = dataset.cache_files
            folders.add(os.path.dirname(file["filename"]))
            made.add((file["filename"], os.stat(file["filename"]).st_ino))
        assert all(os.path.exists(path) for path, _ in made)
    assert len(folders) == 1 and len(made) == 4
    (folder,) = folders
    assert [name for name in os.listdir(folder) if os.path.isdir(os.path.join(folder, name))] == []


# ----------------------------------------------------------------------------------------------- each sample, just once


@pytest.fixture(scope="module")
def stream(demo, tmp_path_factory):
    """The standard train split, which has 8 shards, and its file names."""
    found = streamed(demo.root, "standard", tmp_path_factory.mktemp("stream"))["train"]
    expected = [row["file_name"] for row in demo.splits("standard")["train"]]
    assert found.num_shards == 8 and len(expected) > 64
    return found.cast_column("image", datasets.Image(decode=False)), expected


@pytest.mark.parametrize("workers, start", [(0, None), (2, "fork"), pytest.param(2, "spawn", marks=pytest.mark.trials)])
def test_loader_workers(workers, start, stream):
    data = pytest.importorskip("torch.utils.data")
    dataset, expected = stream
    options = dict(num_workers=workers, multiprocessing_context=start, timeout=240 if workers else 0)
    loader = data.DataLoader(dataset, batch_size=5, collate_fn=list, **options)
    assert sorted(row["file_name"] for batch in loader for row in batch) == expected


@pytest.mark.parametrize(("config", "nodes"), [("standard", 2), ("standard", 8), ("hq", 4)])
def test_nodes(config, nodes, demo, stream, tmp_path):
    dataset, expected = stream
    if config == "hq":  # has fewer shards than nodes
        dataset = undecoded(streamed(demo.root, "hq", tmp_path)["train"])
        expected = [row["file_name"] for row in demo.splits("hq")["train"]]
    shares = [names(split_dataset_by_node(dataset, rank, nodes)) for rank in range(nodes)]
    assert all(shares)
    assert sorted(itertools.chain(*shares)) == sorted(expected)
    assert max(map(len, shares)) - min(map(len, shares)) <= 2, "nobody waits long for another"


def test_shuffle(stream):
    dataset, expected = stream
    shuffled = dataset.shuffle(seed=3, buffer_size=10)
    first = names(shuffled)
    assert sorted(first) == expected and first != expected and names(shuffled) == first
    shuffled.set_epoch(1)
    again = names(shuffled)
    assert sorted(again) == expected and again != first


def test_resumed_after_any_row(demo, stream, tmp_path):
    """Another stream goes on with the very next one; its state is plain JSON."""
    dataset, expected = stream
    states = []
    for _ in dataset:
        states.append(json.dumps(dataset.state_dict()))
    another = undecoded(streamed(demo.root, "standard", tmp_path)["train"])
    for stop in (1, 8, 9, 33, len(expected) - 1, len(expected)):
        another.load_state_dict(json.loads(states[stop - 1]))
        assert [row["file_name"] for row in another] == expected[stop:], stop


def test_prepared_by_several_processes(demo, tmp_path, same_rows):
    builder = CelebADialog(config_name="standard", data_dir=str(demo.root), cache_dir=str(tmp_path))
    builder.download_and_prepare(num_proc=2)
    for split, expected in demo.splits("standard").items():
        same_rows(list(undecoded(builder.as_dataset()[split])), expected, split)


@pytest.mark.parametrize("config, way", [("hq_256", streamed), ("hq_512", prepared), ("standard", prepared)])
def test_whole_rows_are_collated_over_an_epoch(config, way, demo, tmp_path):
    """With nothing but torch's own collate; labels are integers. The demo lacks what the real release lacks."""
    torch = pytest.importorskip("torch")
    truth = demo.splits("standard" if config == "standard" else "hq")
    rows = {row["file_name"]: row for split in truth.values() for row in split}
    assert sum(row["attribute_captions"]["beard"] == "" for row in rows.values()) > len(rows) / 4
    assert config != "standard" or sum(row["hq_file_name"] == "" for row in rows.values()) > len(rows) / 2
    for split, dataset in way(demo.root, config, tmp_path).items():
        seen = []
        for batch in torch.utils.data.DataLoader(dataset.with_format("torch").shuffle(seed=1), batch_size=4):
            expected = [rows[name] for name in batch["file_name"]]
            assert batch["image"].shape[0] == len(expected)
            assert batch["caption"] == [row["caption"] for row in expected]
            for name in (*DEGREES, "identity", "attributes"):
                assert not batch[name].is_floating_point()
                assert batch[name].tolist() == [row[name] for row in expected]
            for name, column in batch["request_labels"].items():
                assert column.tolist() == [row["request_labels"][name] for row in expected]
            seen += batch["file_name"]
        assert sorted(seen) == sorted(row["file_name"] for row in truth[split]), split

"""Rows as a user gets them: by the class and by name, prepared and streamed, local and remote, in many processes."""

import contextlib
import functools
import http.server
import io
import itertools
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import datasets
import fsspec
import numpy as np
import pytest
from datasets.distributed import split_dataset_by_node
from PIL import Image

import celeba_dialog
from celeba_dialog import CONFIGS, CelebADialog
from conversion.release.errors import CelebADialogError, EnvironmentFault, FormatError, MissingFileError, UsageError
from conversion.release.official import FILES
from conversion.release.vocabulary import DEGREES, STANDARD

datasets.disable_progress_bars()
ROOT = Path(celeba_dialog.__file__).parent
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


def streamed(root, config, cache, **options):
    return CelebADialog(config_name=config, data_dir=str(root), cache_dir=str(cache), **options).as_streaming_dataset()


def prepared_by_name(root, config, cache, **options):
    return datasets.load_dataset("celeba_dialog", config, data_dir=str(root), cache_dir=str(cache), **options)


def streamed_by_name(root, config, cache, **options):
    return prepared_by_name(root, config, cache, streaming=True, **options)


WAYS = [prepared, streamed, prepared_by_name, streamed_by_name]


def undecoded(dataset):
    """With images as {"bytes", "path"}."""
    features = dataset.features.copy()
    features["image"] = datasets.Image(decode=False)
    if "mask" in features:
        features["mask"] = datasets.Image(decode=False)
    if "parts" in features:
        part = getattr(features["parts"], "feature", None) or features["parts"][0]
        features["parts"] = [{"part": part["part"], "mask": datasets.Image(decode=False)}]
    return dataset.cast(features)


def names(dataset):
    return [row["file_name"] for row in undecoded(dataset)]


def resized(rows, side):
    """What rows have at another size, made here by Pillow alone."""

    def image(data):
        file = io.BytesIO()
        small = Image.open(io.BytesIO(data)).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
        small.save(file, "JPEG", quality=95, subsampling="4:4:4")
        return file.getvalue()

    return [row | {"image": row["image"] | {"bytes": image(row["image"]["bytes"])}} for row in rows]


def same_masks(found, expected, side):
    """Masks by their pixels, each of which is one of the original's; those that would grow stay as they are."""
    for one, other in zip(found, expected):
        if side >= 512:
            assert one == other
            continue
        small, whole = (Image.open(io.BytesIO(mask["bytes"])) for mask in (one, other))
        assert one["path"] == other["path"]
        assert small.mode == whole.mode
        assert np.array_equal(small.getpalette() or (), whole.getpalette() or ())
        near = np.asarray(whole)[1::2, 1::2] if side == 256 else whole.resize((side, side), Image.Resampling.NEAREST)
        assert np.array_equal(small, near)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_in_every_way(config, way, demo, tmp_path, same_rows, register):
    found = way(demo.root, config, tmp_path)
    truth = demo.splits({"hq_512": "hq", "hq_256": "hq"}.get(config, config))
    assert list(found) == list(truth) == ["train", "validation", "test", "unlabeled"]
    for split, expected in truth.items():
        rows = list(undecoded(found[split]))
        if config in SIDES:
            expected = resized(expected, SIDES[config])
            same_masks([row.pop("mask") for row in rows], [row.pop("mask") for row in expected], SIDES[config])
        same_rows(rows, expected, f"{config} {split}")


@pytest.mark.parametrize("side", [1, 40, 511, 1024])
def test_any_image_size(side, demo, tmp_path, same_rows):
    found = streamed(demo.root, "hq_parts", tmp_path, image_size=side)["validation"]
    rows = list(undecoded(found))
    expected = demo.splits("hq_parts")["validation"]
    expected = expected if side == 1024 else resized(expected, side)  # an image that has this size stays as it is
    for row, other in zip(rows, expected):
        parts, whole = row.pop("parts"), other.pop("parts")
        assert [part["part"] for part in parts] == [part["part"] for part in whole]
        same_masks([part["mask"] for part in parts], [part["mask"] for part in whole], side)
        same_masks([row.pop("mask")], [other.pop("mask")], side)
    same_rows(rows, expected)


def test_decoded_images(demo, tmp_path):
    """What a user sees: pictures in RGB of the right size, masks whose pixels are the classes."""
    rows = list(prepared(demo.root, "hq_parts", tmp_path)["test"])
    for row, other in zip(rows, demo.splits("hq_parts")["test"]):
        assert (row["image"].mode, row["mask"].mode) == ("RGB", "P")
        assert np.array_equal(row["image"], Image.open(io.BytesIO(other["image"]["bytes"])))
        mask = np.asarray(row["mask"])
        assert mask.shape == (512, 512) and mask.max() <= 18
        for part in row["parts"]:  # the demo cuts its parts from the mask
            assert np.array_equal(np.asarray(part["mask"]) == 255, mask == part["part"] + 1)
    (row,) = itertools.islice(streamed(demo.root, "standard", tmp_path)["train"], 1)
    assert (row["image"].mode, row["image"].size) == ("RGB", (178, 218))


def test_features_are_those_of_the_contract():
    features = CelebADialog(config_name="hq", data_dir=".").info.features
    assert (
        list(features)
        == (
            "image mask bangs eyeglasses beard smiling age attributes caption attribute_captions request "
            "request_labels identity file_name celeba_file_name"
        ).split()
    )
    for name in DEGREES:
        assert isinstance(features[name], datasets.ClassLabel) and features[name].num_classes == 6
    assert features["smiling"].str2int("very_big_smile") == 5
    assert features["attributes"].length == 40
    assert features["attributes"].feature.names == ["no", "yes"]
    assert features["identity"] == datasets.Value("int32")
    labels = features["request_labels"]
    assert labels["attribute"].names == ["bangs", "eyeglasses", "beard", "smiling", "age"]
    assert labels["mode"].names == ["target", "change_definite", "change_indefinite"]
    assert labels["direction"].names == ["none", "negative", "positive"]
    assert labels["value"] == labels["target"] == datasets.Value("int8")
    standard = CelebADialog(config_name="standard", data_dir=".").info.features
    assert set(features) - set(standard) == {"mask", "celeba_file_name"}
    assert set(standard) - set(features) == {"hq_file_name"}


@pytest.mark.parametrize("row", [0, 5])
def test_an_image_that_cannot_be_right(row, demo, copy, tmp_path):
    """The error names it; `datasets` wraps that of a later image, the first is looked at before."""
    spoiled = demo.splits("hq")["train"][row]["file_name"]
    path = copy / FILES["hq_images"].path
    with zipfile.ZipFile(path) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries:
            archive.writestr(name, data[: len(data) // 2] if name == f"image/{spoiled}" else data)
    says = rf"image\.zip: image/{spoiled}: the JPEG cannot be decoded"
    for config in ("hq", "hq_256"):
        with pytest.raises(FormatError, match=says):
            list(streamed(copy, config, tmp_path)["train"])
    with pytest.raises((FormatError, datasets.exceptions.DatasetGenerationError)) as caught:
        prepared(copy, "hq_256", tmp_path)
    error = caught.value if row == 0 else caught.value.__cause__
    assert isinstance(error, FormatError)
    assert re.search(says, str(error))


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


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ("standard", {"image_size": 64}, "only HQ images can be resized"),
        ("hq", {"image_size": 0}, "image_size is 0"),
        ("hq", {"image_size": 1025}, "image_size is 1025"),
        ("hq", {"image_size": "64"}, "image_size is '64', expected a number"),
        ("hq", {"image_size": True}, "image_size is True"),
        ("standard", {"parts": True}, "only HQ images have part masks"),
        ("hq", {"subset": "celeba"}, "subset is 'celeba', expected hq or standard"),
    ],
)
def test_options_that_do_not_exist(config, options, message, demo, tmp_path):
    with pytest.raises(UsageError, match=message):
        CelebADialog(config_name=config, data_dir=str(demo.root), cache_dir=str(tmp_path), **options)


# -------------------------------------------------------------------------------------------------- nothing stale, ever


def change_captions(root):
    """A file of the same size and, as far as one can tell by its dates, of the same age."""
    path = root / FILES["hq_captions"].path
    status, data = path.stat(), path.read_bytes()
    path.write_bytes(data.replace(b"This ", b"That "))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == len(data) and path.read_bytes() != data


def change_images(root):
    path = root / FILES["hq_images"].path
    with zipfile.ZipFile(path) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for (name, _), (_, data) in zip(entries, entries[1:] + entries[:1]):
            archive.writestr(name, data)


def remove_labels(root):
    (root / FILES["hq_labels"].path).unlink()


@pytest.mark.parametrize("change", [change_captions, change_images, remove_labels])
@pytest.mark.parametrize("way", WAYS)
def test_rows_follow_the_release(way, change, copy, tmp_path, register):
    def rows():
        return {split: list(undecoded(found)) for split, found in way(copy, "hq", tmp_path / "cache").items()}

    before = rows()
    assert rows() == before
    change(copy)
    after = rows()
    assert ("unlabeled" in after) == (change is not remove_labels)
    before, after = ({row["file_name"]: row for rows in found.values() for row in rows} for found in (before, after))
    assert list(before) == list(after) or change is remove_labels
    columns = {name for key in before for name in before[key] if before[key][name] != after[key][name]}
    assert (
        columns
        == {
            "change_captions": {"caption", "attribute_captions"},
            "change_images": {"image"},
            "remove_labels": set(DEGREES),
        }[change.__name__]
        or change is change_captions
        and columns <= {"caption", "attribute_captions"}
    )
    assert columns


def test_two_releases_at_once(demo, copy, tmp_path):
    """Rows of one are never those of the other, in one process and one cache."""
    change_captions(copy)
    one, other = (streamed(root, "hq", tmp_path)["train"] for root in (demo.root, copy))
    mixed = list(zip(undecoded(one), undecoded(other)))
    assert [a["caption"] for a, _ in mixed] == [row["caption"] for row in demo.splits("hq")["train"]]
    assert [b["caption"] and b["caption"].replace("That ", "This ") for _, b in mixed] == [
        a["caption"] for a, _ in mixed
    ]
    assert any(a["caption"] != b["caption"] for a, b in mixed)


def test_a_cache_that_cannot_be_written(copy, demo, tmp_path, same_rows):
    """Streaming goes on without it."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "celeba_dialog_index").write_bytes(b"a file where the folder of the index should be")
    found = streamed(copy, "hq", tmp_path / "cache")["test"]
    same_rows(list(undecoded(found)), demo.splits("hq")["test"])


# ----------------------------------------------------------------------------------------------- each sample, just once


@pytest.fixture(scope="module")
def stream(demo, tmp_path_factory):
    """The standard train split, which has 8 shards, and its file names."""
    found = streamed(demo.root, "standard", tmp_path_factory.mktemp("stream"))["train"]
    expected = [row["file_name"] for row in demo.splits("standard")["train"]]
    assert found.num_shards == 8 and len(expected) > 64
    return found.cast_column("image", datasets.Image(decode=False)), expected


@pytest.mark.parametrize(("workers", "start"), [(0, None), (2, "fork"), (4, "fork"), (2, "spawn")])
def test_loader_workers(workers, start, stream):
    data = pytest.importorskip("torch.utils.data")
    dataset, expected = stream
    loader = data.DataLoader(
        dataset,
        batch_size=5,
        num_workers=workers,
        multiprocessing_context=start,
        collate_fn=list,
        timeout=240 if workers else 0,
    )
    assert sorted(row["file_name"] for batch in loader for row in batch) == expected


@pytest.mark.parametrize("workers", [0, 3])
def test_loader_workers_on_a_prepared_dataset(workers, demo, tmp_path):
    data = pytest.importorskip("torch.utils.data")
    dataset = undecoded(prepared(demo.root, "hq_256", tmp_path)["train"])
    loader = data.DataLoader(dataset, batch_size=4, num_workers=workers, collate_fn=list, shuffle=True)
    found = sorted(int(row["file_name"][:-4]) for batch in loader for row in batch)
    assert found == [int(row["file_name"][:-4]) for row in demo.splits("hq")["train"]]


@pytest.mark.parametrize("nodes", [2, 4, 8])
@pytest.mark.parametrize("config", ["standard", "hq"])
def test_nodes(config, nodes, demo, stream, tmp_path):
    dataset, expected = stream
    if config == "hq":  # has fewer shards than nodes
        dataset = undecoded(streamed(demo.root, "hq", tmp_path)["train"])
        expected = [row["file_name"] for row in demo.splits("hq")["train"]]
    shares = [names(split_dataset_by_node(dataset, rank, nodes)) for rank in range(nodes)]
    assert all(shares)
    assert sorted(itertools.chain(*shares)) == sorted(expected)
    assert max(map(len, shares)) - min(map(len, shares)) <= 2, "nobody waits long for another"


def test_nodes_with_workers(stream):
    data = pytest.importorskip("torch.utils.data")
    dataset, expected = stream
    found = []
    for rank in range(2):
        share = split_dataset_by_node(dataset, rank, 2)
        loader = data.DataLoader(share, batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=240)
        found += [row["file_name"] for row in loader]
    assert sorted(found) == expected


@pytest.mark.parametrize("buffer", [1, 10, 1000])
def test_shuffle(buffer, stream):
    dataset, expected = stream

    def names(dataset):
        return [row["file_name"] for row in dataset]

    shuffled = dataset.shuffle(seed=3, buffer_size=buffer)
    first = names(shuffled)
    assert sorted(first) == expected and first != expected
    assert names(shuffled) == first
    assert names(dataset.shuffle(seed=4, buffer_size=buffer)) != first
    shuffled.set_epoch(1)
    again = names(shuffled)
    assert sorted(again) == expected and again != first


RESUME = """
import json, sys
import celeba_dialog, datasets
root, cache, states = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
dataset = celeba_dialog.CelebADialog(config_name="standard", data_dir=root, cache_dir=cache).as_streaming_dataset()
dataset = dataset["train"].cast_column("image", datasets.Image(decode=False))
for state in states:
    dataset.load_state_dict(state)
    print(json.dumps([row["file_name"] for row in dataset]))
"""


def run(code, *arguments):
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_resumed_in_another_process(demo, tmp_path):
    """After any number of rows: the next process goes on with the very next one."""
    dataset = undecoded(streamed(demo.root, "standard", tmp_path)["train"])
    expected = [row["file_name"] for row in demo.splits("standard")["train"]]
    states, stops = {}, (1, 8, 9, 33, len(expected) - 1, len(expected))
    for count, _ in enumerate(dataset, 1):
        states[count] = dataset.state_dict()
    text = json.dumps([states[stop] for stop in stops])
    for stop, rest in zip(stops, run(RESUME, demo.root, tmp_path, text), strict=True):
        assert rest == expected[stop:], stop


def test_prepared_by_several_processes(demo, tmp_path, same_rows):
    builder = CelebADialog(config_name="standard", data_dir=str(demo.root), cache_dir=str(tmp_path))
    builder.download_and_prepare(num_proc=2)
    for split, expected in demo.splits("standard").items():
        same_rows(list(undecoded(builder.as_dataset()[split])), expected, split)


# -------------------------------------------------------------------------------------------------------------- formats

LABELS = [*DEGREES, "attributes", "identity", "request_labels"]


@pytest.mark.parametrize("way", [prepared, streamed])
@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_formats(form, way, demo, tmp_path):
    pytest.importorskip("torch")
    dataset = way(demo.root, "hq", tmp_path)["validation"].with_format(form)
    rows = list(dataset)
    for row, other in zip(rows, demo.splits("hq")["validation"], strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(other["image"]["bytes"])))
        found = np.asarray(row["image"])
        assert np.array_equal(found if form == "numpy" else found.transpose(1, 2, 0), pixels)
        indices = np.asarray(Image.open(io.BytesIO(other["mask"]["bytes"])))
        assert np.array_equal(np.asarray(row["mask"]).reshape(512, 512), indices)
        assert [int(row[name]) for name in DEGREES] == [other[name] for name in DEGREES]
        assert np.asarray(row["attributes"]).tolist() == other["attributes"]
        assert {name: int(value) for name, value in row["request_labels"].items()} == other["request_labels"]
        assert row["caption"] == other["caption"]


@pytest.mark.parametrize("way", [prepared, streamed])
def test_labels_are_collated_without_help(way, demo, tmp_path):
    """Batches of label columns come out of a plain DataLoader as tensors of integers, those without labels too."""
    torch = pytest.importorskip("torch")
    found = way(demo.root, "standard", tmp_path)
    (unlabeled,) = torch.utils.data.DataLoader(found["unlabeled"].select_columns(LABELS).with_format("torch"))
    assert unlabeled["smiling"].tolist() == unlabeled["request_labels"]["mode"].tolist() == [-1]
    dataset = found["train"].select_columns(LABELS).with_format("torch")
    expected = demo.splits("standard")["train"]
    assert all(row["smiling"] >= 0 for row in expected)
    found = list(torch.utils.data.DataLoader(dataset, batch_size=16))
    for name in (*DEGREES, "identity", "attributes"):
        column = torch.cat([batch[name] for batch in found])
        assert not column.is_floating_point()
        assert column.tolist() == [row[name] for row in expected]
    for name in ("attribute", "mode", "direction", "value", "target"):
        column = torch.cat([batch["request_labels"][name] for batch in found])
        assert column.tolist() == [row["request_labels"][name] for row in expected]


# --------------------------------------------------------------------------------------------------------------- remote


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, whole or in ranges; counts the bytes of files that it sends."""

    ranges = True
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms for the acknowledgement of its head

    def do_GET(self):
        with self.server.answering():
            self._answer()

    def _answer(self):
        path = self.translate_path(self.path)
        if not os.path.isfile(path):
            super().do_GET()
            return
        data = Path(path).read_bytes()
        asked = self.headers.get("Range") if self.ranges else None
        start, end = 0, len(data)
        if asked:
            low, high = asked.removeprefix("bytes=").split("-")
            start, end = (int(low), min(int(high or end - 1) + 1, end)) if low else (end - int(high), end)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        if self.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who does not want the whole of it hangs up
            self.wfile.write(data[start:end])
            self.server.count(end - start)

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # as many calls as come at once; who is not heard tries again only after a second
    sent = 0  # bytes of files

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._answers, self._changed = 0, threading.Condition()

    @contextlib.contextmanager
    def answering(self):
        """Notes that an answer is under way."""
        with self._changed:
            self._answers += 1
        try:
            yield
        finally:
            with self._changed:
                self._answers -= 1
                self._changed.notify_all()

    def count(self, sent):
        with self._changed:  # answers are sent by several threads
            self.sent += sent

    def take_sent(self):
        """The bytes sent since the last time. Answers are counted after they arrived, so this waits until all are."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._answers, timeout=600)
            sent, self.sent = self.sent, 0
        return sent


@contextlib.contextmanager
def served(folder, ranges=True):
    handler = type("Handler", (Handler,), {"ranges": ranges})
    server = Server(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("config", ["hq_parts", "standard"])
def test_over_http(config, demo, tmp_path, same_rows):
    with served(demo.root.parent) as (_, url):
        found = streamed(f"{url}/release", config, tmp_path)
        for split, expected in demo.splits(config).items():
            same_rows(list(undecoded(found[split])), expected, split)


def test_over_http_only_what_is_needed_is_sent(copy, demo, tmp_path, same_rows):
    """The zip has 40 MB; a few rows of it take far less."""
    path = copy / FILES["standard_images"].path
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(40):
            archive.writestr(f"raw/{number}.bin", bytes(1 << 20))
    assert path.stat().st_size > 40 << 20
    with served(copy) as (server, url):
        found = undecoded(streamed(url, "standard", tmp_path)["test"])
        same_rows(list(found), demo.splits("standard")["test"])
        assert server.take_sent() < 3 << 20
        list(found.take(2))
        assert 0 < server.take_sent() < 100_000, "the annotations are not read again"


def test_over_http_without_ranges(demo, tmp_path):
    with served(demo.root, ranges=False) as (_, url), pytest.raises(EnvironmentFault, match="does not send ranges"):
        list(streamed(url, "standard", tmp_path)["test"])


def test_over_http_with_nothing_there(demo, tmp_path):
    with served(demo.root) as (_, url), pytest.raises(CelebADialogError, match="nowhere"):
        streamed(f"{url}/nowhere", "hq", tmp_path)
    with pytest.raises(EnvironmentFault, match="cannot be listed"):  # the server has gone
        streamed(url, "hq", tmp_path)


@pytest.mark.parametrize("way", [prepared, streamed])
def test_in_memory(way, demo, tmp_path, same_rows):
    memory = fsspec.filesystem("memory")
    memory.put(str(demo.root), "/somewhere/release", recursive=True)
    try:
        for config in ("hq_parts", "standard"):
            found = way("memory://somewhere/release", config, tmp_path)
            for split, expected in demo.splits(config).items():
                same_rows(list(undecoded(found[split])), expected, split)
        path = f"/somewhere/release/{FILES['standard_identity'].path}"
        memory.pipe(path, memory.cat(path).replace(b"\r\n", b" \r\n"))
        memory.rm(f"/somewhere/release/{FILES['standard_images'].path}")
        with pytest.raises(MissingFileError, match="no standard images"):
            way("memory://somewhere/release", "standard", tmp_path)
    finally:
        memory.rm("/somewhere", recursive=True)


def test_a_remote_folder_of_images(demo, copy, tmp_path, same_rows):
    with zipfile.ZipFile(copy / FILES["standard_images"].path) as archive:
        archive.extractall(copy / STANDARD.folder)
    (copy / FILES["standard_images"].path).unlink()
    with served(copy) as (_, url):
        same_rows(list(undecoded(streamed(url, "standard", tmp_path)["test"])), demo.splits("standard")["test"])


def test_a_path_that_is_no_text(tmp_path):
    with pytest.raises(UsageError, match="not valid text|no valid text"):
        CelebADialog(config_name="hq", data_dir=os.fsdecode(b"/tmp/\xff"), cache_dir=str(tmp_path))


def test_an_address_of_no_known_kind(tmp_path):
    with pytest.raises(UsageError, match="nosuch"):
        CelebADialog(config_name="hq", data_dir="nosuch://x/y", cache_dir=str(tmp_path))

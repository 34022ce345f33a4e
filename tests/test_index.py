"""The index of a release: never that of another state of it, never a damaged one, and nobody waits for ever."""

import contextlib
import http.server
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import filelock
import pyarrow as pa
import pytest
from making import write_release
from releases import ZIPS, at, members, pack

import celeba_dialog
from celeba_dialog import CelebADialog
from conversion.release import index as index_module
from conversion.release.errors import ChangedReleaseError, logger
from conversion.release.finding import Release
from conversion.release.index import KEPT_INDEXES, index_key, indexes, load_index, open_index
from conversion.release.official import FILES
from conversion.release.table import read_index
from conversion.release.vocabulary import PARTITION_ENDS

ROOT = Path(celeba_dialog.__file__).parent


@pytest.fixture(autouse=True)
def forgetful():
    """Each test begins and ends as a process that has opened no index."""
    indexes.clear()
    yield
    indexes.clear()


@pytest.fixture
def warnings(monkeypatch):
    """What the module warns of."""
    found = []
    monkeypatch.setattr(logger, "warning", found.append)
    return found


def key_of(root, cache, config="standard"):
    return index_key(Release(root), config, cache_dir=cache)


def opened(root, cache, config="standard"):
    return open_index(key_of(root, cache, config))


def forgotten(call, *arguments):
    """What a call gives in a process that has opened no index."""
    indexes.clear()
    return call(*arguments)


# ---------------------------------------------------------------------------------------------------- a changed release


def some_of_train(root, count):
    """Leaves `count` standard images of train in the zip, and those of validation and test; gives all of them back."""
    path = at(root, "standard_images")
    entries = members(path)
    train = [entry for entry in entries if int(entry[0][-10:-4]) <= PARTITION_ENDS[0]]
    pack(path, [entry for entry in entries if entry not in train[count:]])
    return entries


def streams(root, cache):
    return CelebADialog(config_name="standard", data_dir=str(root), cache_dir=str(cache)).as_streaming_dataset()


def names(stream):
    return [row["file_name"] for row in stream]


@pytest.mark.parametrize("forget", [False, True])
def test_a_stream_that_is_older_than_its_release(forget, copy, demo, tmp_path):
    """The case that served images of train as those of validation and test."""
    entries = some_of_train(copy, 6)
    old = streams(copy, tmp_path)
    pack(at(copy, "standard_images"), entries)
    new = streams(copy, tmp_path)
    assert names(new["train"]) == [row["file_name"] for row in demo.splits("standard")["train"]]
    for split in ("validation", "test", "train"):
        if forget:
            indexes.clear()
        try:
            found = names(old[split])
        except ChangedReleaseError as error:
            assert str(error) == f"{copy}: the release changed since this dataset was made. Load it again."
        else:
            assert found == [row["file_name"] for row in demo.splits("standard")[split]][: len(found)]


@pytest.mark.parametrize("forget", [False, True])
def test_nor_when_nothing_was_kept(forget, copy, tmp_path):
    """The old index is gone, so it would have to be made from files that are others now."""
    entries = some_of_train(copy, 6)
    old = streams(copy, tmp_path)
    pack(at(copy, "standard_images"), entries)
    for path in (tmp_path / "celeba_dialog_index").glob("*.index"):
        path.unlink()
    indexes.clear()
    for split in old:
        with pytest.raises(ChangedReleaseError, match="Load it again"):
            names(old[split])
    assert not list((tmp_path / "celeba_dialog_index").glob("*.index"))


WORKERS = """
import json, sys
import celeba_dialog
from conversion.release.finding import Release
from celeba_dialog import CelebADialog
from torch.utils.data import DataLoader

if __name__ == "__main__":
    root, cache, new = sys.argv[1:]
    stream = CelebADialog(config_name="standard", data_dir=root, cache_dir=cache).as_streaming_dataset()
    found = {}
    with open(new, "rb") as file:
        data = file.read()
    path = Release(root).sources["standard_images"][0].path
    with open(path, "wb") as file:
        file.write(data)
    CelebADialog(config_name="standard", data_dir=root, cache_dir=cache).as_streaming_dataset()
    for split, rows in stream.items():
        loader = DataLoader(
            rows.select_columns(["file_name"]), batch_size=None, num_workers=2, multiprocessing_context="spawn"
        )
        try:
            found[split] = [row["file_name"] for row in loader]
        except Exception as error:
            found[split] = str(error)
    print(json.dumps(found))
"""


def test_nor_in_spawned_workers(copy, demo, tmp_path):
    pytest.importorskip("torch")
    whole = tmp_path / "whole.zip"
    pack(whole, members(at(copy, "standard_images")))
    some_of_train(copy, 6)
    (tmp_path / "train.py").write_text(WORKERS)
    done = subprocess.run(  # noqa: S603
        [sys.executable, tmp_path / "train.py", copy, tmp_path / "cache", whole],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    for split, found in json.loads(done.stdout).items():
        if isinstance(found, str):
            # torch now and then tells of a worker that ended with an error before it tells the error.
            assert "the release changed since this dataset was made" in found or "exited unexpectedly" in found, found
        else:
            assert set(found) <= {row["file_name"] for row in demo.splits("standard")[split]}


def test_a_release_that_changes_while_its_index_is_made(copy, tmp_path, monkeypatch):
    read = read_index

    def read_and_change(release, subset, parts):
        index = read(release, subset, parts)
        some_of_train(copy, 6)
        return index

    monkeypatch.setattr(index_module, "read_index", read_and_change)
    with pytest.raises(ChangedReleaseError):
        opened(copy, tmp_path)
    assert not list((tmp_path / "celeba_dialog_index").glob("*.index"))


def test_so_many_indexes_are_kept_and_no_more(copy, tmp_path):
    entries = members(at(copy, "standard_images"))
    paths = []
    for count in range(20, 27):
        pack(at(copy, "standard_images"), entries[:count])
        key = key_of(copy, tmp_path)
        opened(copy, tmp_path)
        os.utime(key.path, ns=(count, count))  # clocks are too coarse to tell which is the newest
        paths.append(key.path)
        half = Path(f"{key.path}.0.tmp")  # left by a killed process
        half.write_bytes(b"half")
        another = half.with_name(f"another-{half.name}")
        another.write_bytes(b"of another release")
    left = (tmp_path / "celeba_dialog_index").glob("*.tmp")
    assert another.exists() and sum(path.name.startswith(key.family) for path in left) == 1
    kept = sorted(map(str, (tmp_path / "celeba_dialog_index").glob("*.index")))
    assert kept == sorted(paths[-KEPT_INDEXES:])
    assert len(indexes) <= KEPT_INDEXES


# ----------------------------------------------------------------------------------------------------- a damaged cache


def damage(rng, data):
    """Some bytes as a fault of a disk, of a copy or of a person leaves them."""
    data = bytearray(data)
    kind = rng.choice(("bit", "byte", "cut", "zeros", "swap", "more", "twice"))
    place, other = sorted(rng.sample(range(len(data)), 2))
    if kind == "bit":
        data[place] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        data[place] = (data[place] + rng.randrange(1, 256)) % 256
    elif kind == "cut":
        del data[place:]
    elif kind == "zeros":
        data[place:other] = bytes(other - place)
    elif kind == "swap":
        data[place], data[other] = data[other], data[place]
    elif kind == "more":
        data[place:place] = rng.randbytes(rng.randrange(1, 100))
    else:
        data += data[place:]
    return bytes(data)


def test_a_thousand_damages_to_a_cached_index(tmp_path, warnings):
    """Not one gives another row, an error or a crash: the index is made anew."""
    write_release(str(tmp_path / "release"), 3, 6)
    key = key_of(tmp_path / "release", tmp_path)
    right = open_index(key)
    sound = Path(key.path).read_bytes()
    rng = random.Random(0)  # noqa: S311
    changed = 0
    for trial in range(1000):
        data = damage(rng, sound)
        changed += data != sound
        Path(key.path).write_bytes(data)
        found = forgotten(load_index, key)
        assert found is None or data == sound, trial
        if trial % 50 == 0:
            assert open_index(key).table.equals(right.table, check_metadata=True)
            assert Path(key.path).read_bytes() == sound
    assert changed > 900
    assert len(warnings) >= changed - 100  # but for files of no bytes


def test_an_index_under_the_name_of_another(demo, copy, tmp_path):
    one, other = key_of(demo.root, tmp_path), key_of(copy, tmp_path)
    open_index(one)
    open_index(other)
    os.replace(one.path, other.path)
    assert forgotten(open_index, other).digest == other.digest


@pytest.mark.parametrize("what", ["folder", "empty", "text", "arrow"])
def test_something_else_in_the_place_of_an_index(what, demo, tmp_path):
    key = key_of(demo.root, tmp_path)
    right = open_index(key)
    os.unlink(key.path)
    if what == "folder":
        os.mkdir(key.path)
    elif what == "arrow":
        with pa.OSFile(key.path, "wb") as file, pa.ipc.new_file(file, right.table.schema) as writer:
            writer.write_table(right.table)
    else:
        Path(key.path).write_text("" if what == "empty" else "No index.")
    assert forgotten(open_index, key).table.equals(right.table)


# ------------------------------------------------------------------------------------------------------ a shared cache


def test_links_in_a_shared_cache_lead_nowhere(demo, tmp_path, monkeypatch, warnings):
    """Whatever a stranger puts there, no file outside of it is written."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    key = key_of(demo.root, tmp_path)
    os.makedirs(key.folder)
    monkeypatch.setattr(index_module.secrets, "token_hex", lambda count: "guessed")
    for name in (f"{key.path}.guessed.tmp", f"{key.path}.{os.getpid()}.tmp", key.path):
        with contextlib.suppress(FileExistsError):
            os.symlink(victim, name)
    assert forgotten(open_index, key).table.num_rows == len(demo.rows("standard"))
    assert victim.read_text() == "mine"
    lock = os.path.join(key.folder, key.family + "lock")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(lock)
    os.symlink(victim, lock)
    (tmp_path / "celeba_dialog_index" / os.path.basename(key.path)).unlink()
    assert forgotten(open_index, key).table.num_rows == len(demo.rows("standard"))
    assert victim.read_text() == "mine"
    assert any("is a link" in text for text in warnings)


@pytest.mark.parametrize("mask, mode", [(0o077, 0o600), (0o022, 0o644)])
def test_the_index_is_as_open_as_other_new_files(mask, mode, demo, tmp_path):
    before = os.umask(mask)
    try:
        key = key_of(demo.root, tmp_path)
        open_index(key)
    finally:
        os.umask(before)
    assert os.stat(key.path).st_mode & 0o777 == mode


HOLDER = "import filelock, sys; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(1, flush=True); input()"


def test_a_lock_that_is_stuck(demo, tmp_path, monkeypatch, warnings):
    """Said after some seconds; after some minutes this process reads the annotations by itself."""
    monkeypatch.setattr(index_module, "_SAY_WAITING", 0.1)
    monkeypatch.setattr(index_module, "_STOP_WAITING", 0.3)
    key = key_of(demo.root, tmp_path)
    os.makedirs(key.folder)
    path = os.path.join(key.folder, key.family + "lock")
    holder = subprocess.Popen(  # noqa: S603
        [
            sys.executable,
            "-c",
            HOLDER,
            path,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        holder.stdout.read(1)
        index = open_index(key)
        assert index.table.num_rows == len(demo.rows("standard"))
        assert path in warnings[0] and "Waiting" in warnings[0]
        assert "by itself" in warnings[1]
        assert not os.path.exists(key.path)
    finally:
        holder.communicate(b"\n")
    with filelock.FileLock(path, timeout=60):
        pass


# ------------------------------------------------------------------------------------------------------------ remote


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, without ETag and Last-Modified, whole or in ranges."""

    def send_header(self, name, value):
        if name not in ("Last-Modified", "ETag"):
            super().send_header(name, value)

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        asked = self.headers.get("Range")
        if not asked or not path.is_file():
            return super().do_GET()
        first, last = asked.removeprefix("bytes=").split("-")
        data = path.read_bytes()
        last = min(int(last or len(data)), len(data) - 1)
        body = data[int(first) : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def log_message(self, *arguments):
        pass


@pytest.fixture
def site(tmp_path):
    pytest.importorskip("aiohttp")
    folder = tmp_path / "site"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *arguments: Handler(*arguments, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("role", ["hq_captions", "hq_images"])
def test_a_server_that_tells_no_times(role, site, tmp_path):
    """A file that changed, of the same size, is told by its content."""
    folder, url = site
    write_release(str(folder / "release"), 3, 6)
    flat = folder / "flat"
    flat.mkdir()
    for path in (folder / "release").rglob("*"):
        if path.is_file() and (path.suffix != ".zip" or at(folder / "release", role) == path or "image" in path.name):
            path.rename(flat / path.name)
    cache = tmp_path / "cache"
    before = opened(f"{url}/flat/", cache, "hq")
    path = flat / FILES[role].name
    data = path.read_bytes()
    if role in ZIPS:
        entries = members(path)
        entries[0] = (entries[0][0], entries[0][1][:-3] + b"\xff\xff\xd9")
        pack(path, entries)
    else:
        path.write_bytes(data.replace(b" and ", b" AND "))
    assert len(path.read_bytes()) == len(data) and path.read_bytes() != data
    after = opened(f"{url}/flat/", cache, "hq")
    assert after.digest != before.digest
    assert not after.table.equals(before.table)

"""The index of a release: never that of another state of it, a damaged or a planted one, and nobody waits for ever."""

import contextlib
import errno
import fcntl
import os
import random
import shutil
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pytest
from doors import streamed
from making import write_release
from pictures import take, write
from releases import at, edit, images_of, members, pack

from conversion.release import index as index_module
from conversion.release.errors import ChangedReleaseError, ConflictError, MissingFileError
from conversion.release.finding import Release
from conversion.release.index import KEPT_INDEXES, index_key, indexes, load_index, open_index
from conversion.release.rows import read_rows
from conversion.release.table import read_index
from conversion.release.vocabulary import PARTITION_ENDS


@pytest.fixture(autouse=True)
def forgetful():
    """Each test begins and ends as a process that has opened no index."""
    indexes.clear()
    yield
    indexes.clear()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny") / "release"
    write_release(str(root), 3, 6)
    return root


def key_of(root, cache, config="standard"):
    return index_key(Release(root), config, cache_dir=str(cache))


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


def names(stream):
    return [row["file_name"] for row in stream]


@pytest.mark.parametrize("left", ["in memory", "as a file", "nowhere"])
def test_a_stream_that_is_older_than_its_release(left, copy, demo, tmp_path):
    """Its index may be in memory, or in the cache, or would have to be made from files that are others now."""
    entries = some_of_train(copy, 6)
    old = streamed(copy, "standard", tmp_path)
    pack(at(copy, "standard_images"), entries)
    if left == "nowhere":
        for path in (tmp_path / "celeba_dialog_index").glob("*.index"):
            path.unlink()
    else:
        new = streamed(copy, "standard", tmp_path)
        assert names(new["train"]) == [row["file_name"] for row in demo.splits("standard")["train"]]
    for split in ("validation", "test", "train"):
        if left != "in memory":
            indexes.clear()
        try:
            found = names(old[split])
        except ChangedReleaseError as error:
            assert str(error) == f"{copy}: the release changed since this dataset was made. Load it again."
        else:
            assert left != "nowhere"
            assert found == [row["file_name"] for row in demo.splits("standard")[split]][: len(found)]


def test_a_release_that_changes_while_its_index_is_made(copy, tmp_path, monkeypatch):
    def read_and_change(release, subset, parts):
        index = read_index(release, subset, parts)
        some_of_train(copy, 6)
        return index

    monkeypatch.setattr(index_module, "read_index", read_and_change)
    with pytest.raises(ChangedReleaseError):
        open_index(key_of(copy, tmp_path))
    assert not list((tmp_path / "celeba_dialog_index").glob("*.index"))


@pytest.mark.parametrize("change", ["of the same size", "of another size", "of the same time", "gone"])
@pytest.mark.parametrize("role", ["hq_images", "hq_masks"])
def test_a_loose_file_that_is_replaced_between_index_and_reading(role, change, copy, tmp_path):
    """The new image is never served under the old caption."""
    folder = copy / {"hq_images": "image", "hq_masks": "CelebAMask-HQ-mask-color-palette"}[role]
    (name, data), (_, other), *others = take(copy, role)
    path = folder / name
    write(folder, [(name, data), *others])
    os.utime(path, ns=(10**18, 10**18))
    key = key_of(copy, tmp_path, "hq")
    index = open_index(key)
    says = "was replaced since the release was looked through. Load it again."
    if change == "gone":
        path.unlink()
        says = "not there any more; it was when the release was looked through. Try again."
    elif change == "of the same size":
        path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    else:
        path.write_bytes(other + b"\0" * (len(other) == len(data)))
        if change == "of the same time":
            os.utime(path, ns=(10**18, 10**18))
    with pytest.raises(MissingFileError if change == "gone" else ChangedReleaseError) as caught:
        images_of(index)
    assert str(caught.value) == f"{path}: {says}"
    with pytest.raises(ChangedReleaseError, match="the release changed since this dataset was made. Load it again"):
        list(read_rows(key, 0, 23, 32, [None]))
    assert key_of(copy, tmp_path, "hq").digest != key.digest


def test_so_many_indexes_are_kept_and_no_more(tiny, tmp_path):
    root, folder = shutil.copytree(tiny, tmp_path / "release"), tmp_path / "celeba_dialog_index"
    paths = []
    for count in range(7):
        os.utime(at(root, "standard_requests"), (count, count))  # another state of the release
        key = key_of(root, tmp_path)
        open_index(key)
        os.utime(key.path, ns=(count, count))  # clocks are too coarse to tell which is the newest
        paths.append(key.path)
        Path(f"{key.path}.0.tmp").write_bytes(b"left by a killed process")
        (folder / "another-0.tmp").write_bytes(b"of another release")
    assert len(set(paths)) == 7
    assert {path.name for path in folder.glob("*.tmp")} == {f"{Path(key.path).name}.0.tmp", "another-0.tmp"}
    assert sorted(map(str, folder.glob("*.index"))) == sorted(paths[-KEPT_INDEXES:])
    assert len(indexes) <= KEPT_INDEXES


def test_fresh_and_compared(copy, tmp_path):
    """What check, build and verify ask of an index is kept with it, and asked once."""
    key = key_of(copy, tmp_path)
    assert open_index(key).copies is None
    copies = open_index(key, compare=True).copies
    assert (copies["partition"], copies["labels_train"], "standard_labels" in copies) == (90, 69, False)
    assert forgotten(open_index, key).copies == copies
    made = os.stat(key.path)
    assert open_index(key, compare=True).copies == copies and os.stat(key.path) == made
    assert open_index(key, fresh=True).copies is None
    assert os.stat(key.path).st_ino != made.st_ino
    edit(copy, "labels_train", lambda data: data.replace(b" 0 ", b" 1 ", 1))
    key = key_of(copy, tmp_path)
    open_index(key)
    for _ in range(2):
        with pytest.raises(ConflictError, match="different degrees of 1 images"):
            open_index(key, compare=True)


# ----------------------------------------------------------------------------------------------------- a damaged cache


def damage(rng, data):
    """Some bytes as a fault of a disk, of a copy or of a person leaves them."""
    place, other = sorted(rng.sample(range(len(data)), 2))
    start, middle, end = data[:place], data[place:other], data[other:]
    return rng.choice(
        [
            start + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :],
            start,
            start + bytes(len(middle)) + end,
            start + end[:1] + middle[1:] + middle[:1] + end[1:],
            start + rng.randbytes(rng.randrange(1, 100)) + middle + end,
            data + middle + end,
        ]
    )


def test_damages_to_a_cached_index(tiny, tmp_path, warnings):
    """Not one gives another row, an error or a crash: the index is made anew."""
    key, right = key_of(tiny, tmp_path), read_index(Release(tiny), "standard")  # this one is not mapped from the file
    open_index(key)
    sound = Path(key.path).read_bytes()
    rng = random.Random(0)  # noqa: S311
    changed = 0
    for trial in range(150):
        data = damage(rng, sound)
        changed += data != sound
        Path(key.path).write_bytes(data)
        found = forgotten(load_index, key)
        assert found is None or data == sound, trial
        if trial % 50 == 0:
            assert open_index(key).table.equals(right.table)
            assert Path(key.path).read_bytes() == sound
    assert changed > 135
    assert len(warnings) >= changed - 30  # but for files of no bytes


PLACED = {
    "folder": os.mkdir,
    "pipe": os.mkfifo,
    "empty": lambda path: Path(path).touch(),
    "text": lambda path: Path(path).write_text("No index." * 99),
    "100 GB": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 100 << 30),
}


@pytest.mark.parametrize("what", PLACED)
def test_something_else_in_the_place_of_an_index(what, tiny, tmp_path, monkeypatch):
    """A pipe is not waited for, and what is far too large is not read."""
    key = key_of(tiny, tmp_path)
    right = open_index(key)
    os.unlink(key.path)
    PLACED[what](key.path)
    with monkeypatch.context() as patch:
        if what == "100 GB":
            patch.setattr(index_module.mmap, "mmap", None)
        assert forgotten(load_index, key) is None
    assert forgotten(open_index, key).table.equals(right.table)


def test_an_index_under_the_name_of_another(tiny, copy, tmp_path):
    one, other = key_of(tiny, tmp_path), key_of(copy, tmp_path)
    open_index(one)
    open_index(other)
    os.replace(one.path, other.path)
    assert forgotten(open_index, other).digest == other.digest


def test_a_cache_that_cannot_be_written(tiny, tmp_path, warnings):
    """The index lives in memory."""
    (tmp_path / "celeba_dialog_index").write_bytes(b"a file where the folder of the index should be")
    key = key_of(tiny, tmp_path)
    assert open_index(key).table.num_rows == 6
    assert "by itself" in warnings[0] and len(warnings) == 1


# ------------------------------------------------------------------------------------------------------ a shared cache

OTHERS = 65534


def planted(key):
    """An index of a stranger under the name of another: sound, of the same state, with other captions."""
    table = open_index(key).table
    captions = pa.array(["planted"] * table.num_rows)
    table = table.set_column(table.schema.get_field_index("caption"), "caption", captions)
    os.unlink(key.path)
    index_module.keep_index(key, table)
    assert set(forgotten(load_index, key).table["caption"].to_pylist()) == {"planted"}


@pytest.mark.parametrize("what", ["the file", "the folder"])
def test_rows_that_somebody_else_planted_are_not_believed(what, tiny, tmp_path, monkeypatch):
    """Only what belongs to this user or to root is; in a folder of somebody else's, everybody has one's own."""
    key = key_of(tiny, tmp_path)
    planted(key)
    path = key.path if what == "the file" else key.folder
    if os.getuid() == 0:
        os.chown(path, OTHERS, OTHERS)
    else:
        monkeypatch.setattr(os, "getuid", lambda: OTHERS)
    key = key_of(tiny, tmp_path)
    assert (key.folder == f"{tmp_path}/celeba_dialog_index") == (what == "the file")
    assert "planted" not in forgotten(open_index, key).table["caption"].to_pylist()
    assert os.stat(key.path).st_uid in (0, os.getuid())
    assert "planted" not in forgotten(load_index, key).table["caption"].to_pylist()


def test_links_in_a_shared_cache_lead_nowhere(tiny, tmp_path, monkeypatch, warnings):
    """Whatever a stranger puts there, no file outside of it is written."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    key = key_of(tiny, tmp_path)
    os.makedirs(key.folder)
    monkeypatch.setattr(index_module.secrets, "token_hex", lambda count: "guessed")
    os.symlink(victim, f"{key.path}.guessed.tmp")
    os.symlink(victim, key.path)
    assert forgotten(open_index, key).table.num_rows == 6
    assert victim.read_text() == "mine"
    lock = Path(key.folder, key.family + "lock")
    lock.unlink(missing_ok=True)
    lock.symlink_to(victim)
    os.unlink(key.path)
    assert forgotten(open_index, key).table.num_rows == 6
    assert victim.read_text() == "mine"
    assert any("is a link" in text for text in warnings)


def test_a_sibling_made_it_meanwhile(tiny, tmp_path, monkeypatch):
    key = key_of(tiny, tmp_path)
    table = read_index(Release(tiny), "standard").table
    monkeypatch.setattr(index_module, "_wait_for", lambda lock: lock.acquire() and index_module.keep_index(key, table))
    monkeypatch.setattr(index_module, "read_index", None)  # nobody reads again
    assert open_index(key).table.equals(table)


def test_a_lock_that_is_stuck(tiny, tmp_path, monkeypatch, warnings):
    """Said after some seconds; after some minutes this process reads the annotations by itself."""
    monkeypatch.setattr(index_module, "_SAY_WAITING", 0.1)
    monkeypatch.setattr(index_module, "_STOP_WAITING", 0.3)
    key = key_of(tiny, tmp_path)
    os.makedirs(key.folder)
    path = os.path.join(key.folder, key.family + "lock")
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert open_index(key).table.num_rows == 6
    assert path in warnings[0] and "Waiting" in warnings[0]
    assert "by itself" in warnings[1]
    assert not os.path.exists(key.path)


class OldLock(index_module.filelock.FileLock):
    """As older ones, which take any refusal for a lock of somebody else: that would be waited for, in vain."""

    def _acquire(self):
        with contextlib.suppress(OSError, NotImplementedError):
            super()._acquire()


@pytest.mark.parametrize("lock", [index_module.filelock.FileLock, OldLock])
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_cache_on_a_file_system_without_locks(number, lock, tiny, tmp_path, monkeypatch, warnings):
    monkeypatch.setattr(index_module.filelock, "FileLock", lock)
    monkeypatch.setattr(index_module, "_SAY_WAITING", 0.1)
    monkeypatch.setattr(fcntl, "flock", mock.Mock(side_effect=OSError(number, os.strerror(number))))
    assert open_index(key_of(tiny, tmp_path)).table.num_rows == 6
    assert "every process reads the annotations by itself" in warnings[0] and len(warnings) == 1

"""The table kept in the cache.

It is made once per release, kept as an Arrow file in the cache folder of `datasets` and mapped into memory from there,
so that the workers of a DataLoader, the processes of `num_proc` and the ranks of a cluster node share one copy of its
pages and never read the JSON again.
"""

import contextlib
import hashlib
import json
import mmap
import os
import secrets
import threading
from typing import NamedTuple

import datasets
import filelock
import pyarrow as pa

from .copies import compare_copies
from .errors import ChangedReleaseError, logger
from .finding import Release
from .official import roles_of
from .storage import lock_refusal, open_plain
from .table import Index, read_index
from .vocabulary import SUBSETS


class IndexKey(NamedTuple):
    """Which index: of which state of which release, and the folder that it is kept in."""

    root: str  # of the release
    subset: str
    parts: bool
    digest: str  # `Release.digest` of the files that it is made from
    folder: str

    @property
    def family(self) -> str:
        """What the file names of all states of a release's index begin with."""
        return f"{hashlib.sha256(self.root.encode()).hexdigest()[:16]}-{self.subset}{'_parts' if self.parts else ''}-"

    @property
    def path(self) -> str:
        """Where the index is kept. The file need not be there."""
        return os.path.join(self.folder, f"{self.family}{self.digest}.index")


def index_key(release: Release, subset: str, parts: bool = False, cache_dir: str | None = None) -> IndexKey:
    """The IndexKey of a subset as the release is now; `cache_dir` is by default the cache folder of `datasets`."""
    folder = os.path.expanduser(str(cache_dir or datasets.config.HF_DATASETS_CACHE))
    folder = os.path.join(folder, "celeba_dialog_index")
    with contextlib.suppress(OSError):  # where it is not there yet
        if not _is_trusted(os.stat(folder)):
            folder += f"-{os.getuid()}"  # in a shared cache, everybody makes one's own
    return IndexKey(release.root, subset, parts, release.digest(roles_of(subset, parts)), folder)


def _is_trusted(status: os.stat_result) -> bool:
    """Whether a file or folder belongs to this user or to root: anybody else could have planted rows in it."""
    return not hasattr(os, "getuid") or status.st_uid in (0, os.getuid())


KEPT_INDEXES = 4  # of this process, and files of one family: a stream may outlive a change of its release
indexes: dict[IndexKey, Index] = {}  # of this process
_indexes_lock = threading.Lock()
_SAY_WAITING, _STOP_WAITING = 5, 300  # seconds
_DIGITS = 64  # of a SHA-256 in hexadecimal
_MOST_BYTES = 8192  # of an index for each image of the whole subset: fifteen times what is usual


def open_index(key: IndexKey, release: Release | None = None, fresh: bool = False, compare: bool = False) -> Index:
    """The Index of a key: from this process's memory, else from its file, else made from the release and kept there.

    `release` is the Release that the key was made of, where it is at hand. `fresh` makes the index in any case and
    keeps it in the place of the one there. `compare` holds it against the files that repeat what others say, unless
    that was done. One process makes it and the others wait for it; where the cache folder cannot be written, it lives
    in memory. Raises ChangedReleaseError where it has to be made and the release is not as the key says any more, and
    else what `read_index` and `compare_copies` raise.
    """
    with _indexes_lock:
        if fresh or key not in indexes:
            indexes.pop(key, None)
            while len(indexes) >= KEPT_INDEXES:
                del indexes[next(iter(indexes))]
            indexes[key] = not fresh and load_index(key) or _make_index(key, release, fresh)
        if compare and indexes[key].copies is None:
            counts = compare_copies(release or check_unchanged(key), key.subset, indexes[key])
            table = indexes[key].table
            table = table.replace_schema_metadata({**table.schema.metadata, b"copies": json.dumps(counts)})
            with contextlib.suppress(OSError):  # said when the index was made
                keep_index(key, table)
            indexes[key] = Index.of(table)
        return indexes[key]


def _make_index(key: IndexKey, release: Release | None, fresh: bool) -> Index:
    try:
        os.makedirs(key.folder, exist_ok=True)
        lock = filelock.FileLock(os.path.join(key.folder, key.family + "lock"))
        if os.path.islink(lock.lock_file):
            raise OSError(f"{lock.lock_file} is a link")
        _wait_for(lock)
    except (OSError, NotImplementedError) as error:  # a time-out is an OSError
        logger.warning(f"{key.folder} cannot be used ({error}): every process reads the annotations by itself.")
        return _read_unchanged(key, release)
    with lock:
        index = None if fresh else load_index(key)  # a sibling may have made it meanwhile
        if index:
            return index
        index = _read_unchanged(key, release)
        try:
            keep_index(key, index.table)
        except OSError as error:
            logger.warning(f"{key.folder} cannot be written ({error}): every process reads the annotations by itself.")
            return index
        del index
        pa.default_memory_pool().release_unused()  # what reading the texts took, before workers are forked
        return load_index(key) or _read_unchanged(key, release)


def _wait_for(lock: filelock.BaseFileLock) -> None:
    try:
        lock.acquire(timeout=_SAY_WAITING)
    except filelock.Timeout:
        if refusal := lock_refusal(lock.lock_file):
            raise refusal from None
        logger.warning(f"Waiting for another process that reads the same annotations. Its lock: {lock.lock_file}")
        lock.acquire(timeout=_STOP_WAITING - _SAY_WAITING)


def _read_unchanged(key: IndexKey, release: Release | None) -> Index:
    """The Index of a key, made from the official files, which have to be those that the key was made of."""
    if release is None:
        release = check_unchanged(key)
    index = read_index(release, key.subset, key.parts)
    if not release.is_unchanged(roles_of(key.subset, key.parts)):
        raise _changed(key)
    return index


def check_unchanged(key: IndexKey) -> Release:
    """The Release of a key. Raises ChangedReleaseError where it is not as it was when the key was made."""
    release = Release(key.root)
    if release.digest(roles_of(key.subset, key.parts)) != key.digest:
        raise _changed(key)
    return release


def _changed(key: IndexKey) -> ChangedReleaseError:
    return ChangedReleaseError(f"{key.root}: the release changed since this dataset was made. Load it again.")


# ------------------------------------------------------------------------------------------------------- as a file


def keep_index(key: IndexKey, table: pa.Table) -> None:
    """Writes an index: the SHA-256 of what follows, as 64 digits, and an Arrow file. Removes old ones of its family."""
    temporary = f"{key.path}.{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "x+b") as file:  # x: never through a link, nor into a file that is there
            file.write(bytes(_DIGITS))
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table, max_chunksize=4096)
            file.flush()
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                digest = hashlib.sha256(memoryview(data)[_DIGITS:]).hexdigest()
            file.seek(0)
            file.write(digest.encode())
        os.replace(temporary, key.path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    # The newest few indexes stay, for jobs that began before the release changed; what a killed process left goes.
    family = [entry for entry in os.scandir(key.folder) if entry.name.startswith(key.family)]
    kept = []
    for entry in family:
        with contextlib.suppress(OSError):  # another process may have removed it
            if entry.name.endswith(".index"):
                kept.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path))
    old = [path for _, path in sorted(kept)[:-KEPT_INDEXES]]
    for path in [*old, *(entry.path for entry in family if entry.name.endswith(".tmp"))]:
        with contextlib.suppress(OSError):
            os.unlink(path)


def load_index(key: IndexKey) -> Index | None:
    """The Index that is kept for a key, mapped into memory; None where there is none that can be trusted.

    It has to belong to this user or root, to be as it was written, and of the state of the release that the key says.
    """
    try:
        with open_plain(key.path) as file:
            status = os.fstat(file.fileno())
            most = _MOST_BYTES * SUBSETS[key.subset].images
            if not _is_trusted(status) or not _DIGITS < status.st_size < most:
                return None
            data = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):
        return None
    if hashlib.sha256(memoryview(data)[_DIGITS:]).hexdigest().encode() != bytes(memoryview(data)[:_DIGITS]):
        logger.warning(f"{key.path}: not as it was written, so it is made anew.")
        return None
    index = Index.of(pa.ipc.open_file(data.slice(_DIGITS)).read_all())
    return index if index.digest == key.digest else None

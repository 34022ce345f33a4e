"""The table kept in the cache."""

import contextlib
import hashlib
import mmap
import os
import secrets
import threading
from typing import NamedTuple

import datasets
import filelock
import pyarrow as pa

from .errors import ChangedReleaseError, logger
from .finding import Release
from .official import roles_of
from .table import Index, read_index


class IndexKey(NamedTuple):
    """Which index: of which state of which release, and the folder that it is kept in."""

    root: str  # of the release
    subset: str
    parts: bool
    digest: str  # `Release.digest` of the files that it is made from
    folder: str

    @property
    def family(self):
        """What the file names of all states of a release's index begin with."""
        return f"{hashlib.sha256(self.root.encode()).hexdigest()[:16]}-{self.subset}{'_parts' if self.parts else ''}-"

    @property
    def path(self):
        """Where the index is kept. The file need not be there."""
        return os.path.join(self.folder, f"{self.family}{self.digest}.index")


def index_key(release, subset, parts=False, cache_dir=None):
    """The IndexKey of a subset as the release is now; `cache_dir` is by default the cache folder of `datasets`."""
    folder = os.path.expanduser(str(cache_dir or datasets.config.HF_DATASETS_CACHE))
    digest = release.digest(roles_of(subset, parts))
    return IndexKey(release.root, subset, parts, digest, os.path.join(folder, "celeba_dialog_index"))


KEPT_INDEXES = 4  # of this process, and files of one family: a stream may outlive a change of its release
indexes = {}  # IndexKey -> Index, of this process
_indexes_lock = threading.Lock()
_SAY_WAITING, _STOP_WAITING = 5, 300  # seconds
_DIGITS = 64  # of a SHA-256 in hexadecimal


def open_index(key, release=None, fresh=False):
    """The Index of a key: from this process's memory, else from its file, else made from the release and kept there.

    `release` is the Release that the key was made of, where it is at hand. `fresh` makes the index in any case and
    keeps it in the place of the one there. One process makes it and the others wait for it; where the cache folder
    cannot be written, it lives in memory. Raises ChangedReleaseError where it has to be made and the release is not as
    the key says any more, and else what `read_index` raises.
    """
    with _indexes_lock:
        if fresh or key not in indexes:
            indexes.pop(key, None)
            while len(indexes) >= KEPT_INDEXES:
                del indexes[next(iter(indexes))]
            indexes[key] = not fresh and load_index(key) or _make_index(key, release, fresh)
        return indexes[key]


def _make_index(key, release, fresh):
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


def _wait_for(lock):
    try:
        lock.acquire(timeout=_SAY_WAITING)
    except filelock.Timeout:
        logger.warning(f"Waiting for another process that reads the same annotations. Its lock: {lock.lock_file}")
        lock.acquire(timeout=_STOP_WAITING - _SAY_WAITING)


def _read_unchanged(key, release):
    """The Index of a key, made from the official files, which have to be those that the key was made of."""
    if release is None:
        release = Release(key.root)
        check_unchanged(key)
    index = read_index(release, key.subset, key.parts)
    check_unchanged(key)
    return index


def check_unchanged(key):
    """Raises ChangedReleaseError where the release is not as it was when the key was made."""
    if Release(key.root).digest(roles_of(key.subset, key.parts)) != key.digest:
        raise ChangedReleaseError(f"{key.root}: the release changed since this dataset was made. Load it again.")


def keep_index(key, table):
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
    kept = sorted((entry for entry in family if entry.name.endswith(".index")), key=_age)[:KEPT_INDEXES]
    for entry in family:
        if entry not in kept and entry.name.endswith((".index", ".tmp")):
            with contextlib.suppress(OSError):
                os.unlink(entry.path)


def _age(entry):
    """Sorts the files of a folder, the newest first."""
    with contextlib.suppress(OSError):
        return -entry.stat(follow_symlinks=False).st_mtime_ns
    return 0


def load_index(key):
    """The Index that is kept for a key, mapped into memory; None where there is none, or not as it was written."""
    try:
        data = pa.memory_map(key.path).read_buffer()
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None
    if hashlib.sha256(memoryview(data)[_DIGITS:]).hexdigest().encode() != bytes(memoryview(data)[:_DIGITS]):
        logger.warning(f"{key.path}: not as it was written, so it is made anew.")
        return None
    index = Index.of(pa.ipc.open_file(data.slice(_DIGITS)).read_all())
    return index if index.digest == key.digest else None

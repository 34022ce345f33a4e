"""What several commands need of files and the terminal: whole files or none, checksums, progress, messages.

Paths are local or fsspec URLs.
"""

import contextlib
import hashlib
import os
import posixpath
import stat
import sys
import tempfile

from tqdm.auto import tqdm

from celeba_dialog import filesystem
from celeba_dialog import is_url

BLOCK = 1 << 20


def say(message):
    """A message for the person, on standard error, clear of any progress bar."""
    tqdm.write(str(message), file=sys.stderr)


def progress(iterable=None, *, total=None, desc=None, unit="rows", **options):
    """A progress bar on standard error; none where that is no terminal."""
    return tqdm(iterable, total=total, desc=desc, unit=unit, file=sys.stderr, disable=None, leave=False, **options)


def open_file(path, mode="rb"):
    """An open binary file, local or remote."""
    return filesystem(path).open(path, mode) if is_url(path) else open(path, mode)


def read(path):
    """All bytes of a file."""
    with open_file(path) as file:
        return file.read()


def size(path):
    """Bytes of a file."""
    return filesystem(path).size(path) if is_url(path) else os.path.getsize(path)


def sha256(path):
    """SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()  # hashlib.file_digest would do, but Python 3.10 lacks it
    with open_file(path) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_file(path):
    """Whether there is a file, and no folder."""
    return filesystem(path).isfile(path) if is_url(path) else os.path.isfile(path)


def names(path):
    """Base names of what a folder holds; none where there is no such folder."""
    try:
        found = filesystem(path).ls(path, detail=False) if is_url(path) else os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in found)


def tree(path):
    """All that lies below a folder: {path below it, with slashes: "file", "folder", "link" or "device"}."""
    if is_url(path):
        root = posixpath.join(filesystem(path)._strip_protocol(path), "")
        found = filesystem(path).find(path, withdirs=True, detail=True)
        kinds = {name.rstrip("/"): "folder" if found[name]["type"] == "directory" else "file" for name in sorted(found)}
        return {name.removeprefix(root): kind for name, kind in kinds.items() if name.startswith(root)}
    kinds = {}
    for folder, folders, names in os.walk(path):
        for name in (*folders, *names):
            mode = os.lstat(os.path.join(folder, name)).st_mode
            known = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
            kinds[os.path.relpath(os.path.join(folder, name), path).replace(os.sep, "/")] = known.get(
                stat.S_IFMT(mode), "device"
            )
    return dict(sorted(kinds.items()))


def make_folder(path):
    """A folder and those above it; nothing where it is there."""
    if is_url(path):
        filesystem(path).makedirs(path, exist_ok=True)
    else:
        os.makedirs(path, exist_ok=True)


def remove(path):
    """Removes a remote file or folder; nothing where it is not there."""
    with contextlib.suppress(FileNotFoundError):
        filesystem(path).rm(path, recursive=True)


def sync(path):
    """Has the content of a local file on the disk before it returns; of a remote one it is there already."""
    if not is_url(path):
        with open(path, "rb") as file:
            os.fsync(file.fileno())


@contextlib.contextmanager
def whole_file(path, synced=True):
    """A binary file that appears at `path` whole or not at all: temporary name beside it, synced, renamed.

    With `synced=False` a power failure may still damage it, for what is checked before it is used or synced later.
    At a URL, the file system's own way of writing: object stores show a file when it is complete.
    """
    if is_url(path):
        with filesystem(path).open(path, "wb") as file:
            yield file
        return
    folder, name = os.path.split(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
    try:
        with open(handle, "wb") as file:
            yield file
            if synced:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""What several commands need of files and the terminal: whole files or none, checksums, progress, messages.

What is written is local. What is read may also lie behind an fsspec URL, where a function says so.
"""

import contextlib
import errno
import hashlib
import logging
import os
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from tqdm.auto import tqdm

from ..release.errors import CelebADialogError, EnvironmentFault, UsageError
from ..release.storage import filesystem, is_url
from .streams import printable, printable_lines

BLOCK = 1 << 20  # bytes read at a time
LFS_POINTER = "is a pointer of Git LFS, not the file itself, which comes with: git lfs pull"
LFS_START = b"version https://git-lfs.github.com/spec/"
MOST_POINTER = 1024  # bytes of such a pointer

# What the dataset card is made of: in the package where it is installed, beside it in a clone.
_PACKAGE = Path(__file__).resolve().parents[1]
DATASET_CARD = _PACKAGE / "dataset_card" if (_PACKAGE / "dataset_card").is_dir() else _PACKAGE.parent / "dataset_card"

tqdm.monitor_interval = 0  # else it starts a thread, and a process with threads should not fork


def say(message: object) -> None:
    """Prints a message on standard error, above any progress bar; does nothing where that cannot be written to.

    Control characters are escaped, but for line ends: names from outside go through `printable` or `one_line` first.
    """
    if sys.stderr:  # else it was closed, and tqdm would take standard output
        with contextlib.suppress(OSError, ValueError):
            tqdm.write(printable_lines(message), file=sys.stderr)


def one_line(message: object, most: int = 500) -> str:
    """A text from outside as one printable line of at most `most` characters."""
    line = printable(" ".join(str(message).split()))
    return line if len(line) <= most else line[: most - 1] + "…"


@contextlib.contextmanager
def libraries_say(hidden: str = "") -> Iterator[None]:
    """Sends log records and warnings of libraries through `say`, since they may quote what a server sent.

    What is `hidden`, a token, is not printed.
    """

    def pass_on(text: object) -> None:
        say(one_line(str(text).replace(hidden, "<token>") if hidden else text))

    root, own = logging.getLogger(), logging.getLogger("huggingface_hub")  # which has a handler of its own
    before = root.handlers, own.handlers, own.propagate
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: pass_on(message)
        try:
            root.handlers, own.handlers, own.propagate = [_Saying(pass_on)], [], True
            yield
        finally:
            root.handlers, own.handlers, own.propagate = before


class _Saying(logging.Handler):
    def __init__(self, pass_on: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._pass_on = pass_on

    def emit(self, record: logging.LogRecord) -> None:
        self._pass_on(record.getMessage())


def progress(
    iterable: Any = None, *, total: int | None = None, desc: str | None = None, unit: str = "rows", **options: Any
) -> tqdm:
    """A tqdm bar on standard error; it shows nothing where that is no terminal."""
    options |= {"total": total, "desc": desc and printable(desc), "unit": unit, "leave": False}
    options["disable"] = not is_terminal(sys.stderr)
    return tqdm(iterable, file=sys.stderr, **options)


def is_terminal(stream: Any) -> bool:
    """Whether a standard stream is a terminal. It is None or closed where the process was started without it."""
    return bool(stream) and not getattr(stream, "closed", False) and stream.isatty()


def local_path(path: str | os.PathLike[str]) -> str:
    """An absolute local path; `~` is the home folder.

    Raises UsageError for a URL, an empty path and one that is no text.
    """
    path = os.fspath(path)
    if not path.strip():
        raise UsageError("The path is empty. Name a file or folder on this machine.")
    if is_url(path):
        raise UsageError(f"{printable(path)}: is an address. Name a file or folder on this machine.")
    if not _is_text(path):
        raise UsageError(
            f"{path!a}: not valid text, which `datasets` needs of a path. Rename it, or give a link to it."
        )
    return os.path.abspath(os.path.expanduser(path))


def _is_text(path: str) -> bool:
    """Whether a path can be written as UTF-8: others are bytes of a name in another encoding."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def refuse_no_folder(path: str) -> None:
    """Checks an absolute local path that is to be a folder.

    Raises UsageError where something else lies there, EnvironmentFault where something above it is no folder.
    """
    if os.path.lexists(path) and not os.path.isdir(path):
        raise UsageError(f"{printable(path)}: is a {kind(path)}, not a folder. Give a new or empty folder.")
    above = path
    while not os.path.lexists(above) and os.path.dirname(above) != above:
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise EnvironmentFault(f"{printable(path)}: Not a directory: {printable(above)} is a {kind(above)}.")


def kind(path: str, follow: bool = True) -> str:
    """What lies at a local path: "file", "folder", "pipe", "socket" or "device"; without `follow` also "link".

    A link that leads nowhere is "link that leads nowhere". Raises OSError where nothing is there.
    """
    try:
        mode = os.stat(path, follow_symlinks=follow).st_mode
    except OSError:
        if follow and os.path.islink(path):
            return "link that leads nowhere"
        raise
    return _KINDS.get(stat.S_IFMT(mode), "device")


_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}


def is_http_address(text: str) -> bool:
    """Whether a text is an http or https address with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and " " not in text
    except ValueError:  # unbalanced brackets, or a port that is no number
        return False


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Makes OSErrors of the errors of remote file systems, each of which has classes of its own."""
    try:
        yield
    except (OSError, CelebADialogError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


@_plain_errors()
def open_file(path: str) -> IO[bytes]:
    """A file, local or behind a URL, opened for reading its bytes.

    Raises OSError for a pipe or device, from which reading may never end.
    """
    if is_url(path):
        return filesystem(path).open(path, "rb")
    if (found := kind(path)) not in ("file", "folder"):  # of a folder, `open` says so itself
        raise OSError(errno.EINVAL, f"is a {found}, expected a file", path)
    return open(path, "rb")


@_plain_errors()
def read(path: str) -> bytes:
    """All bytes of a file, local or behind a URL."""
    with open_file(path) as file:
        return file.read()


@_plain_errors()
def size(path: str) -> int:
    """How many bytes a file has, local or behind a URL."""
    return filesystem(path).size(path) if is_url(path) else os.path.getsize(path)


@_plain_errors()
def checksum(path: str, kind: str = "sha256", progress: Callable[[int], object] | None = None) -> str:
    """The checksum of a file, local or behind a URL, of a kind that hashlib knows, as hexadecimal digits.

    `progress(count)` is called with the bytes of each block that was read; what it raises ends the reading.
    """
    digest = hashlib.new(kind, usedforsecurity=False)
    with open_file(path) as file:
        while block := file.read(BLOCK):
            digest.update(block)
            if progress:
                progress(len(block))
    return digest.hexdigest()


@_plain_errors()
def is_file(path: str) -> bool:
    """Whether there is a file, local or behind a URL."""
    return filesystem(path).isfile(path) if is_url(path) else os.path.isfile(path)


def is_lfs_pointer(path: str) -> bool:
    """Whether a local file is the small text that Git has in the place of a large file until `git lfs pull`."""
    with contextlib.suppress(OSError):
        if os.path.getsize(path) < MOST_POINTER:
            return read(path).startswith(LFS_START)
    return False


def tree(path: str) -> dict[str, str]:
    """All that lies below a local folder: {path below it, with slashes: "file", "folder", "link", "pipe" …}.

    Raises EnvironmentFault where a part of it cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise EnvironmentFault(f"{printable(error.filename)}: cannot be listed: {error.strerror}.") from error

    kinds = {}
    for folder, folders, names in os.walk(path, onerror=refuse):
        for name in (*folders, *names):
            there = os.path.join(folder, name)
            kinds[os.path.relpath(there, path).replace(os.sep, "/")] = kind(there, follow=False)
    return dict(sorted(kinds.items()))


def sync(path: str) -> None:
    """Waits until the content of a file is on the disk."""
    with open(path, "r+b" if sys.platform == "win32" else "rb") as file:  # Windows syncs what it can write to
        os.fsync(file.fileno())


@contextlib.contextmanager
def whole_file(path: str, synced: bool = True) -> Iterator[IO[bytes]]:
    """Opens a binary file that appears at `path` whole or not at all: temporary name beside it, synced, renamed.

    With `synced=False` a power failure may damage it: for files that are checked before use, or synced later.
    """
    folder, name = os.path.split(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
    try:
        with open(handle, "wb") as file:
            yield file
            if synced:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, default_mode())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def default_mode() -> int:
    """The permissions of a new file under this umask; those of `tempfile` have others."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask

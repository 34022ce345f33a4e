"""Bytes of local files and of whatever fsspec reaches, and what kind of file some bytes are.

Nothing stays open between two calls, so there is nothing to share between threads, to lose in a fork or to run out of.
Of a local path only plain files are opened: a pipe would be waited for, without end.
"""

import bisect
import contextlib
import errno
import hashlib
import os
import re
import stat
import urllib.parse
from collections.abc import Sequence
from typing import Any, BinaryIO

import fsspec

from .errors import (
    AGAIN,
    CelebADialogError,
    ChangedReleaseError,
    EnvironmentFault,
    FormatError,
    MissingFileError,
    UsageError,
)

MOST_IMAGE_BYTES = 64 << 20  # of one image: 600 times an HQ image, and no harm to a machine
END_BYTES = 22 + 65535  # that the end record of a zip and its comment may take
_GAP = 4096  # bytes between two remote ranges that are worth reading rather than asking twice


def is_url(path: str) -> bool:
    return "://" in path or "::" in path


def filesystem(path: str) -> Any:
    """The fsspec file system of a URL. Raises EnvironmentFault where the package for it is not installed."""
    try:
        address = re.search("https?://.*", path, re.S)
        if address and urllib.parse.urlsplit(address[0]).port == 0:  # which raises ValueError for what is no port
            raise ValueError("port 0")
        return fsspec.core.url_to_fs(path)[0]
    except ImportError as error:
        raise EnvironmentFault(
            f'{path}: this kind of address needs another package: {error}. For http: pip install "fsspec[http]"'
        ) from error
    except ValueError as error:
        raise UsageError(f"{path}: no known kind of address: {error}.") from error
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be reached: {error.strerror or error!r}.") from error


# ------------------------------------------------------------------------------------------------------------ reading


def open_plain(path: str) -> BinaryIO:
    """An open local file. Raises OSError, also for a pipe, a device or a folder, which are not waited for."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(0, "not a plain file", path)
    return open(handle, "rb")


# What NFS, Lustre, Weka and others answer where they keep no locks.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


def lock_refusal(path: str) -> OSError | None:
    """The error by which the system refuses a lock on a file; filelock takes any for a lock of somebody else."""
    with contextlib.suppress(ImportError):  # on Windows, where filelock locks in another way
        import fcntl

        try:
            with open_plain(path) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error if error.errno in NO_LOCKS else None
    return None


def read_range(path: str, start: int = 0, length: int | None = None) -> bytes:
    """`length` bytes of a file from `start` on, or fewer where it ends; all the rest where `length` is None."""
    if not is_url(path):
        return read_ranges(path, [(start, -1 if length is None else length)])[0]
    fs = filesystem(path)
    try:
        if length is None:
            return fs.cat_file(path)[start:]
        # An open file, not cat_file, because only this refuses a server that answers with the whole file instead.
        with fs.open(path, "rb", block_size=max(length, 1), cache_type="bytes") as file:
            file.seek(start)
            return file.read(length)
    except ValueError as error:
        raise EnvironmentFault(
            f"{path}: the server does not send ranges of a file ({error}). Download the release and pass its folder."
        ) from error
    except Exception as error:
        raise read_fault(path, error) from error


def read_ranges(path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes of several (start, length) ranges of one file."""
    try:
        if is_url(path):
            return _read_remote_ranges(path, ranges)
        with open_plain(path) as file:
            return [file.read(length) for start, length in ranges if file.seek(start) >= 0]
    except Exception as error:
        raise read_fault(path, error) from error


def _read_remote_ranges(path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """All at once, and neighbours in one request: the eighteen part masks of an image lie side by side."""
    spans: list[list[int]] = []  # [start, end] of what is asked for
    for start, length in sorted(ranges):
        if spans and start <= spans[-1][1] + _GAP:
            spans[-1][1] = max(spans[-1][1], start + length)
        else:
            spans.append([start, start + length])
    starts, ends = zip(*spans)
    found = filesystem(path).cat_ranges([path] * len(spans), list(starts), list(ends), on_error="raise")
    result = []
    for start, length in ranges:
        span = bisect.bisect_right(starts, start) - 1
        result.append(found[span][start - starts[span] : start - starts[span] + length])
    return result


def read_image_file(path: str, size: int = -1, changed: int = -1) -> bytes:
    """The bytes of an image in a folder.

    `size` and `changed` are its bytes and its time of change in nanoseconds when the folder was looked through, -1
    where they are not known. Raises ChangedReleaseError for another file than that was, FormatError for one that is
    far too large.
    """
    if is_url(path):
        data = read_range(path)
    else:
        try:
            with open_plain(path) as file:
                status = os.fstat(file.fileno())
                if changed >= 0 and (status.st_size, status.st_mtime_ns) != (size, changed):
                    raise ChangedReleaseError(
                        f"{path}: was replaced since the release was looked through. Load it again."
                    )
                data = file.read(MOST_IMAGE_BYTES + 1)
        except Exception as error:
            raise read_fault(path, error) from error
    if len(data) > MOST_IMAGE_BYTES:
        raise FormatError(f"{path}: more than {MOST_IMAGE_BYTES:,} bytes, which no image here has. {AGAIN}")
    return data


def read_fault(path: str, error: Exception) -> CelebADialogError:
    """A failed read as an error of ours: a file that vanished is the release's fault, the rest the machine's."""
    if isinstance(error, CelebADialogError):
        return error
    if isinstance(error, FileNotFoundError):
        return MissingFileError(f"{path}: not there any more; it was when the release was looked through. Try again.")
    return EnvironmentFault(f"{path}: cannot be read: {getattr(error, 'strerror', None) or repr(error)}.")


# Keys under which file systems tell something that changes with a file.
_TELLS_CHANGES = ("ETag", "etag", "Last-Modified", "LastModified", "mtime", "created", "Content-MD5")


def file_status(path: str) -> tuple[int, str]:
    """(size in bytes, stamp) of a file; the stamp changes when the file does."""
    try:
        if is_url(path):
            info = filesystem(path).info(path)
            told = [str(info.get(name)) for name in _TELLS_CHANGES if info.get(name) is not None]
            size = int(info.get("size") or 0)
            return size, repr([size, *(told or [_content_stamp(path, size)])])
        return status_of(os.stat(path))
    except Exception as error:
        raise read_fault(path, error) from error


def status_of(status: os.stat_result) -> tuple[int, str]:
    """The same from what `os.stat` says of a local file."""
    return status.st_size, f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _content_stamp(path: str, size: int) -> str:
    """The stamp where a server tells none of these: a digest of the file, or of the end of a zip, where it has CRCs."""
    length = min(size, END_BYTES) if path.lower().endswith(".zip") else size
    return hashlib.sha256(read_range(path, max(0, size - length), length)).hexdigest()


# ---------------------------------------------------------------------------------------------------- kinds of files

_UNPACK = "Unpack it, and put what is in it here."
# How a file starts, but for blanks and a byte order mark -> what it is, and what to do where it has another name.
_KINDS = (
    (rb"\Z", "an empty file", AGAIN),
    (rb"<.*google", "a web page, as Google Drive sends where its quota is used up or a login is asked for", AGAIN),
    (rb"<", "a web page", AGAIN),
    (rb"version https://git-lfs", "a pointer of Git LFS, not the file itself", "That comes with: git lfs pull"),
    (rb"pk[\x01\x03\x05\x07]", "a zip", _UNPACK),
    (rb"\x1f\x8b", "a gzip file", _UNPACK),
    (rb"bzh", "a bzip2 file", _UNPACK),
    (rb"\xfd7zxz", "an xz file", _UNPACK),
    (rb"7z\xbc\xaf", "a 7-Zip file", _UNPACK),
    (rb"rar!", "a RAR file", _UNPACK),
    (rb"\xff\xd8\xff", "a JPEG", AGAIN),
    (rb"\x89png", "a PNG", AGAIN),
    (rb"riff.{4}webp", "a WebP", AGAIN),
    (rb"par1", "a Parquet file", "Pass the folder with the official files."),
    (
        rb"\xff\xfe|\xfe\xff|.\0.\0|\0.\0.",
        "text in UTF-16, which is not read",
        "Save it as UTF-8, or download it again.",
    ),
)


def kind_of(head: bytes) -> tuple[str, str]:
    """(what a file is, what to do where it should be another) from its first bytes; ("", "") for no known kind."""
    start = re.sub(rb"\A(\xef\xbb\xbf)?[ \t\r\n]+|\A\xef\xbb\xbf", b"", head[:4096]).lower()
    for pattern, kind, advice in _KINDS:
        if re.match(pattern, start, re.S):
            return kind, advice
    return "", ""


def not_that(head: bytes, expected: str) -> str:
    """Sentences on a file that is not `expected`, such as "a zip", from its first bytes."""
    kind, advice = kind_of(head)
    if kind:
        return f"this is {kind}, not {expected}. {advice}"
    return f"this is not {expected}: it starts with {head[:24]!r}. {AGAIN}"

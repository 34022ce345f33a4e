"""Bytes of local files and of whatever fsspec reaches.

Nothing stays open between two calls, so there is nothing to share between threads, to lose in a fork or to run out of.
"""

import bisect
import hashlib
import os
import re
import urllib.parse

import fsspec

from .errors import AGAIN, CelebADialogError, EnvironmentFault, FormatError, MissingFileError, UsageError
from .vocabulary import HQ, STANDARD

# ------------------------------------------------------------------------------------------------------------- bytes
# Of local files and of whatever fsspec reaches. Nothing stays open between two calls, so there is nothing to share
# between threads, to lose in a fork or to run out of.

MOST_IMAGE_BYTES = 64 << 20  # bytes of one image: 600 times an HQ image, and no harm to a machine
MOST_TEXT_BYTES = 1 << 30  # bytes of one text or JSON file: six times the largest official one
_GAP = 4096  # bytes between two remote ranges that are worth reading rather than asking twice


def is_url(path):
    return "://" in path or "::" in path


def filesystem(path):
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


def read_range(path, start=0, length=None):
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


def read_ranges(path, ranges):
    """The bytes of several (start, length) ranges of one file."""
    try:
        if is_url(path):
            return _read_remote_ranges(path, ranges)
        with open(path, "rb") as file:
            return [file.read(length) for start, length in ranges if file.seek(start) >= 0]
    except Exception as error:
        raise read_fault(path, error) from error


def _read_remote_ranges(path, ranges):
    """All at once, and neighbours in one request: the eighteen part masks of an image lie side by side."""
    spans = []  # [start, end] of what is asked for
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


def read_image_file(path):
    data = read_range(path, 0, None if is_url(path) else MOST_IMAGE_BYTES + 1)
    if len(data) > MOST_IMAGE_BYTES:
        raise FormatError(f"{path}: more than {MOST_IMAGE_BYTES:,} bytes, which no image here has. {AGAIN}")
    return data


def read_fault(path, error):
    """A failed read as an error of ours: a file that vanished is the release's fault, the rest the machine's."""
    if isinstance(error, CelebADialogError):
        return error
    if isinstance(error, FileNotFoundError):
        return MissingFileError(f"{path}: not there any more; it was when the release was looked through. Try again.")
    return EnvironmentFault(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error!r}.")


# Keys under which file systems tell something that changes with a file.
_TELLS_CHANGES = ("ETag", "etag", "Last-Modified", "LastModified", "mtime", "created", "Content-MD5")


def file_status(path):
    """(size in bytes, stamp) of a file; the stamp changes when the file does."""
    try:
        if is_url(path):
            info = filesystem(path).info(path)
            told = [str(info.get(name)) for name in _TELLS_CHANGES if info.get(name) is not None]
            size = int(info.get("size") or 0)
            return size, repr([size, *(told or [_content_stamp(path, size)])])
        status = os.stat(path)
    except Exception as error:
        raise read_fault(path, error) from error
    return status.st_size, f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _content_stamp(path, size):
    """The stamp where a server tells none of these: a digest of the file, or of the end of a zip, where it has CRCs."""
    length = min(size, END_BYTES) if path.lower().endswith(".zip") else size
    return hashlib.sha256(read_range(path, max(0, size - length), length)).hexdigest()


def what_is(head, size):
    """One sentence on a file that is not what its name says."""
    if size == 0:
        return f"the file is empty. {AGAIN}"
    return other_kind(head) or (
        f"starts with {head[:24]!r}, and holds no file name such as {HQ.file_name(0)} or {STANDARD.file_name(1)}. "
        f"{AGAIN}"
    )


# What a packed file starts with, in lower case -> its kind.
_PACKED = {
    b"pk\x03\x04": "zip",
    b"pk\x05\x06": "zip",
    b"\x1f\x8b": "gzip",
    b"bzh": "bzip2",
    b"\xfd7zxz": "xz",
    b"7z\xbc\xaf": "7-Zip",
    b"rar!": "RAR",
}


def other_kind(head):
    """One sentence on a file that is known for another kind than text, None for one that is not."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<"):
        why = ", as Google Drive sends where its quota is used up or a login is asked for"
        return f"this is a web page, not the file itself{why if b'google' in start else ''}. {AGAIN}"
    if start.startswith(b"version https://git-lfs"):
        return "this is a pointer of Git LFS, not the file itself, which comes with: git lfs pull."
    for mark, kind in _PACKED.items():
        if start.startswith(mark):
            return f"this is a {kind} file under another name. Unpack it, and put what is in it here."
    return None


# -------------------------------------------------------------------------------------------------------------- zips
# An image is a byte range in a zip, or a file in a folder. The directory of a zip is read by our own loop: for the
# 202,599 standard images the standard library's takes five times as long and holds 200 MB of objects. Nothing is
# extracted, so no path in a zip can do harm.

END_BYTES = 22 + 65535  # bytes that the end record of a zip and its comment may take


def folder_files(folder, names):
    """Like `zip_files`, for the files of a folder."""
    unquote = urllib.parse.unquote if is_url(folder) else str
    place = os.fsencode(unquote(folder))
    for name in names:
        yield place, os.fsencode(unquote(name)), (0, name, 0, -1, -1, -1, -1)

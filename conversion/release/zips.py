"""The directory and the members of a zip.

An image is a byte range in a zip, or a file in a folder. The directory is read into columns: for the 202,599 standard
images the standard library takes five times as long, and holds 200 MB of objects. Nothing is extracted, so no path in a
zip can do harm.
"""

import functools
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view

from .errors import AGAIN, DamagedFileError, printable
from .storage import (
    END_BYTES,
    is_url,
    not_that,
    open_plain,
    read_fault,
    read_image_file,
    read_range,
    read_ranges,
)

_MOST_ENTRIES = 1_000_000  # of a zip: three times as many as the largest official one has
_MOST_DIRECTORY = 256 << 20  # bytes of one zip directory: six times the largest official one

ENCRYPTED = -2  # in the place of a method of packing


class Member(NamedTuple):
    """One image or text: which source, its name there, and in a zip where and how it lies.

    Of a file in a folder, `offset` is its time of change in nanoseconds, or -1, and the numbers after `size` are -1.
    """

    source: int
    name: str
    offset: int  # of its local header
    packed: int  # bytes
    size: int  # bytes when unpacked
    crc: int
    method: int  # 0 stored, 8 deflated, or ENCRYPTED


MEMBER = pa.struct(
    [
        ("source", pa.int32()),
        ("name", pa.string()),
        ("offset", pa.int64()),
        ("packed", pa.int64()),
        ("size", pa.int64()),
        ("crc", pa.int64()),
        ("method", pa.int8()),
    ]
)


class Listing(NamedTuple):
    """The files that a zip or a folder lists, as columns."""

    folders: list[bytes]
    bases: list[bytes]
    names: list[str]  # as a Member has them
    numbers: np.ndarray  # int64 (files, 5): what a Member has from `offset` on

    def member(self, row: int) -> Member:
        return Member(0, self.names[row], *self.numbers[row].tolist())


class Listed(NamedTuple):
    """A file that a zip or a folder lists."""

    folder: bytes
    base: bytes  # its name
    member: Member
    stamp: str = ""  # of a local file in a folder, see `status_of`


# ---------------------------------------------------------------------------------------------------------- directory


class End(NamedTuple):
    """What the end of a zip tells of it."""

    start: int  # where the directory begins in the file
    length: int  # of the directory, in bytes
    ahead: int  # bytes in front of the zip
    entries: int  # as the end record says; older tools write it modulo 65,536
    tail: bytes  # the last bytes of the file


def end_of_zip(path: str, size: int) -> End:
    """The End of a zip of `size` bytes. Raises DamagedFileError where there is no sound end record."""
    tail = read_range(path, max(0, size - END_BYTES), min(size, END_BYTES))
    ends = [match.start() for match in re.finditer(rb"PK\x05\x06(?=.{18})", tail, re.S)]
    # The record whose comment ends with the file; a comment may hold what looks like a record.
    whole = [end for end in ends if end + 22 + int.from_bytes(tail[end + 20 : end + 22], "little") == len(tail)]
    if not ends:
        head = read_range(path, 0, min(size, 1024))
        cut = f"the zip is cut off: it has no directory at its end. {AGAIN}"
        raise DamagedFileError(f"{path}: {cut if head.startswith(b'PK') else not_that(head, 'a zip')}")
    end = (whole or ends)[-1]
    disks, count, length, offset = struct.unpack_from("<L2xHLL", tail, end + 4)
    place = size - len(tail) + end
    if end >= 76 and tail[end - 20 : end - 16] == b"PK\x06\x07" and tail[end - 76 : end - 72] == b"PK\x06\x06":
        disks, count, length, offset = struct.unpack_from("<Q8xQQQ", tail, end - 76 + 16)
        place -= 76
    if disks:
        raise DamagedFileError(
            f"{path}: the last piece of a zip in several, of which the others end in .z01, .z02 and so on. With all of "
            f"them in one folder: zip -s 0 {path.rsplit('/', 1)[-1]} --out whole.zip"
        )
    ahead = place - length - offset
    if ahead < 0 or length > _MOST_DIRECTORY or count * 46 > length or count > _MOST_ENTRIES:
        raise DamagedFileError(
            f"{path}: the zip's end record does not fit the file: {count:,} entries in {length:,} bytes at {offset:,}, "
            f"in a file of {size:,} bytes. {AGAIN}"
        )
    return End(offset + ahead, length, ahead, count, tail)


# An entry of the directory, before its name, an extra field and a comment.
_ENTRY = np.dtype(
    {
        "names": ["mark", "flags", "method", "crc", "packed", "size", "name_length", "offset"],
        "formats": ["<u4", "<u2", "<u2", "<u4", "<u4", "<u4", "<u2", "<u4"],
        "offsets": [0, 8, 10, 16, 20, 24, 28, 42],
        "itemsize": 46,
    }
)
_MARK = int.from_bytes(b"PK\x01\x02", "little")
_LENGTHS = struct.Struct("<28x3H").unpack_from  # of the name, the extra field and the comment
_WIDE = 0xFFFFFFFF  # where the extra field has the number


def zip_files(directory: bytes, end: End, shown: str, whole: bool = True) -> Iterator[Listed]:
    """The files that the directory of a zip names, see `zip_listing`."""
    listing = zip_listing(directory, end, shown, whole)
    for folder, base, name, numbers in zip(*listing[:3], listing.numbers.tolist()):
        yield Listed(folder, base, Member(0, name, *numbers))


def zip_listing(directory: bytes, end: End, shown: str, whole: bool = True) -> Listing:
    """The files that the directory of a zip names, but for hidden ones.

    `directory` are its bytes, or without `whole` the last of them. How many entries there are is told by its length:
    macOS's Archive Utility writes their number modulo 65,536. Raises DamagedFileError for an entry that cannot be, for
    another number of entries, and for members that overlap.
    """
    width, at = _ENTRY.itemsize, 0
    bounds = [0]
    while at + width <= len(directory) and len(bounds) <= _MOST_ENTRIES:
        at += width + sum(_LENGTHS(directory, at))
        bounds.append(at)
    starts = np.array(bounds[:-1], np.int64)
    count = len(starts)
    windows = sliding_window_view(np.frombuffer(directory + bytes(width), np.uint8), width)
    entries = np.ascontiguousarray(windows[starts]).view(_ENTRY)[:, 0]
    sound = entries["mark"] == _MARK
    offset, packed, size, name_length = (
        entries[field].astype(np.int64) for field in ("offset", "packed", "size", "name_length")
    )
    names_end = starts + width + name_length
    for row in np.flatnonzero((offset == _WIDE) | (packed == _WIDE) | (size == _WIDE)).tolist():
        extra = directory[names_end[row] : bounds[row + 1]]
        try:
            size[row], packed[row], offset[row] = _zip64(extra, size[row], packed[row], offset[row])
        except (struct.error, IndexError, OverflowError):
            sound[row] = False
    sound &= (packed <= end.start) & (offset <= end.start - end.ahead - np.minimum(packed, end.start))
    if not sound.all() or at != len(directory):
        index = count - (at > len(directory)) if sound.all() else np.argmin(sound)
        raise DamagedFileError(
            f"{shown}: the zip's directory is damaged at entry {index:,} of {end.entries:,}. {AGAIN}"
        )
    if whole and (count - end.entries) % 65536:
        raise DamagedFileError(
            f"{shown}: the zip's directory lists {count:,} members, and its end record says {end.entries:,}. {AGAIN}"
        )
    offset += end.ahead
    order = np.argsort(offset)
    ends = (offset + 30 + name_length + packed)[order]
    if (ends > np.append(offset[order][1:], end.start)).any():
        raise DamagedFileError(f"{shown}: members of the zip overlap, which no honest zip does. {AGAIN}")
    names = [directory[start:stop] for start, stop in zip((starts + width).tolist(), names_end.tolist())]
    parts = [name.replace(b"\\", b"/").rpartition(b"/") for name in names]
    plain = [base and base[:1] != b"." and not _is_hidden(folder) for folder, _, base in parts]
    method = np.where(entries["flags"] & 1, ENCRYPTED, entries["method"].astype(np.int64))
    return Listing(
        [folder for (folder, _, _), there in zip(parts, plain) if there],
        [base for (_, _, base), there in zip(parts, plain) if there],
        [printable(name.decode("utf-8", "replace")) for name, there in zip(names, plain) if there],
        np.column_stack([offset, packed, size, entries["crc"].astype(np.int64), method])[np.array(plain, bool)],
    )


@functools.lru_cache(maxsize=1024)
def _is_hidden(folder: bytes) -> bool:
    """Whether a folder in a zip is one that macOS adds, or hidden."""
    return any(part == b"__MACOSX" or (part[:1] == b"." and part.strip(b".") != b"") for part in folder.split(b"/"))


def _zip64(extra: bytes, *values: int) -> tuple[int, ...]:
    """The values of a directory entry with those that did not fit in 32 bits, from the entry's extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            wide = list(struct.unpack_from(f"<{min(length, 24) // 8}Q", extra, at + 4))
            return tuple(wide.pop(0) if value == 0xFFFFFFFF else value for value in values)
        at += 4 + length
    raise struct.error


# ------------------------------------------------------------------------------------------------------------ members


def read_members(places: pa.StructArray, sources: Sequence[str]) -> list[bytes | None]:
    """The bytes of images, in order, None for a null: places is a MEMBER array, sources a list of paths.

    The CRC-32 of a zip's members is checked, and the name that stands before their bytes. Raises DamagedFileError for
    one that is cut off, changed or does not match, and what `read_image_file` raises; the message names the file.
    """
    columns = (places.field(index).to_pylist() for index in range(places.type.num_fields))
    members = list(map(Member._make, zip(*columns)))
    result: list[bytes | None] = [None] * len(members)
    wanted: dict[int, list[int]] = {}
    for position, (member, there) in enumerate(zip(members, places.is_valid().to_pylist())):
        if there:
            wanted.setdefault(member.source, []).append(position)
    for source, positions in wanted.items():
        found = _read_members(sources[source], [members[position] for position in positions])
        for position, data in zip(positions, found):
            result[position] = data
    return result


def read_member(path: str, member: Member) -> bytes:
    """The bytes of one image or text, a Member of the zip or folder `path`. Raises as `read_members` does."""
    return next(iter(_read_members(path, [member])))


def _read_members(path: str, members: list[Member]) -> Iterable[bytes]:
    if path.endswith("/"):
        return [read_image_file(path + member.name, member.size, member.offset) for member in members]
    bodies = (_remote_bodies if is_url(path) else _local_bodies)(path, members)
    return [_unpack(body, path, member) for body, member in zip(bodies, members)]


def member_names(places: pa.StructArray, sources: Sequence[str]) -> list[Any]:
    """What the images at some places are called in messages: zip and member, or the file's path; None for a null."""
    return [
        None if source is None else f"{sources[source]}{'' if sources[source].endswith('/') else ': '}{name}"
        for source, name in zip(places.field("source").to_pylist(), places.field("name").to_pylist())
    ]


def first_bytes(path: str, member: Member | None = None, length: int = 4096) -> bytes:
    """The first bytes of a file, or of a Member of the zip `path`."""
    if member is None:
        return read_range(path, 0, length)
    head = read_range(path, member.offset, _most_header(member))
    start = member.offset + _header_length(head, path, member)
    body = read_range(path, start, min(member.packed, length))
    return _inflate(body, length, path, member) if member.method == 8 else body


# The bytes of a member follow a header of 30 bytes, its name, and an extra field whose length only this header tells.


def _local_bodies(path: str, members: list[Member]) -> Iterator[bytes]:
    """The packed bytes of members of a zip, one after the other."""
    try:
        with open_plain(path) as file:
            for member in members:
                file.seek(member.offset)
                header = file.read(_most_header(member))
                file.seek(member.offset + _header_length(header, path, member))
                yield file.read(member.packed)  # not a slice of more, which would copy every image
    except OSError as error:
        raise read_fault(path, error) from error


def _remote_bodies(path: str, members: list[Member]) -> Iterator[bytes]:
    """The same from a server, all asked for at once: an extra field nearly always takes less than 64 bytes."""
    found = read_ranges(path, [(member.offset, _most_header(member) + member.packed) for member in members])
    for data, member in zip(found, members):
        start = _header_length(data, path, member)
        if start + member.packed > len(data):
            data = read_range(path, member.offset, start + member.packed)
        yield data[start : start + member.packed]


def _most_header(member: Member) -> int:
    """At least the bytes of a member's header and name, and nearly always of the extra field too."""
    return 30 + 4 * len(member.name) + 64


def _header_length(header: bytes, path: str, member: Member) -> int:
    """The length of what stands before the bytes of a member, from its first bytes, in which its name stands again."""
    if header[:4] != b"PK\x03\x04" or len(header) < 30:
        raise DamagedFileError(
            f"{path}: {member.name} is not where the directory says: the zip is damaged or was changed. {AGAIN}"
        )
    length = int.from_bytes(header[26:28], "little")
    name = printable(header[30 : 30 + length].decode("utf-8", "replace"))
    if name != member.name:
        raise DamagedFileError(
            f"{path}: {member.name} in the directory of the zip is {name[:200]} where its bytes lie: the zip is "
            f"damaged or was changed. {AGAIN}"
        )
    return 30 + length + int.from_bytes(header[28:30], "little")


def _inflate(body: bytes, length: int, path: str, member: Member) -> bytes:
    """At most `length` bytes of what is packed in `body`."""
    try:
        return zlib.decompressobj(-15).decompress(body, length)
    except zlib.error as error:
        raise DamagedFileError(
            f"{path}: {member.name} cannot be unpacked ({error}): the zip is damaged. {AGAIN}"
        ) from None


def _unpack(body: bytes, path: str, member: Member) -> bytes:
    if member.method == 8:
        body = _inflate(body, member.size + 1, path, member)
    if len(body) != member.size or zlib.crc32(body) != member.crc:
        raise DamagedFileError(
            f"{path}: {member.name} holds {len(body):,} bytes with CRC {zlib.crc32(body):08x}, expected "
            f"{member.size:,} with {member.crc:08x}: the zip is damaged or was changed. {AGAIN}"
        )
    return body

"""The directory and the members of a zip.

An image is a byte range in a zip, or a file in a folder. The directory is read by our own loop: for the 202,599 standard
images the standard library's takes five times as long and holds 200 MB of objects. Nothing is extracted, so no path in a
zip can do harm.
"""

import functools
import re
import struct
import zlib

import pyarrow as pa

from .errors import AGAIN, DamagedFileError, printable
from .storage import END_BYTES, is_url, other_kind, read_fault, read_image_file, read_range, read_ranges, what_is

_MAX_ENTRIES = 1_000_000  # of a zip: three times as many as the largest official one has
_MAX_DIRECTORY = 256 << 20  # bytes of one zip directory: six times the largest official one

# One image or text: which source, its name there, and in a zip the place of its local header, its packed and unpacked
# size in bytes, its CRC-32 and its method of packing: 0 stored, 8 deflated, or ENCRYPTED. For a file in a folder the
# offset is 0 and the rest -1.
ENCRYPTED = -2
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


def end_of_zip(path, size):
    """(offset of the directory, its length, entries, bytes in front of the zip, the last bytes of the file).

    Raises DamagedFileError where there is no sound end record.
    """
    tail = read_range(path, max(0, size - END_BYTES), min(size, END_BYTES))
    ends = [match.start() for match in re.finditer(rb"PK\x05\x06(?=.{18})", tail, re.S)]
    # The record whose comment ends with the file; a comment may hold what looks like a record.
    whole = [end for end in ends if end + 22 + int.from_bytes(tail[end + 20 : end + 22], "little") == len(tail)]
    if not ends:
        raise DamagedFileError(f"{path}: {_no_zip(path, size)}")
    end = (whole or ends)[-1]
    entries, length, offset = struct.unpack_from("<HLL", tail, end + 10)
    place = size - len(tail) + end
    if end >= 76 and tail[end - 20 : end - 16] == b"PK\x06\x07" and tail[end - 76 : end - 72] == b"PK\x06\x06":
        entries, length, offset = struct.unpack_from("<QQQ", tail, end - 76 + 32)
        place -= 76
    ahead = place - length - offset
    if ahead < 0 or length > _MAX_DIRECTORY or entries * 46 > length or entries > _MAX_ENTRIES:
        raise DamagedFileError(
            f"{path}: the zip's end record does not fit the file: {entries:,} entries in {length:,} bytes at "
            f"{offset:,}, in a file of {size:,} bytes. {AGAIN}"
        )
    return offset + ahead, length, entries, ahead, tail


def _no_zip(path, size):
    """One sentence on a file without the end record of a zip."""
    head = read_range(path, 0, min(size, 1024))
    if head.startswith(b"PK"):
        return f"the zip is cut off: it has no directory at its end. {AGAIN}"
    if size == 0:
        return what_is(head, size)
    return other_kind(head) or f"this is no zip: it starts with {head[:8]!r}. {AGAIN}"


_ENTRY = struct.Struct("<8xHH4xLLLHHH8xL").unpack_from


def zip_files(directory, count, ahead, start, shown):
    """(folder and base name, both bytes, MEMBER) of the files that the directory of a zip names, but for hidden ones.

    Args:
        directory: its bytes.
        count: how many entries there are; None for as many as there are bytes.
        ahead: bytes in front of the zip.
        start: where the directory begins in the file.

    Raises DamagedFileError for an entry that cannot be, and at the end for members that overlap.
    """
    at = index = 0
    spans = []
    try:
        while index < count if count is not None else at < len(directory):
            if directory[at : at + 4] != b"PK\x01\x02":
                raise struct.error
            flags, method, crc, packed, unpacked, name_length, extra_length, comment_length, offset = _ENTRY(
                directory, at
            )
            extra_at = at + 46 + name_length
            name = directory[at + 46 : extra_at]
            if 0xFFFFFFFF in (packed, unpacked, offset):
                extra = directory[extra_at : extra_at + extra_length]
                unpacked, packed, offset = _zip64(extra, unpacked, packed, offset)
            at, offset = extra_at + extra_length + comment_length, offset + ahead
            spans.append((offset, offset + 30 + name_length + packed))
            if offset + packed > start:
                raise struct.error
            index += 1
            folder, _, base = name.replace(b"\\", b"/").rpartition(b"/")
            if base and base[:1] != b"." and not _is_hidden(folder):
                method = ENCRYPTED if flags & 1 else method
                name = printable(name.decode("utf-8", "replace"))
                yield folder, base, (0, name, offset, packed, unpacked, crc, method)
    except (struct.error, IndexError):
        raise DamagedFileError(
            f"{shown}: the zip's directory is damaged at entry {index:,} of {count or 0:,}. {AGAIN}"
        ) from None
    spans.sort()
    if any(end > offset for (_, end), (offset, _) in zip(spans, [*spans[1:], (start, 0)])):
        raise DamagedFileError(f"{shown}: members of the zip overlap, which no honest zip does. {AGAIN}")


@functools.lru_cache(maxsize=1024)
def _is_hidden(folder):
    """Whether a folder in a zip is one that macOS adds, or hidden."""
    return any(part == b"__MACOSX" or (part[:1] == b"." and part.strip(b".")) for part in folder.split(b"/"))


def _zip64(extra, unpacked, packed, offset):
    """The sizes and the offset that did not fit in 32 bits, from a directory entry's extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            wide = list(struct.unpack_from(f"<{min(length, 24) // 8}Q", extra, at + 4))
            return tuple(wide.pop(0) if value == 0xFFFFFFFF else value for value in (unpacked, packed, offset))
        at += 4 + length
    raise struct.error


def read_members(places, sources):
    """The bytes of images, in order, None for a null: places is a MEMBER array, sources a list of paths.

    The CRC-32 of a zip's members is checked. Raises DamagedFileError for one that is cut off, changed or does not
    match; the message names the zip and the member.
    """
    rows = list(zip(*(places.field(index).to_pylist() for index in range(places.type.num_fields))))
    result = [None] * len(rows)
    wanted = {}
    for position, (row, there) in enumerate(zip(rows, places.is_valid().to_pylist())):
        if there:
            wanted.setdefault(row[0], []).append(position)
    for source, positions in wanted.items():
        path = sources[source]
        members = [rows[position] for position in positions]
        if path.endswith("/"):
            found = [read_image_file(path + member[1]) for member in members]
        else:
            bodies = (_remote_bodies if is_url(path) else _local_bodies)(path, members)
            found = [_unpack(body, path, member) for body, member in zip(bodies, members)]
        for position, data in zip(positions, found):
            result[position] = data
    return result


def member_names(places, sources):
    """What the images at some places are called in messages: zip and member, or the file's path; None for a null."""
    return [
        None if source is None else f"{sources[source]}{'' if sources[source].endswith('/') else ': '}{name}"
        for source, name in zip(places.field("source").to_pylist(), places.field("name").to_pylist())
    ]


def read_member(path, member):
    """The bytes of one image or text, a MEMBER of the zip or folder `path`."""
    try:
        places = pa.array([dict(zip((field.name for field in MEMBER), member))], MEMBER)
    except OverflowError:  # a size or place beyond 64 bits
        raise DamagedFileError(f"{path}: {member[1]} claims to be larger than any file. {AGAIN}") from None
    return read_members(places, [path])[0]


def first_bytes(path, member=None, length=4096):
    """The first bytes of a file, or of a MEMBER of the zip `path`."""
    if member is None:
        return read_range(path, 0, length)
    _, _, offset, packed, _, _, method = member
    start = offset + _header_length(read_range(path, offset, 30), path, member)
    body = read_range(path, start, min(packed, length))
    return _inflate(body, length, path, member) if method == 8 else body


# The bytes of a member follow a header of 30 bytes, its name, and an extra field whose length only this header tells.


def _local_bodies(path, members):
    """The packed bytes of members of a zip, one after the other."""
    try:
        with open(path, "rb") as file:
            for member in members:
                file.seek(member[2])
                file.seek(member[2] + _header_length(file.read(30), path, member))
                yield file.read(member[3])  # not a slice of more, which would copy every image
    except OSError as error:
        raise read_fault(path, error) from error


def _remote_bodies(path, members):
    """The same from a server, all asked for at once: an extra field nearly always takes less than 64 bytes."""
    found = read_ranges(path, [(member[2], 30 + len(member[1].encode()) + 64 + member[3]) for member in members])
    for data, member in zip(found, members):
        start = _header_length(data, path, member)
        if start + member[3] > len(data):
            data = read_range(path, member[2], start + member[3])
        yield data[start : start + member[3]]


def _header_length(header, path, member):
    if header[:4] != b"PK\x03\x04" or len(header) < 30:
        raise DamagedFileError(
            f"{path}: {member[1]} is not where the directory says: the zip is damaged or was changed. {AGAIN}"
        )
    return 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


def _inflate(body, length, path, member):
    """At most `length` bytes of what is packed in `body`."""
    try:
        return zlib.decompressobj(-15).decompress(body, length)
    except zlib.error as error:
        raise DamagedFileError(
            f"{path}: {member[1]} cannot be unpacked ({error}): the zip is damaged. {AGAIN}"
        ) from None


def _unpack(body, path, member):
    _, name, _, _, size, crc, method = member
    if method == 8:
        body = _inflate(body, size + 1, path, member)
    if len(body) != size or zlib.crc32(body) != crc:
        raise DamagedFileError(
            f"{path}: {name} holds {len(body):,} bytes with CRC {zlib.crc32(body):08x}, expected {size:,} with "
            f"{crc:08x}: the zip is damaged or was changed. {AGAIN}"
        )
    return body

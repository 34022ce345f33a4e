"""Every image of a role, and where it lies."""

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from .errors import AGAIN, ConflictError, DamagedFileError, FormatError, some
from .finding import Release
from .looking import Note, Source
from .names import PICTURE, image_name, image_role, stem_and_ending
from .official import FILES
from .storage import MOST_IMAGE_BYTES, read_image_file, read_range
from .vocabulary import SUBSETS
from .zips import ENCRYPTED, MEMBER, Listed, Member, end_of_zip, zip_files


class Members(NamedTuple):
    """The images of one role: file numbers and parts (-1 where there are none), ascending, and where each one is."""

    numbers: np.ndarray  # int32
    parts: np.ndarray  # int8, index into PARTS
    places: pa.StructArray  # MEMBER; `source` counts in `release.sources[role]`
    notes: list[Note]  # on pictures beside them that are not read


def find_members(release: Release, role: str) -> Members:
    """Every image of a role, each once.

    Raises ConflictError where two of one number differ, FormatError for a number that no image of the subset has.
    """
    subset = SUBSETS[FILES[role].subset]
    rows: list[tuple[Any, ...]] = []  # (number, part, *Member)
    notes = []
    for index, source in enumerate(release.sources.get(role, [])):
        shown = release.shown(source.path)
        if source.problem:
            raise DamagedFileError(f"{shown}: {source.problem}")
        others = []
        for number, part, member in _images_of(release, source, shown):
            if number < 0:
                others.append(member.name)
                continue
            if not subset.first <= number < subset.first + subset.images:
                raise FormatError(
                    f"{shown}: {member.name} is no image of the {subset.name} subset, whose files are {subset.keys}. "
                    f"Move it out of the release, if the others are the right ones."
                )
            _check_packing(member, shown)
            rows.append((number, part, index, *member[1:]))
        if others:
            what = f"{len(others):,} pictures are not read, for their names are no file numbers"
            notes.append(Note((role,), shown, f"{what}: {some(sorted(others))}."))
    rows.sort()
    found, kinds, *place = zip(*rows) if rows else [()] * (2 + MEMBER.num_fields)
    numbers, parts = np.array(found, np.int32), np.array(kinds, np.int8)
    again = np.flatnonzero((numbers[1:] == numbers[:-1]) & (parts[1:] == parts[:-1])) + 1
    for position in again:
        _check_same(release, role, *(Member(*row[2:]) for row in rows[position - 1 : position + 1]))
    keep = np.delete(np.arange(len(rows)), again)
    columns = [pa.array(values, field.type) for values, field in zip(place, MEMBER)]
    places = pa.StructArray.from_arrays(columns, fields=list(MEMBER))
    return Members(numbers[keep], parts[keep], places.take(pa.array(keep)), notes)


def _images_of(release: Release, source: Source, shown: str) -> Iterator[tuple[int, int, Member]]:
    """(number, part, Member) of the images in a source that serve its role.

    The number of a picture beside them that serves no role, for its name is no number, is -1.
    """
    stem = "" if source.path.endswith("/") else stem_and_ending(source.path.rsplit("/", 1)[-1])[0]
    for folder, base, member, _ in _files_of(release, source, shown):
        image = image_name(base)
        if image:
            role, is_official = image_role(image[0], folder, stem)
            if role == source.role and (is_official or source.rank):
                yield *image[1:], member
        elif PICTURE.fullmatch(base):
            yield -1, -1, member


def _files_of(release: Release, source: Source, shown: str) -> Iterator[Listed]:
    """The files in a folder or zip."""
    if source.path.endswith("/"):
        yield from release.files[source.path]
        return
    end = end_of_zip(source.path, source.size)
    yield from zip_files(read_range(source.path, end.start, end.length), end, shown)


def _check_packing(member: Member, shown: str) -> None:
    _, name, _, packed, size, _, method = member
    if method == ENCRYPTED:
        raise FormatError(f"{shown}: {name} is encrypted. Use the official zip, which is not.")
    if method not in (0, 8, -1):
        raise FormatError(
            f"{shown}: {name} is compressed by method {method}, where stored (0) or deflated (8) are read. "
            f"Unpack the zip in place and move it away, or use the official one."
        )
    if size > MOST_IMAGE_BYTES or packed > MOST_IMAGE_BYTES or (method == 0 and packed != size):
        raise FormatError(f"{shown}: {name} claims {size:,} bytes from {packed:,}, which no image here has. {AGAIN}")


def _check_same(release: Release, role: str, *members: Member) -> None:
    """Raises ConflictError where two members of one number differ in size or CRC-32."""
    names, contents = [], []
    for member in members:
        path = release.sources[role][member.source].path
        size, crc = member.size, member.crc
        if crc < 0:
            data = read_image_file(path + member.name)
            size, crc = len(data), zlib.crc32(data)
        names.append(f"{release.shown(path)}: {member.name} ({size:,} bytes)")
        contents.append((size, crc))
    if contents[0] != contents[1]:
        raise ConflictError(
            f"{' and '.join(names)} have the same number and differ, so one set of the two is numbered by somebody "
            f"else, or changed. Keep the official {FILES[role].name} alone: the labels go with that one."
        )


def image_files(release: Release, source: Source) -> list[str]:
    """The names of the images in a folder, a Source, that serve its role, in order."""
    return sorted(member.name for number, _, member in _images_of(release, source, "") if number >= 0)

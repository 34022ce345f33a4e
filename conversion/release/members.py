"""Every image of a role, and where it lies."""

import os
import zlib
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from .errors import AGAIN, ConflictError, DamagedFileError, FormatError, some
from .finding import Note
from .names import PICTURE, image_name, is_visible, own_name
from .official import FILES
from .storage import MOST_IMAGE_BYTES, filesystem, folder_files, is_url, read_fault, read_image_file, read_range
from .vocabulary import SUBSETS
from .zips import ENCRYPTED, MEMBER, end_of_zip, zip_files

# -------------------------------------------------------------------------------------------------- images of a role


class Members(NamedTuple):
    """The images of one role: file numbers and parts (-1 where there are none), ascending, and where each one is."""

    numbers: np.ndarray  # int32
    parts: np.ndarray  # int8, index into PARTS
    places: pa.StructArray  # MEMBER; `source` counts in `release.sources[role]`
    notes: list  # on pictures beside them that are not read


def find_members(release, role):
    """Every image of a role, each once.

    Raises ConflictError where two of one number differ, FormatError for a number that no image of the subset has.
    """
    subset = SUBSETS[FILES[role].subset]
    rows, notes = [], []  # rows are (number, part, *MEMBER)
    for index, source in enumerate(release.sources.get(role, [])):
        shown = release.shown(source.path)
        if source.problem:
            raise DamagedFileError(f"{shown}: {source.problem}")
        found, others = _images_of(source, index, shown, _unserved_kinds(release, source))
        for number, _, _, name, *_ in found:
            if not subset.first <= number < subset.first + subset.images:
                raise FormatError(
                    f"{shown}: {name} is no image of the {subset.name} subset, whose files are {subset.keys}. "
                    f"Move it out of the release, if the others are the right ones."
                )
        if others:
            what = f"{len(others):,} pictures are not read, for their names are no file numbers"
            notes.append(Note((role,), shown, f"{what}: {some(sorted(others))}."))
        rows += found
    rows.sort()
    numbers, parts, *place = zip(*rows) if rows else [()] * (2 + MEMBER.num_fields)
    numbers, parts = np.array(numbers, np.int32), np.array(parts, np.int8)
    again = np.flatnonzero((numbers[1:] == numbers[:-1]) & (parts[1:] == parts[:-1])) + 1
    for position in again:
        _check_same(release, role, rows[position - 1][2:], rows[position][2:])
    keep = np.delete(np.arange(len(rows)), again)
    columns = [pa.array(values, field.type) for values, field in zip(place, MEMBER)]
    places = pa.StructArray.from_arrays(columns, fields=list(MEMBER))
    return Members(numbers[keep], parts[keep], places.take(pa.array(keep)), notes)


def _unserved_kinds(release, source):
    """The kinds of names of JPEGs in the place of a source that serve no role."""
    there = [other for found in release.sources.values() for other in found if other.path == source.path]
    return {"six", "short"} - {kind for other in there for kind in other.kinds}


def _images_of(source, index, shown, unserved):
    """(rows, others): the images in a source that serve its role, and the names of pictures that serve none.

    A row is (number, part, *MEMBER), with `index` as the source; `unserved` are the kinds of names that serve no role.
    Raises FormatError for an image that is packed as none is.
    """
    rows, others = [], []
    for base, member in _files_of(source, shown):
        image = image_name(base)
        if image and image[0] in source.kinds:
            _check_packing(member, shown)
            rows.append((image[1], image[2], index, *member[1:]))
        elif PICTURE.fullmatch(base) and (not image or image[0] in unserved):
            others.append(member[1])
    return rows, others


def _files_of(source, shown):
    """(base name as bytes, MEMBER) of the files in a folder, or in those folders of a zip that count for a Source."""
    if not source.path.endswith("/"):
        start, length, count, ahead, _ = end_of_zip(source.path, source.size)
        for folder, base, member in zip_files(read_range(source.path, start, length), count, ahead, start, shown):
            if source.folders is None or own_name(folder) in source.folders:
                yield base, member
        return
    try:
        if is_url(source.path):
            names = [path.rsplit("/", 1)[-1] for path in filesystem(source.path).ls(source.path, detail=False)]
        else:
            names = os.listdir(source.path)
    except OSError as error:
        raise read_fault(source.path, error) from error
    for _, base, member in folder_files(source.path, filter(is_visible, names)):
        yield base, member


def _check_packing(member, shown):
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


def _check_same(release, role, *members):
    """Raises ConflictError where two members of one number differ in size or CRC-32."""
    names, contents = [], []
    for source, name, _, _, size, crc, _ in members:
        path = release.sources[role][source].path
        if size < 0:
            data = read_image_file(path + name)
            size, crc = len(data), zlib.crc32(data)
        names.append(f"{release.shown(path)}: {name} ({size:,} bytes)")
        contents.append((size, crc))
    if contents[0] != contents[1]:
        raise ConflictError(
            f"{' and '.join(names)} should be the same image, and differ. Move the one you do not want out of the "
            f"release."
        )


def image_files(source):
    """The names of the images in a folder, a Source, that serve its role, in order."""
    return sorted(row[3] for row in _images_of(source, 0, source.path, ())[0])

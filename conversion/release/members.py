"""Every image of a role, and where it lies."""

import zlib
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from .errors import AGAIN, ConflictError, DamagedFileError, FormatError, some
from .finding import Release, uncollected
from .looking import Note, Source
from .names import PICTURE, image_name, image_role, stem_and_ending
from .official import FILES
from .storage import MOST_IMAGE_BYTES, read_image_file, read_range
from .vocabulary import SUBSETS
from .zips import ENCRYPTED, MEMBER, Listing, Member, end_of_zip, zip_listing


class Members(NamedTuple):
    """The images of one role: file numbers and parts (-1 where there are none), ascending, and where each one is."""

    numbers: np.ndarray  # int32
    parts: np.ndarray  # int8, index into PARTS
    places: pa.StructArray  # MEMBER; `source` counts in `release.sources[role]`
    notes: list[Note]  # on pictures beside them that are not read


@uncollected()
def find_members(release: Release, role: str) -> Members:
    """Every image of a role, each once.

    Raises ConflictError where two of one number differ, FormatError for a number that no image of the subset has.
    """
    numbers, parts, places, notes = [], [], [], []
    for index, source in enumerate(release.sources.get(role, [])):
        shown = release.shown(source.path)
        if source.problem:
            raise DamagedFileError(f"{shown}: {source.problem}")
        listing = _listing(release, source, shown)
        images, others = _images_of(listing, source)
        if others:
            names = some(sorted(listing.names[row] for row in others))
            what = f"{len(others):,} pictures are not read, for their names are no file numbers"
            notes.append(Note((role,), shown, f"{what}: {names}."))
        number, part, row = np.array(images, np.int64).reshape(-1, 3).T
        _check(role, listing, number, row, shown)
        numbers.append(number)
        parts.append(part)
        columns = [[index] * len(row), [listing.names[at] for at in row.tolist()], *listing.numbers[row].T]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, MEMBER)]
        places.append(pa.StructArray.from_arrays(arrays, fields=list(MEMBER)))
    if not places:
        return Members(np.empty(0, np.int32), np.empty(0, np.int8), pa.array([], MEMBER), notes)
    found, kinds, place = np.concatenate(numbers), np.concatenate(parts), pa.concat_arrays(places)
    order = np.lexsort((kinds, found))  # of those that are there twice, the first stays the first
    found, kinds = found[order].astype(np.int32), kinds[order].astype(np.int8)
    again = np.flatnonzero((found[1:] == found[:-1]) & (kinds[1:] == kinds[:-1])) + 1
    for position in again:
        _check_same(release, role, *(Member(**place[at].as_py()) for at in order[position - 1 : position + 1].tolist()))
    keep = np.delete(np.arange(len(found)), again)
    return Members(found[keep], kinds[keep], place.take(pa.array(order[keep])), notes)


def _listing(release: Release, source: Source, shown: str) -> Listing:
    """The files in a folder or zip."""
    if source.path.endswith("/"):
        files = release.files[source.path]
        numbers = np.array([listed.member[2:] for listed in files], np.int64).reshape(-1, 5)
        names = [listed.member.name for listed in files]
        return Listing([listed.folder for listed in files], [listed.base for listed in files], names, numbers)
    end = end_of_zip(source.path, source.size)
    return zip_listing(read_range(source.path, end.start, end.length), end, shown)


def _images_of(listing: Listing, source: Source) -> tuple[list[tuple[int, int, int]], list[int]]:
    """([(number, part, row)] of the images in a source that serve its role, rows of the pictures beside them that serve
    no role, for their names are no numbers)."""
    stem = "" if source.path.endswith("/") else stem_and_ending(source.path.rsplit("/", 1)[-1])[0]
    images, others = [], []
    for row, (folder, base) in enumerate(zip(listing.folders, listing.bases)):
        image = image_name(base)
        if image:
            role, is_official = image_role(image[0], folder, stem)
            if role == source.role and (is_official or source.rank):
                images.append((image[1], image[2], row))
        elif PICTURE.fullmatch(base):
            others.append(row)
    return images, others


def _check(role: str, listing: Listing, numbers: np.ndarray, rows: np.ndarray, shown: str) -> None:
    """Raises FormatError for a number that no image of the subset has, or for a member that cannot be an image."""
    subset = SUBSETS[FILES[role].subset]
    strange = (numbers < subset.first) | (numbers >= subset.first + subset.images)
    _, packed, size, _, method = listing.numbers[rows].T
    wrong = (size > MOST_IMAGE_BYTES) | (packed > MOST_IMAGE_BYTES) | (method == 0) & (packed != size)
    wrong |= ~np.isin(method, (0, 8, -1))
    if not (strange | wrong).any():
        return
    at = int(np.argmax(strange | wrong))
    member = listing.member(int(rows[at]))
    if strange[at]:
        raise FormatError(
            f"{shown}: {member.name} is no image of the {subset.name} subset, whose files are {subset.keys}. "
            f"Move it out of the release, if the others are the right ones."
        )
    if member.method == ENCRYPTED:
        raise FormatError(f"{shown}: {member.name} is encrypted. Use the official zip, which is not.")
    if member.method not in (0, 8, -1):
        raise FormatError(
            f"{shown}: {member.name} is compressed by method {member.method}, where stored (0) or deflated (8) are "
            f"read. Unpack the zip in place and move it away, or use the official one."
        )
    raise FormatError(
        f"{shown}: {member.name} claims {member.size:,} bytes from {member.packed:,}, which no image here has. {AGAIN}"
    )


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
    listing = _listing(release, source, "")
    return sorted(listing.names[row] for _, _, row in _images_of(listing, source)[0])

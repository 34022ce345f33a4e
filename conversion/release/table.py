"""The annotation table of a subset, and the places of its images."""

import json
import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .agreement import check_agreement, check_captions_fit, check_degrees_fit, check_texts_agree
from .captions import REQUEST_FIELDS
from .errors import AGAIN, FormatError, MissingFileError, logger
from .finding import Release
from .members import Members, find_members
from .missing import as_lines, missing_roles, no_images
from .official import FILES, MAPPING_LINK, UNLABELED_NUMBERS, image_roles, part_of, roles_of
from .vocabulary import (
    ATTRIBUTES,
    DEGREES,
    HQ,
    PARTITION,
    RELEASE_NAMES,
    SPLITS,
    STANDARD,
    SUBSETS,
    UNLABELED,
    Subset,
)
from .zips import MEMBER, member_names, read_members


class Index(NamedTuple):
    """A subset's table and what is needed to read its images.

    Columns of `table`: those of the contract with compact types, `number` (the file number), and for `image`, `mask`
    and `parts` the places of the bytes (MEMBER). Rows are sorted by split, then file number.
    """

    table: pa.Table
    splits: dict[str, tuple[int, int]]  # split -> (first row, row after the last), for the splits that have rows
    sources: dict[str, list[str]]  # role -> paths of its sources, as MEMBER counts them
    missing: list[str]  # roles of which the release has nothing
    counts: dict[str, int]  # role -> rows, entries or images that were found
    expected: dict[str, int]  # role -> how many there are of these in a whole release
    unlisted: dict[str, int]  # role -> images that this file of degrees should list and does not: it was cut off
    short: dict[str, list[Any]]  # role of images -> [how many are not there, of how many, the name of the first]
    copies: dict[str, int] | None  # role -> the same of files that only repeat what others say; None: not compared
    digest: str  # of the state of the release, see `Release.digest`

    @classmethod
    def of(cls, table: pa.Table) -> "Index":
        """The Index of a table, whose schema's metadata are the other fields, as JSON."""
        return cls(table, **{name.decode(): json.loads(value) for name, value in table.schema.metadata.items()})

    def read(self, role: str, places: pa.StructArray) -> list[tuple[Any, Any]]:
        """[(bytes, name for messages)] of the images at some places (a MEMBER array), (None, None) for a null."""
        sources = self.sources[role]
        return list(zip(read_members(places, sources), member_names(places, sources)))


# --------------------------------------------------------------------------------------------------- making the index


def read_index(release: Release, subset: str, parts: bool = False) -> Index:
    """The Index of a subset, read from the official files and kept nowhere.

    Raises MissingFileError where the images are not there, or for HQ the mapping, without which no split is known, and
    other ReleaseErrors where the files are at fault. Files that only repeat what others say are not read.
    """
    roles = image_roles(subset, parts)
    members = {column: find_members(release, role) for column, role in roles.items()}
    numbers = members["image"].numbers
    if not len(numbers):
        raise no_images(release, subset)
    for note in (note for found in members.values() for note in found.notes):
        logger.warning(f"{release.root}: {note}")
    texts = _Texts(release, SUBSETS[subset])
    counterparts = texts.counterparts(members["image"])
    part = part_of(counterparts if subset == "hq" else numbers)
    degrees, unlabeled, unlisted = texts.degrees(numbers, part)
    split = np.where(unlabeled, SPLITS.index(UNLABELED), part)
    order = np.argsort(split, kind="stable")
    bounds = np.searchsorted(split[order], range(len(SPLITS) + 1)).tolist()
    columns = _columns(texts, members, numbers[order], counterparts[order], degrees[order])
    counts = texts.counts | {roles[column]: len(found.numbers) for column, found in members.items()}
    facts = {
        "splits": {SPLITS[i]: bounds[i : i + 2] for i in range(len(SPLITS)) if bounds[i] < bounds[i + 1]},
        "sources": {role: [source.path for source in release.sources.get(role, [])] for role in roles.values()},
        "missing": missing_roles(release, subset, parts),
        "counts": counts,
        "expected": {role: release.expected(role) for role in counts},
        "unlisted": unlisted,
        "short": _shortages(texts, numbers, columns, roles, release),
        "copies": None,
        "digest": release.digest(roles_of(subset, parts)),
    }
    metadata = {key: json.dumps(value) for key, value in facts.items()}
    return Index.of(pa.table(columns).replace_schema_metadata(metadata))


def _columns(
    texts: "_Texts", members: dict[str, Members], numbers: np.ndarray, counterparts: np.ndarray, degrees: np.ndarray
) -> dict[str, Any]:
    """The columns of an Index: what the images `numbers` have, in their order. `members` are those of each column."""
    columns: dict[str, Any] = {"number": pa.array(numbers), "image": _places(members["image"], numbers)}
    if "mask" in members:
        columns["mask"] = _places(members["mask"], numbers)
    columns |= {name: pa.array(degrees[:, index]) for index, name in enumerate(DEGREES)}
    attributes = texts.attributes()[numbers]
    columns["attributes"] = pa.FixedSizeListArray.from_arrays(pa.array(attributes.ravel()), len(ATTRIBUTES))
    columns |= texts.captions_and_requests(numbers)
    columns["identity"] = pa.array(texts.identities()[numbers])
    columns["file_name"] = _file_names(texts.subset, numbers)
    columns[f"{'celeba' if texts.subset is HQ else 'hq'}_file_name"] = _file_names(texts.other, counterparts)
    if "parts" in members:
        columns["parts"] = _part_lists(members["parts"], numbers)
    return columns


def _shortages(
    texts: "_Texts", numbers: np.ndarray, columns: dict[str, Any], roles: dict[str, str], release: Release
) -> dict[str, list[Any]]:
    """{role: [how many are not there, of how many, the name of the first]} of the images, masks and sets of parts."""
    annotated = texts.annotated
    annotated[numbers] = True
    there = np.zeros(len(annotated), bool)
    there[numbers] = True
    lacking = {roles["image"]: (np.flatnonzero(annotated & ~there), annotated.sum())}
    if "mask" in columns:
        lacking[roles["mask"]] = (_numbers_of(columns, pc.is_null(columns["mask"])), len(numbers))
    if "parts" in columns:
        none = pc.equal(pc.list_value_length(columns["parts"]), 0)
        lacking[roles["parts"]] = (_numbers_of(columns, none), len(numbers))
    return {
        role: [len(missing), int(whole), texts.subset.file_name(int(missing.min()))]
        for role, (missing, whole) in lacking.items()
        if len(missing) and role in release.sources
    }


def _numbers_of(columns: dict[str, Any], lacks: pa.Array) -> np.ndarray:
    return columns["number"].filter(lacks).to_numpy()


class _Texts:
    """What the texts of a release say of a subset, compared with each other where that costs no further file.

    Tables are by file number, -1 or "" where there is nothing. Everything here raises ConflictError where two files
    differ that should say the same, and what the readers raise.
    """

    def __init__(self, release: Release, subset: Subset) -> None:
        self.release, self.subset = release, subset
        self.other = STANDARD if subset is HQ else HQ
        self.counts: dict[str, int] = {}  # role -> rows or entries that were found
        images = subset.first + subset.images
        self.degree_table = np.full((images, len(DEGREES)), -1, np.int8)  # see `degrees`
        self.male = np.full(images, -1, np.int8)  # see `attributes`
        self.annotated = np.zeros(images, bool)  # whether a file says something of an image
        self.mapping = self.read("mapping")

    def read(self, role: str) -> Any:
        """What the reader of a role makes of its file, None where there is none; notes in `counts` how much it has."""
        value, count = self.release.read(role)
        pa.default_memory_pool().release_unused()  # what splitting a text took, before the next one is read
        if count is not None:
            self.counts[role] = count
        return value

    def counterparts(self, images: Members) -> np.ndarray:
        """The file numbers in the other subset of some images, -1 for none; in HQ, each has to have one."""
        if self.subset is HQ:
            if self.mapping is None:
                raise _no_mapping(self.release)
            found = self.mapping[images.numbers]
            if (found < 0).any():
                raise self._unmapped(images, np.flatnonzero(found < 0))
            return found
        table = np.full(STANDARD.first + STANDARD.images, -1, np.int32)
        if self.mapping is not None:
            table[self.mapping[self.mapping >= 0]] = np.flatnonzero(self.mapping >= 0)
        return table[images.numbers]

    def _unmapped(self, images: Members, at: np.ndarray) -> FormatError:
        """The FormatError for HQ images that a mapping does not list."""
        mapping, names = self.release.named("mapping"), [source.path for source in self.release.sources["hq_images"]]
        (name,) = member_names(images.places.slice(int(at[0]), 1), list(map(self.release.shown, names)))
        if self.counts["mapping"] >= self.release.expected("mapping"):
            stray, others = HQ.file_name(images.numbers[at[0]]), f", and {len(at) - 1:,} others like it"
            return FormatError(
                f"{name}: no HQ image of this release: {mapping}, which is whole, lists no {stray}. Move it out of the "
                f"release{others * (len(at) > 1)}."
            )
        return FormatError(
            f"{mapping}: no row for {HQ.file_name(images.numbers[at[0]])} and {len(at) - 1:,} other images, so their "
            f"split is not known: it is cut off or edited. {AGAIN}"
        )

    def degrees(self, numbers: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        """(degrees, unlabeled, unlisted) of the images `numbers`, in `part` of CelebA's partition.

        degrees: int8 (images, 5). unlabeled: bool (images,), whether a file of degrees covers the image and has none
        for it. unlisted: {role: images that this file officially has degrees for, and here has not}.
        """
        subset = self.subset
        covers = {f"{subset.name}_labels": np.full(len(numbers), True)}  # role -> which of the images it should list
        if subset is STANDARD:
            covers |= {f"labels_{name}": part == index for index, name in enumerate(PARTITION)}
        tables: dict[str, np.ndarray] = {}
        for role, covered in covers.items():
            if tables and not self._unlisted(numbers, part)[covered].any():
                continue  # a copy
            found = self.read(role)
            if found is not None:
                for other, table in tables.items():
                    check_agreement(self.release, "degrees", other, table, role, found)
                tables[role] = found
                self.degree_table = np.where(found >= 0, found, self.degree_table)
        covers = {role: covers[role] for role in tables}
        covered = np.any([np.full(len(numbers), False), *covers.values()], axis=0)
        degrees = self.degree_table[numbers]
        self.annotated |= (self.degree_table >= 0).any(axis=1)
        strange = self._unlisted(numbers, part)
        unlisted = {role: int((strange & covered).sum()) for role, covered in covers.items()}
        unlabeled = (degrees == -1).all(axis=1) & covered
        return degrees, unlabeled, {role: count for role, count in unlisted.items() if count}

    def _unlisted(self, numbers: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Which of some images have no degrees so far, and are not among those that officially have none."""
        known = UNLABELED_NUMBERS[self.subset.name]
        strange = (self.degree_table[numbers] == -1).all(axis=1) & ~np.isin(numbers, known)
        of_test = strange & (part == PARTITION.index("test"))
        if of_test.sum() <= self.subset.rows[-1] - len(known):  # which two of test lack them is not known
            strange &= ~of_test
        return strange

    def attributes(self) -> np.ndarray:
        """Binary attributes: int8 (file numbers, 40). They have to fit the degrees, which are read before."""
        attributes = self.read(f"{self.subset.name}_attributes")
        if attributes is None:
            return np.full((self.subset.first + self.subset.images, len(ATTRIBUTES)), -1, np.int8)
        for column, (degree, name) in enumerate(zip(self.degree_table.T, RELEASE_NAMES.values())):
            check_degrees_fit(self.release, self.subset, column, degree, attributes[:, ATTRIBUTES.index(name)])
        self.male = attributes[:, ATTRIBUTES.index("Male")]
        self.annotated |= self.male >= 0
        return attributes

    def identities(self) -> np.ndarray:
        """Identities: int32; through the mapping, of the other subset, where the subset's own file is missing."""
        own = self.read(f"{self.subset.name}_identity")
        if own is not None:
            return own
        missing = np.full(self.subset.first + self.subset.images, -1, np.int32)
        theirs = None if self.mapping is None else self.read(f"{self.other.name}_identity")
        if theirs is not None:
            hq = np.flatnonzero(self.mapping >= 0)
            one, other = (hq, self.mapping[hq]) if self.subset is HQ else (self.mapping[hq], hq)
            missing[one] = theirs[other]
        return missing

    def captions_and_requests(self, numbers: np.ndarray) -> dict[str, pa.Array]:
        """The columns of the index with the captions and requests of the images `numbers`, as Arrow arrays.

        Captions have to fit the attributes, which are read before.
        """
        columns: dict[str, Any] = dict.fromkeys(("caption", *DEGREES, "request"), pa.repeat("", len(numbers)))
        columns |= dict.fromkeys(REQUEST_FIELDS, pa.repeat(pa.scalar(-1, pa.int8()), len(numbers)))
        name = self.subset.name
        found: dict[str, pa.Array] = self.read(f"{name}_captions") or {}
        if found:
            check_captions_fit(self.release, self.subset, found["caption"], self.male)
            self.annotated |= np.asarray(pc.not_equal(found["caption"], ""))
        role = f"{name}_requests"
        requests = self.read(role)
        if requests is None:
            role = f"{name}_requests_txt"
            requests = self.read(role)
        labels = self.read(f"{name}_request_labels") or {}
        texts = labels.pop("text", None)
        if requests and texts is not None:
            check_texts_agree(self.release, role, requests["request"], f"{name}_request_labels", texts)
        found |= requests or {}
        columns |= {name: values.take(pa.array(numbers)) for name, values in (found | labels).items()}
        return {
            "caption": columns["caption"],
            "attribute_captions": _struct(columns, DEGREES),
            "request": columns["request"],
            "request_labels": _struct(columns, REQUEST_FIELDS),
        }


def _no_mapping(release: Release) -> MissingFileError:
    return MissingFileError(
        f"{release.root}: no {FILES['mapping'].name}, without which the split of an HQ image is not known. Get "
        f"this one file of 0.9 MB, {MAPPING_LINK}, and put it anywhere into that folder; progressive GAN's "
        f"image_list.txt serves too. Or get all that is missing: celeba-dialog fetch "
        f"{shlex.quote(release.root)} --subset hq{as_lines(release.notes_on('mapping'))}"
    )


def _struct(columns: dict[str, Any], names: Sequence[str] | dict[str, Any]) -> pa.StructArray:
    return pa.StructArray.from_arrays([columns[name] for name in names], names=list(names))


def _file_names(subset: Subset, numbers: np.ndarray) -> pa.Array:
    """File names as an Arrow array, "" for -1."""
    return pa.array([subset.file_name(number) if number >= 0 else "" for number in numbers.tolist()], pa.string())


def _places(members: Members, numbers: np.ndarray) -> pa.Array:
    """The place of each file number's image, null where there is none."""
    if not len(members.numbers):
        return pa.nulls(len(numbers), MEMBER)
    at = np.minimum(np.searchsorted(members.numbers, numbers), len(members.numbers) - 1)
    return members.places.take(pa.array(at, mask=members.numbers[at] != numbers))


def _part_lists(members: Members, numbers: np.ndarray) -> pa.ListArray:
    """For each file number the list of its part masks, in class order."""
    starts = np.searchsorted(members.numbers, numbers)
    lengths = np.searchsorted(members.numbers, numbers, side="right") - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    rows = pa.array(np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1]))
    part = pa.array(members.parts).take(rows)
    values = pa.StructArray.from_arrays([part, members.places.take(rows)], names=["part", "mask"])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)

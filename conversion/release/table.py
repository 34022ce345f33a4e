"""The annotation table of a subset, and the places of its images."""

import json
import shlex
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .captions import REQUEST_FIELDS
from .errors import AGAIN, ConflictError, FormatError, MissingFileError, ReleaseError, logger
from .finding import read_text
from .members import find_members
from .missing import as_lines, missing_roles, no_images
from .official import FILES, MAPPING_LINK, UNLABELED_NUMBERS, image_roles, part_of, roles_of
from .vocabulary import ATTRIBUTES, DEGREES, HQ, PARTITION, RELEASE_NAMES, SPLITS, STANDARD, SUBSETS, UNLABELED
from .zips import MEMBER, member_names, read_members

# ------------------------------------------------------------------------------------------------------------- index
# The annotations and the places of the images of one subset, as one Arrow table with a row per image. It is made once
# per release, kept as an Arrow file in the cache folder of `datasets` and mapped into memory from there, so that the
# workers of a DataLoader, the processes of `num_proc` and the ranks of a cluster node share one copy of its pages and
# never read the JSON again.


class Index(NamedTuple):
    """A subset's table and what is needed to read its images.

    Columns of `table`: those of the contract with compact types, `number` (the file number), and for `image`, `mask`
    and `parts` the places of the bytes (MEMBER). Rows are sorted by split, then file number.
    """

    table: pa.Table
    splits: dict  # split -> [first row, row after the last], for the splits that have rows
    sources: dict  # role -> paths of its sources, as MEMBER counts them
    missing: list  # roles of which the release has nothing
    counts: dict  # role -> rows, entries or images that were found
    expected: dict  # role -> how many there are of these in a whole release
    unlisted: dict  # role -> images that this file of degrees should list and does not: it was cut off or edited
    digest: str  # of the state of the release, see `Release.digest`

    @classmethod
    def of(cls, table):
        """The Index of a table, whose schema's metadata are the other fields, as JSON."""
        return cls(table, **{name.decode(): json.loads(value) for name, value in table.schema.metadata.items()})

    def read(self, role, places):
        """[(bytes, name for messages)] of the images at some places (a MEMBER array), (None, None) for a null."""
        sources = self.sources[role]
        return list(zip(read_members(places, sources), member_names(places, sources)))


# -------------------------------------------------------------------------------------------------- making the index


def read_index(release, subset, parts=False):
    """The Index of a subset, read from the official files and kept nowhere.

    Raises MissingFileError where the images are not there, or for HQ the mapping, without which no split is known, and
    other ReleaseErrors where the files are at fault.
    """
    roles = image_roles(subset, parts)
    members = {column: find_members(release, role) for column, role in roles.items()}
    numbers = members["image"].numbers
    if not len(numbers):
        raise no_images(release, subset)
    for note in (note for found in members.values() for note in found.notes):
        logger.warning(f"{release.root}: {note}")
    texts = _Texts(release, SUBSETS[subset])
    counterparts = texts.counterparts(numbers)
    part = part_of(counterparts if subset == "hq" else numbers)
    degrees, unlabeled, unlisted = texts.degrees(numbers, part)
    split = np.where(unlabeled, SPLITS.index(UNLABELED), part)
    order = np.argsort(split, kind="stable")
    bounds = np.searchsorted(split[order], range(len(SPLITS) + 1)).tolist()
    columns = _columns(texts, members, numbers[order], counterparts[order], degrees[order])
    counts = texts.counts | {roles[column]: len(found.numbers) for column, found in members.items()}
    metadata = {
        "splits": {SPLITS[i]: bounds[i : i + 2] for i in range(len(SPLITS)) if bounds[i] < bounds[i + 1]},
        "sources": {role: [source.path for source in release.sources.get(role, [])] for role in roles.values()},
        "missing": missing_roles(release, subset, parts),
        "counts": counts,
        "expected": {role: release.expected(role) for role in counts},
        "unlisted": unlisted,
        "digest": release.digest(roles_of(subset, parts)),
    }
    metadata = {key: json.dumps(value) for key, value in metadata.items()}
    return Index.of(pa.table(columns).replace_schema_metadata(metadata))


def _columns(texts, members, numbers, counterparts, degrees):
    """The columns of an Index: what the images `numbers` have, in their order. `members` are those of each column."""
    columns = {"number": pa.array(numbers), "image": _places(members["image"], numbers)}
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


class _Texts:
    """What the texts of a release say of a subset, compared with each other.

    Tables are by file number, -1 or "" where there is nothing. Everything here raises ConflictError where two files
    differ that should say the same, and what the readers raise.
    """

    def __init__(self, release, subset):
        self.release, self.subset = release, subset
        self.other = STANDARD if subset is HQ else HQ
        self.counts = {}  # role -> rows or entries that were found
        self.degree_table = np.full((subset.first + subset.images, len(DEGREES)), -1, np.int8)  # see `degrees`
        self.mapping = self.read("mapping")

    def read(self, role):
        """What the reader of a role makes of its file, None where there is none; notes in `counts` how much it has."""
        value, count = read_text(self.release, role)
        pa.default_memory_pool().release_unused()  # what splitting a text took, before the next one is read
        if count is not None:
            self.counts[role] = count
        return value

    def copy(self, role):
        """The same of a file that repeats what another says: one that cannot be read is left aside, with a warning."""
        try:
            return read_text(self.release, role)[0]
        except ConflictError:
            raise
        except ReleaseError as error:
            logger.warning(f"{error} It is left aside, because another file says the same.")
            return None
        finally:
            pa.default_memory_pool().release_unused()  # as above

    def counterparts(self, numbers):
        """The file numbers in the other subset of the images `numbers`, -1 for none; in HQ, each has to have one."""
        if self.subset is HQ:
            if self.mapping is None:
                raise _no_mapping(self.release)
            found = self.mapping[numbers]
            if (found < 0).any():
                name = HQ.file_name(numbers[np.argmax(found < 0)])
                images = self.release.shown(self.release.sources["hq_images"][0].path)
                raise FormatError(
                    f"{self.release.named('mapping')}: no row for {name}, which is an image of {images}, so its split "
                    f"is not known. {AGAIN}"
                )
            return found
        table = np.full(STANDARD.first + STANDARD.images, -1, np.int32)
        if self.mapping is not None:
            table[self.mapping[self.mapping >= 0]] = np.flatnonzero(self.mapping >= 0)
        self.copy("partition")  # compares itself
        return table[numbers]

    def degrees(self, numbers, part):
        """(degrees, unlabeled, unlisted) of the images `numbers`, in `part` of CelebA's partition.

        degrees: int8 (images, 5). unlabeled: bool (images,), whether a file of degrees covers the image and has none
        for it. unlisted: {role: images that this file officially has degrees for, and here has not}.
        """
        subset = self.subset
        covers = {f"{subset.name}_labels": np.full(len(numbers), True)}  # role -> which of the images it should list
        if subset is STANDARD:
            covers |= {f"labels_{name}": part == index for index, name in enumerate(PARTITION)}
        tables = {}
        for role in covers:
            found = self.copy(role) if f"{subset.name}_labels" in tables else self.read(role)
            if found is not None:
                for other in tables:
                    check_agreement(self.release, "degrees", other, tables[other], role, found)
                tables[role] = found
                self.degree_table = np.where(found >= 0, found, self.degree_table)
        degrees = self.degree_table[numbers]
        covers = {role: covers[role] for role in tables}
        unlabeled = (degrees == -1).all(axis=1) & np.any([np.full(len(numbers), False), *covers.values()], axis=0)
        known = UNLABELED_NUMBERS[subset.name]
        strange = unlabeled & ~np.isin(numbers, known)
        of_test = strange & (part == PARTITION.index("test"))
        if of_test.sum() <= subset.rows[-1] - len(known):  # which two of test lack them is not known
            strange &= ~of_test
        unlisted = {role: int((strange & covered).sum()) for role, covered in covers.items()}
        return degrees, unlabeled, {role: count for role, count in unlisted.items() if count}

    def attributes(self):
        """Binary attributes: int8 (file numbers, 40). They have to fit the degrees, which are read before."""
        role, other = f"{self.subset.name}_attributes", f"{self.other.name}_attributes"
        attributes = self.read(role)
        if attributes is None:
            return np.full((self.subset.first + self.subset.images, len(ATTRIBUTES)), -1, np.int8)
        theirs = self._of_counterparts(other, self.copy)
        if theirs is not None:
            check_agreement(self.release, "attributes", other, theirs, role, attributes)
        for column, (degree, name) in enumerate(zip(self.degree_table.T, RELEASE_NAMES.values())):
            check_fit(self.release, self.subset, column, degree, attributes[:, ATTRIBUTES.index(name)])
        return attributes

    def identities(self):
        """Identities: int32; through the mapping, of the other subset, where the subset's own file is missing."""
        role, other = f"{self.subset.name}_identity", f"{self.other.name}_identity"
        own = self.read(role)
        theirs = self._of_counterparts(other, self.read if own is None else self.copy)
        if own is not None and theirs is not None:
            check_agreement(self.release, "identities", other, theirs, role, own)
        missing = np.full(self.subset.first + self.subset.images, -1, np.int32)
        return next((found for found in (own, theirs) if found is not None), missing)

    def _of_counterparts(self, role, read):
        """What a file of the other subset says of the images of this one; None without the file or the mapping."""
        theirs = None if self.mapping is None else read(role)
        if theirs is None:
            return None
        found = np.full((self.subset.first + self.subset.images, *theirs.shape[1:]), -1, theirs.dtype)
        hq = np.flatnonzero(self.mapping >= 0)
        if self.subset is HQ:
            found[hq] = theirs[self.mapping[hq]]
        else:
            found[self.mapping[hq]] = theirs[hq]
        return found

    def captions_and_requests(self, numbers):
        """The columns of the index with the captions and requests of the images `numbers`, as Arrow arrays."""
        columns = dict.fromkeys(("caption", *DEGREES, "request"), pa.repeat("", len(numbers)))
        columns |= dict.fromkeys(REQUEST_FIELDS, pa.repeat(pa.scalar(-1, pa.int8()), len(numbers)))
        captions, requests, requests_txt, labels = (
            f"{self.subset.name}_{kind}" for kind in ("captions", "requests", "requests_txt", "request_labels")
        )
        found = self.read(captions) or {}
        texts = {}  # role -> requests
        for role in (requests, requests_txt):
            table = self.copy(role) if texts else self.read(role)
            if table:
                texts[role] = table["request"]
                found = {"request": table["request"]} | found
        structured = self.read(labels) or {}
        if structured:
            texts[labels] = structured.pop("text")
        for role in list(texts)[1:]:
            _check_texts_agree(self.release, next(iter(texts)), role, texts)
        columns |= {name: values.take(pa.array(numbers)) for name, values in (found | structured).items()}
        return {
            "caption": columns["caption"],
            "attribute_captions": _struct(columns, DEGREES),
            "request": columns["request"],
            "request_labels": _struct(columns, REQUEST_FIELDS),
        }


def _no_mapping(release):
    return MissingFileError(
        f"{release.root}: no {FILES['mapping'].name}, without which the split of an HQ image is not known. Get "
        f"this one file of 0.9 MB, {MAPPING_LINK}, and put it anywhere into that folder; progressive GAN's "
        f"image_list.txt serves too. Or get all that is missing: celeba-dialog fetch "
        f"{shlex.quote(release.root)} --subset hq --accept-agreement{as_lines(release.notes_on('mapping'))}"
    )


def check_agreement(release, what, role, values, other_role, other_values):
    """Raises ConflictError where two tables, by file number of the second role's subset, say different things."""
    values, other_values = (table.reshape(len(table), -1) for table in (values, other_values))
    differ = (values >= 0) & (other_values >= 0) & (values != other_values)
    if differ.any():
        row, column = np.argwhere(differ)[0]
        name = SUBSETS[FILES[other_role].subset].file_name(row)
        raise ConflictError(
            f"{release.named(role)} and {release.named(other_role)}: different {what} of "
            f"{int(differ.any(axis=1).sum()):,} images, first of {name}: {values[row, column]} and "
            f"{other_values[row, column]}. One of the two is damaged or edited. Download both again."
        )


def _check_texts_agree(release, role, other, texts):
    """Raises ConflictError where two files have different requests of an image; white space does not count."""
    one, two = texts[role], texts[other]
    differ = pc.and_(pc.not_equal(one, two), pc.and_(pc.not_equal(one, ""), pc.not_equal(two, "")))
    numbers = [
        number
        for number in np.flatnonzero(np.asarray(differ)).tolist()
        if one[number].as_py().split() != two[number].as_py().split()
    ]
    if numbers:
        raise ConflictError(
            f"{release.named(role)} and {release.named(other)}: different requests of {len(numbers):,} images, first "
            f"of {SUBSETS[FILES[role].subset].file_name(numbers[0])}: {one[numbers[0]].as_py()[:60]!r} and "
            f"{two[numbers[0]].as_py()[:60]!r}. One of the two is damaged or edited. Download both again."
        )


# How many of CelebA's binary labels may contradict the degree. In the real train and validation parts one in 182,618
# does for Bangs, and none for Eyeglasses, No_Beard and Smiling; a file that is shifted by a row, or has two columns
# swapped, contradicts an eighth to a half. Young goes with ages below 40 in 85%, shifted in 65%.
_MOST_CONTRADICTIONS = 1 / 10_000
_MOST_AGE_CONTRADICTIONS, _FEWEST_AGES = 1 / 4, 400


def check_fit(release, subset, column, degree, attribute):
    """Raises ConflictError where a column of degrees and its binary attribute contradict each other too often."""
    name = list(RELEASE_NAMES.values())[column]
    known = (degree >= 0) & (attribute >= 0)
    says = {"No_Beard": degree == 0, "Young": degree < 3}.get(name, degree > 0)
    wrong = known & (says != (attribute == 1))
    most = max(1, known.sum() * _MOST_CONTRADICTIONS)
    if name == "Young":
        most = known.sum() * _MOST_AGE_CONTRADICTIONS if known.sum() >= _FEWEST_AGES else np.inf
    if wrong.sum() > most:
        roles = (f"{subset.name}_labels", *(f"labels_{part}" for part in PARTITION))
        labels = next(role for role in roles if role in release.sources)
        first = int(np.argmax(wrong))
        raise ConflictError(
            f"{release.named(labels)} and {release.named(f'{subset.name}_attributes')} contradict each other on {name} "
            f"in {int(wrong.sum()):,} of {int(known.sum()):,} images, first in {subset.file_name(first)}: degree "
            f"{degree[first]}, attribute {'yes' if attribute[first] == 1 else 'no'}. Rows or columns of one of the two "
            f"are not in their places. Download both again."
        )


def _struct(columns, names):
    return pa.StructArray.from_arrays([columns[name] for name in names], names=list(names))


def _file_names(subset, numbers):
    """File names as an Arrow array, "" for -1."""
    return pa.array([subset.file_name(number) if number >= 0 else "" for number in numbers.tolist()], pa.string())


def _places(members, numbers):
    """The place of each file number's image, null where there is none."""
    if not len(members.numbers):
        return pa.nulls(len(numbers), MEMBER)
    at = np.minimum(np.searchsorted(members.numbers, numbers), len(members.numbers) - 1)
    return members.places.take(pa.array(at, mask=members.numbers[at] != numbers))


def _part_lists(members, numbers):
    """For each file number the list of its part masks, in class order."""
    starts = np.searchsorted(members.numbers, numbers)
    lengths = np.searchsorted(members.numbers, numbers, side="right") - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    rows = pa.array(np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1]))
    part = pa.array(members.parts).take(rows)
    values = pa.StructArray.from_arrays([part, members.places.take(rows)], names=["part", "mask"])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)

"""What files of a release say of the same images, held against each other."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import ConflictError
from .finding import Release
from .official import FILES
from .vocabulary import PARTITION, RELEASE_NAMES, SUBSETS, Subset

_BOTH = "One of the two is damaged or edited. Download both again."


def check_agreement(
    release: Release, what: str, role: str, values: np.ndarray, other_role: str, other_values: np.ndarray
) -> None:
    """Raises ConflictError where two tables, by file number of the second role's subset, say different things."""
    values, other_values = (table.reshape(len(table), -1) for table in (values, other_values))
    differ = (values >= 0) & (other_values >= 0) & (values != other_values)
    if differ.any():
        row, column = np.argwhere(differ)[0]
        name = SUBSETS[FILES[other_role].subset].file_name(row)
        raise ConflictError(
            f"{release.named(role)} and {release.named(other_role)}: different {what} of "
            f"{int(differ.any(axis=1).sum()):,} images, first of {name}: {values[row, column]} and "
            f"{other_values[row, column]}. {_BOTH}"
        )


def check_texts_agree(release: Release, role: str, one: pa.Array, other_role: str, other: pa.Array) -> None:
    """Raises ConflictError where two files have different requests of an image; white space does not count.

    `one` and `other` are texts by file number, "" for none.
    """
    differ = pc.and_(pc.not_equal(one, other), pc.and_(pc.not_equal(one, ""), pc.not_equal(other, "")))
    numbers = [
        number
        for number in np.flatnonzero(np.asarray(differ)).tolist()
        if one[number].as_py().split() != other[number].as_py().split()
    ]
    if numbers:
        first = numbers[0]
        raise ConflictError(
            f"{release.named(role)} and {release.named(other_role)}: different requests of {len(numbers):,} images, "
            f"first of {SUBSETS[FILES[role].subset].file_name(first)}: {one[first].as_py()[:60]!r} and "
            f"{other[first].as_py()[:60]!r}. {_BOTH}"
        )


# How many of CelebA's binary labels may contradict the degree. In the real train and validation parts one in 182,618
# does for Bangs, and none for Eyeglasses, No_Beard and Smiling; a file that is shifted by a row, or has two columns
# swapped, contradicts an eighth to a half. Young goes with ages below 40 in 85%, shifted in 65%.
_MOST_CONTRADICTIONS = 1 / 10_000
_MOST_AGE_CONTRADICTIONS, _FEWEST_AGES = 1 / 4, 400


def check_degrees_fit(release: Release, subset: Subset, column: int, degree: np.ndarray, attribute: np.ndarray) -> None:
    """Raises ConflictError where a column of degrees and its binary attribute contradict each other too often."""
    name = list(RELEASE_NAMES.values())[column]
    known = (degree >= 0) & (attribute >= 0)
    says = {"No_Beard": degree == 0, "Young": degree < 3}.get(name, degree > 0)
    wrong = known & (says != (attribute == 1))
    most: Any = max(1, known.sum() * _MOST_CONTRADICTIONS)
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


# Words of a caption that tell whether it is of a man or a woman. Of 50 real captions 43 hold one kind of them alone,
# and all 43 agree with the attribute Male; shifted by a row, half do.
_HE = r"(?i)\b(he|his|him|man|male|guy|boy|gentleman)\b"
_SHE = r"(?i)\b(she|her|hers|woman|female|lady|girl)\b"
_FEWEST_CAPTIONS, _MOST_STRANGERS = 40, 1 / 10


def check_captions_fit(release: Release, subset: Subset, captions: pa.Array, male: np.ndarray) -> None:
    """Raises ConflictError where captions are of others than the attribute Male says, too often.

    `captions` are texts by file number, `male` 1, 0 or -1 for unknown.
    """
    he, she = (np.asarray(pc.match_substring_regex(captions, words)) for words in (_HE, _SHE))
    known = (he != she) & (male >= 0)
    wrong = known & (he != (male == 1))
    if known.sum() >= _FEWEST_CAPTIONS and wrong.sum() > known.sum() * _MOST_STRANGERS:
        first = int(np.argmax(wrong))
        raise ConflictError(
            f"{release.named(f'{subset.name}_captions')} and {release.named(f'{subset.name}_attributes')} contradict "
            f"each other on Male in {int(wrong.sum()):,} of {int(known.sum()):,} images, first in "
            f"{subset.file_name(first)}: attribute {'yes' if male[first] == 1 else 'no'}, caption "
            f"{captions[first].as_py()[:60]!r}. One of the two belongs to other images. Download both again."
        )

"""What is missing or left aside, in words."""

import functools
import shlex
from collections.abc import Sequence
from typing import Any

from .errors import AGAIN, MissingFileError, logger, some
from .finding import Release
from .looking import Note
from .official import FILES, needs, roles_of, serving, without
from .vocabulary import SUBSETS, UNLABELED

_MOST_NOTES = 10  # shown in one message


def taken_roles(release: Release, subset: str, parts: bool = False) -> list[str]:
    """The roles that a complete subset is made from, in the form in which a release has most of them."""
    return [role for groups in needs(subset, parts) for role in serving(groups, release.sources)]


def missing_roles(release: Release, subset: str, parts: bool = False) -> list[str]:
    """The roles that a complete subset needs and that a release has in no form."""
    return [role for role in taken_roles(release, subset, parts) if role not in release.sources]


def no_images(release: Release, *subsets: str) -> MissingFileError:
    """The MissingFileError of a release without images of some subsets, with what looks like them and is not read."""
    roles = [f"{subset}_images" for subset in subsets]
    which = f"{subsets[0]} images" if len(subsets) == 1 else "images"
    stems = [FILES[role].name.removesuffix(".zip") for role in roles]
    files = " nor ".join(
        f"{stem}.zip nor a folder {stem}/ with {SUBSETS[FILES[role].subset].keys}" for role, stem in zip(roles, stems)
    )
    notes = as_lines(release.notes_on(*roles))
    return MissingFileError(f"{release.root}: no {which} below it: neither {files}. {how_to_check(release)}{notes}")


def how_to_check(release: Release) -> str:
    """What to do, the end of a message."""
    return f"To see what is there and what is missing: celeba-dialog check {shlex.quote(release.root)}"


def as_lines(notes: Sequence[Note]) -> str:
    """Notes as further lines of a message."""
    return "".join(f"\n  {note}" for note in notes[:_MOST_NOTES])


def remarks(release: Release, missing: Sequence[str], subset: str, parts: bool = False) -> list[str]:
    """What whoever loads a subset has to be told once, a line each: what was left aside, and what is missing."""
    roles = roles_of(subset, parts)
    aside = [note.path for note in release.notes_on(*roles) if note.aside]
    lines = [f"{some(aside)} left aside, because the official files are there."] if aside else []
    for role in missing:
        notes = [note for note in release.notes_on(role) if not note.aside]
        lines.append(f"{FILES[role].name} not found, so {without(role)}.{as_lines(notes)}")
    return [f"{release.root}: {line} {how_to_check(release)}" for line in lines]


def unlisted_lines(index: Any) -> list[str]:
    """A sentence for each file of degrees that lists fewer images than it should; `index` is an Index."""
    return [
        f"{FILES[role].path}: no degrees for {count:,} images that it should list, so they are in the split "
        f"{UNLABELED}. It is cut off or edited. {AGAIN}"
        for role, count in index.unlisted.items()
    ]


def short_lines(index: Any) -> list[str]:
    """A sentence for each role of images of which an Index has some and not all: half a folder, or half a zip."""
    lines = []
    for role, (count, whole, first) in index.short.items():
        if role.endswith("_images"):
            what = f"{count:,} of the {whole:,} images that the texts list are not there, the first is {first}"
        elif role == "hq_masks":
            what = f"{count:,} of the {whole:,} images have no mask, the first is {first}, so mask is None there"
        else:
            what = f"{count:,} of the {whole:,} images have no part mask, the first is {first}, so parts is empty there"
        lines.append(f"{FILES[role].path}: {what}.")
    return lines


def shortages(index: Any) -> list[str]:
    """What an Index has less of than it should, a sentence each: `short_lines` and `unlisted_lines`."""
    return [*short_lines(index), *unlisted_lines(index)]


def warn(release: Release, index: Any, subset: str, parts: bool) -> None:
    """Logs, once in a process, what whoever loads a subset has to know of the release and its Index."""
    for line in remarks(release, index.missing, subset, parts):
        _warn_once(line)
    for line in shortages(index):
        _warn_once(f"{release.root}: {line} {how_to_check(release)}")


@functools.cache
def _warn_once(line: str) -> None:
    logger.warning(line)

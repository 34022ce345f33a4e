"""What is missing or left aside, in words."""

import functools

from .errors import AGAIN, HOW_TO_CHECK, MissingFileError, logger, some
from .official import FILES, needs, roles_of, serving, without
from .vocabulary import SUBSETS, UNLABELED

# -------------------------------------------------------------------------------------------------- what is missing

_MOST_NOTES = 10  # shown in one message


def taken_roles(release, subset, parts=False):
    """The roles that a complete subset is made from, in the form in which a release has most of them."""
    return [role for groups in needs(subset, parts) for role in serving(groups, release.sources)]


def missing_roles(release, subset, parts=False):
    """The roles that a complete subset needs and that a release has in no form."""
    return [role for role in taken_roles(release, subset, parts) if role not in release.sources]


def no_images(release, *subsets):
    """The MissingFileError of a release without images of some subsets, with what looks like them and is not read."""
    roles = [f"{subset}_images" for subset in subsets]
    which = f"{subsets[0]} images" if len(subsets) == 1 else "images"
    files = " nor ".join(f"{FILES[role].name} nor a folder with {SUBSETS[FILES[role].subset].keys}" for role in roles)
    return MissingFileError(
        f"{release.root}: no {which} below it: neither {files}. {HOW_TO_CHECK}{as_lines(release.notes_on(*roles))}"
    )


def as_lines(notes):
    """Notes as further lines of a message."""
    return "".join(f"\n  {note}" for note in notes[:_MOST_NOTES])


def remarks(release, missing, subset, parts=False):
    """What whoever loads a subset has to be told once, a line each: what was left aside, and what is missing."""
    roles = roles_of(subset, parts)
    aside = [note.path for note in release.notes_on(*roles) if note.aside]
    lines = [f"{some(aside)} left aside, because the official files are there."] if aside else []
    for role in missing:
        notes = [note for note in release.notes_on(role) if not note.aside]
        lines.append(f"{FILES[role].name} not found, so {without(role)}.{as_lines(notes)}")
    return [f"{release.root}: {line} {HOW_TO_CHECK}" for line in lines]


def unlisted_lines(index):
    """A sentence for each file of degrees that lists fewer images than it should."""
    return [
        f"{FILES[role].path}: no degrees for {count:,} images that it should list, so they are in the split "
        f"{UNLABELED}. It is cut off or edited. {AGAIN}"
        for role, count in index.unlisted.items()
    ]


def warn(release, index, key):
    """Logs what whoever loads a subset has to know of the release, its `remarks` once in a process."""
    for line in remarks(release, index.missing, key.subset, key.parts):
        _warn_once(line)
    for line in unlisted_lines(index):
        logger.warning(f"{release.root}: {line} {HOW_TO_CHECK}")


@functools.cache
def _warn_once(line):
    logger.warning(line)

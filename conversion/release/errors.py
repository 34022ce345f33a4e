"""The errors raised on purpose, and how their messages end.

CelebADialogError
├── ReleaseError             the release is at fault
│   ├── MissingFileError     a file, folder or image that is needed is not there
│   ├── FormatError          a text, JSON, image or mask holds what cannot be right
│   ├── DamagedFileError     a file is cut off, was changed, is of another kind, or its checksum fails
│   ├── ConflictError        two files contradict each other
│   └── ChangedReleaseError  the files are not what they were when the dataset was made
├── EnvironmentFault         the machine is at fault: no space, no permission, a missing package or network
└── UsageError               the call is at fault: a path or option that does not exist
"""

import logging
import shlex
from collections.abc import Sequence

from .vocabulary import AGREEMENT_URL

logger = logging.getLogger("celeba_dialog")


class CelebADialogError(Exception):
    """The root of every error raised on purpose here. Its message is for the person: what, where, what to do."""


class ReleaseError(CelebADialogError):
    """The release is at fault."""


class MissingFileError(ReleaseError):
    """A file, folder or image that is needed is not there."""


class FormatError(ReleaseError):
    """A text, JSON, image or mask holds what cannot be right."""


class DamagedFileError(ReleaseError):
    """A file is cut off, was changed, is of another kind, or its checksum fails."""


class ConflictError(ReleaseError):
    """Two files contradict each other."""


class ChangedReleaseError(ReleaseError):
    """The files are not what they were when the dataset was made."""


class EnvironmentFault(CelebADialogError):
    """The machine is at fault: no space, no permission, a missing package or network."""


class UsageError(CelebADialogError):
    """The call is at fault: a path or option that does not exist."""


# Ends of messages: what to do.
AGAIN = "Download it again."


def printable(text: str) -> str:
    """A name with `?` for what would move the cursor of a terminal or break the line."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


def how_to_get_it(folder: str = "CelebA-Dialog") -> str:
    """How to download the official files into a folder, the end of a message."""
    quoted = shlex.quote(folder)
    return f"To download the official files: celeba-dialog fetch {quoted}, or by hand from {AGREEMENT_URL}"


def some(names: Sequence[str]) -> str:
    """Names for a message: the first three, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")

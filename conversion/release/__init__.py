"""The official files, read: from names on a disk to rows.

In this order, each module imports only those above it:

    vocabulary   what rows speak of: subsets, splits, degrees, attributes, mask classes
    errors       the tree of errors, and the ends of messages
    official     what the official release holds: roles, names, counts, checksums; what a subset needs
    storage      bytes of local files and URLs, and what kind of file some bytes are
    zips         directory and members of a zip
    images       JPEGs: what may serve, and resizing
    masks        palette masks and part masks
    texts        text files: lines, rows of words and numbers
    lists        degrees, attributes, identities, mapping, partition, requests
    captions     JSON: captions, requests
    names        what the name of a file says of it
    looking      what a folder or a zip holds
    finding      which file is which: the Release
    members      every image of a role, and where it lies
    missing      what is missing or left aside, in words
    agreement    what files say of each other, compared
    table        the annotation table of a subset, and the places of its images
    copies       the files that only repeat what others say, compared
    index        the table kept in the cache
    rows         a slice of the table and its bytes

Here are the names that users need; `celeba_dialog` has them too.
"""

from .errors import (
    CelebADialogError,
    ChangedReleaseError,
    ConflictError,
    DamagedFileError,
    EnvironmentFault,
    FormatError,
    MissingFileError,
    ReleaseError,
    UsageError,
)
from .vocabulary import (
    ATTRIBUTES,
    DEGREE_MEANINGS,
    DEGREES,
    MASK_CLASSES,
    MASK_COLORS,
    PARTS,
    RELEASE_NAMES,
    REQUEST_DIRECTIONS,
    REQUEST_MODES,
    SPLITS,
)

__all__ = [
    "ATTRIBUTES",
    "DEGREES",
    "DEGREE_MEANINGS",
    "MASK_CLASSES",
    "MASK_COLORS",
    "PARTS",
    "RELEASE_NAMES",
    "REQUEST_DIRECTIONS",
    "REQUEST_MODES",
    "SPLITS",
    "CelebADialogError",
    "ChangedReleaseError",
    "ConflictError",
    "DamagedFileError",
    "EnvironmentFault",
    "FormatError",
    "MissingFileError",
    "ReleaseError",
    "UsageError",
]

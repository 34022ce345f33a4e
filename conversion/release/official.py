"""What the official release holds: roles, names, counts, checksums, and what a subset needs of it."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from .vocabulary import HQ, PARTITION_ENDS, PARTS, STANDARD


class OfficialFile(NamedTuple):
    """A file of the official release: what it is for, where it lies there and how much it holds."""

    role: str
    subset: str
    path: str  # below the release's root
    total: int  # rows, entries or members in the official release
    holds: str  # what `total` counts
    what: str  # one phrase for messages

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


# fmt: off
_HQ_FILES = (
    ("hq_images", "image.zip", 30000, "images", "the HQ images"),
    ("hq_masks", "mask/CelebAMask-HQ-mask-color-palette.zip", 30000, "masks", "the HQ palette masks"),
    ("hq_parts", "mask/CelebAMask-HQ-mask-anno.zip", 372767, "masks", "the HQ binary part masks"),
    ("hq_labels", "classification_label/combined_annotation_hq.txt", 29999, "rows", "the HQ degrees"),
    ("hq_attributes", "classification_label/CelebAMask-HQ-attribute-anno.txt", 30000, "rows", "the HQ attributes"),
    ("hq_captions", "text/captions_hq.json", 29999, "entries", "the HQ captions"),
    ("hq_requests", "text/request_hq.json", 29999, "entries", "the HQ requests"),
    ("hq_requests_txt", "text/request_hq.txt", 29999, "rows", "the HQ requests as text"),
    ("hq_request_labels", "text/request_annotated_hq.json", 29999, "entries", "the structured HQ requests"),
    ("hq_identity", "identity/identity_CelebA-HQ.txt", 30000, "rows", "the HQ identities"),
    ("mapping", "CelebA-HQ-to-CelebA-mapping.txt", 30000, "rows", "the mapping from HQ to CelebA"),
)
_STANDARD_FILES = (
    ("standard_images", "img_align_celeba.zip", 202599, "images", "the standard images"),
    ("standard_labels", "combined_annotation.txt", 202578, "rows", "the standard degrees"),
    ("labels_train", "train_attr_list.txt", 162754, "rows", "the degrees of train"),
    ("labels_validation", "val_attr_list.txt", 19864, "rows", "the degrees of validation"),
    ("labels_test", "test_attr_list.txt", 19960, "rows", "the degrees of test"),
    ("standard_attributes", "list_attr_celeba.txt", 202599, "rows", "the standard attributes"),
    ("standard_identity", "identity_CelebA.txt", 202599, "rows", "the standard identities"),
    ("partition", "list_eval_partition.txt", 202599, "rows", "CelebA's partition"),
    ("standard_captions", "celeba_caption/captions.json", 202578, "entries", "the standard captions"),
    ("standard_requests", "celeba_request/request.json", 202578, "entries", "the standard requests"),
    ("standard_requests_txt", "celeba_request/request.txt", 202578, "rows", "the standard requests as text"),
    ("standard_request_labels", "celeba_request/request_annotated.json", 202578, "entries",
     "the structured standard requests"),
)

# Subset -> the file numbers without degrees, as far as they are known. The HQ one was made from 039459.jpg.
UNLABELED_NUMBERS = {
    "hq": (5380,),
    "standard": (
        11793, 16530, 19205, 24184, 26135, 39459, 75398, 80480, 90500, 92651, 102061, 121050, 131065, 153323, 155500,
        157000, 167500, 169000, 179577,  # and two of test
    ),
}

# fmt: on

# Role -> official file. The name of the zip of part masks is not known for sure; its members tell what it is.
FILES = {
    role: OfficialFile(role, subset.name, f"{subset.folder}/{path}", total, holds, what)
    for subset, files in ((HQ, _HQ_FILES), (STANDARD, _STANDARD_FILES))
    for role, path, total, holds, what in files
}
PARTS_PER_FOLDER = 2000  # N // 2000 is the folder of a part mask


class Sums(NamedTuple):
    """What is known of the bytes of an official file."""

    size: int  # in bytes; 0 where it is not known
    md5: str
    sha256: str = ""  # empty where it is not known


# Role -> the Sums of the one file that everybody got: as published, or as two people reported them alike after
# `check --sums`. For the other files none is known so far.
CHECKSUMS = {
    "standard_images": Sums(
        1443490838,
        "00d2c5bc6d35e252742224ab0c1e8fcb",
        "46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
    ),
    "standard_attributes": Sums(
        26721026,
        "75e246fa4810816ffd6ee81facbd244c",
        "f0e5da289d5ccf75ffe8811132694922b60f2af59256ed362afa03fefba324d0",
    ),
    "standard_identity": Sums(3424458, "32bd1bd63d3c78cd57e08160ec5ed1e2"),
    "hq_attributes": Sums(3622218, "e7da4d70ec96681fadb894c63912dcfd"),
    "partition": Sums(0, "d32c9cbf5e040fd4025c592c306e6668"),
}

# Where the one file lies without which nobody can use the HQ images.
MAPPING_ID = "10msPsx1Fouh5h8m8LoSaPTh9R4dv_mLG"
MAPPING_LINK = f"https://drive.google.com/file/d/{MAPPING_ID}/view"

# A made-up release says in its README that it is one and what it holds: by that it is whole or not.
DEMO_README = "README.txt"
DEMO_MARKER = "A made-up CelebA-Dialog release. Every face is a drawing; nothing in it is real data."
DEMO_HOLDS = "  {} {} in {}\n"  # a count, what is counted, a path below the root


def mask_name(number: int) -> str:
    """The official file name of a palette mask."""
    return f"{number}.png"


def part_name(number: int, part: int) -> str:
    """The official file name of a binary part mask; `part` is an index into PARTS."""
    return f"{number:05d}_{PARTS[part]}.png"


def part_of(standard_number: Any) -> Any:
    """The index into PARTITION of a standard file number, or of an array of them."""
    return np.searchsorted(PARTITION_ENDS, standard_number)


# Subset -> the roles of its texts, and of those of the other one that say something of its images.
ANNOTATIONS = {
    name: [
        role for role, file in FILES.items() if file.subset == name and not role.endswith(("images", "masks", "parts"))
    ]
    + [role for role in roles if FILES[role].subset != name]
    for name, roles in (
        ("hq", ("standard_attributes", "standard_identity")),
        ("standard", ("mapping", "hq_attributes", "hq_identity")),
    )
}


def image_roles(subset: str, parts: bool) -> dict[str, str]:
    """Role of every image column: {"image": "hq_images", …}."""
    if subset == "standard":
        return {"image": "standard_images"}
    return {"image": "hq_images", "mask": "hq_masks"} | ({"parts": "hq_parts"} if parts else {})


def roles_of(subset: str, parts: bool = False) -> tuple[str, ...]:
    """Every role that the rows of a subset are made from."""
    return (*image_roles(subset, parts).values(), *ANNOTATIONS[subset])


def needs(subset: str, parts: bool = False) -> list[list[tuple[str, ...]]]:
    """What a complete subset is made from: for each need the groups of roles any one of which serves it."""
    groups: list[list[tuple[str, ...]]] = [[(role,)] for role in image_roles(subset, parts).values()]
    if subset == "hq":
        groups += [[("mapping",)], [("hq_labels",)], [("hq_identity",), ("standard_identity",)]]
    else:
        groups += [[("standard_labels",), ("labels_train", "labels_validation", "labels_test")]]
        groups += [[("standard_identity",)], [("mapping",)]]
    groups += [[(f"{subset}_attributes",)], [(f"{subset}_captions",)]]
    return groups + [[(f"{subset}_requests",), (f"{subset}_requests_txt",)], [(f"{subset}_request_labels",)]]


def serving(groups: Sequence[tuple[str, ...]], there: Collection[str]) -> tuple[str, ...]:
    """Of the groups of roles that serve one need, the first that is there, else the one of which most is there."""
    whole = [group for group in groups if all(role in there for role in group)]
    return whole[0] if whole else max(groups, key=lambda group: sum(role in there for role in group))


# Kind of role -> what rows say without it.
_WITHOUT = {
    "images": "there are no rows",
    "masks": "mask is None",
    "parts": "parts is empty",
    "labels": "bangs, eyeglasses, beard, smiling and age are -1",
    "attributes": "attributes are -1",
    "captions": "caption and attribute_captions are empty",
    "requests": "request is empty",
    "requests_txt": "request is empty",
    "request_labels": "request_labels are -1",
    "identity": "identity is -1",
    "mapping": "there are no rows of hq, and hq_file_name of standard is empty",
    "partition": "the splits are not checked",
}


def without(role: str) -> str:
    """What the rows say without the file of a role, in the words of their columns."""
    kind = role.removeprefix("hq_").removeprefix("standard_")
    if kind.startswith("labels_"):
        return f"{_WITHOUT['labels']} in the split {kind.removeprefix('labels_')}"
    return _WITHOUT[kind]

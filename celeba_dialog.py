"""CelebA-Dialog for Hugging Face `datasets`: the loading script, whole in one file.

CelebA-Dialog (Jiang et al., Talk-to-Edit, ICCV 2021) adds degrees of five attributes, captions and editing requests to
the face images of CelebA-HQ (30,000) and CelebA (202,599). This module reads the official files where they lie, zipped
or unpacked. Annotations are one small table, images are byte ranges in a zip, a row is the two laid side by side.

    what a loading script has    vocabulary · features · configs and builder · register
    how the files are read       errors · official files · release · bytes · zips · images of a role ·
                                 images and masks · texts · JSON · index · making the index · what is missing · rows
"""

import bisect
import contextlib
import difflib
import functools
import gc
import hashlib
import io
import json
import mmap
import os
import re
import secrets
import shlex
import struct
import threading
import urllib.parse
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import datasets
import filelock
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image as PillowImage

__version__ = "1.0.0"

logger = datasets.logging.get_logger(__name__)

# ------------------------------------------------------------------------------------------------------- vocabulary
# What the rows speak of. Sources: the release's metadata.txt, CelebA's and CelebAMask-HQ's own files, and the counts of
# the papers.

# CelebA's partition, and the last standard file number of each part. HQ images follow the image they were made from.
PARTITION = ("train", "validation", "test")
PARTITION_ENDS = (162770, 182637, 202599)

# The splits of the dataset: the images of each part that have degrees, and all those that have none.
UNLABELED = "unlabeled"
SPLITS = (*PARTITION, UNLABELED)


class Subset(NamedTuple):
    """One of the two parts of the release."""

    name: str
    folder: str  # its folder in the official release
    images: int  # how many images the official release holds
    rows: tuple  # how many of them are in each split, in the order of SPLITS
    first: int  # the first file number
    digits: int  # of a file name: zeros are put in front up to so many
    side: tuple  # (width, height) of an image, in pixels

    def file_name(self, number):
        """The official key of an image: `file_name(7)` is `7.jpg` in HQ and `000007.jpg` in standard."""
        return f"{number:0{self.digits}d}.jpg"

    @property
    def keys(self):
        """In words, the names of all images."""
        return f"{self.file_name(self.first)} to {self.file_name(self.first + self.images - 1)}"


HQ = Subset("hq", "CelebA-Dialog (HQ)", 30000, (24182, 2993, 2824, 1), 0, 1, (1024, 1024))
STANDARD = Subset("standard", "CelebA-Dialog (standard)", 202599, (162754, 19864, 19960, 21), 1, 6, (178, 218))
SUBSETS = {"hq": HQ, "standard": STANDARD}

# Column -> name in the release. The degree of `No_Beard` grows with the beard and that of `Young` with age, so the
# columns say what they count.
RELEASE_NAMES = {
    "bangs": "Bangs",
    "eyeglasses": "Eyeglasses",
    "beard": "No_Beard",
    "smiling": "Smiling",
    "age": "Young",
}

# Column -> class name and meaning, after metadata.txt, of each degree from 0 to 5.
_DEGREES = {
    "bangs": {
        "none": "no bangs, all of the forehead visible",
        "very_short": "very short bangs, 80% of the forehead visible",
        "middle_short": "middle-short bangs, 60% visible",
        "middle_length": "middle-length bangs, 40% visible",
        "middle_long": "middle-long bangs, 20% visible",
        "long": "long bangs, nothing of the forehead visible",
    },
    "eyeglasses": {
        "none": "no eyeglasses",
        "rimless": "rimless, or a very thin metal frame",
        "thin_frame": "a metal frame of middle thickness, or a thin plastic frame",
        "thick_frame": "a thick plastic frame",
        "thin_sunglasses": "sunglasses with a thin frame",
        "thick_sunglasses": "sunglasses with a thick frame",
    },
    "beard": {
        "none": "no beard",
        "shaved": "just shaved, very short",
        "middle_short": "unshaved for a while, middle-short",
        "middle_length": "grown to middle length",
        "long_groomed": "long and well groomed",
        "bushy": "bushy: long and not groomed",
    },
    "smiling": {
        "none": "not smiling",
        "closed_smile": "a small smile, no teeth visible",
        "slight_smile": "a small smile, some teeth visible",
        "smile": "smiling, the whole row of teeth visible",
        "big_smile": "a big smile, the whole row of teeth visible, mouth slightly open",
        "very_big_smile": "a very big smile, the whole row of teeth visible, mouth wide open",
    },
    "age": {
        "under_15": "under 15, a child",
        "15_to_30": "15 to 30, a teenager or young person",
        "30_to_40": "30 to 40, a young adult",
        "40_to_50": "40 to 50, middle-aged",
        "50_to_60": "50 to 60, aged",
        "over_60": "over 60, elderly",
    },
}
DEGREES = {column: tuple(classes) for column, classes in _DEGREES.items()}
DEGREE_MEANINGS = {column: tuple(classes.values()) for column, classes in _DEGREES.items()}

# CelebA's forty binary attributes, in CelebA's order.
ATTRIBUTES = tuple(
    """
    5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair
    Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male
    Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
    Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
    Wearing_Necktie Young
    """.split()
)

# Mask class -> its colour in the palette; the position is the class index. Other tools count hair as 17: not here.
# fmt: off
MASK_COLORS = {
    "background": (0, 0, 0), "skin": (204, 0, 0), "nose": (76, 153, 0), "eye_g": (204, 204, 0), "l_eye": (51, 51, 255),
    "r_eye": (204, 0, 204), "l_brow": (0, 255, 255), "r_brow": (255, 204, 204), "l_ear": (102, 51, 0),
    "r_ear": (255, 0, 0), "mouth": (102, 204, 0), "u_lip": (255, 255, 0), "l_lip": (0, 0, 153), "hair": (0, 0, 204),
    "hat": (255, 51, 153), "ear_r": (0, 204, 204), "neck_l": (0, 51, 0), "neck": (255, 153, 51), "cloth": (0, 204, 0),
}
# fmt: on
MASK_CLASSES = tuple(MASK_COLORS)
MASK_SIDE = 512  # width and height of a mask, in pixels
PARTS = MASK_CLASSES[1:]  # the binary part masks: every class but the background

REQUEST_MODES = ("target", "change_definite", "change_indefinite")
REQUEST_DIRECTIONS = ("none", "negative", "positive")  # none where the request does not go by direction

AGREEMENT_URL = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA/CelebA_Dialog.html"
HOMEPAGE = "https://github.com/ziqihuangg/CelebA-Dialog"
LICENSE_NAME = "CelebA-Dialog agreement: non-commercial research only, no redistribution"
DESCRIPTION = (
    "CelebA-Dialog: face images with fine-grained degrees of five attributes, forty binary attributes, captions and "
    "editing requests (Talk-to-Edit, ICCV 2021); in HQ with segmentation masks."
)
CITATION = """@inproceedings{jiang2021talktoedit,
  title = {Talk-to-Edit: Fine-Grained Facial Editing via Dialog},
  author = {Jiang, Yuming and Huang, Ziqi and Pan, Xingang and Loy, Chen Change and Liu, Ziwei},
  booktitle = {Proceedings of the IEEE/CVF International Conference on Computer Vision (ICCV)},
  year = {2021}
}"""

# ---------------------------------------------------------------------------------------------------------- features


def features_of(subset, parts=False):
    """The `datasets.Features` of a subset, on whatever version of `datasets` is installed.

    image: JPEG, RGB, 1024×1024 (hq) or 178×218 pixels. mask (hq): PNG, palette, 512×512, pixel values 0-18 in the
    order of MASK_CLASSES, or None. bangs … age: degree 0-5, -1 where the image is not labelled. attributes: forty of
    0 or 1 in the order of ATTRIBUTES, all -1 where missing. Texts: empty where missing. identity: -1 where missing.
    request_labels: -1 where there is no request, in value and target also where they do not apply.
    """
    columns = {"image": datasets.Image()}
    if subset == "hq":
        columns["mask"] = datasets.Image()  # no `mode`: Pillow would turn the indices into colours
    columns |= {name: datasets.ClassLabel(names=list(classes)) for name, classes in DEGREES.items()}
    columns["attributes"] = datasets.Sequence(datasets.ClassLabel(names=["no", "yes"]), length=len(ATTRIBUTES))
    columns["caption"] = datasets.Value("string")
    columns["attribute_captions"] = {name: datasets.Value("string") for name in DEGREES}
    columns["request"] = datasets.Value("string")
    columns["request_labels"] = {
        "attribute": datasets.ClassLabel(names=list(DEGREES)),
        "mode": datasets.ClassLabel(names=list(REQUEST_MODES)),
        "direction": datasets.ClassLabel(names=list(REQUEST_DIRECTIONS)),
        "value": datasets.Value("int8"),
        "target": datasets.Value("int8"),
    }
    columns["identity"] = datasets.Value("int32")
    columns["file_name"] = datasets.Value("string")
    columns["celeba_file_name" if subset == "hq" else "hq_file_name"] = datasets.Value("string")
    if parts:
        # A list of a dict, because Sequence of a dict is turned inside out, and List is unknown before 4.0.
        columns["parts"] = [{"part": datasets.ClassLabel(names=list(PARTS)), "mask": datasets.Image()}]
    return datasets.Features(columns)


# ------------------------------------------------------------------------------------------------- configs and builder

CONFIGS = {
    "hq": dict(description="30,000 images of 1024×1024 pixels with palette masks."),
    "hq_512": dict(image_size=512, description="hq with images of 512×512 pixels."),
    "hq_256": dict(image_size=256, description="hq with images and masks of 256×256 pixels."),
    "hq_parts": dict(parts=True, description="hq with the binary part masks."),
    "standard": dict(subset="standard", description="202,599 images of 178×218 pixels."),
}
RELEASE_VARIABLE = "CELEBA_DIALOG_RELEASE"  # where the release lies, for those who do not pass data_dir


@dataclass
class CelebADialogConfig(datasets.BuilderConfig):
    """One way to look at the release.

    Args:
        subset: "hq" or "standard".
        image_size: side in pixels to which images are resized (hq only), 1 to 1024; None for the release's own bytes.
        parts: whether rows have the binary part masks (hq only).
    """

    version: datasets.Version = datasets.Version(__version__)
    subset: str = "hq"
    image_size: int | None = None
    parts: bool = False

    def check(self):
        """Raises UsageError for a combination that does not exist."""
        if self.subset not in SUBSETS:
            raise UsageError(f"subset is {self.subset!r}, expected hq or standard.")
        if self.image_size is not None:
            if isinstance(self.image_size, bool) or not isinstance(self.image_size, int):
                raise UsageError(f"image_size is {self.image_size!r}, expected a number of pixels.")
            if self.subset != "hq" or not 1 <= self.image_size <= HQ.side[0]:
                raise UsageError(
                    f"image_size is {self.image_size} for {self.name}: only HQ images can be resized, to a side "
                    f"from 1 to {HQ.side[0]} pixels."
                )
        if self.parts and self.subset != "hq":
            raise UsageError(f"parts is set for {self.name}: only HQ images have part masks.")

    def create_config_id(self, config_kwargs, custom_features=None):
        """The name of the cache folder, with a digest of the release, so that changed files are never served stale."""
        self.check()
        config_kwargs = dict(config_kwargs)
        if config_kwargs.get("data_dir") or os.environ.get(RELEASE_VARIABLE):
            root = find_root(config_kwargs.get("data_dir"))
            config_kwargs["data_dir"] = root
            config_kwargs["release"] = Release(root).digest(roles_of(self.subset, self.parts))
        return super().create_config_id(config_kwargs, custom_features)


class CelebADialog(datasets.GeneratorBasedBuilder):
    """CelebA-Dialog, read from the official files where they lie.

    `data_dir` is the folder that holds them somewhere below it, or its fsspec URL; without it, $CELEBA_DIALOG_RELEASE.
    Configs: hq (the default), hq_512, hq_256, hq_parts, standard; `image_size=N` for other sizes of hq. Columns:
    see `features_of`. Raises ReleaseError where the files are at fault.
    """

    VERSION = datasets.Version(__version__)
    BUILDER_CONFIG_CLASS = CelebADialogConfig
    BUILDER_CONFIGS = [CelebADialogConfig(name=name, **options) for name, options in CONFIGS.items()]
    DEFAULT_CONFIG_NAME = "hq"
    DEFAULT_WRITER_BATCH_SIZE = 100  # rows held in memory while preparing: 10 MB of HQ images

    def _info(self):
        return datasets.DatasetInfo(
            description=DESCRIPTION,
            features=features_of(self.config.subset, self.config.parts),
            homepage=HOMEPAGE,
            license=LICENSE_NAME,
            citation=CITATION,
        )

    def _split_generators(self, dl_manager):
        release = Release(find_root(self.config.data_dir))
        key = index_key(release, self.config.subset, self.config.parts, self._cache_dir_root)
        index = open_index(key, release)
        check_side(index, self.config.image_size)
        warn(release, index, key)
        return [
            datasets.SplitGenerator(
                name=split,
                # The list is the list of shards; everything else must not be one.
                gen_kwargs={"ranges": shard_ranges(split, *rows), "key": key},
            )
            for split, rows in index.splits.items()
        ]

    def _generate_examples(self, ranges, key):
        size = self.config.image_size
        for first, last in ranges:
            for rows, images in read_rows(key, first, last, READ_ROWS, [size]):
                yield from zip(rows["number"].to_pylist(), examples(rows, images[size]))


# ----------------------------------------------------------------------------------------------------------- register


def register():
    """Makes `load_dataset("celeba_dialog", …, data_dir=RELEASE)` read the release with the builder above.

    For `datasets` 4.0 and later, which refuse loading scripts; earlier versions work too. Only this one name is
    touched. Without `data_dir` and $CELEBA_DIALOG_RELEASE the name means what it means without this call: the Parquet
    folder `celeba_dialog/` in the working directory. Calling it again changes nothing. Raises EnvironmentFault where
    this version of `datasets` has no place to register a name.
    """
    # Relies on what `load_dataset` calls to turn a name into a builder, in every version from 2.19 to 5.2:
    # datasets.load.dataset_module_factory(path, …, data_dir=…), returning DatasetModule(module path, hash, keywords).
    try:
        import datasets.load as load

        original = load.dataset_module_factory
        module_class = load.DatasetModule
    except (ImportError, AttributeError) as error:
        raise EnvironmentFault(
            f"datasets {datasets.__version__} has no place to register a name ({error}). Build the Parquet folder "
            f"instead, which every version loads by name: celeba-dialog build RELEASE celeba_dialog"
        ) from error
    if getattr(original, "registers", None) == "celeba_dialog":
        return

    def dataset_module_factory(path, *args, **kwargs):
        if str(path) != "celeba_dialog":
            return original(path, *args, **kwargs)
        if kwargs.get("data_dir") or os.environ.get(RELEASE_VARIABLE):
            return module_class(__name__, code_digest(), {"dataset_name": "celeba_dialog"})
        if not os.path.isdir("celeba_dialog"):
            find_root()  # raises: neither a release nor a built folder
        return original(path, *args, **kwargs)

    dataset_module_factory.registers = "celeba_dialog"
    for module in (load, getattr(datasets, "inspect", None)):
        if hasattr(module, "dataset_module_factory"):
            module.dataset_module_factory = dataset_module_factory


# ============================================================================================= how the files are read
# ------------------------------------------------------------------------------------------------------------ errors


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
_AGAIN = "Download it again."
_HOW_TO_GET_IT = (
    f"To download the official files: celeba-dialog fetch RELEASE --accept-agreement, or by hand from {AGREEMENT_URL}"
)
_HOW_TO_CHECK = "To see what is there and what is missing: celeba-dialog check RELEASE"

# ---------------------------------------------------------------------------------------------------- official files


class OfficialFile(NamedTuple):
    """A file of the official release: what it is for, where it lies there and how much it holds."""

    role: str
    subset: str
    path: str  # below the release's root
    count: int  # rows, entries or members in the official release
    holds: str  # what `count` counts
    what: str  # one phrase for messages

    @property
    def name(self):
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
    role: OfficialFile(role, subset.name, f"{subset.folder}/{path}", count, holds, what)
    for subset, files in ((HQ, _HQ_FILES), (STANDARD, _STANDARD_FILES))
    for role, path, count, holds, what in files
}
PARTS_PER_FOLDER = 2000  # N // 2000 is the folder of a part mask

# Role -> (bytes, MD5) of the one file that everybody got. For the other files none was ever published.
CHECKSUMS = {
    "standard_images": (1443490838, "00d2c5bc6d35e252742224ab0c1e8fcb"),
    "standard_attributes": (26721026, "75e246fa4810816ffd6ee81facbd244c"),
    "standard_identity": (3424458, "32bd1bd63d3c78cd57e08160ec5ed1e2"),
    "hq_attributes": (3622218, "e7da4d70ec96681fadb894c63912dcfd"),
}

# Where the one file lies without which nobody can use the HQ images.
MAPPING_ID = "10msPsx1Fouh5h8m8LoSaPTh9R4dv_mLG"
MAPPING_LINK = f"https://drive.google.com/file/d/{MAPPING_ID}/view"

# A made-up release says in its README that it is one and what it holds: by that it is whole or not.
DEMO_README = "README.txt"
DEMO_MARKER = "A made-up CelebA-Dialog release. Every face is a drawing; nothing in it is real data."
DEMO_HOLDS = "  {} {} in {}\n"  # a count, what is counted, a path below the root

# What a drawing for tests in a hurry says of itself in its JPEG comment, to be taken for an HQ image of that side.
DRAWING = "A made-up CelebA-Dialog image of {0}x{0} pixels"


def mask_name(number):
    """The official file name of a palette mask."""
    return f"{number}.png"


def part_name(number, part):
    """The official file name of a binary part mask; `part` is an index into PARTS."""
    return f"{number:05d}_{PARTS[part]}.png"


def part_of(standard_number):
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


def image_roles(subset, parts):
    """Role of every image column: {"image": "hq_images", …}."""
    if subset == "standard":
        return {"image": "standard_images"}
    return {"image": "hq_images", "mask": "hq_masks"} | ({"parts": "hq_parts"} if parts else {})


def roles_of(subset, parts=False):
    """Every role that the rows of a subset are made from."""
    return (*image_roles(subset, parts).values(), *ANNOTATIONS[subset])


def needs(subset, parts=False):
    """What a complete subset is made from: for each need the groups of roles any one of which serves it."""
    groups = [[(role,)] for role in image_roles(subset, parts).values()]
    if subset == "hq":
        groups += [[("mapping",)], [("hq_labels",)], [("hq_identity",), ("standard_identity",)]]
    else:
        groups += [[("standard_labels",), ("labels_train", "labels_validation", "labels_test")]]
        groups += [[("standard_identity",)], [("mapping",)]]
    groups += [[(f"{subset}_attributes",)], [(f"{subset}_captions",)]]
    return groups + [[(f"{subset}_requests",), (f"{subset}_requests_txt",)], [(f"{subset}_request_labels",)]]


def serving(groups, there):
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


def without(role):
    """What the rows say without the file of a role, in the words of their columns."""
    kind = role.removeprefix("hq_").removeprefix("standard_")
    if kind.startswith("labels_"):
        return f"{_WITHOUT['labels']} in the split {kind.removeprefix('labels_')}"
    return _WITHOUT[kind]


# ----------------------------------------------------------------------------------------------------------- release
# Which file below a folder is which. A text is known by its name, and its subset by its content, because people keep
# the HQ captions as `captions.json` and rename folders. Images are known by their names and, where these leave a doubt,
# by a look at one of them. A zip is looked through like a folder. A file of official name is preferred, and its copies
# are left aside. Whatever looks like a file of the release and is not read gets a Note.


class Source(NamedTuple):
    """What serves a role: a file, a folder of images, or a part of a zip."""

    role: str
    path: str  # absolute path or URL of the file; that of a folder ends in "/"
    size: int  # bytes of the file; of a folder, the sum of its images
    stamp: str  # changes when the file does: size and times, or what the server says
    problem: str = ""  # why it cannot serve, empty where it can
    kinds: tuple = ()  # of images: the kinds of names that count, see `_image_name`
    folders: tuple | None = None  # of images in a zip: what the folders are called that count, None for all
    member: tuple | None = None  # of a text in a zip: its MEMBER
    rank: int = 0  # 0 for an official name, 1 for one with another ending, 2 for any other name

    @property
    def is_file(self):
        """Whether the whole file at `path` is what serves the role, as in the official release."""
        return not self.path.endswith("/") and self.folders is None and self.member is None


class Note(NamedTuple):
    """What looks like a file of the release and is not read."""

    roles: tuple  # what it might serve; empty for any
    path: str
    text: str
    aside: bool = False  # whether it is a copy beside the official file
    moot: bool = False  # whether it stops mattering once all these roles are served
    holds: tuple = ()  # roles whose official zip lies inside this zip, where it cannot be read

    def __str__(self):
        return f"{self.path}: {self.text}"


class Release:
    """The official files, found anywhere below a folder.

    Args:
        root: path or fsspec URL of a folder that holds the release somewhere below it; `~` and relative paths too.
            What a URL needs besides (keys, tokens) comes from fsspec's own configuration.

    `sources` maps each role of `FILES` to its sources, in the order of their paths; a role that is not there is not in
    it. `notes` tell what looks like a file of the release and is not read. `demo` is {role: count} for a made-up
    release and empty for others. Nothing is written and nothing is extracted. Raises MissingFileError where there is no
    such folder.
    """

    def __init__(self, root):
        self.root = normal_path(root)
        self.demo, self.sources = {}, {}
        found = {_Images: [], Source: [], Note: []}
        for index, (folder, names) in enumerate(_tree(self.root)):
            if index == 0 and DEMO_README in names:
                self.demo = _demo(read_range(folder + DEMO_README, 0, 8192))
            for thing in _look_through(folder, _folder_files(folder, names)):
                found[type(thing)].append(thing)
        for role in FILES:
            sources, notes = self._choose(role, found)
            found[Note] += notes
            if sources and self.expected(role):
                self.sources[role] = sorted(sources, key=lambda source: source.path)
        self.notes = [
            note._replace(path=self.shown(note.path))
            for note in sorted(found[Note], key=lambda note: (note.aside, note.path))
            if not (note.moot and set(note.roles) <= set(self.sources))
        ]

    def _choose(self, role, found):
        """(Sources, Notes): what of all that was found, {type: list}, serves a role, and why the rest does not."""
        sources = [source for source in found[Source] if source.role == role]
        if role not in _OFFICIAL_NAMES:
            return _choose_texts(role, sources, self.shown)
        images = [images for images in found[_Images] if images.role == role]
        wrapped = [note.path for note in found[Note] if role in note.holds]
        return _choose_images(role, _sizes(role, found[Source]), images, sources, wrapped, self.shown)

    def shown(self, path):
        """A path as the person knows it: below the release's root."""
        below = path[len(self.root) :].lstrip("/") if path.startswith(self.root) else path
        return _printable(urllib.parse.unquote(below) if is_url(path) else below)

    def source_name(self, source):
        """The name of a source in messages: its path below the root, and for a text in a zip the member too."""
        return self.shown(_whole_name(source.path, source.member))

    def named(self, role):
        """The first source of a role, as the person knows it."""
        return self.source_name(self.sources[role][0])

    def notes_on(self, *roles):
        """The notes on files that might serve one of these roles."""
        return [note for note in self.notes if not note.roles or set(note.roles) & set(roles)]

    def expected(self, role):
        """How many rows, entries or images the file of a role has in a whole release, the official or a made-up one."""
        return self.demo.get(role, FILES[role].count)

    def text(self, role):
        """(bytes, shown name) of a text or JSON file, or None where there is none.

        Raises DamagedFileError where no copy of it can be read or one changes meanwhile, FormatError for one that is
        far too large, ConflictError where two copies differ.
        """
        found = self.sources.get(role, [])
        sources = [source for source in found if not source.problem]
        if found and not sources:
            raise DamagedFileError(f"{self.source_name(found[0])}: {found[0].problem}")
        texts = [self._read_text(source) for source in sources]
        for text, source in zip(texts[1:], sources[1:]):
            if text.replace(b"\r\n", b"\n") != texts[0].replace(b"\r\n", b"\n"):
                raise ConflictError(
                    f"{self.source_name(sources[0])} and {self.source_name(source)} are both {FILES[role].what}, and "
                    f"differ. Move the one you do not want out of the release."
                )
        return (texts[0], self.source_name(sources[0])) if texts else None

    def _read_text(self, source):
        size = source.member[4] if source.member else source.size
        if size > _MAX_TEXT:
            raise FormatError(
                f"{self.source_name(source)}: {size:,} bytes, where at most {_MAX_TEXT:,} are plausible. "
                f"This is not {FILES[source.role].name}; download that again."
            )
        data = _read_member(source.path, source.member) if source.member else read_range(source.path)
        if _status(source.path) != (source.size, source.stamp):
            raise DamagedFileError(
                f"{self.source_name(source)}: changed while it was read. Try again when nothing writes to it."
            )
        return data

    def digest(self, roles):
        """Hexadecimal digits that change when a file of these roles does, comes or goes."""
        digest = hashlib.sha256(f"{code_digest()} {self.demo}".encode())
        for role in sorted(roles):
            for source in self.sources.get(role, []):
                digest.update(repr(source._replace(path=self.shown(source.path))).encode())
        return digest.hexdigest()[:32]


def find_root(data_dir=None):
    """Where the release lies: `data_dir`, else $CELEBA_DIALOG_RELEASE. Raises MissingFileError for neither."""
    root = data_dir or os.environ.get(RELEASE_VARIABLE)
    if not root:
        raise MissingFileError(
            f"No CelebA-Dialog files given. Pass data_dir=RELEASE, the folder with the official files, or set "
            f"{RELEASE_VARIABLE}. {_HOW_TO_GET_IT}"
        )
    return normal_path(root)


def normal_path(root):
    """A release's root as an absolute path or a URL, without a slash at its end.

    Raises UsageError for an empty one, and for what only looks like a URL.
    """
    root = os.fsdecode(root)
    if not root.strip():
        raise UsageError("The path of the release is empty. Pass the folder that holds the official files.")
    try:
        root.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{root!r}: not valid text, which `datasets` needs of a path. Rename it, or pass a link to it."
        ) from None
    if is_url(root):
        kind, _, rest = root.partition("://")
        try:
            urllib.parse.urlsplit(root)
        except ValueError:
            rest = ""
        if not re.match("[A-Za-z][A-Za-z0-9+.:-]*$", kind) or not rest.strip("/:"):
            raise UsageError(f"{root}: no address. One looks like https://host/folder; a path has no :// and no ::.")
        if kind != "file":
            return root.rstrip("/")
        root = rest
    return os.path.abspath(os.path.expanduser(root))


def _demo(readme):
    """{role: count} that the README of a made-up release tells; {} for another README."""
    if not readme.startswith(DEMO_MARKER.encode()):
        return {}
    roles = {file.path: role for role, file in FILES.items()}
    lines = re.findall(DEMO_HOLDS.format("([0-9]+)", "[a-z]+", "(.+)"), readme.decode("utf-8", "replace"))
    return {roles[path]: int(count) for count, path in lines if path in roles}


@functools.cache
def code_digest():
    """Changes with this file, so that rows cached by another version of it are not served."""
    with open(__file__, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _printable(text):
    """A name with `?` for what would move the cursor of a terminal or break the line."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


def _whole_name(path, member):
    return f"{path}: {member[1]}" if member else path


def _some(names):
    """Names for a message: the first three, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


# --- what there is in a folder


def _tree(root):
    """(folder, names of its files) for every folder from `root` down, in order. Hidden ones and __MACOSX are left out.

    Links are followed, because people link the image folders; a folder is entered once, so loops end.
    """
    if is_url(root):
        yield from _remote_tree(root)
        return
    if not os.path.isdir(root):
        what = "is a file, not a folder" if os.path.exists(root) else "no such folder"
        raise MissingFileError(f"{root}: {what}. Pass the folder that holds the official files. {_HOW_TO_GET_IT}")
    seen = set()
    for folder, folders, names in os.walk(root, onerror=_cannot_list, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(filter(_counts, folders))
        # Among the names are links to nowhere, devices and pipes, which reading would wait for.
        yield folder + "/", sorted(name for name in names if _counts(name) and os.path.isfile(f"{folder}/{name}"))


def _cannot_list(error):
    raise EnvironmentFault(f"{error.filename}: cannot be listed: {error.strerror}.") from error


def _remote_tree(root):
    fs = filesystem(root)
    try:
        paths = fs.find(root) or fs.ls(root, detail=False)  # find leaves out what cannot be listed, ls says why
    except Exception as error:
        raise EnvironmentFault(f"{root}: cannot be listed: {error!r}.") from error
    if not paths:
        raise MissingFileError(
            f"{root}: nothing is listed there. Pass the address of the folder with the official files."
        )
    folders = {}
    for path in paths:
        path = fs.unstrip_protocol(path)
        folder, name = path.rsplit("/", 1)
        if all(_counts(part) for part in path[len(root) :].split("/") if part):
            folders.setdefault(folder + "/", []).append(name)
    for folder in sorted(folders):
        yield folder, sorted(folders[folder])


def _counts(name):
    return not name.startswith(".") and name != "__MACOSX"


def _look_through(path, listed, stem=None, status=None):
    """What a folder or a zip holds of a release: yields Sources of texts, _Images and Notes.

    Args:
        listed: its files, as `_folder_files` and `_zip_files` give them.
        stem: what a zip is called; one of official name holds images of one role, whatever their folders are called.
        status: what `_status` says of a zip.
    """
    is_official = _official_role(stem) is not None
    images, pictures, zips = {}, [], []
    for folder, base, member in listed:
        image = _image_name(base)
        if image:
            kind, number, _ = image
            key = kind, None if is_official else _own_name(folder)
            if key not in images:
                images[key] = _Images(path, *key, stem, status)
            images[key].add(number, member)
        elif _PICTURE.fullmatch(base):
            pictures.append(member[1])
        else:
            base = _printable(base.decode("utf-8", "replace"))
            if not base.lower().endswith(".zip"):
                yield from _look_at(path, base, member, status)
            elif status is None:
                yield from _look_into(path + member[1], *_status(path + member[1]), _stem_and_ending(base)[0])
            else:
                zips.append(base)
    for group in images.values():
        yield group if group.role else group.note()
    if zips:
        yield _note_of_zips(path, zips)
    if len(pictures) >= _MANY and not images:
        text = f"{len(pictures):,} pictures, not read: their names, {_some(pictures)}, are no file numbers."
        yield Note(("hq_images", "standard_images"), path, text, moot=True)


_MANY = 10  # a folder with at least so many pictures, none of them read, gets a Note


@functools.lru_cache(maxsize=64)  # a process looks through the same release several times
def _look_into(path, size, stamp, stem):
    """`_look_through` of a zip, as a list. One that cannot be opened is a Source with a problem, or a Note."""
    try:
        start, length, count, ahead, tail = _end_of_zip(path, size)
        in_tail = start - (size - len(tail))
        if in_tail >= 0:
            directory = tail[in_tail : in_tail + length]
        elif found := _look_at_end(path, stem, tail[: in_tail + length], ahead, start, (size, stamp)):
            return found
        else:
            directory = read_range(path, start, length)
        listed = _zip_files(directory, count, ahead, start, path)
        return list(_look_through(path, listed, stem, (size, stamp)))
    except DamagedFileError as error:
        problem = str(error).removeprefix(f"{path}: ")
        roles = _likely_roles(stem)
        if roles:
            rank = 0 if roles[0] == _official_role(stem) else 2
            return [Source(roles[0], path, size, stamp, problem, rank=rank)]
        return [Note((), path, problem)] if _CELEBA.fullmatch(stem) else []


def _look_at_end(path, stem, tail, ahead, start, status):
    """The same from the end of the directory of a zip: a list of _Images, or None where that is not enough.

    It is enough for a zip of official name whose last entries are images of its role; all of them would take a second.
    """
    role = _official_role(stem)
    entries = tail[max(0, tail.find(b"PK\x01\x02")) :]
    with contextlib.suppress(DamagedFileError):  # what looks like the start of an entry may be none
        found = list(_look_through(path, _zip_files(entries, None, ahead, start, path), stem, status)) if role else []
        if found and all(isinstance(thing, _Images) and thing.role == role for thing in found):
            return found
    return None


def _note_of_zips(path, zips):
    """The Note on a zip in which there are other zips."""
    own = DRIVE_ZIP.fullmatch(path.rsplit("/", 1)[-1])
    what = "Google Drive's own zip of a folder" if own else "a zip of zips"
    parts = "; of several parts, all into one folder" if own else ""
    text = f"{what}: it holds {_some(zips)}, which cannot be read there. Unpack it there{parts}."
    stems = [_stem_and_ending(base)[0] for base in zips]
    roles = tuple(role for role in _LIKELY_NAMES if any(role in _likely_roles(stem) for stem in stems))
    holds = tuple(filter(None, map(_official_role, stems)))
    return Note(roles, path, text, moot=bool(roles), holds=holds)


# The zips that Google Drive makes of a folder or a selection: "CelebA-Dialog (HQ)-20240131T093000Z-001.zip"; two forms.
DRIVE_ZIP = re.compile(r"(.+)-\d{8}T\d{6}Z-(?:\d+-)?\d{3}(?: ?\(\d+\))?\.zip")


# --- texts

# How the stem of a text looks, the endings that are read, and the roles that it may serve. The first that fits counts.
_TEXT_NAMES = (
    ("combined_annotation.*", ("txt", "csv"), ("hq_labels", "standard_labels")),
    ("train_attr_list.*", ("txt", "csv"), ("labels_train",)),
    ("val[a-z]*_attr_list.*", ("txt", "csv"), ("labels_validation",)),
    ("test_attr_list.*", ("txt", "csv"), ("labels_test",)),
    ("(list_attr|celebamask_hq_attribute_anno).*", ("txt", "csv"), ("hq_attributes", "standard_attributes")),
    ("identity.*", ("txt", "csv"), ("hq_identity", "standard_identity")),
    (".*mapping.*|image_list.*", ("txt", "csv"), ("mapping",)),
    ("list_eval_partition.*", ("txt", "csv"), ("partition",)),
    ("captions?([^a-z].*)?", ("json",), ("hq_captions", "standard_captions")),
    ("request_annotated.*", ("json",), ("hq_request_labels", "standard_request_labels")),
    ("request.*", ("json",), ("hq_requests", "standard_requests")),
    ("request.*", ("txt",), ("hq_requests_txt", "standard_requests_txt")),
)
_ANY_KEY = re.compile(rb"(?<![0-9])([0-9]{1,6})\.(?:jpe?g|png)", re.I)
_ALSO_OFFICIAL = {"image_list": None}  # progressive GAN's own list, which has the columns of the mapping
_MAPS = re.compile(rb"orig_file|(?m:^[0-9]+[ \t,]+[0-9]+[ \t,]+[0-9]{6}\.jpg)")  # what a mapping of another name holds

# What browsers, file managers, Drive and tools that split a zip add to a name.
_ADDED = re.compile(
    r"([ _-]*\([0-9]+\)|( -)? copy( [0-9]+)?|[ -][1-9]"
    r"|-[0-9]{8}t[0-9]{6}z(-[0-9]+)?-[0-9]{3}|-0[0-9]{2}|[-_. ]part[-_ ]?[0-9]+)+$"
)
# Endings of files that are not read -> what is said of them. The first that fits counts.
_UNREAD = {
    re.compile("z[0-9]{2}|(zip|7z|rar|tar)[.][0-9]{2,3}|part[0-9]+[.]rar"): (
        "one piece of an archive, not read. Put the pieces together and unpack them there."
    ),
    re.compile("(.*[.])?(7z|rar|tar|tgz|gz|bz2|xz|zst)"): "an archive of a kind that is not read. Unpack it there.",
    re.compile("(zip|txt|json|csv)[.].+"): "not read, because of its ending. Is it whole, and the one to use?",
    re.compile(
        "csv|tsv|txt|jsonl?|ndjson|xml|npy|npz|pkl|pickle|parquet|arrow|feather|xlsx?|h5|hdf5|lmdb|mat|pth?|tfrecords?"
    ): "not read in this form.",
}


def _stem_and_ending(base):
    """(stem, ending) of a file name in lower case; the stem without such additions, and with `_` for `-` and blanks."""
    base = base.lower()
    if base.endswith(".json.txt"):  # where Windows hides endings
        base = base[: -len(".txt")]
    stem, _, ending = base.rpartition(".")
    return _plain(stem), ending


def _plain(name):
    return re.sub("[ -]", "_", _ADDED.sub("", name.lower()))


def _text_roles(stem, ending=None):
    """The roles that a text may serve, by its name; () for another file, and for an `ending` that is not read."""
    for pattern, endings, roles in _TEXT_NAMES:
        if (ending is None or ending in endings) and re.fullmatch(pattern, stem):
            return roles
    return ()


def _look_at(path, base, member, status):
    """What a file that is neither an image nor a zip is to the release: yields a Source, a Note or nothing.

    It is the MEMBER of the folder `path`, or of the zip `path`, of which `_status` says `status`.
    """
    stem, ending = _stem_and_ending(base)
    roles = _text_roles(stem, ending)
    if status is None:
        path, member = path + member[1], None
    found = _look_at_text(path, base, member, status or _status(path), roles) if roles else _unread(base)
    if isinstance(found, Note):
        yield found._replace(path=_whole_name(path, member))
    elif found:
        official = _official_stems(roles if found.problem else [found.role]) | _ALSO_OFFICIAL
        rank = 2 if stem not in official else 0 if ending == official[stem] else 1
        if found.problem and rank == 2:
            names = " or ".join(FILES[role].name for role in roles)
            yield Note(roles, _whole_name(path, member), f"is no {names}: {found.problem}")
        else:
            yield found._replace(rank=rank)


def _look_at_text(path, base, member, status, roles):
    """The Source of a text whose name allows some roles: its first bytes tell which. None for another file."""
    head, problem = _head_of_text(path, member)
    text = decoded(head, "ignore").encode()
    key = _ANY_KEY.search(text)
    if "mapping" in roles and _stem_and_ending(base)[0] not in _official_stems(roles) and not _MAPS.search(text):
        return None
    if not key:  # useless, but the message is to name the file that it was meant to be
        problem = problem or _what_is(head, member[4] if member else status[0])
    is_standard = len(key[1]) == STANDARD.digits if key else "hq" not in base.lower() and "(hq)" not in path.lower()
    fitting = [role for role in roles if role == "mapping" or (FILES[role].subset == "standard") == is_standard]
    return Source((fitting or roles)[0], path, *status, problem, member=member) if fitting or problem else None


def _head_of_text(path, member):
    """(first bytes of a text, "" or why it cannot be read)."""
    if member and member[6] not in (0, 8):
        return b"", "encrypted in this zip, or packed by a method that is not read. Unpack it there."
    try:
        return _start(path, member), ""
    except DamagedFileError as error:
        return b"", str(error).removeprefix(f"{path}: ")


def _official_stems(roles):
    """{stem: ending} of the official names of texts."""
    return dict(_stem_and_ending(FILES[role].name) for role in roles)


def _unread(base):
    """A Note, without a path, on a file that is called like one of the release and has another form; else None."""
    name, _, ending = base.lower().partition(".")
    why = next((why for pattern, why in _UNREAD.items() if pattern.fullmatch(ending)), None)
    stem = _plain(name)
    roles = _text_roles(stem)
    if why is None or (not roles and ending in ("csv", "txt", "json")):  # a text of another name
        return None
    roles = roles or tuple(_likely_roles(stem))
    if not roles and not _CELEBA.fullmatch(stem):
        return None
    official = " or ".join(FILES[role].name for role in roles)
    return Note(roles, "", why + (f" The official file is {official}." if official else ""))


def _choose_texts(role, found, shown):
    """(Sources, Notes): which of the Sources of a text serve it. Copies of a less official name are left aside."""
    sound = [source for source in found if not source.problem]
    truth = min(sound, key=lambda source: source.rank, default=None)
    aside = [source for source in sound if source.rank > truth.rank]
    notes = [
        Note(
            (role,),
            _whole_name(source.path, source.member),
            f"left aside, because {shown(_whole_name(truth.path, truth.member))} bears the official name.",
            aside=True,
        )
        for source in aside
    ]
    return [source for source in found if source not in aside], notes


# --- images

# Role of images -> what their zip or folder is called, officially or in the releases that CelebA-Dialog is made from.
_OFFICIAL_NAMES = {
    "hq_images": ("image", "images", "celeba_hq_img"),
    "hq_masks": ("celebamask_hq_mask_color_palette",),
    "hq_parts": ("celebamask_hq_mask_anno",),
    "standard_images": ("img_align_celeba",),
}
_LIKELY_NAMES = {  # how else they may be called, for a zip that cannot be opened
    "hq_images": "images?([^a-z].*)?|celeba_?hq_img.*",
    "standard_images": "img_(align_)?celeba.*",
    "hq_masks": ".*palette.*",
    "hq_parts": ".*(mask_anno|parts?|binary).*",
}
_CELEBA = re.compile("celeb.*")  # a zip of such a name may hold anything of the release
_SHARE = re.compile("[0-9]+|train|val|valid|validation|test|female|male", re.I)  # a folder with some of the images

_IMAGE_NAME = re.compile(
    rb"([0-9]{1,9})(?:_(" + "|".join(PARTS).encode() + rb"))?\.(jpe?g|png|webp|bmp|gif|tiff?)", re.I
)
_PART_INDEX = {part.encode(): index for index, part in enumerate(PARTS)}
_PICTURE = re.compile(rb".+\.(jpe?g|png|webp|bmp|gif|tiff?)", re.I | re.S)


def _image_name(base):
    """(kind, number, part) that the base name of an image, as bytes, tells; part is -1 for none. None for another name.

    Kinds: `six` for a JPEG named by six digits, as the standard images are, `short` for one named by another number of
    them, as the HQ images are, with or without zeros in front; `part` for a part mask; else `png`, `webp` and so on.
    """
    match = _IMAGE_NAME.fullmatch(base)
    if not match:
        return None
    digits, part, ending = match.groups()
    number = int(digits)
    if number > STANDARD.images:
        return None
    if part:
        return ("part", number, _PART_INDEX[part.lower()]) if ending.lower() == b"png" else None
    if ending[0] in b"jJ":
        return "six" if len(digits) == STANDARD.digits else "short", number, -1
    return ending.lower().decode(), number, -1


@functools.lru_cache(maxsize=1024)
def _own_name(folder):
    """The name of a folder of images, given as bytes, spelled like a stem; of `CelebA/train/0` it is `celeba`."""
    parts = ["", *folder.decode("utf-8", "replace").replace("\\", "/").strip("/").split("/")]
    while _SHARE.fullmatch(parts[-1]):
        parts.pop()
    return _plain(parts[-1])


def _official_role(stem):
    """The role of images whose official name a stem is; None for another."""
    return next((role for role, names in _OFFICIAL_NAMES.items() if stem in names), None)


def _likely_roles(stem):
    """The roles of images that a name without its ending may stand for."""
    return [role for role, pattern in _LIKELY_NAMES.items() if re.fullmatch(pattern, stem)]


class _Images:
    """Images that lie together and whose names are of one kind: in a folder, or in the folders of one name in a zip."""

    def __init__(self, path, kind, folder, stem, status):
        self.path = path  # of the folder, ending in "/", or of the zip
        self.kind = kind
        self.folder = folder  # what their folder is called; None for any, in a zip of official name
        self.stem = stem  # what the zip is called
        self.status = status  # (size, stamp) of the zip
        self.count, self.lowest, self.highest = 0, STANDARD.images, 0
        self.names = []  # in a folder
        self.last = None  # a MEMBER

    def add(self, number, member):
        self.count += 1
        self.lowest, self.highest = min(self.lowest, number), max(self.highest, number)
        self.last = member
        if not self.status:
            self.names.append(member[1])

    def is_called(self, role):
        """Whether they bear an official name of a role."""
        return self.folder in _OFFICIAL_NAMES[role] or self.stem in _OFFICIAL_NAMES[role]

    @functools.cached_property
    def look(self):
        """((width, height) in pixels, Pillow's mode) of one of them; (None, "") where it does not tell."""
        kind = {"png": "PNG", "six": "JPEG", "short": "JPEG"}.get(self.kind)
        if kind:
            with contextlib.suppress(ReleaseError):
                data = _read_member(self.path, self.last)
                with _opened(data, kind, self.path) as image:
                    return HQ.side if _is_drawing(data, image.size) else image.size, image.mode
        return None, ""

    @functools.cached_property
    def role(self):
        """What they serve, None for copies of another form. Where names leave a doubt, one of them is looked at."""
        if self.kind == "part":
            return "hq_parts"
        if self.kind == "png":
            return "hq_masks" if self.is_called("hq_masks") or self._are_masks() else None
        if self.kind not in ("six", "short"):
            return None
        return "hq_images" if not self.is_called("standard_images") and self._are_hq() else "standard_images"

    def _are_masks(self):
        with contextlib.suppress(ReleaseError):
            data = _read_member(self.path, self.last)
            return self.look[0] == (MASK_SIDE, MASK_SIDE) and mask_indices(data, self.path) is not None
        return False

    def _are_hq(self):
        """Whether JPEGs are HQ images."""
        if self.kind == "short":
            return self.is_called("hq_images") or (self.highest < HQ.images and self.look[0] != STANDARD.side)
        if self.highest >= HQ.images or self.lowest == 0:
            return self.lowest == 0
        width, height = self.look[0] or (0, 1)
        name = self.folder or self.stem or ""
        return width == height and (width >= 512 or self.is_called("hq_images") or "hq" in name)

    def fit(self, sizes):
        """How well they fit: images by the place of their size in `sizes`, masks 0 where they hold indices, else 1.
        None for images of another size."""
        size, mode = self.look
        if self.kind == "png":
            return int(mode not in ("P", "L"))
        return 0 if size is None else sizes.index(size) if size in sizes else None

    @property
    def together(self):
        """The path that shares of one set have in common, and a zip with what was unpacked from it: without endings
        such as `/train`, `/0` and `.zip`."""
        path = re.sub("[.]zip$", "", self.path, flags=re.I).rstrip("/")
        while _SHARE.fullmatch(path.rsplit("/", 1)[-1]):
            path = path.rsplit("/", 1)[0]
        return path

    def note(self, why="the release's own images are JPEGs, and its palette masks PNGs of indices", aside=False):
        """The Note that says why they are not read."""
        what = {"part": "part masks", "six": "JPEGs", "short": "JPEGs"}.get(self.kind, f"{self.kind.upper()} copies")
        size = f" of {_pixels(self.look[0])}" if self.look[0] else ""
        where = f"{self.path}: {self.folder}/" if self.status and self.folder is not None else self.path
        role = self.role or ("standard_images" if self.highest >= HQ.images else "hq_images")
        return Note((role,), where, f"{self.count:,} {what}{size}, not read: {why.removesuffix('.')}.", aside)


def _sizes(role, texts):
    """The (width, height) of images that can serve a role, the best first; () for masks. `texts` are Sources.

    Smaller copies of HQ images may also be those of an experiment: they serve where texts for them are there.
    """
    if role == "standard_images":
        return (STANDARD.side,)
    has_texts = any(source.role.startswith("hq_") and source.role not in _OFFICIAL_NAMES for source in texts)
    return (HQ.side, *(_HQ_COPIES if has_texts else ())) if role == "hq_images" else ()


def _choose_images(role, sizes, found, damaged, wrapped, shown):
    """(Sources, Notes): which of the _Images `found` for a role serve it, and why the others do not.

    Args:
        sizes: what `_sizes` says.
        damaged: Sources of zips that cannot be opened.
        wrapped: paths of zips that hold the official zip, which cannot be read there.
        shown: a function that makes a path one for messages.
    """
    official = [images for images in found if images.is_called(role)]
    broken = [source for source in damaged if source.rank == 0]
    if not official and not broken and not wrapped:
        return _choose_by_look(role, sizes, found, damaged, shown)
    official = _of_best_size(official, sizes)
    first = [*[each.path for each in (*official, *broken)], *wrapped][0]
    has = "bears the official name" if official or broken else "holds the official zip"
    why = f"left aside, because {shown(first)} {has}"
    notes = [images.note(why, aside=True) for images in found if images not in official]
    notes += [Note((role,), source.path, source.problem) for source in damaged if source.rank]
    return [*_image_sources(role, official), *broken], notes


def _of_best_size(official, sizes):
    """Of _Images that bear an official name, the best first and those that go with it: not folders of another size."""
    if not sizes or len(official) < 2:
        return official
    best = min(official, key=lambda images: (images.look[0] != sizes[0], not images.status))
    others = [images for images in official if images.status or images.look[0] in (best.look[0], None)]
    return [best, *(images for images in others if images is not best)]


def _choose_by_look(role, sizes, found, damaged, shown):
    """`_choose_images` where nothing bears an official name: what fits best serves, and has to lie in one place."""
    fits = {images: images.fit(sizes) for images in found}
    best = min((fit for fit in fits.values() if fit is not None), default=None)
    chosen, notes = [], []
    for images, fit in fits.items():
        if fit is None:
            notes.append(images.note(_what_size(images.look[0], SUBSETS[FILES[role].subset])))
        elif fit > best:
            notes.append(images.note("left aside, because there are better ones", aside=True))
        else:
            chosen.append(images)
    if not chosen:
        return damaged, notes
    first, *others = {images.together: images.path for images in chosen}.values()
    if others:
        name = _OFFICIAL_NAMES[role][0]
        problem = (
            f"these may be {FILES[role].what}, and those in {_some(list(map(shown, others)))} too: none bears an "
            f"official name ({name}.zip or {name}/). Move what you do not want out of the release."
        )
        return [Source(role, first, 0, "", problem)], notes
    notes += [Note((role,), source.path, source.problem) for source in damaged]
    return list(_image_sources(role, chosen)), notes


def _image_sources(role, chosen):
    """The Sources of some _Images, one for each folder or zip."""
    places = {}
    for images in chosen:
        places.setdefault(images.path, []).append(images)
    for path, found in places.items():
        kinds = tuple(sorted({images.kind for images in found}))
        if found[0].status:
            folders = {images.folder for images in found}
            folders = None if None in folders else tuple(sorted(folders))
            yield Source(role, path, *found[0].status, "", kinds, folders)
            continue
        digest, total = hashlib.sha256(), 0
        for name in sorted(name for images in found for name in images.names):
            size, stamp = _status(path + name)
            total += size
            digest.update(f"{name} {stamp}\n".encode("utf-8", "surrogateescape"))
        yield Source(role, path, total, digest.hexdigest(), "", kinds)


# ------------------------------------------------------------------------------------------------------------- bytes
# Of local files and of whatever fsspec reaches. Nothing stays open between two calls, so there is nothing to share
# between threads, to lose in a fork or to run out of.

_MAX_MEMBER = 64 << 20  # bytes of one image: 600 times an HQ image, and no harm to a machine
_MAX_TEXT = 1 << 30  # bytes of one text or JSON file: six times the largest official one
_GAP = 4096  # bytes between two remote ranges that are worth reading rather than asking twice


def is_url(path):
    return "://" in path or "::" in path


def filesystem(path):
    """The fsspec file system of a URL. Raises EnvironmentFault where the package for it is not installed."""
    try:
        address = re.search("https?://.*", path, re.S)
        if address and urllib.parse.urlsplit(address[0]).port == 0:  # which raises ValueError for what is no port
            raise ValueError("port 0")
        return fsspec.core.url_to_fs(path)[0]
    except ImportError as error:
        raise EnvironmentFault(
            f'{path}: this kind of address needs another package: {error}. For http: pip install "fsspec[http]"'
        ) from error
    except ValueError as error:
        raise UsageError(f"{path}: no known kind of address: {error}.") from error
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be reached: {error.strerror or error!r}.") from error


def read_range(path, start=0, length=None):
    """`length` bytes of a file from `start` on, or fewer where it ends; all the rest where `length` is None."""
    if not is_url(path):
        return read_ranges(path, [(start, -1 if length is None else length)])[0]
    fs = filesystem(path)
    try:
        if length is None:
            return fs.cat_file(path)[start:]
        # An open file, not cat_file, because only this refuses a server that answers with the whole file instead.
        with fs.open(path, "rb", block_size=max(length, 1), cache_type="bytes") as file:
            file.seek(start)
            return file.read(length)
    except ValueError as error:
        raise EnvironmentFault(
            f"{path}: the server does not send ranges of a file ({error}). Download the release and pass its folder."
        ) from error
    except Exception as error:
        raise _fault(path, error) from error


def read_ranges(path, ranges):
    """The bytes of several (start, length) ranges of one file."""
    try:
        if is_url(path):
            return _read_remote_ranges(path, ranges)
        with open(path, "rb") as file:
            return [file.read(length) for start, length in ranges if file.seek(start) >= 0]
    except Exception as error:
        raise _fault(path, error) from error


def _read_remote_ranges(path, ranges):
    """All at once, and neighbours in one request: the eighteen part masks of an image lie side by side."""
    spans = []  # [start, end] of what is asked for
    for start, length in sorted(ranges):
        if spans and start <= spans[-1][1] + _GAP:
            spans[-1][1] = max(spans[-1][1], start + length)
        else:
            spans.append([start, start + length])
    starts, ends = zip(*spans)
    found = filesystem(path).cat_ranges([path] * len(spans), list(starts), list(ends), on_error="raise")
    result = []
    for start, length in ranges:
        span = bisect.bisect_right(starts, start) - 1
        result.append(found[span][start - starts[span] : start - starts[span] + length])
    return result


def _read_image_file(path):
    data = read_range(path, 0, None if is_url(path) else _MAX_MEMBER + 1)
    if len(data) > _MAX_MEMBER:
        raise FormatError(f"{path}: more than {_MAX_MEMBER:,} bytes, which no image here has. {_AGAIN}")
    return data


def _fault(path, error):
    """A failed read as an error of ours: a file that vanished is the release's fault, the rest the machine's."""
    if isinstance(error, CelebADialogError):
        return error
    if isinstance(error, FileNotFoundError):
        return MissingFileError(f"{path}: not there any more; it was when the release was looked through. Try again.")
    return EnvironmentFault(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error!r}.")


# Keys under which file systems tell something that changes with a file.
_TELLS_CHANGES = ("ETag", "etag", "Last-Modified", "LastModified", "mtime", "created", "Content-MD5")


def _status(path):
    """(size in bytes, stamp) of a file; the stamp changes when the file does."""
    try:
        if is_url(path):
            info = filesystem(path).info(path)
            told = [str(info.get(name)) for name in _TELLS_CHANGES if info.get(name) is not None]
            size = int(info.get("size") or 0)
            return size, repr([size, *(told or [_content_stamp(path, size)])])
        status = os.stat(path)
    except Exception as error:
        raise _fault(path, error) from error
    return status.st_size, f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _content_stamp(path, size):
    """The stamp where a server tells none of these: a digest of the file, or of the end of a zip, where it has CRCs."""
    length = min(size, _END) if path.lower().endswith(".zip") else size
    return hashlib.sha256(read_range(path, max(0, size - length), length)).hexdigest()


def _what_is(head, size):
    """One sentence on a file that is not what its name says."""
    if size == 0:
        return f"the file is empty. {_AGAIN}"
    return _other_kind(head) or (
        f"starts with {head[:24]!r}, and holds no file name such as {HQ.file_name(0)} or {STANDARD.file_name(1)}. "
        f"{_AGAIN}"
    )


# What a packed file starts with, in lower case -> its kind.
_PACKED = {
    b"pk\x03\x04": "zip",
    b"pk\x05\x06": "zip",
    b"\x1f\x8b": "gzip",
    b"bzh": "bzip2",
    b"\xfd7zxz": "xz",
    b"7z\xbc\xaf": "7-Zip",
    b"rar!": "RAR",
}


def _other_kind(head):
    """One sentence on a file that is known for another kind than text, None for one that is not."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<"):
        why = ", as Google Drive sends where its quota is used up or a login is asked for"
        return f"this is a web page, not the file itself{why if b'google' in start else ''}. {_AGAIN}"
    if start.startswith(b"version https://git-lfs"):
        return "this is a pointer of Git LFS, not the file itself, which comes with: git lfs pull."
    for mark, kind in _PACKED.items():
        if start.startswith(mark):
            return f"this is a {kind} file under another name. Unpack it, and put what is in it here."
    return None


# -------------------------------------------------------------------------------------------------------------- zips
# An image is a byte range in a zip, or a file in a folder. The directory of a zip is read by our own loop: for the
# 202,599 standard images the standard library's takes five times as long and holds 200 MB of objects. Nothing is
# extracted, so no path in a zip can do harm.

_END = 22 + 65535  # bytes that the end record of a zip and its comment may take
_MAX_ENTRIES = 1_000_000  # of a zip: three times as many as the largest official one has
_MAX_DIRECTORY = 256 << 20  # bytes of one zip directory: six times the largest official one

# One image or text: which source, its name there, and in a zip the place of its local header, its packed and unpacked
# size in bytes, its CRC-32 and its method of packing: 0 stored, 8 deflated, or _ENCRYPTED. For a file in a folder the
# offset is 0 and the rest -1.
_ENCRYPTED = -2
MEMBER = pa.struct(
    [
        ("source", pa.int32()),
        ("name", pa.string()),
        ("offset", pa.int64()),
        ("packed", pa.int64()),
        ("size", pa.int64()),
        ("crc", pa.int64()),
        ("method", pa.int8()),
    ]
)


def _end_of_zip(path, size):
    """(offset of the directory, its length, entries, bytes in front of the zip, the last bytes of the file).

    Raises DamagedFileError where there is no sound end record.
    """
    tail = read_range(path, max(0, size - _END), min(size, _END))
    ends = [match.start() for match in re.finditer(rb"PK\x05\x06(?=.{18})", tail, re.S)]
    # The record whose comment ends with the file; a comment may hold what looks like a record.
    whole = [end for end in ends if end + 22 + int.from_bytes(tail[end + 20 : end + 22], "little") == len(tail)]
    if not ends:
        raise DamagedFileError(f"{path}: {_no_zip(path, size)}")
    end = (whole or ends)[-1]
    entries, length, offset = struct.unpack_from("<HLL", tail, end + 10)
    place = size - len(tail) + end
    if end >= 76 and tail[end - 20 : end - 16] == b"PK\x06\x07" and tail[end - 76 : end - 72] == b"PK\x06\x06":
        entries, length, offset = struct.unpack_from("<QQQ", tail, end - 76 + 32)
        place -= 76
    ahead = place - length - offset
    if ahead < 0 or length > _MAX_DIRECTORY or entries * 46 > length or entries > _MAX_ENTRIES:
        raise DamagedFileError(
            f"{path}: the zip's end record does not fit the file: {entries:,} entries in {length:,} bytes at "
            f"{offset:,}, in a file of {size:,} bytes. {_AGAIN}"
        )
    return offset + ahead, length, entries, ahead, tail


def _no_zip(path, size):
    """One sentence on a file without the end record of a zip."""
    head = read_range(path, 0, min(size, 1024))
    if head.startswith(b"PK"):
        return f"the zip is cut off: it has no directory at its end. {_AGAIN}"
    if size == 0:
        return _what_is(head, size)
    return _other_kind(head) or f"this is no zip: it starts with {head[:8]!r}. {_AGAIN}"


_ENTRY = struct.Struct("<8xHH4xLLLHHH8xL").unpack_from


def _zip_files(directory, count, ahead, start, shown):
    """(folder and base name, both bytes, MEMBER) of the files that the directory of a zip names, but for hidden ones.

    Args:
        directory: its bytes.
        count: how many entries there are; None for as many as there are bytes.
        ahead: bytes in front of the zip.
        start: where the directory begins in the file.

    Raises DamagedFileError for an entry that cannot be, and at the end for members that overlap.
    """
    at = index = 0
    spans = []
    try:
        while index < count if count is not None else at < len(directory):
            if directory[at : at + 4] != b"PK\x01\x02":
                raise struct.error
            flags, method, crc, packed, unpacked, name_length, extra_length, comment_length, offset = _ENTRY(
                directory, at
            )
            extra_at = at + 46 + name_length
            name = directory[at + 46 : extra_at]
            if 0xFFFFFFFF in (packed, unpacked, offset):
                extra = directory[extra_at : extra_at + extra_length]
                unpacked, packed, offset = _zip64(extra, unpacked, packed, offset)
            at, offset = extra_at + extra_length + comment_length, offset + ahead
            spans.append((offset, offset + 30 + name_length + packed))
            if offset + packed > start:
                raise struct.error
            index += 1
            folder, _, base = name.replace(b"\\", b"/").rpartition(b"/")
            if base and base[:1] != b"." and not _is_hidden(folder):
                method = _ENCRYPTED if flags & 1 else method
                name = _printable(name.decode("utf-8", "replace"))
                yield folder, base, (0, name, offset, packed, unpacked, crc, method)
    except (struct.error, IndexError):
        raise DamagedFileError(
            f"{shown}: the zip's directory is damaged at entry {index:,} of {count or 0:,}. {_AGAIN}"
        ) from None
    spans.sort()
    if any(end > offset for (_, end), (offset, _) in zip(spans, [*spans[1:], (start, 0)])):
        raise DamagedFileError(f"{shown}: members of the zip overlap, which no honest zip does. {_AGAIN}")


@functools.lru_cache(maxsize=1024)
def _is_hidden(folder):
    """Whether a folder in a zip is one that macOS adds, or hidden."""
    return any(part == b"__MACOSX" or (part[:1] == b"." and part.strip(b".")) for part in folder.split(b"/"))


def _zip64(extra, unpacked, packed, offset):
    """The sizes and the offset that did not fit in 32 bits, from a directory entry's extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            wide = list(struct.unpack_from(f"<{min(length, 24) // 8}Q", extra, at + 4))
            return tuple(wide.pop(0) if value == 0xFFFFFFFF else value for value in (unpacked, packed, offset))
        at += 4 + length
    raise struct.error


def read_members(places, sources):
    """The bytes of images, in order, None for a null: places is a MEMBER array, sources a list of paths.

    The CRC-32 of a zip's members is checked. Raises DamagedFileError for one that is cut off, changed or does not
    match; the message names the zip and the member.
    """
    rows = list(zip(*(places.field(index).to_pylist() for index in range(places.type.num_fields))))
    result = [None] * len(rows)
    wanted = {}
    for position, (row, there) in enumerate(zip(rows, places.is_valid().to_pylist())):
        if there:
            wanted.setdefault(row[0], []).append(position)
    for source, positions in wanted.items():
        path = sources[source]
        members = [rows[position] for position in positions]
        if path.endswith("/"):
            found = [_read_image_file(path + member[1]) for member in members]
        else:
            bodies = (_remote_bodies if is_url(path) else _local_bodies)(path, members)
            found = [_unpack(body, path, member) for body, member in zip(bodies, members)]
        for position, data in zip(positions, found):
            result[position] = data
    return result


def member_names(places, sources):
    """What the images at some places are called in messages: zip and member, or the file's path; None for a null."""
    return [
        None if source is None else f"{sources[source]}{'' if sources[source].endswith('/') else ': '}{name}"
        for source, name in zip(places.field("source").to_pylist(), places.field("name").to_pylist())
    ]


def _read_member(path, member):
    """The bytes of one image or text, a MEMBER of the zip or folder `path`."""
    try:
        places = pa.array([dict(zip((field.name for field in MEMBER), member))], MEMBER)
    except OverflowError:  # a size or place beyond 64 bits
        raise DamagedFileError(f"{path}: {member[1]} claims to be larger than any file. {_AGAIN}") from None
    return read_members(places, [path])[0]


def _start(path, member=None, length=4096):
    """The first bytes of a file, or of a MEMBER of the zip `path`."""
    if member is None:
        return read_range(path, 0, length)
    _, _, offset, packed, _, _, method = member
    start = offset + _header_length(read_range(path, offset, 30), path, member)
    body = read_range(path, start, min(packed, length))
    return _inflate(body, length, path, member) if method == 8 else body


# The bytes of a member follow a header of 30 bytes, its name, and an extra field whose length only this header tells.


def _local_bodies(path, members):
    """The packed bytes of members of a zip, one after the other."""
    try:
        with open(path, "rb") as file:
            for member in members:
                file.seek(member[2])
                file.seek(member[2] + _header_length(file.read(30), path, member))
                yield file.read(member[3])  # not a slice of more, which would copy every image
    except OSError as error:
        raise _fault(path, error) from error


def _remote_bodies(path, members):
    """The same from a server, all asked for at once: an extra field nearly always takes less than 64 bytes."""
    found = read_ranges(path, [(member[2], 30 + len(member[1].encode()) + 64 + member[3]) for member in members])
    for data, member in zip(found, members):
        start = _header_length(data, path, member)
        if start + member[3] > len(data):
            data = read_range(path, member[2], start + member[3])
        yield data[start : start + member[3]]


def _header_length(header, path, member):
    if header[:4] != b"PK\x03\x04" or len(header) < 30:
        raise DamagedFileError(
            f"{path}: {member[1]} is not where the directory says: the zip is damaged or was changed. {_AGAIN}"
        )
    return 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


def _inflate(body, length, path, member):
    """At most `length` bytes of what is packed in `body`."""
    try:
        return zlib.decompressobj(-15).decompress(body, length)
    except zlib.error as error:
        raise DamagedFileError(
            f"{path}: {member[1]} cannot be unpacked ({error}): the zip is damaged. {_AGAIN}"
        ) from None


def _unpack(body, path, member):
    _, name, _, _, size, crc, method = member
    if method == 8:
        body = _inflate(body, size + 1, path, member)
    if len(body) != size or zlib.crc32(body) != crc:
        raise DamagedFileError(
            f"{path}: {name} holds {len(body):,} bytes with CRC {zlib.crc32(body):08x}, expected {size:,} with "
            f"{crc:08x}: the zip is damaged or was changed. {_AGAIN}"
        )
    return body


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
            notes.append(Note((role,), shown, f"{what}: {_some(sorted(others))}."))
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
        image = _image_name(base)
        if image and image[0] in source.kinds:
            _check_packing(member, shown)
            rows.append((image[1], image[2], index, *member[1:]))
        elif _PICTURE.fullmatch(base) and (not image or image[0] in unserved):
            others.append(member[1])
    return rows, others


def _files_of(source, shown):
    """(base name as bytes, MEMBER) of the files in a folder, or in those folders of a zip that count for a Source."""
    if not source.path.endswith("/"):
        start, length, count, ahead, _ = _end_of_zip(source.path, source.size)
        for folder, base, member in _zip_files(read_range(source.path, start, length), count, ahead, start, shown):
            if source.folders is None or _own_name(folder) in source.folders:
                yield base, member
        return
    try:
        if is_url(source.path):
            names = [path.rsplit("/", 1)[-1] for path in filesystem(source.path).ls(source.path, detail=False)]
        else:
            names = os.listdir(source.path)
    except OSError as error:
        raise _fault(source.path, error) from error
    for _, base, member in _folder_files(source.path, filter(_counts, names)):
        yield base, member


def _folder_files(folder, names):
    """Like `_zip_files`, for the files of a folder."""
    unquote = urllib.parse.unquote if is_url(folder) else str
    place = os.fsencode(unquote(folder))
    for name in names:
        yield place, os.fsencode(unquote(name)), (0, name, 0, -1, -1, -1, -1)


def _check_packing(member, shown):
    _, name, _, packed, size, _, method = member
    if method == _ENCRYPTED:
        raise FormatError(f"{shown}: {name} is encrypted. Use the official zip, which is not.")
    if method not in (0, 8, -1):
        raise FormatError(
            f"{shown}: {name} is compressed by method {method}, where stored (0) or deflated (8) are read. "
            f"Unpack the zip in place and move it away, or use the official one."
        )
    if size > _MAX_MEMBER or packed > _MAX_MEMBER or (method == 0 and packed != size):
        raise FormatError(f"{shown}: {name} claims {size:,} bytes from {packed:,}, which no image here has. {_AGAIN}")


def _check_same(release, role, *members):
    """Raises ConflictError where two members of one number differ in size or CRC-32."""
    names, contents = [], []
    for source, name, _, _, size, crc, _ in members:
        path = release.sources[role][source].path
        if size < 0:
            data = _read_image_file(path + name)
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


# -------------------------------------------------------------------------------------------------- images and masks
# Whoever reads a row (the loader, build, verify) walks the segments of its JPEG and the chunks of its PNGs: kind, whole
# to the end, size, colours, palette, orientation. That takes 2 and 10 microseconds, where Pillow takes 25 and 20 to
# open one. Pixels take a hundred times that and are looked at where a row is made from them (resized configs, masks
# without the whole official palette), and all of them by `check --deep`: a class above 18 under the official palette,
# or grey in a part mask, is found there alone.

_MAX_SIDE = 4096  # pixels of an image: four times an HQ image
_PALETTE = bytes(value for color in MASK_COLORS.values() for value in color)
_HQ_COPIES = ((512, 512), (256, 256))  # smaller copies of the HQ images, which is all that some have
_ORIENTATION = 0x0112  # in EXIF: 1 for upright, 2 to 8 for turned or mirrored
_STARTS = (
    (re.compile(rb"\xff\xd8"), "a JPEG"),
    (re.compile(rb"\x89PNG"), "a PNG"),
    (re.compile(rb"RIFF.{4}WEBP", re.S), "a WebP"),
    (re.compile(rb"PK\x03\x04"), "a zip"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head)", re.I), "a web page"),
    (re.compile(rb"\Z"), "an empty file"),
)


def _undecodable(kind, name, why):
    return FormatError(f"{name}: the {kind} cannot be decoded: {why}. {_AGAIN}")


def _another_kind(data, kind, name):
    """The FormatError for bytes that do not start as a JPEG or PNG does."""
    what = next((what for start, what in _STARTS if start.match(data)), None)
    what = f"this is {what}" if what else f"it starts with {data[:8]!r}"
    return _undecodable(kind, name, f"{what}, no {kind}")


def _pixels(size):
    return f"{size[0]}×{size[1]} pixels"


@contextlib.contextmanager
def _opened(data, kind, name):
    """A Pillow image of some bytes. Raises FormatError for what cannot be one, before or while it is decoded."""
    try:
        with PillowImage.open(io.BytesIO(data), formats=[kind]) as image:
            if max(image.size) > _MAX_SIDE:
                raise FormatError(f"{name}: {_pixels(image.size)}, where none here has over {_MAX_SIDE:,}. {_AGAIN}")
            yield image
    except (OSError, ValueError, SyntaxError, PillowImage.DecompressionBombError) as error:
        raise _undecodable(kind, name, error) from None


def _check_upright(data, kind, name):
    """Raises FormatError for an image with an orientation in its EXIF or XMP.

    `datasets` turns such an image when it decodes it, but not the mask that belongs to it, and other readers of the
    same bytes turn nothing. No official image has one.
    """
    with _opened(data, kind, name) as image:
        orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation in range(2, 9):
        raise FormatError(
            f"{name}: its EXIF says to turn or mirror it (orientation {orientation}), which some readers do and others "
            f"do not, and its mask or image would no longer fit. Remove the tag, or get the official file."
        )


# --- JPEG

_SEGMENT = struct.Struct(">HH").unpack_from  # marker and length of a segment
_FRAME = struct.Struct(">BHHB").unpack_from  # bits of a sample, height, width and components
_FRAMES = {*range(0xFFC0, 0xFFD0)} - {0xFFC4, 0xFFC8, 0xFFCC}
_USUAL_FRAMES = {0xFFC0, 0xFFC1, 0xFFC2}  # baseline, extended, progressive; not lossless or arithmetic
_TABLES = {0xFFC4, 0xFFCC, 0xFFDB, 0xFFDD, 0xFFFE, *range(0xFFE0, 0xFFF0)}  # and comments, and what applications add
_JPEG_COLORS = {1: "grey", 4: "CMYK"}


def jpeg_header(data, name):
    """((width, height), whether it may hold an orientation) of a JPEG in RGB, without decoding it.

    Raises FormatError for what is no JPEG, is cut off, or is of a kind or in colours that the release does not have.
    """
    if data[:2] != b"\xff\xd8":
        raise _another_kind(data, "JPEG", name)
    at, frame, may_turn = 2, None, False
    try:
        while True:
            marker, length = _SEGMENT(data, at)
            if marker == 0xFFDA:  # the pixels follow
                break
            if marker == 0xFFFF:  # a byte of fill
                at += 1
                continue
            if marker == 0xFFE1:  # EXIF or XMP
                may_turn = True
            elif marker in _FRAMES and frame is None:
                frame = (marker, *_FRAME(data, at + 4))
            elif marker not in _TABLES:
                raise _undecodable("JPEG", name, f"marker {marker:04X} at byte {at:,}")
            at += 2 + length
    except struct.error:
        raise _undecodable("JPEG", name, "it is cut off") from None
    # In pixels, FF is followed by 0 or a restart marker. What follows the end does not matter.
    if not data.endswith(b"\xff\xd9") and data.find(b"\xff\xd9", at) < 0:
        raise _undecodable("JPEG", name, "it is cut off")
    return _size_of_frame(frame, name), may_turn


def _size_of_frame(frame, name):
    """(width, height) that the frame header of a JPEG tells."""
    if frame is None:
        raise _undecodable("JPEG", name, "it does not say its size")
    marker, bits, height, width, components = frame
    if marker not in _USUAL_FRAMES or bits != 8:
        raise FormatError(
            f"{name}: a JPEG of a kind that few programs decode (frame {marker:04X}, {bits} bits), expected baseline "
            f"or progressive of 8 bits. {_AGAIN}"
        )
    if components != 3:
        colors = _JPEG_COLORS.get(components, f"{components} colours")
        raise FormatError(f"{name}: a JPEG in {colors}, expected RGB. {_AGAIN}")
    return width, height


def check_image(data, sizes, subset, name):
    """(width, height) of a JPEG that can serve, told from its header.

    Args:
        sizes: what is wanted of it: sides in pixels, None for the image as it is.
        subset: HQ or STANDARD.

    Raises FormatError for one of another size or kind, or with an orientation. Smaller copies of HQ images serve where
    all that is wanted is as small.
    """
    own, may_turn = jpeg_header(data, name)
    small_enough = own in _HQ_COPIES and None not in sizes and max(sizes) <= own[0]
    if own != subset.side and not small_enough and not _is_drawing(data, own):
        raise FormatError(f"{name}: {_pixels(own)}, expected {_pixels(subset.side)}. {_what_size(own, subset)}")
    if may_turn:
        _check_upright(data, "JPEG", name)
    return own


def _is_drawing(data, own):
    """Whether a JPEG of the size `own` is a drawing for tests, which is to be taken for an HQ image."""
    return own[0] == own[1] and DRAWING.format(own[0]).encode() in data[:1024]


def _what_size(own, subset):
    """What an image of another size is, and what to do."""
    if subset is STANDARD:
        what = "a cropped or resized copy" if own[0] == own[1] else "likely from the uncropped CelebA (img_celeba)"
        return f"This is {what}; the rows are made from the aligned images, {FILES['standard_images'].name}."
    official = f"the official {FILES['hq_images'].name}"
    if own in _HQ_COPIES:
        configs = [name for name, options in CONFIGS.items() if options.get("image_size", HQ.side[0]) <= own[0]]
        return f"{' and '.join(configs)} can be made from these smaller copies; the others need {official}."
    what = " This is the size of a standard image." if own == STANDARD.side else ""
    return f"Get {official}.{what}"


def sized_image(data, sizes, subset, name):
    """{size: bytes} of a JPEG: untouched for None and for the side it has. Arguments and errors: see `check_image`."""
    own = check_image(data, sizes, subset, name)
    image = None
    result = {}
    for size in sizes:
        if size is None or own == (size, size):
            result[size] = data
        else:
            image = image or decode_image(data, name)
            result[size] = resize_image(image, size)
    return result


def decode_image(data, name):
    """The pixels of a JPEG, as a Pillow image in RGB. Raises FormatError for one that does not decode."""
    with _opened(data, "JPEG", name) as image:
        return image.convert("RGB")


def resize_image(image, side):
    """The JPEG, as bytes, of a Pillow image at `side` pixels square: Lanczos, quality 95, no chroma subsampling."""
    file = io.BytesIO()
    image.resize((side, side), PillowImage.Resampling.LANCZOS).save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()


# --- PNG

_CHUNK = struct.Struct(">L4s").unpack_from  # length and kind of a chunk
_CRC = struct.Struct(">L").unpack_from
_GREY, _RGB, _INDEXED = 0, 2, 3  # colour types
_MAY_TURN = (b"Raw profile type exif", b"exif", b"XML:com.adobe.xmp", b"xmp")  # texts in which Pillow looks for EXIF


class PngHeader(NamedTuple):
    """What a PNG says of itself."""

    size: tuple  # (width, height)
    bits: int  # of a sample
    color: int  # its colour type: _GREY, _RGB, _INDEXED, or one with alpha
    palette: bytes  # red, green and blue of each colour; empty where there is none
    may_turn: bool  # whether it may hold an orientation

    @property
    def is_official(self):
        """Whether the indices are the classes, as far as the palette goes."""
        return self.color == _INDEXED and _PALETTE.startswith(self.palette[: len(_PALETTE)])


def png_header(data, name):
    """The PngHeader of a PNG, without decoding it. Raises FormatError for what is no PNG, is cut off or damaged."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise _another_kind(data, "PNG", name)
    found, may_turn = {}, False
    for kind, at, end in _png_chunks(data, name):
        if kind == b"IHDR" or kind == b"PLTE":
            if list(found) != ([] if kind == b"IHDR" else [b"IHDR"]):
                raise _undecodable("PNG", name, f"{kind!r} at byte {at - 8:,}, where none is due")
            found[kind] = data[at:end]
        elif kind == b"IDAT":
            found[kind] = None
        else:
            may_turn = may_turn or kind == b"eXIf" or data.startswith(_MAY_TURN, at)
    if len(found.get(b"IHDR", b"")) != 13 or b"IDAT" not in found:
        raise _undecodable("PNG", name, "it has no header or no pixels")
    width, height, bits, color = struct.unpack_from(">LLBB", found[b"IHDR"])
    palette = found.get(b"PLTE", b"")
    if len(palette) % 3 or (color == _INDEXED and not palette):
        raise _undecodable("PNG", name, f"its palette is of {len(palette)} bytes")
    return PngHeader((width, height), bits, color, palette, may_turn)


def _png_chunks(data, name):
    """(kind, where its content begins, where that ends) of the chunks of a PNG, whose checksums are tested."""
    at, kind = 8, None
    try:
        while kind != b"IEND":
            length, kind = _CHUNK(data, at)
            end = at + 8 + length
            if (zlib.crc32(data[at + 4 : end]),) != _CRC(data, end):
                raise _undecodable("PNG", name, f"the checksum of its {kind!r} at byte {at:,} does not fit")
            yield kind, at + 8, end
            at = end + 4
    except struct.error:
        raise _undecodable("PNG", name, "it is cut off") from None


def _check_mask(data, name):
    """The PngHeader of a mask or part mask. Raises FormatError for one of another size or with an orientation."""
    header = png_header(data, name)
    if header.size != (MASK_SIDE, MASK_SIDE):
        raise FormatError(
            f"{name}: {_pixels(header.size)}, expected {_pixels((MASK_SIDE, MASK_SIDE))}. This is no official mask, "
            f"and resizing one is not undone. {_AGAIN}"
        )
    if header.may_turn:
        _check_upright(data, "PNG", name)
    return header


def sized_mask(data, size, name):
    """A mask as the dataset has it, see `palette_mask` and `resize_mask`; size is None for its own.

    Raises FormatError for one that is no official mask and cannot be turned back into one. In a mask that has the
    official palette, the pixels are looked at only where it is resized.
    """
    header = _check_mask(data, name)
    return palette_mask(data, name, header) if size is None else resize_mask(data, size, name)


def sized_part(data, size, name):
    """A binary part mask as the dataset has it, see `resize_part`; size is None for its own, and the pixels unseen.

    Raises FormatError for one that is no official part mask.
    """
    header = _check_mask(data, name)
    if (header.color, header.bits) not in ((_GREY, 1), (_GREY, 8), (_RGB, 8)):
        raise FormatError(
            f"{name}: a PNG of colour type {header.color} and {header.bits} bits, expected a binary mask in grey or "
            f"RGB. {_AGAIN}"
        )
    return data if size is None else resize_part(data, size, name)


def palette_mask(data, name, header=None):
    """A mask as a PNG whose pixel values are the class indices: the same bytes where it is one already.

    A mask re-saved as RGB in the official colours, with another palette or as grey indices is turned back, without
    loss. Raises FormatError for any other. `header` is its PngHeader, where it is at hand.
    """
    header = header or png_header(data, name)
    if header.is_official and len(header.palette) >= len(_PALETTE) and header.bits == 8:
        return data
    indices = mask_indices(data, name)
    return data if header.is_official else encode_mask(indices)


def mask_indices(data, name):
    """The class indices of a mask, uint8 (height, width). Raises FormatError for one that holds anything else."""
    header = png_header(data, name)
    if header.bits == 16 and header.color != _GREY:  # Pillow keeps the high byte of each, which may be 0 in all
        raise FormatError(f"{name}: colours of 16 bits, expected a palette mask. {_AGAIN}")
    with _opened(data, "PNG", name) as image:
        if image.mode == "P":
            colors = len(header.palette) // 3
            _check_below(np.asarray(image), min(colors, len(MASK_CLASSES)) if header.is_official else colors, name)
            image = image if header.is_official else image.convert("RGB")
        elif image.mode == "RGBA":
            image = image.convert("RGB")
        elif image.mode in ("1", "LA"):
            image = image.convert("L")
        pixels = np.asarray(image)
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            return _classes_of_colors(pixels, name)
        pixels = pixels[..., 0]  # grey saved as RGB: of the official colours only black is grey
    elif header.color == _GREY and header.bits in (1, 2, 4):  # Pillow stretches grey of few bits to 0-255
        pixels = pixels // (255 // (2**header.bits - 1))
    _check_below(pixels, len(MASK_CLASSES), name)
    return pixels.astype(np.uint8, copy=False)  # from 16 bits


def _check_below(pixels, count, name):
    if pixels.size and pixels.max() >= count:
        raise FormatError(f"{name}: holds class {pixels.max()}, expected 0 to {count - 1}. {_AGAIN}")


def _classes_of_colors(pixels, name):
    codes = pixels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    colors = np.array([(red << 16) + (green << 8) + blue for red, green, blue in MASK_COLORS.values()])
    order = np.argsort(colors)
    indices = order[np.minimum(np.searchsorted(colors[order], codes), len(colors) - 1)].astype(np.uint8)
    if (colors[indices] != codes).any():
        strange = pixels[colors[indices] != codes][0].tolist()
        raise FormatError(
            f"{name}: the colour {strange} is none of the {len(colors)} official ones. If this copy was saved with "
            f"loss, set every pixel to the nearest of them (celeba_dialog.MASK_COLORS) and save it as PNG; else "
            f"get the official {FILES['hq_masks'].name}."
        )
    return indices


def encode_mask(indices):
    """The PNG of class indices, uint8 (height, width), with the official palette."""
    image = PillowImage.fromarray(indices)
    image.putpalette(_PALETTE)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=False)
    return file.getvalue()


def resize_mask(data, side, name):
    """A mask of `side` pixels square by nearest neighbour, still class indices; never larger than it was."""
    image = PillowImage.fromarray(mask_indices(data, name))
    if max(image.size) <= side:
        return palette_mask(data, name)
    return encode_mask(np.asarray(image.resize((side, side), PillowImage.Resampling.NEAREST)))


def resize_part(data, side, name):
    """A binary part mask of `side` pixels square by nearest neighbour, in its own mode; never larger than it was.

    Raises FormatError for one that is not black and white.
    """
    with _opened(data, "PNG", name) as image:
        colors = image.getcolors(2)  # None for more
        if colors is None or not {color for _, color in colors} <= {0, 255, (0, 0, 0), (255, 255, 255)}:
            found = "more than two values" if colors is None else sorted(color for _, color in colors)
            raise FormatError(f"{name}: holds {found}, expected a binary mask of 0 and 255. {_AGAIN}")
        if max(image.size) <= side:
            return data
        file = io.BytesIO()
        image.resize((side, side), PillowImage.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


# ------------------------------------------------------------------------------------------------------------- texts
# Arrow splits text files into words and makes numbers of them, with no Python loop per value. Every reader, here and in
# the next section, takes (bytes, shown name, subset) and gives arrays by file number, with -1 or "" where the file says
# nothing, and how many rows or entries say something.

NO_NUMBER = -(1 << 31)  # in a column of numbers, where the file has `None` or the like
_NOTHING = r"(?i)^\s*(none|null|nan|n/?a|-1)?\s*$"  # how files say that there is no label; for `re` and Arrow
_NO_LINE_END = re.compile(
    "[\0-\x08\x0b-\x1f\x7f\x85\u2028\u2029]"
)  # ends a line for some programs, or belongs in no text
_HEADER_WORD = re.compile("(?=.*[A-Za-z])[A-Za-z0-9_ -]+")
_FILE_COLUMN = re.compile("(?i)im|pic|photo|file|name|id|key")  # what headers call the column of file names
_LONGEST_REQUEST = 65536  # bytes


def _wrong_line(shown, line, found, expected=""):
    """The FormatError for a line of a text file."""
    return FormatError(f"{shown}: line {line}: {found}{expected and f', expected {expected}'}. {_AGAIN}")


def decoded(data, errors="strict"):
    """The bytes of a text file as text without its byte order mark: UTF-8, or UTF-16 as Windows saves it."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors)
    if b"\0" in data[:2]:  # UTF-16 without a mark: one of the two bytes of a letter is zero
        return data.decode("utf-16-le" if data[0] else "utf-16-be", errors)
    return data.decode("utf-8-sig", errors)


def _text(data, shown):
    """The text of a file. Raises DamagedFileError for another kind of file, FormatError for bytes that are no text."""
    try:
        text = "" if _other_kind(data[:4096]) else decoded(data)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _wrong_line(shown, line, f"byte {data[error.start]:#04x} is not {error.encoding.upper()} text") from None
    if not re.search(r"\S", text):
        raise DamagedFileError(f"{shown}: {_what_is(data[:4096], len(data))}")
    return text


def _lines(data, shown):
    r"""The lines of a text file that hold something, trimmed, as an Arrow array; and the number of each, from 1.

    Only \n and \r\n end a line. Raises FormatError for what ends one elsewhere, or is no text at all.
    """
    text = _text(data, shown).replace("\r\n", "\n")
    strange = _NO_LINE_END.search(text)
    if strange:
        line = text.count("\n", 0, strange.start()) + 1
        what = {"\0": "a NUL byte", "\r": "a carriage return without a line feed"}.get(strange[0])
        raise FormatError(
            f"{shown}: line {line}: {what or f'the control character U+{ord(strange[0]):04X}'}, where only \\n and "
            f"\\r\\n may end a line. Save it with such line ends, or download it again."
        )
    lines = pc.utf8_trim(pc.split_pattern(pa.array([text]), "\n").flatten(), " \t")
    full = pc.not_equal(lines, "")
    return lines.filter(full), np.flatnonzero(full) + 1


class TextRows(NamedTuple):
    """A text file of rows with one file name and some numbers each."""

    header: list | None  # the words of the header line, None where there is none
    keys: pa.Array  # the file name of each row
    values: np.ndarray  # int32 (rows, numbers per row); NO_NUMBER where the file says nothing
    lines: np.ndarray  # the line of each row, from 1


def split_text(data, shown, width, expected, row="[.]jpg$", key_column=0, bare_ok=False, wider=0):
    """Reads a text file of rows of words, with an optional count line and header.

    Args:
        data: the bytes; between words there is white space in the whole file, or a comma, or a semicolon.
        shown: the file's name in messages.
        width: words per row: a file name and numbers.
        expected: what the numbers are, in words.
        row: a pattern of the first word of a row. The first such line starts the rows.
        key_column: which word is the file name.
        bare_ok: whether a row may be a file name alone, which says nothing of it.
        wider: words per row of a longer form of the file, of which the first `width` are read.

    Raises FormatError with the line where a row has another number of words or something else where a number should be,
    DamagedFileError for a file that is no such text at all.
    """
    texts, lines = _lines(data, shown)
    words = _words(texts)
    rows = np.flatnonzero(pc.match_substring_regex(pc.list_element(words, 0), row))
    start = int(rows[0]) if len(rows) else len(words)
    header, count = _head(words.slice(0, start), lines, shown)
    if not len(rows):
        raise FormatError(f"{shown}: {len(lines):,} lines, and no row that starts with a file name. {_AGAIN}")
    words, texts, line_of_count, lines = words.slice(start), texts.slice(start), lines[0], lines[start:]
    counts = np.asarray(pc.list_value_length(words))
    width_here = wider if counts[0] == wider else width
    full = counts == width_here
    wrong = ~full & ~(bare_ok & (counts == 1))
    if wrong.any():
        at = int(np.argmax(wrong))
        found = f"{counts[at]} words, expected {width_here}: {texts[at].as_py()[:80]!r}"
        raise _wrong_line(shown, lines[at], found)
    if header and not (len(header) == width_here and _FILE_COLUMN.search(header[0]) or 2 < len(header) == width - 1):
        found = " ".join(header)[:60]
        raise FormatError(f"{shown}: {found!r} is no header of rows of {width_here} words. {_AGAIN}")
    if count not in (None, len(words)):
        raise FormatError(
            f"{shown}: line {line_of_count} says {count:,} rows, the file holds {len(words):,}: it is cut off or "
            f"edited. {_AGAIN}"
        )
    keys = pc.list_element(words, key_column)
    words = pc.dictionary_encode((words if full.all() else words.filter(pa.array(full))).flatten())
    places = np.asarray(words.indices).reshape(-1, width_here)  # in the dictionary, which has each word once
    places = np.delete(places[:, :width], key_column, axis=1)
    numbers, good = _integers(words.dictionary)
    if not good[places].all():
        at, column = np.argwhere(~good[places])[0]
        raise _wrong_line(shown, lines[full][at], repr(words.dictionary[places[at, column]].as_py()[:40]), expected)
    values = np.full((len(keys), width - 1), NO_NUMBER, np.int32)
    values[full] = numbers[places]
    return TextRows(header, keys, values, lines)


def _words(lines):
    """The words of lines, as an Arrow array of lists. The first row shows what is between them, and if it is quoted."""
    row = lines[max(0, pc.index(pc.match_substring(lines, ".jpg"), True).as_py())].as_py()
    separator = next((mark for mark in ",;" if mark in row), None)
    if separator:
        empty = f'({separator}[ \t]*(""[ \t]*)?)+$'  # what spreadsheets fill up shorter lines with
        words = pc.split_pattern(pc.replace_substring_regex(lines, empty, ""), separator)
    else:
        words = pc.ascii_split_whitespace(lines)
    plain = words.flatten()
    if separator or '"' in row:
        plain = pc.replace_substring_regex(pc.utf8_trim(plain, " \t"), '^"(.*)"$', r"\1")
    return pa.ListArray.from_arrays(words.offsets, plain)


def _head(head, lines, shown):
    """(words of the header or None, number of the count line or None), from what stands above the first row."""
    header = count = None
    for line, found in zip(lines, head.slice(0, 3)):
        found = [word for word in found.values.slice(0, 64).to_pylist() if word]
        if header is None and count is None and len(found) == 1 and re.fullmatch("[0-9]{1,18}", found[0]):
            count = int(found[0])
        elif header is None and all(map(_HEADER_WORD.fullmatch, found)):
            header = found
        else:
            found = f"starts with {' '.join(found)[:40]!r}"
            raise _wrong_line(shown, line, found, "a row with a file name, or a header")
    return header, count


def _numbers_of(keys, lines, shown, subset):
    """File numbers (int32) of an array of file names, which stand in some lines; None for `lines` where they are keys.

    Raises FormatError for a name that is none of the subset's.
    """
    pattern = "^(0|[1-9][0-9]{0,4})[.]jpg$" if subset is HQ else "^[0-9]{6}[.]jpg$"
    named = pc.match_substring_regex(keys, pattern)
    numbers = np.asarray(pc.if_else(named, pc.utf8_rtrim(keys, ".jpg"), "-1").cast(pa.int32()))
    good = (numbers >= subset.first) & (numbers < subset.first + subset.images)
    if not good.all():
        at = int(np.argmin(good))
        where = "a key" if lines is None else f"line {lines[at]}"
        raise FormatError(
            f"{shown}: {where}: {keys[at].as_py()[:60]!r} is no image of the {subset.name} subset, whose files are "
            f"{subset.keys}. {_AGAIN}"
        )
    return numbers


def _integers(words):
    """Words as int32, NO_NUMBER for those that say nothing or are no number; and whether each is one or the other."""
    number = pc.match_substring_regex(words, "^-?[0-9]{1,9}$")
    good = pc.or_(number, pc.match_substring_regex(words, _NOTHING))
    return np.asarray(pc.if_else(number, words, str(NO_NUMBER)).cast(pa.int32())), np.asarray(good)


def _in_range(rows, low, high, shown, expected):
    """The values of rows, -1 in rows that say nothing. Raises FormatError for one outside low … high.

    A row says something in all of its values or in none; -1 says nothing, unless it is in the range.
    """
    nothing = (rows.values == NO_NUMBER) | ((rows.values == -1) & (low > -1))
    bad = ((rows.values < low) | (rows.values > high)) & ~nothing
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise _wrong_line(shown, rows.lines[row], rows.values[row, column], expected)
    half = nothing.any(axis=1) & ~nothing.all(axis=1)
    if half.any():
        row = int(np.argmax(half))
        found = f"{nothing[row].sum()} of {nothing.shape[1]} values are missing"
        raise _wrong_line(shown, rows.lines[row], found, f"{expected} for each, or for none")
    return np.where(nothing, -1, rows.values)


def _by_number(numbers, values, lines, shown, subset):
    """Values (rows, width) by file number, -1 where there is none; and how many images have some.

    Raises FormatError where two rows of an image differ, or where no row says anything.
    """
    table = np.full((subset.first + subset.images, values.shape[1]), -1, values.dtype)
    table[numbers] = values
    differ = (table[numbers] != values).any(axis=1)
    if differ.any():
        row = int(np.argmax(differ))
        other = int(np.flatnonzero(numbers == numbers[row])[-1])
        raise FormatError(
            f"{shown}: lines {lines[row]} and {lines[other]}: {subset.file_name(numbers[row])} stands twice, with "
            f"different values. {_AGAIN}"
        )
    count = int((table[:, 0] >= 0).sum())
    if not count:
        raise FormatError(f"{shown}: {len(lines):,} rows, and not one of them says anything. {_AGAIN}")
    return table, count


def _spelled(word):
    """A name as it is compared: without regard to case, and with `_` for blanks and hyphens."""
    return re.sub("[ -]", "_", word.strip().lower())


def _spellings(names):
    """Spelling -> name, for names that may be spelled in any case."""
    return {_spelled(name): name for name in names}


# Spelling -> column, of the five degrees.
_DEGREE_SPELLINGS = _spellings(RELEASE_NAMES.values()) | RELEASE_NAMES


def _header_order(header, spellings, shown):
    """Where the column of each name stands in a header, which may start with a word for the file name."""
    names = list(dict.fromkeys(spellings.values()))  # in their order, each once
    found = header[1:] if len(header) == len(names) + 1 else header
    columns = [spellings.get(_spelled(name)) for name in found]
    if sorted(map(str, columns)) != sorted(names):
        strange = [name for name, column in zip(found, columns) if column is None or columns.count(column) > 1]
        raise FormatError(
            f"{shown}: the header names {', '.join(map(repr, strange))[:60]}, expected {len(names)} names, "
            f"{names[0]} to {names[-1]}. This is another file, or an edited one. {_AGAIN}"
        )
    return [columns.index(name) for name in names]


def read_degrees(data, shown, subset):
    """Degrees: int8 (file numbers, 5) in the order of DEGREES, all -1 where missing; and how many images have some."""
    expected = "a degree from 0 to 5"
    rows = split_text(data, shown, 6, expected, bare_ok=True)
    order = _header_order(rows.header, _DEGREE_SPELLINGS, shown) if rows.header else range(len(DEGREES))
    numbers = _numbers_of(rows.keys, rows.lines, shown, subset)
    values = _in_range(rows, 0, 5, shown, expected).astype(np.int8)
    return _by_number(numbers, values[:, order], rows.lines, shown, subset)


def read_attributes(data, shown, subset):
    """Binary attributes: int8 (file numbers, 40), 1 yes, 0 no, all -1 where missing; and how many images have some.

    The release writes 1 and -1. A file that holds no -1 at all is one of the copies that write 1 and 0.
    """
    rows = split_text(data, shown, 41, "-1 or 1", bare_ok=True)
    if rows.header is None:
        raise FormatError(f"{shown}: no header with the forty attribute names, so no column can be told. {_AGAIN}")
    order = _header_order(rows.header, _spellings(ATTRIBUTES), shown)
    numbers = _numbers_of(rows.keys, rows.lines, shown, subset)
    values = _in_range(rows, -1, 1, shown, "-1 or 1").astype(np.int8)
    zeros = values == 0
    if zeros.any() and (rows.values == -1).any():
        line = rows.lines[int(np.argmax(zeros.any(axis=1)))]
        raise FormatError(f"{shown}: line {line}: 0, in a file that also writes -1; expected -1 or 1. {_AGAIN}")
    values[rows.values == -1] = 0
    return _by_number(numbers, values[:, order], rows.lines, shown, subset)


def read_identity(data, shown, subset):
    """Identities: int32 by file number, -1 where missing; and how many images have one."""
    expected = "the number of an identity"
    rows = split_text(data, shown, 2, expected, bare_ok=True)
    numbers = _numbers_of(rows.keys, rows.lines, shown, subset)
    values = _in_range(rows, 0, 1 << 30, shown, expected)
    table, count = _by_number(numbers, values, rows.lines, shown, subset)
    return table[:, 0], count


def read_mapping(data, shown, _=HQ):
    """HQ file number -> standard file number: int32 (30000,), -1 where missing; and how many there are.

    The file is CelebA-HQ-to-CelebA-mapping.txt, or the image_list.txt it was made from, with two checksums more a row.
    """
    expected = "an HQ file number below 30,000 and an index below 202,599"
    rows = split_text(data, shown, 3, expected, "^[0-9]+$", key_column=2, wider=5)
    values = _in_range(rows, 0, STANDARD.images - 1, shown, expected)
    numbers, index = values.T
    files = _numbers_of(rows.keys, rows.lines, shown, STANDARD)
    wrong = (index + 1 != files) | (numbers >= HQ.images) | (numbers < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise FormatError(
            f"{shown}: line {rows.lines[row]}: {numbers[row]}, {index[row]} and {STANDARD.file_name(files[row])}; "
            f"expected {expected} that is one less than the number in the file name. {_AGAIN}"
        )
    table, count = _by_number(numbers, files[:, None], rows.lines, shown, HQ)
    known = np.sort(table[table >= 0])
    if (known[1:] == known[:-1]).any():
        twice = STANDARD.file_name(known[1:][known[1:] == known[:-1]][0])
        raise FormatError(f"{shown}: two HQ images come from {twice}, where each has its own. {_AGAIN}")
    return table[:, 0], count


def read_partition(data, shown, _=STANDARD):
    """CelebA's own partition: None, for it is three ranges of the file number; and how many images the file has.

    The file serves as a check only: raises ConflictError where it says otherwise.
    """
    rows = split_text(data, shown, 2, "0, 1 or 2")
    numbers = _numbers_of(rows.keys, rows.lines, shown, STANDARD)
    values = _in_range(rows, 0, 2, shown, "0, 1 or 2")[:, 0]
    if (values < 0).any():
        raise _wrong_line(shown, rows.lines[int(np.argmax(values < 0))], "no number", "0, 1 or 2")
    wrong = values != part_of(numbers)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ConflictError(
            f"{shown}: line {rows.lines[row]}: {values[row]}, where CelebA puts "
            f"{STANDARD.file_name(numbers[row])} into {PARTITION[part_of(numbers[row])]}. {_AGAIN}"
        )
    return None, len(np.unique(numbers))


def read_requests_txt(data, shown, subset):
    """Editing requests by file number, from the text form, {"request": Arrow texts}; and the number of entries.

    A row is a file name, white space, and the request to the end of the line.
    """
    rows, lines = _lines(data, shown)
    names, requests = pc.extract_regex(rows, r"^(?P<name>[^ \t]+)[ \t]*(?P<request>.*)$").flatten()
    numbers = _numbers_of(names, lines, shown, subset)
    wrong = pc.or_(
        pc.greater(pc.binary_length(requests), _LONGEST_REQUEST), pc.match_substring_regex(requests, "^[,;|]")
    )
    if pc.any(wrong).as_py():
        at = wrong.index(True).as_py()
        expected = f"a request of at most {_LONGEST_REQUEST:,} bytes after a tab"
        raise _wrong_line(shown, lines[at], repr(requests[at].as_py()[:40]), expected)
    texts = _told(requests)
    codes = np.asarray(pc.dictionary_encode(texts).indices)
    _, count = _by_number(numbers, codes[:, None], lines, shown, subset)
    _check_filled({"the request": _any_text(texts)}, (), shown)
    return {"request": _texts_by_number(numbers, texts, subset)}, count


def _told(texts):
    """An Arrow array of texts with "" in the place of `None`, `n/a` and so on."""
    return pc.if_else(pc.match_substring_regex(texts, _NOTHING), "", texts)


def _texts_by_number(numbers, texts, subset):
    """Texts by file number, "" where there is none; the last of several."""
    entry = np.full(subset.first + subset.images, -1)
    entry[numbers] = np.arange(len(numbers))
    return pc.fill_null(texts.take(pa.array(entry, mask=entry < 0)), "")


def _any_text(texts):
    return pc.any(pc.not_equal(texts, "")).as_py()


# -------------------------------------------------------------------------------------------------------------- JSON
# The standard library reads it, and its objects become columns.

# How often a JSON file may hold each of these: several times as often as the largest official one does, so that what is
# made of the text cannot fill the memory.
_JSON_MOST = {"{": 1_000_000, "[": 1_000_000, ",": 10_000_000}
_SURROGATE = re.compile("[\ud800-\udfff]")  # one half of a character that is made of two


def read_json(data, shown):
    """The object that a JSON file holds, as a dict. A key that stands twice in one object has to say the same twice.

    Raises FormatError with the line or the key, DamagedFileError for another kind of file.
    """
    text = _text(data, shown)
    first = re.search(r"\S", text)
    if first[0] != "{":
        what = "a JSON list" if first[0] == "[" else f"starts with {text[first.start() :][:20]!r}"
        raise _wrong_line(shown, 1, what, "a JSON object with file names as keys")
    for mark, most in _JSON_MOST.items():
        if text.count(mark) > most:
            raise FormatError(f"{shown}: more than {most:,} times {mark}, which is not plausible. {_AGAIN}")
    repeated = []  # (object, key) where a key says two things

    def each_once(pairs):
        found = dict(pairs)
        if len(found) < len(pairs):
            repeated.extend((found, key) for key, value in pairs if not _same(value, found[key]))
        return found

    collects = gc.isenabled()
    gc.disable()  # the collector would look through a million new objects again and again: a third of the time
    try:
        found = json.loads(text, object_pairs_hook=each_once)
    except json.JSONDecodeError as error:
        raise _no_json(error, shown) from None
    except RecursionError:
        raise FormatError(f"{shown}: nested far too deeply. {_AGAIN}") from None
    except ValueError:  # Python refuses numbers of so many digits
        raise FormatError(f"{shown}: a number of thousands of digits. {_AGAIN}") from None
    finally:
        if collects:
            gc.enable()
    if repeated:
        inside, key = repeated[0]
        entry = [f"key {name!r}: " for name, value in found.items() if value is inside or _holds(value, inside)]
        raise FormatError(f"{shown}: {''.join(entry[:1])}key {key!r} stands twice, with different values. {_AGAIN}")
    return found


def _same(one, other):
    """Whether two JSON values say the same; 1 and true, which are equal in Python, do not."""
    try:
        return one == other and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    except RecursionError:
        return False


def _holds(value, inside):
    return isinstance(value, dict) and any(part is inside for part in value.values())


def _no_json(error, shown):
    """A JSONDecodeError as a FormatError."""
    rest = error.doc[error.pos :].strip()
    if not rest or error.msg.startswith("Unterminated string"):
        what = "the text ends in the middle of an entry: it is cut off"
    elif error.msg == "Extra data" and rest.startswith("{"):
        what = "a second JSON object: these are JSON lines, where one object with file names as keys was expected"
    else:
        what = f"{rest[:20]!r} is not JSON"
    return _wrong_line(shown, error.lineno, what)


def _entries(data, shown, subset):
    """(file names, file numbers as int32, values) of the entries of a JSON file."""
    found = read_json(data, shown)
    keys = pa.array([name.encode("utf-8", "replace") for name in found], pa.string())
    return list(found), _numbers_of(keys, None, shown, subset), list(found.values())


def _says_nothing(value):
    """Whether a JSON value is one of the ways to say that an image is not labelled."""
    if isinstance(value, str):
        return re.match(_NOTHING, value) is not None
    return value is None or value == {} or value != value or (type(value) is int and value == -1)


def _fields(names, values, known, expected, shown):
    """JSON objects as columns: {column: [its value in each object, or None]}, and the keys that are not known.

    Args:
        names: the key of each object, for messages.
        values: the objects, or something that says nothing.
        known: spelling of a key -> column; "" for a key that is passed over.
        expected: what the objects are, in words.

    Raises FormatError for what is no object, for one with none of the columns but other keys, for a key that looks like
    one that is missing, and for a column under two spellings that say different things.
    """
    columns = {column: [None] * len(values) for column in known.values() if column}
    shapes, unknown = {}, {}  # the keys of an object -> {key: its column}; all objects have one of a few shapes
    for row, value in enumerate(values):
        if type(value) is not dict or len(value) > 100:
            if not _says_nothing(value):
                raise _wrong_value(shown, names[row], _brief(value), expected)
            continue
        shape = tuple(value)
        if shape not in shapes:
            found = {key: known.get(_spelled(key)) for key in shape}
            unknown |= _unknown_keys(found, known, len(unknown), names[row], expected, shown)
            shapes[shape] = {key: columns[column] for key, column in found.items() if column}
        for key, column in shapes[shape].items():
            if column[row] is None:
                column[row] = value[key]
            elif value[key] is not None and not _same(value[key], column[row]):
                raise _wrong_value(shown, names[row], f"{key!r} and another spelling of it differ", "one of them")
    return columns, unknown


def _unknown_keys(found, known, count, name, expected, shown):
    """The keys of an object that are not known, as {key: None}; `found` is {key: its column, None for none}.

    Raises FormatError where all are unknown, or where one looks like a column that is missing, which is looked for
    while few (`count`) were unknown before.
    """
    strange = {key: None for key, column in found.items() if column is None}
    missing = [spelling for spelling, column in known.items() if column not in found.values()]
    mistyped = count < 1000 and any(difflib.get_close_matches(_spelled(key), missing, 1, 0.85) for key in strange)
    if strange and (mistyped or len(strange) == len(found)):
        raise _wrong_value(shown, name, f"an object with {_listed(strange)}", expected)
    return strange


def _brief(value):
    """A JSON value for a message."""
    return "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(value)[:40]


def _listed(keys):
    """Some keys for a message, the first of many."""
    shown = [_brief(key) for key in list(keys)[:8]]
    return ", ".join(shown + ["…"] * (len(keys) > len(shown)))


def _wrong_value(shown, name, found, expected):
    return FormatError(f"{shown}: key {name!r}: {found}, expected {expected}. {_AGAIN}")


def _check_filled(filled, unknown, shown):
    """Raises FormatError where no entry has anything in any field, or in one of them while there are unknown keys.

    `filled` is {field: whether an entry has something there}.
    """
    empty = [field for field in filled if not filled[field]]
    if len(empty) == len(filled) or (empty and unknown):
        other = f", but there is {_listed(unknown)}" if unknown else ""
        raise FormatError(
            f"{shown}: no entry says anything of {', '.join(empty)}{other}. This is another file, or an edited one. "
            f"{_AGAIN}"
        )


def _texts(names, values, what, shown):
    """JSON values as an Arrow array of texts, "" for what says nothing. Raises FormatError for what is no text."""
    texts = ["" if type(value) is not str and _says_nothing(value) else value for value in values]
    try:
        texts = pa.array(texts, pa.string())
    except (TypeError, ValueError):
        name, text = next(pair for pair in zip(names, texts) if type(pair[1]) is not str or _SURROGATE.search(pair[1]))
        what += f" is {_brief(text)}" if type(text) is not str else " holds half a character (a lone surrogate)"
        raise _wrong_value(shown, name, what, "a text or null") from None
    return _told(texts)


def read_captions(data, shown, subset):
    """Captions by file number: {"caption": Arrow texts, "bangs": …, …}, "" for none; and the number of entries."""
    names, numbers, values = _entries(data, shown, subset)
    whole, each = "overall_caption", "attribute_wise_captions"
    expected = f"{{'{each}': {{…}}, '{whole}': '…'}}"
    found, strange = _fields(names, values, _spellings([whole, each]), expected, shown)
    expected = f"a caption for each of {', '.join(RELEASE_NAMES.values())}"
    parts, stranger = _fields(names, found.pop(each), _DEGREE_SPELLINGS, expected, shown)
    found |= parts
    del values, parts  # so that the texts of a column go when it is made, and the memory stays flat
    columns = {}
    for column, key in {"caption": whole, **RELEASE_NAMES}.items():
        texts = _texts(names, found.pop(key), key, shown)
        columns[column] = _texts_by_number(numbers, texts, subset)
    filled = {column: _any_text(texts) for column, texts in columns.items()}
    _check_filled({whole: filled["caption"], each: any(filled[column] for column in DEGREES)}, strange, shown)
    if stranger:
        _check_filled({name: filled[column] for column, name in RELEASE_NAMES.items()}, stranger, shown)
    return columns, len(names)


def read_requests(data, shown, subset):
    """Editing requests by file number, from the JSON form: {"request": Arrow texts}; and the number of entries."""
    names, numbers, values = _entries(data, shown, subset)
    texts = _texts(names, values, "the request", shown)
    _check_filled({"the request": _any_text(texts)}, (), shown)
    return {"request": _texts_by_number(numbers, texts, subset)}, len(names)


def _word_codes(words):
    """What a field of words may hold -> the index of its class."""
    return {spelling: index for spell in (str, _spelled) for index, spelling in enumerate(map(spell, words))}


def _number_codes(numbers):
    """What a field of degrees may hold -> the number: itself, or its digit."""
    return {written(number): number for written in (int, str) for number in numbers}


# Column of `request_labels` -> its key in request_annotated*.json, and the code of each thing that may stand there, the
# official ones first.
_REQUEST_FIELDS = {
    "attribute": (
        "attribute",
        _word_codes(RELEASE_NAMES.values()) | {spelling: index for index, spelling in enumerate(DEGREES)},
    ),
    "mode": ("request_mode", _word_codes(REQUEST_MODES)),
    "direction": ("score_change_direction", _word_codes(REQUEST_DIRECTIONS)),
    "value": ("score_change_value", _number_codes(range(1, 6))),
    "target": ("target_score", _number_codes(range(0, 6))),
}


def read_request_labels(data, shown, subset):
    """Structured requests: {"attribute": int8 by file number, …} as in `request_labels`, with their "text" as Arrow
    texts; and the number of entries.

    Words become indices of their class; -1 is what the release leaves out or writes as null, in a direction only where
    nothing is asked for.
    """
    names, numbers, values = _entries(data, shown, subset)
    keys = {key: column for column, (key, _) in _REQUEST_FIELDS.items()} | {"text": "text", "user_mode": ""}
    fields, strange = _fields(names, values, keys, "{'attribute': …, 'request_mode': …, …}", shown)
    texts = _texts_by_number(numbers, _texts(names, fields.pop("text"), "text", shown), subset)
    codes = {column: _codes(names, fields[column], *_REQUEST_FIELDS[column], shown) for column in fields}
    _check_filled(_filled_fields(codes, strange), strange, shown)
    asked = np.any([code >= 0 for code in codes.values()], axis=0)
    codes["direction"][asked & (codes["direction"] < 0)] = REQUEST_DIRECTIONS.index("none")
    columns = {name: np.full(subset.first + subset.images, -1, np.int8) for name in codes}
    for name, column in columns.items():
        column[numbers] = codes[name]
    return {name: pa.array(column) for name, column in columns.items()} | {"text": texts}, len(names)


def _filled_fields(codes, strange):
    """{key: whether a request has something there}; where there are strange keys, of those that its modes need."""
    asks = {mode: (codes["mode"] == code).any() for code, mode in enumerate(REQUEST_MODES)}
    needed = {"attribute": True, "mode": True, "value": asks["change_definite"], "target": asks["target"]}
    needed["direction"] = asks["change_definite"] or asks["change_indefinite"]
    return {_REQUEST_FIELDS[name][0]: (codes[name] >= 0).any() for name in codes if needed[name] or not strange}


def _codes(names, values, key, codes, shown):
    """The codes (int8) of what stands under a key, -1 for what says nothing."""

    def code(name, value):
        if type(value) is str and _spelled(value) in codes:
            return codes[_spelled(value)]
        if _says_nothing(value):
            return -1
        expected = ", ".join(str(word) for word in list(codes)[: len(set(codes.values()))])
        raise _wrong_value(shown, name, f"{key} is {_brief(value)}", expected)

    return np.array(
        [
            # Nearly every value is one of the first two, and there are a million.
            -1 if value is None else codes[value] if type(value) in (str, int) and value in codes else code(name, value)
            for name, value in zip(names, values)
        ],
        np.int8,
    )


# Role of a text -> its reader.
READERS = {
    "mapping": read_mapping,
    "partition": read_partition,
    **dict.fromkeys(("hq_labels", "standard_labels", *(f"labels_{part}" for part in PARTITION)), read_degrees),
    **dict.fromkeys(("hq_attributes", "standard_attributes"), read_attributes),
    **dict.fromkeys(("hq_identity", "standard_identity"), read_identity),
    **dict.fromkeys(("hq_captions", "standard_captions"), read_captions),
    **dict.fromkeys(("hq_requests", "standard_requests"), read_requests),
    **dict.fromkeys(("hq_requests_txt", "standard_requests_txt"), read_requests_txt),
    **dict.fromkeys(("hq_request_labels", "standard_request_labels"), read_request_labels),
}


def read_text(release, role):
    """(what the reader of a role makes of its file, how many rows or entries that has); (None, None) without a file."""
    text = release.text(role)
    return READERS[role](*text, SUBSETS[FILES[role].subset]) if text else (None, None)


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


class IndexKey(NamedTuple):
    """Which index: of which state of which release, and the folder that it is kept in."""

    root: str  # of the release
    subset: str
    parts: bool
    digest: str  # `Release.digest` of the files that it is made from
    folder: str

    @property
    def family(self):
        """What the file names of all states of a release's index begin with."""
        return f"{hashlib.sha256(self.root.encode()).hexdigest()[:16]}-{self.subset}{'_parts' if self.parts else ''}-"

    @property
    def path(self):
        """Where the index is kept. The file need not be there."""
        return os.path.join(self.folder, f"{self.family}{self.digest}.index")


def index_key(release, subset, parts=False, cache_dir=None):
    """The IndexKey of a subset as the release is now; `cache_dir` is by default the cache folder of `datasets`."""
    folder = os.path.expanduser(str(cache_dir or datasets.config.HF_DATASETS_CACHE))
    digest = release.digest(roles_of(subset, parts))
    return IndexKey(release.root, subset, parts, digest, os.path.join(folder, "celeba_dialog_index"))


KEPT_INDEXES = 4  # of this process, and files of one family: a stream may outlive a change of its release
indexes = {}  # IndexKey -> Index, of this process
_indexes_lock = threading.Lock()
_SAY_WAITING, _STOP_WAITING = 5, 300  # seconds
_DIGITS = 64  # of a SHA-256 in hexadecimal


def open_index(key, release=None, fresh=False):
    """The Index of a key: from this process's memory, else from its file, else made from the release and kept there.

    `release` is the Release that the key was made of, where it is at hand. `fresh` makes the index in any case and
    keeps it in the place of the one there. One process makes it and the others wait for it; where the cache folder
    cannot be written, it lives in memory. Raises ChangedReleaseError where it has to be made and the release is not as
    the key says any more, and else what `read_index` raises.
    """
    with _indexes_lock:
        if fresh or key not in indexes:
            indexes.pop(key, None)
            while len(indexes) >= KEPT_INDEXES:
                del indexes[next(iter(indexes))]
            indexes[key] = not fresh and load_index(key) or _make_index(key, release, fresh)
        return indexes[key]


def _make_index(key, release, fresh):
    try:
        os.makedirs(key.folder, exist_ok=True)
        lock = filelock.FileLock(os.path.join(key.folder, key.family + "lock"))
        if os.path.islink(lock.lock_file):
            raise OSError(f"{lock.lock_file} is a link")
        _wait_for(lock)
    except (OSError, NotImplementedError) as error:  # a time-out is an OSError
        logger.warning(f"{key.folder} cannot be used ({error}): every process reads the annotations by itself.")
        return _read_unchanged(key, release)
    with lock:
        index = None if fresh else load_index(key)  # a sibling may have made it meanwhile
        if index:
            return index
        index = _read_unchanged(key, release)
        try:
            keep_index(key, index.table)
        except OSError as error:
            logger.warning(f"{key.folder} cannot be written ({error}): every process reads the annotations by itself.")
            return index
        del index
        pa.default_memory_pool().release_unused()  # what reading the texts took, before workers are forked
        return load_index(key) or _read_unchanged(key, release)


def _wait_for(lock):
    try:
        lock.acquire(timeout=_SAY_WAITING)
    except filelock.Timeout:
        logger.warning(f"Waiting for another process that reads the same annotations. Its lock: {lock.lock_file}")
        lock.acquire(timeout=_STOP_WAITING - _SAY_WAITING)


def _read_unchanged(key, release):
    """The Index of a key, made from the official files, which have to be those that the key was made of."""
    if release is None:
        release = Release(key.root)
        check_unchanged(key)
    index = read_index(release, key.subset, key.parts)
    check_unchanged(key)
    return index


def check_unchanged(key):
    """Raises ChangedReleaseError where the release is not as it was when the key was made."""
    if Release(key.root).digest(roles_of(key.subset, key.parts)) != key.digest:
        raise ChangedReleaseError(f"{key.root}: the release changed since this dataset was made. Load it again.")


def keep_index(key, table):
    """Writes an index: the SHA-256 of what follows, as 64 digits, and an Arrow file. Removes old ones of its family."""
    temporary = f"{key.path}.{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "x+b") as file:  # x: never through a link, nor into a file that is there
            file.write(bytes(_DIGITS))
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table, max_chunksize=4096)
            file.flush()
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                digest = hashlib.sha256(memoryview(data)[_DIGITS:]).hexdigest()
            file.seek(0)
            file.write(digest.encode())
        os.replace(temporary, key.path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    # The newest few indexes stay, for jobs that began before the release changed; what a killed process left goes.
    family = [entry for entry in os.scandir(key.folder) if entry.name.startswith(key.family)]
    kept = sorted((entry for entry in family if entry.name.endswith(".index")), key=_age)[:KEPT_INDEXES]
    for entry in family:
        if entry not in kept and entry.name.endswith((".index", ".tmp")):
            with contextlib.suppress(OSError):
                os.unlink(entry.path)


def _age(entry):
    """Sorts the files of a folder, the newest first."""
    with contextlib.suppress(OSError):
        return -entry.stat(follow_symlinks=False).st_mtime_ns
    return 0


def load_index(key):
    """The Index that is kept for a key, mapped into memory; None where there is none, or not as it was written."""
    try:
        data = pa.memory_map(key.path).read_buffer()
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None
    if hashlib.sha256(memoryview(data)[_DIGITS:]).hexdigest().encode() != bytes(memoryview(data)[:_DIGITS]):
        logger.warning(f"{key.path}: not as it was written, so it is made anew.")
        return None
    index = Index.of(pa.ipc.open_file(data.slice(_DIGITS)).read_all())
    return index if index.digest == key.digest else None


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
                    f"is not known. {_AGAIN}"
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
        columns |= dict.fromkeys(_REQUEST_FIELDS, pa.repeat(pa.scalar(-1, pa.int8()), len(numbers)))
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
            "request_labels": _struct(columns, _REQUEST_FIELDS),
        }


def _no_mapping(release):
    return MissingFileError(
        f"{release.root}: no {FILES['mapping'].name}, without which the split of an HQ image is not known. Get "
        f"this one file of 0.9 MB, {MAPPING_LINK}, and put it anywhere into that folder; progressive GAN's "
        f"image_list.txt serves too. Or get all that is missing: celeba-dialog fetch "
        f"{shlex.quote(release.root)} --subset hq --accept-agreement{_as_lines(release.notes_on('mapping'))}"
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
        f"{release.root}: no {which} below it: neither {files}. {_HOW_TO_CHECK}{_as_lines(release.notes_on(*roles))}"
    )


def _as_lines(notes):
    """Notes as further lines of a message."""
    return "".join(f"\n  {note}" for note in notes[:_MOST_NOTES])


def remarks(release, missing, subset, parts=False):
    """What whoever loads a subset has to be told once, a line each: what was left aside, and what is missing."""
    roles = roles_of(subset, parts)
    aside = [note.path for note in release.notes_on(*roles) if note.aside]
    lines = [f"{_some(aside)} left aside, because the official files are there."] if aside else []
    for role in missing:
        notes = [note for note in release.notes_on(role) if not note.aside]
        lines.append(f"{FILES[role].name} not found, so {without(role)}.{_as_lines(notes)}")
    return [f"{release.root}: {line} {_HOW_TO_CHECK}" for line in lines]


def unlisted_lines(index):
    """A sentence for each file of degrees that lists fewer images than it should."""
    return [
        f"{FILES[role].path}: no degrees for {count:,} images that it should list, so they are in the split "
        f"{UNLABELED}. It is cut off or edited. {_AGAIN}"
        for role, count in index.unlisted.items()
    ]


def warn(release, index, key):
    """Logs what whoever loads a subset has to know of the release, its `remarks` once in a process."""
    for line in remarks(release, index.missing, key.subset, key.parts):
        _warn_once(line)
    for line in unlisted_lines(index):
        logger.warning(f"{release.root}: {line} {_HOW_TO_CHECK}")


@functools.cache
def _warn_once(line):
    logger.warning(line)


# -------------------------------------------------------------------------------------------------------------- rows

READ_ROWS = 32  # rows that the builder reads at once: 3 MB of HQ images
FULL_SHARDS = {"train": 64, "validation": 8, "test": 8, UNLABELED: 1}
_FEWEST_ROWS = 8  # a shard holds at least so many, unless the split is smaller


def shard_count(split, rows):
    """Shards of a split with so many rows: a power of two, so that 2, 4 and 8 nodes each get the same number."""
    return min(FULL_SHARDS[split], 1 << max(0, (rows // _FEWEST_ROWS).bit_length() - 1))


def shard_ranges(split, first, last):
    """The (first row, row after the last) of each shard of a split; as even as can be, none empty."""
    count = shard_count(split, last - first)
    bounds = [first + (last - first) * index // count for index in range(count + 1)]
    return list(zip(bounds[:-1], bounds[1:]))


def read_rows(key, first, last, count, sizes):
    """The rows of an index from `first` to the one before `last`, at most `count` at a time.

    Yields (a slice of `index.table`, its images as `read_images` gives them). Raises ChangedReleaseError where an image
    cannot be read because the release is another by now, and what `read_images` raises.
    """
    index = open_index(key)
    for start in range(first, last, count):
        rows = index.table.slice(start, min(count, last - start))
        try:
            images = read_images(index, rows, sizes)
        except ReleaseError:
            check_unchanged(key)  # of an older release's index, the file that was read is not to blame
            raise
        yield rows, images


def read_images(index, rows, sizes):
    """The images of some rows of an index, for each of several sizes.

    Args:
        index: Index.
        rows: a slice of `index.table`.
        sizes: sides in pixels; None for the release's own bytes. An image is decoded once for all of them.

    Returns {size: {"image": [bytes], "mask": [bytes or None], "parts": [[(index into PARTS, bytes)]]}}, with the
    columns that the index has. Raises FormatError for an image or mask that is not what the dataset promises; what is
    looked at is said under "images and masks".
    """
    columns = {"image": _read_photos(index, rows["image"].combine_chunks(), sizes)}
    if "mask" in rows.column_names:
        columns["mask"] = _read_masks(index, rows["mask"].combine_chunks(), sizes)
    if "parts" in rows.column_names:
        columns["parts"] = _read_parts(index, rows["parts"].combine_chunks(), sizes)
    return {size: {column: found[size] for column, found in columns.items()} for size in sizes}


def _read_photos(index, places, sizes):
    role = _photo_role(index)
    found = [sized_image(data, sizes, SUBSETS[FILES[role].subset], name) for data, name in index.read(role, places)]
    return {size: [photo[size] for photo in found] for size in sizes}


def _photo_role(index):
    return "hq_images" if "hq_images" in index.sources else "standard_images"


def _read_masks(index, places, sizes):
    masks = index.read("hq_masks", places)
    return {size: [None if data is None else sized_mask(data, size, name) for data, name in masks] for size in sizes}


def _read_parts(index, lists, sizes):
    flat = lists.flatten()
    masks = index.read("hq_parts", flat.field("mask"))
    kinds = flat.field("part").to_pylist()
    ends = np.cumsum(lists.value_lengths().to_numpy()).tolist()
    result = {}
    for size in sizes:
        pairs = [(kind, sized_part(data, size, name)) for kind, (data, name) in zip(kinds, masks)]
        result[size] = [pairs[start:end] for start, end in zip([0, *ends], ends)]
    return result


def check_side(index, size):
    """Raises FormatError where the first image shows that none of `size`, None for the release's own, can be made."""
    role = _photo_role(index)
    ((data, name),) = index.read(role, index.table["image"].slice(0, 1).combine_chunks())
    check_image(data, [size], SUBSETS[FILES[role].subset], name)


def examples(rows, images):
    """Rows of an index and their images as the dictionaries that `datasets` encodes."""
    numbers = rows["number"].to_pylist()
    plain = rows.drop([name for name in ("number", "image", "mask", "parts") if name in rows.column_names]).to_pylist()
    for position, (number, row) in enumerate(zip(numbers, plain)):
        example = {"image": {"bytes": images["image"][position], "path": row["file_name"]}}
        if "mask" in images:
            mask = images["mask"][position]
            example["mask"] = None if mask is None else {"bytes": mask, "path": mask_name(number)}
        example.update(row)
        if "parts" in images:
            example["parts"] = [
                {"part": part, "mask": {"bytes": mask, "path": part_name(number, part)}}
                for part, mask in images["parts"][position]
            ]
        yield example

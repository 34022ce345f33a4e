"""CelebA-Dialog for Hugging Face `datasets`: the loading script, whole in one file.

CelebA-Dialog (Jiang et al., Talk-to-Edit, ICCV 2021) adds fine-grained attribute degrees, captions and editing
requests to the face images of CelebA-HQ (30,000) and CelebA (202,599). This module reads the official files where
they lie, zipped or unpacked, and gives them to `datasets` as rows.

One idea carries everything: annotations are one small table, images are byte ranges in a zip, a row is the two laid
side by side. The sections follow that way:

    vocabulary · errors · release · annotations · members · index · features · configs · builder · register
"""

from typing import NamedTuple

# ------------------------------------------------------------------------------------------------------- vocabulary
# Every fact about the release stands once, here. Sources: the release's metadata.txt, CelebA's and CelebAMask-HQ's
# own files, and the counts of the papers.

SPLITS = ("train", "validation", "test")

# CelebA's partition: the last standard file number of each split. HQ images follow the image they were made from.
SPLIT_ENDS = (162770, 182637, 202599)


class Subset(NamedTuple):
    """One of the two parts of the release."""

    name: str
    folder: str  # its folder in the official release
    images: int  # how many images the official release holds
    labeled: int  # how many of them have fine-grained labels, captions and requests
    rows: tuple  # images per split, in the order of SPLITS
    first: int  # the first file number
    digits: int  # zero padding of the file number, 0 for none
    side: tuple  # (width, height) of an image, in pixels
    key: str  # what a file name looks like

    def file_name(self, number):
        """The official key of an image: `file_name(7)` is `7.jpg` in HQ and `000007.jpg` in standard."""
        return f"{number:0{self.digits}d}.jpg"


HQ = Subset("hq", "CelebA-Dialog (HQ)", 30000, 29999, (24183, 2993, 2824), 0, 0, (1024, 1024), "0.jpg to 29999.jpg")
STANDARD = Subset(
    "standard",
    "CelebA-Dialog (standard)",
    202599,
    202578,
    (162770, 19867, 19962),
    1,
    6,
    (178, 218),
    "000001.jpg to 202599.jpg",
)
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

# Column -> class names, in the order of the degrees 0 to 5.
DEGREES = {
    "bangs": ("none", "very_short", "middle_short", "middle_length", "middle_long", "long"),
    "eyeglasses": ("none", "rimless", "thin_frame", "thick_frame", "thin_sunglasses", "thick_sunglasses"),
    "beard": ("none", "shaved", "middle_short", "middle_length", "long_groomed", "bushy"),
    "smiling": ("none", "closed_smile", "slight_smile", "smile", "big_smile", "very_big_smile"),
    "age": ("under_15", "15_to_30", "30_to_40", "40_to_50", "50_to_60", "over_60"),
}

# Column -> what each degree means, after the release's metadata.txt.
DEGREE_MEANINGS = {
    "bangs": (
        "no bangs, all of the forehead visible",
        "very short bangs, 80% of the forehead visible",
        "middle-short bangs, 60% visible",
        "middle-length bangs, 40% visible",
        "middle-long bangs, 20% visible",
        "long bangs, nothing of the forehead visible",
    ),
    "eyeglasses": (
        "no eyeglasses",
        "rimless, or a very thin metal frame",
        "a metal frame of middle thickness, or a thin plastic frame",
        "a thick plastic frame",
        "sunglasses with a thin frame",
        "sunglasses with a thick frame",
    ),
    "beard": (
        "no beard",
        "just shaved, very short",
        "unshaved for a while, middle-short",
        "grown to middle length",
        "long and well groomed",
        "bushy: long and not groomed",
    ),
    "smiling": (
        "not smiling",
        "a small smile, no teeth visible",
        "a small smile, some teeth visible",
        "smiling, the whole row of teeth visible",
        "a big smile, the whole row of teeth visible, mouth slightly open",
        "a very big smile, the whole row of teeth visible, mouth wide open",
    ),
    "age": (
        "under 15, a child",
        "15 to 30, a teenager or young person",
        "30 to 40, a young adult",
        "40 to 50, middle-aged",
        "50 to 60, aged",
        "over 60, elderly",
    ),
}

# CelebA's forty binary attributes, in CelebA's order.
ATTRIBUTES = (
    "5_o_Clock_Shadow",
    "Arched_Eyebrows",
    "Attractive",
    "Bags_Under_Eyes",
    "Bald",
    "Bangs",
    "Big_Lips",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Blurry",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Chubby",
    "Double_Chin",
    "Eyeglasses",
    "Goatee",
    "Gray_Hair",
    "Heavy_Makeup",
    "High_Cheekbones",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "Narrow_Eyes",
    "No_Beard",
    "Oval_Face",
    "Pale_Skin",
    "Pointy_Nose",
    "Receding_Hairline",
    "Rosy_Cheeks",
    "Sideburns",
    "Smiling",
    "Straight_Hair",
    "Wavy_Hair",
    "Wearing_Earrings",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Wearing_Necklace",
    "Wearing_Necktie",
    "Young",
)

# Mask class -> its colour in the palette; the position is the class index. Other tools count hair as 17: not here.
MASK_COLORS = {
    "background": (0, 0, 0),
    "skin": (204, 0, 0),
    "nose": (76, 153, 0),
    "eye_g": (204, 204, 0),
    "l_eye": (51, 51, 255),
    "r_eye": (204, 0, 204),
    "l_brow": (0, 255, 255),
    "r_brow": (255, 204, 204),
    "l_ear": (102, 51, 0),
    "r_ear": (255, 0, 0),
    "mouth": (102, 204, 0),
    "u_lip": (255, 255, 0),
    "l_lip": (0, 0, 153),
    "hair": (0, 0, 204),
    "hat": (255, 51, 153),
    "ear_r": (0, 204, 204),
    "neck_l": (0, 51, 0),
    "neck": (255, 153, 51),
    "cloth": (0, 204, 0),
}
MASK_CLASSES = tuple(MASK_COLORS)
MASK_SIDE = 512  # width and height of a mask, in pixels
PARTS = MASK_CLASSES[1:]  # the binary part masks: every class but the background
PARTS_PER_FOLDER = 2000  # N // 2000 is the folder of a part mask

REQUEST_MODES = ("target", "change_definite", "change_indefinite")
REQUEST_DIRECTIONS = ("negative", "positive")


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


def _official_files():
    hq, standard = HQ.folder + "/", STANDARD.folder + "/"
    rows = (
        ("hq_images", "hq", hq + "image.zip", 30000, "images", "the HQ images"),
        ("hq_masks", "hq", hq + "mask/CelebAMask-HQ-mask-color-palette.zip", 30000, "masks", "the HQ palette masks"),
        ("hq_parts", "hq", hq + "mask/CelebAMask-HQ-mask-anno.zip", 372767, "masks", "the HQ binary part masks"),
        ("hq_labels", "hq", hq + "classification_label/combined_annotation_hq.txt", 29999, "rows", "the HQ degrees"),
        (
            "hq_attributes",
            "hq",
            hq + "classification_label/CelebAMask-HQ-attribute-anno.txt",
            30000,
            "rows",
            "the HQ binary attributes",
        ),
        ("hq_captions", "hq", hq + "text/captions_hq.json", 29999, "entries", "the HQ captions"),
        ("hq_requests", "hq", hq + "text/request_hq.json", 29999, "entries", "the HQ editing requests"),
        ("hq_requests_txt", "hq", hq + "text/request_hq.txt", 29999, "rows", "the HQ editing requests as text"),
        (
            "hq_request_labels",
            "hq",
            hq + "text/request_annotated_hq.json",
            29999,
            "entries",
            "the HQ editing requests, structured",
        ),
        ("hq_identity", "hq", hq + "identity/identity_CelebA-HQ.txt", 30000, "rows", "the HQ identities"),
        ("mapping", "hq", hq + "CelebA-HQ-to-CelebA-mapping.txt", 30000, "rows", "the mapping from HQ to CelebA"),
        ("standard_images", "standard", standard + "img_align_celeba.zip", 202599, "images", "the standard images"),
        ("standard_labels", "standard", standard + "combined_annotation.txt", 202578, "rows", "the standard degrees"),
        ("labels_train", "standard", standard + "train_attr_list.txt", 162754, "rows", "the degrees of train"),
        ("labels_validation", "standard", standard + "val_attr_list.txt", 19864, "rows", "the degrees of validation"),
        ("labels_test", "standard", standard + "test_attr_list.txt", 19960, "rows", "the degrees of test"),
        (
            "standard_attributes",
            "standard",
            standard + "list_attr_celeba.txt",
            202599,
            "rows",
            "the standard binary attributes",
        ),
        ("standard_identity", "standard", standard + "identity_CelebA.txt", 202599, "rows", "the standard identities"),
        ("partition", "standard", standard + "list_eval_partition.txt", 202599, "rows", "CelebA's partition"),
        (
            "standard_captions",
            "standard",
            standard + "celeba_caption/captions.json",
            202578,
            "entries",
            "the standard captions",
        ),
        (
            "standard_requests",
            "standard",
            standard + "celeba_request/request.json",
            202578,
            "entries",
            "the standard editing requests",
        ),
        (
            "standard_requests_txt",
            "standard",
            standard + "celeba_request/request.txt",
            202578,
            "rows",
            "the standard editing requests as text",
        ),
        (
            "standard_request_labels",
            "standard",
            standard + "celeba_request/request_annotated.json",
            202578,
            "entries",
            "the standard editing requests, structured",
        ),
    )
    return {row[0]: OfficialFile(*row) for row in rows}


# Role -> official file. The name of the zip of part masks is not known for sure; its members tell what it is.
FILES = _official_files()

AGREEMENT_URL = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA/CelebA_Dialog.html"
RELEASE_VARIABLE = "CELEBA_DIALOG_RELEASE"  # where the release lies, for those who do not pass data_dir


# ------------------------------------------------------------------------------------------------------------ errors


class CelebADialogError(Exception):
    """The root of every error raised on purpose here. Its message is for the person: what, where, what to do.

    CelebADialogError
    ├── ReleaseError                the release is at fault
    │   ├── MissingFileError        a file, folder or image that is needed is not there
    │   ├── FormatError             a text, JSON, image or mask holds what cannot be right
    │   ├── DamagedFileError        a file is cut off, changed, of another kind, or its checksum fails
    │   └── ConflictError           two copies of one file disagree
    ├── EnvironmentFault            the machine is at fault: no space, no permission, a missing package or network
    └── UsageError                  the call is at fault: a path or option that does not exist
    """


class ReleaseError(CelebADialogError):
    """The release is at fault."""


class MissingFileError(ReleaseError):
    """A file, folder or image that is needed is not there."""


class FormatError(ReleaseError):
    """A text, JSON, image or mask holds what cannot be right."""


class DamagedFileError(ReleaseError):
    """A file is cut off, was changed, is of another kind, or its checksum fails."""


class ConflictError(ReleaseError):
    """Two copies of one file disagree."""


class EnvironmentFault(CelebADialogError):
    """The machine is at fault: no space, no permission, a missing package or network."""


class UsageError(CelebADialogError):
    """The call is at fault: a path or option that does not exist."""

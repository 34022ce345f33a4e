"""What rows speak of: subsets, splits, degrees, attributes, mask classes, requests.

Sources: the release's metadata.txt, CelebA's and CelebAMask-HQ's own files, and the counts of the papers.
"""

from typing import NamedTuple

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
    rows: tuple[int, ...]  # how many of them are in each split, in the order of SPLITS
    first: int  # the first file number
    digits: int  # of a file name: zeros are put in front up to so many
    side: tuple[int, int]  # (width, height) of an image, in pixels

    def file_name(self, number: int) -> str:
        """The official key of an image: `file_name(7)` is `7.jpg` in HQ and `000007.jpg` in standard."""
        return f"{number:0{self.digits}d}.jpg"

    @property
    def keys(self) -> str:
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

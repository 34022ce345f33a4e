"""What the name of a file says of it."""

import functools
import re

from .official import FILES
from .vocabulary import PARTS, STANDARD


def is_visible(name):
    return not name.startswith(".") and name != "__MACOSX"


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
ANY_KEY = re.compile(rb"(?<![0-9])([0-9]{1,6})\.(?:jpe?g|png)", re.I)
ALSO_OFFICIAL = {"image_list": None}  # progressive GAN's own list, which has the columns of the mapping
MAPS = re.compile(rb"orig_file|(?m:^[0-9]+[ \t,]+[0-9]+[ \t,]+[0-9]{6}\.jpg)")  # what a mapping of another name holds

# What browsers, file managers, Drive and tools that split a zip add to a name.
_ADDED = re.compile(
    r"([ _-]*\([0-9]+\)|( -)? copy( [0-9]+)?|[ -][1-9]"
    r"|-[0-9]{8}t[0-9]{6}z(-[0-9]+)?-[0-9]{3}|-0[0-9]{2}|[-_. ]part[-_ ]?[0-9]+)+$"
)

# Endings of files that are not read -> what is said of them. The first that fits counts.
UNREAD = {
    re.compile("z[0-9]{2}|(zip|7z|rar|tar)[.][0-9]{2,3}|part[0-9]+[.]rar"): (
        "one piece of an archive, not read. Put the pieces together and unpack them there."
    ),
    re.compile("(.*[.])?(7z|rar|tar|tgz|gz|bz2|xz|zst)"): "an archive of a kind that is not read. Unpack it there.",
    re.compile("(zip|txt|json|csv)[.].+"): "not read, because of its ending. Is it whole, and the one to use?",
    re.compile(
        "csv|tsv|txt|jsonl?|ndjson|xml|npy|npz|pkl|pickle|parquet|arrow|feather|xlsx?|h5|hdf5|lmdb|mat|pth?|tfrecords?"
    ): "not read in this form.",
}


def stem_and_ending(base):
    """(stem, ending) of a file name in lower case; the stem without such additions, and with `_` for `-` and blanks."""
    base = base.lower()
    if base.endswith(".json.txt"):  # where Windows hides endings
        base = base[: -len(".txt")]
    stem, _, ending = base.rpartition(".")
    return plain_name(stem), ending


def plain_name(name):
    return re.sub("[ -]", "_", _ADDED.sub("", name.lower()))


def text_roles(stem, ending=None):
    """The roles that a text may serve, by its name; () for another file, and for an `ending` that is not read."""
    for pattern, endings, roles in _TEXT_NAMES:
        if (ending is None or ending in endings) and re.fullmatch(pattern, stem):
            return roles
    return ()


def official_stems(roles):
    """{stem: ending} of the official names of texts."""
    return dict(stem_and_ending(FILES[role].name) for role in roles)


# --- images

# Role of images -> what their zip or folder is called, officially or in the releases that CelebA-Dialog is made from.
OFFICIAL_NAMES = {
    "hq_images": ("image", "images", "celeba_hq_img"),
    "hq_masks": ("celebamask_hq_mask_color_palette",),
    "hq_parts": ("celebamask_hq_mask_anno",),
    "standard_images": ("img_align_celeba",),
}
LIKELY_NAMES = {  # how else they may be called, for a zip that cannot be opened
    "hq_images": "images?([^a-z].*)?|celeba_?hq_img.*",
    "standard_images": "img_(align_)?celeba.*",
    "hq_masks": ".*palette.*",
    "hq_parts": ".*(mask_anno|parts?|binary).*",
}
CELEBA = re.compile("celeb.*")  # a zip of such a name may hold anything of the release
SHARE = re.compile("[0-9]+|train|val|valid|validation|test|female|male", re.I)  # a folder with some of the images
_IMAGE_NAME = re.compile(
    rb"([0-9]{1,9})(?:_(" + "|".join(PARTS).encode() + rb"))?\.(jpe?g|png|webp|bmp|gif|tiff?)", re.I
)
_PART_INDEX = {part.encode(): index for index, part in enumerate(PARTS)}
PICTURE = re.compile(rb".+\.(jpe?g|png|webp|bmp|gif|tiff?)", re.I | re.S)


def image_name(base):
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
def own_name(folder):
    """The name of a folder of images, given as bytes, spelled like a stem; of `CelebA/train/0` it is `celeba`."""
    parts = ["", *folder.decode("utf-8", "replace").replace("\\", "/").strip("/").split("/")]
    while SHARE.fullmatch(parts[-1]):
        parts.pop()
    return plain_name(parts[-1])


def official_role(stem):
    """The role of images whose official name a stem is; None for another."""
    return next((role for role, names in OFFICIAL_NAMES.items() if stem in names), None)


def likely_roles(stem):
    """The roles of images that a name without its ending may stand for."""
    return [role for role, pattern in LIKELY_NAMES.items() if re.fullmatch(pattern, stem)]

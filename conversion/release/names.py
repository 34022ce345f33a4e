"""What the name of a file or folder says of it."""

import functools
import re
from collections.abc import Iterable

from .official import FILES
from .vocabulary import PARTS, STANDARD

_SKIPPED = ("__MACOSX", "$RECYCLE.BIN", "#recycle", "System Volume Information")  # folders of systems, not of people
_LONGEST = 255  # letters of a name; in a zip it may have 65,535


def is_visible(name: str) -> bool:
    return not name.startswith(".") and name not in _SKIPPED


# The zips that Google Drive makes of a folder or a selection: "CelebA-Dialog (HQ)-20240131T093000Z-001.zip"; two forms.
DRIVE_ZIP = re.compile(r"(.+)-\d{8}T\d{6}Z-(?:\d+-)?\d{3}(?: ?\(\d+\))?\.zip")

# What browsers, file managers, Drive and tools that split a zip add to a name.
_ADDED = re.compile(
    r"([ _-]*\([0-9]+\)|( -)? copy( [0-9]+)?|[ -][1-9]"
    r"|-[0-9]{8}t[0-9]{6}z(-[0-9]+)?-[0-9]{3}|-0[0-9]{2}|[-_. ]part[-_ ]?[0-9]+)+$"
)


def stem_and_ending(base: str) -> tuple[str, str]:
    """(stem, ending) of a file name in lower case; the stem without such additions, and with `_` for `-` and blanks."""
    base = base.lower()
    if base.endswith(".json.txt"):  # where Windows hides endings
        base = base[: -len(".txt")]
    stem, _, ending = base.rpartition(".")
    return plain_name(stem), ending


def plain_name(name: str) -> str:
    name = name.lower() if len(name) > _LONGEST else _ADDED.sub("", name.lower())
    return re.sub("[ -]", "_", name)


# -------------------------------------------------------------------------------------------------------------- texts

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
# What stands in the first bytes of a text: an image's name, by which the subset is known; and in those of a mapping of
# another name.
ANY_KEY = re.compile(rb"(?<![0-9])([0-9]{1,6})\.(?:jpe?g|png)", re.I)
MAPS = re.compile(rb"orig_file|(?m:^[0-9]+[ \t,]+[0-9]+[ \t,]+[0-9]{6}\.jpg)")


def text_roles(stem: str, ending: str | None = None) -> tuple[str, ...]:
    """The roles that a text may serve, by its name; () for another file, and for an `ending` that is not read."""
    for pattern, endings, roles in _TEXT_NAMES:
        if (ending is None or ending in endings) and re.fullmatch(pattern, stem):
            return roles
    return ()


def rank_of(stem: str, ending: str, roles: Iterable[str]) -> int:
    """How official the name of a text is: 0 an official one, 1 one with another ending, 2 any other."""
    official = dict(stem_and_ending(FILES[role].name) for role in roles)
    official["image_list"] = ""  # progressive GAN's own list, which has the columns of the mapping
    return 2 if stem not in official else 0 if ending == official[stem] else 1


# ------------------------------------------------------------------------------------------------------------- images

# Role of images -> what their zip or folder is called, officially or in the releases that CelebA-Dialog is made from.
OFFICIAL_NAMES = {
    "hq_images": ("image", "celeba_hq_img"),
    "hq_masks": ("celebamask_hq_mask_color_palette",),
    "hq_parts": ("celebamask_hq_mask_anno",),
    "standard_images": ("img_align_celeba",),
}
_KINDS = {"hq_images": "jpeg", "hq_masks": "png", "hq_parts": "part", "standard_images": "jpeg"}
# A folder with some of a set. Of the official ones, only the part masks lie in such folders.
_SHARE = re.compile("[0-9]+|train|val|valid|validation|test|female|male", re.I)

_PICTURES = rb"jpe?g|png|webp|bmp|gif|tiff?"
_IMAGE_NAME = re.compile(rb"([0-9]{1,9})(?:_(%b))?\.(%b)" % ("|".join(PARTS).encode(), _PICTURES), re.I)
_PART_INDEX = {part.encode(): index for index, part in enumerate(PARTS)}
PICTURE = re.compile(rb".+\.(?:%b)" % _PICTURES, re.I | re.S)


def image_name(base: bytes) -> tuple[str, int, int] | None:
    """(kind, number, part) that the base name of an image tells; part is -1 for none. None for another name.

    Kinds: `jpeg`, for any number of zeros in front of the number; `part` for a part mask; else `png`, `webp` and so on.
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
    return "jpeg" if ending[0] in b"jJ" else ending.lower().decode(), number, -1


@functools.lru_cache(maxsize=1024)
def image_role(kind: str, folder: bytes, stem: str = "") -> tuple[str, bool]:
    """(the role of images of a kind in a folder, whether that or their zip bears its name); ("", False) for none.

    `stem` is what the zip is called in which the folder lies. In a zip of official name, base names count and not
    folders, but for those in which other sets lie in shares. Part masks are known by their own names.
    """
    own = _names_of(folder)[-1]
    if kind == "part":
        shared = own_name(folder)
        return "hq_parts", shared in OFFICIAL_NAMES["hq_parts"] or stem in OFFICIAL_NAMES["hq_parts"]
    for name in (own, "" if _SHARE.fullmatch(own) else stem):
        role = official_role(name)
        if role and _KINDS[role] == kind:
            return role, True
    return "", False


def _names_of(folder: bytes) -> list[str]:
    parts = folder.decode("utf-8", "replace").replace("\\", "/").strip("/").split("/")
    return ["", *map(plain_name, parts)]


def own_name(folder: bytes) -> str:
    """What a folder of images is called, spelled like a stem; of `CelebA/train/0` it is `celeba`."""
    parts = _names_of(folder)
    while _SHARE.fullmatch(parts[-1]):
        parts.pop()
    return parts[-1]


def without_shares(path: str) -> str:
    """The path of a folder without shares at its end: of `FFHQ/00000` it is `FFHQ`."""
    path = path.rstrip("/")
    while _SHARE.fullmatch(path.rsplit("/", 1)[-1]):
        path = path.rpartition("/")[0]
    return path


def official_role(stem: str) -> str | None:
    """The role of images whose official name a stem is; None for another."""
    return next((role for role, names in OFFICIAL_NAMES.items() if stem in names), None)


# ------------------------------------------------------------------------------------------------- what is not read

# What a file is called that may belong to the release, though its name says no role.
_LIKELY = re.compile("celeb.*|images?([^a-z].*)?|img_.*|.*(palette|mask_anno|parts?|binary|mask).*")
# Endings of files that are not read -> what is said of them. The first that fits counts.
_UNREAD = {
    re.compile("z[0-9]{2}|(zip|7z|rar|tar)[.][0-9]{2,3}|part[0-9]+[.]rar"): (
        "one piece of an archive, not read. Put the pieces together and unpack them there."
    ),
    re.compile("(.*[.])?(7z|rar|tar|tgz|gz|bz2|xz|zst)"): "an archive of a kind that is not read. Unpack it there.",
    re.compile(".+[.](crdownload|part|partial|download|aria2|tmp)"): "a download that is not finished. Get it anew.",
    re.compile("(zip|txt|json|csv)[.].+"): "not read, because of its ending. Is it whole, and the one to use?",
    re.compile(
        "csv|tsv|txt|jsonl?|ndjson|xml|npy|npz|pkl|pickle|parquet|arrow|feather|xlsx?|h5|hdf5|lmdb|mat|pth?|tfrecords?"
    ): "not read in this form.",
}


def is_likely(stem: str) -> bool:
    """Whether something of this name may belong to the release."""
    return _LIKELY.fullmatch(stem[:_LONGEST]) is not None


def unread(base: str) -> tuple[tuple[str, ...], str] | None:
    """(roles, why) for a file that is called like one of the release and has a form that is not read; else None."""
    if re.fullmatch(r"(?i)\..+\.icloud", base):
        found = unread(base[1 : -len(".icloud")] + ".gz")
        why = "its content is in iCloud, not on this machine. Download it there, with Finder."
        return found and (found[0], why)
    name, _, ending = base.lower().partition(".")
    why = next((why for pattern, why in _UNREAD.items() if pattern.fullmatch(ending)), "")
    stem = plain_name(name)
    roles = text_roles(stem)
    if not why or (not roles and (ending in ("csv", "txt", "json") or not is_likely(stem))):
        return None
    official = " or ".join(FILES[role].name for role in roles)
    return roles, why + (f" The official file is {official}." if official else "")

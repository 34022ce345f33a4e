"""What is fuzzed. A target takes any bytes; an exception other than a ReleaseError, or a false answer, is a find."""

import io
import json
import os
import struct
import tempfile
import zlib
from pathlib import Path

from conversion.release import captions, texts
from conversion.release.captions import read_json
from conversion.release.errors import ReleaseError
from conversion.release.finding import Release
from conversion.release.images import decode_image, resize_image
from conversion.release.masks import mask_indices, palette_mask, resize_mask, resize_part
from conversion.release.members import find_members
from conversion.release.official import FILES
from conversion.release.vocabulary import HQ, MASK_COLORS, STANDARD
from conversion.release.zips import read_members
from tests import making

TARGETS = {}
SIDES = (16, 512)


def target(function):
    TARGETS[function.__name__] = function
    return function


def sound(read, *arguments):
    """What a reader says, or None where it refuses; a refusal is one printable line."""
    try:
        return read(*arguments)
    except ReleaseError as error:
        assert str(error).isprintable(), str(error)
        return None


def _text_target(name, subsets):
    read = getattr(captions if hasattr(captions, name) else texts, name)

    def run(data):
        for subset in subsets:
            sound(read, data, "file", *subset)

    TARGETS[name.removeprefix("read_")] = run


for _name in ("degrees", "attributes", "identity"):
    _text_target(f"read_{_name}", [(HQ,), (STANDARD,)])
for _name in ("captions", "requests", "requests_txt", "request_labels"):  # a list as long as the subset each
    _text_target(f"read_{_name}", [(HQ,)])
for _name in ("mapping", "partition"):
    _text_target(f"read_{_name}", [()])


@target
def read_json(data):
    """The standard library is asked too: what one takes the other takes, and says the same."""
    found = sound(read_json, data, "file")
    twice = False

    def pairs(entries):
        nonlocal twice
        twice = twice or len({key for key, _ in entries}) < len(entries)
        return dict(entries)

    encoding = json.detect_encoding(data)
    if encoding.startswith("utf-32"):  # which nobody has
        return
    try:
        expected = json.loads(data.decode(encoding), object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        assert found is None, "not JSON, and read"
        return
    if not isinstance(expected, dict):
        assert found is None, "no object, and read"
    elif not twice:
        assert repr(found) == repr(expected), "read otherwise than by the standard library"


_folder = tempfile.TemporaryDirectory(prefix="celeba-dialog-fuzz-")


@target
def zip_finder(data):
    """A zip of any name: found, listed and read to the end."""
    path = Path(_folder.name) / "zip" / "image.zip"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    release = sound(Release, path.parent)
    for role, sources in release.sources.items() if release else ():
        members = sound(find_members, release, role)
        if members:
            sound(read_members, members.places, [source.path for source in sources])


@target
def search(data):
    """A text of any name: told which official file it is."""
    folder = Path(_folder.name) / "texts"
    folder.mkdir(exist_ok=True)
    for name in ("captions.json", "identity.txt", "a-mapping.txt"):
        (folder / name).write_bytes(data)
    release = sound(Release, folder)
    for role in release.sources if release else ():
        sound(release.text, role)


@target
def mask(data):
    """As it is, and with its checksums made right, so that what they guard is reached."""
    for mask in (data, with_right_checksums(data)):
        indices = sound(mask_indices, mask, "0.png")
        again = sound(palette_mask, mask, "0.png")
        if indices is not None:
            assert indices.ndim == 2 and indices.dtype == "uint8" and indices.max(initial=0) < 19
            assert (mask_indices(again, "0.png") == indices).all()
        for side in SIDES:
            sound(resize_mask, mask, side, "0.png")
            sound(resize_part, mask, side, "0.png")


def with_right_checksums(data):
    """A PNG whose chunks have the CRC of what they hold."""
    fixed, at = bytearray(data), 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(data):
            break
        fixed[end : end + 4] = struct.pack(">L", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(fixed)


@target
def jpeg(data):
    image = sound(decode_image, data, "0.jpg")
    if image is not None:
        assert image.mode == "RGB"
        resize_image(image, 16)


def seeds():
    """{target: [bytes]} to start from: the files of a tiny demo, and small files of every form."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        root = os.path.join(folder, "demo")
        truth = making.write_release(root, hq=3, standard=3)
        paths = {role: Path(root) / file.path for role, file in FILES.items()}
        files = {role: path.read_bytes() for role, path in paths.items() if path.exists()}  # of lists, only train's
    found = {name: [] for name in TARGETS}
    found["degrees"] = [files["hq_labels"], files["standard_labels"], files["labels_train"]]
    found["attributes"] = [files["hq_attributes"], files["standard_attributes"]]
    found["identity"] = [files["hq_identity"], files["standard_identity"]]
    found["mapping"] = [files["mapping"]]
    found["partition"] = [files["partition"]]
    for kind in ("captions", "requests", "requests_txt", "request_labels"):
        found[kind] = [files[f"hq_{kind}"], files[f"standard_{kind}"]]
    found["read_json"] = [files["hq_request_labels"], b'{"a": [1, -2.5e3, true, null, "\\u00e9\\ud83d\\ude00"]}']
    found["search"] = [files["hq_captions"], files["standard_labels"], files["mapping"], b"<!DOCTYPE html><html>"]
    found["zip_finder"] = [files["hq_images"], files["hq_masks"][:3000] + files["hq_masks"][-600:], _small_zip()]
    image = Image.new("P", (9, 7), 13)
    image.putpalette([value for color in MASK_COLORS.values() for value in color])
    for other in (
        image,
        image.convert("RGB"),
        Image.new("L", (4, 4), 3),
        Image.new("1", (4, 4)),
        image.convert("RGBA"),
    ):
        found["mask"].append(_saved(other, "PNG"))
    found["mask"].append(_saved(image, "PNG", transparency=3, gamma=0.5, dpi=(72, 72)))
    found["jpeg"] = [truth["hq"][0]["image"]["bytes"], _saved(Image.new("L", (8, 8)), "JPEG", progressive=True)]
    return found


def _saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _small_zip():
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("image/0.jpg", "__MACOSX/._0.jpg", "5380.jpg"):
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                member.write(b"\xff\xd8\xff")
        archive.comment = b"comment"
    return file.getvalue()

"""What is fuzzed, and by whom it is judged.

A target takes any bytes. An exception other than a ReleaseError is a find, and so is a value where plain Python, json,
zipfile or Pillow find another one in the same bytes. That a reader refuses what they take is none.
"""

import functools
import io
import json
import os
import re
import struct
import tempfile
import unittest.mock
import zipfile
from pathlib import Path

import numpy as np
from making import write_release
from pictures import ORIENTATION, opened, rearranged, saved
from PIL import Image
from releases import PALETTE, zipped

from conversion.release import captions
from conversion.release.errors import ReleaseError
from conversion.release.finding import READERS, Release
from conversion.release.images import check_image, decode_image, resize_image
from conversion.release.masks import mask_indices, resize_part, sized_mask, sized_part
from conversion.release.members import find_members
from conversion.release.official import FILES
from conversion.release.vocabulary import HQ, PARTS, STANDARD
from conversion.release.zips import read_members

TARGETS = {}


def target(function):
    TARGETS[function.__name__] = function
    return function


def sound(read, *arguments):
    """What a reader says, JSON in several pieces, or None where it refuses; a refusal can be printed."""
    try:
        with unittest.mock.patch.object(captions, "_PIECE", 32):
            return read(*arguments)
    except ReleaseError as error:
        assert str(error).replace("\n", "").isprintable(), str(error)  # a mask's message has two lines of Python
        return None


# ------------------------------------------------------------------------------------------------------ lists and JSON


def reader_target(kind):
    """What a list or a JSON file says is held against other readers by the tests of lists, captions and texts."""

    def run(data):
        for subset in (HQ, STANDARD):
            name = kind if kind in READERS else f"{subset.name}_{kind}"
            sound(READERS[name], data, "file", subset)

    TARGETS[kind] = run


for _kind in "labels attributes identity mapping partition requests_txt captions requests request_labels".split():
    reader_target(_kind)


def by_json(data):
    """(what the standard library reads, whether a key says two things); None for no JSON in UTF-8."""
    twice = []

    def pairs(entries):
        last = {key: json.dumps(value, sort_keys=True) for key, value in entries}
        twice.extend(key for key, value in entries if json.dumps(value, sort_keys=True) != last[key])
        return dict(entries)

    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=pairs), bool(twice)
    except (ValueError, RecursionError):
        return None


def read_json(data):
    return functools.reduce(dict.__or__, captions.read_json(data, "file"))


@target
def read_json_file(data):
    """What the standard library does not take, and a key that says two things, is refused; the rest reads the same."""
    found, expected = sound(read_json, data), by_json(data)
    if expected is None or expected[1] or not isinstance(expected[0], dict):
        assert found is None, "no JSON object, or a key that says two things, and read"
    elif found is not None:
        assert repr(found) == repr(expected[0]), "read otherwise than by the standard library"


# ---------------------------------------------------------------------------------------------------------------- zips

_folder = tempfile.TemporaryDirectory(prefix="celeba-dialog-fuzz-")
NAMES = {
    "hq_images": r"(?i)0*([0-9]{1,5})[.]jpe?g",
    "hq_masks": r"(?i)0*([0-9]{1,5})[.]png",
    "hq_parts": rf"(?i)0*([0-9]{{1,5}})_({'|'.join(PARTS)})[.]png",
}
HIDDEN = re.compile(r"(^|[/\\])([.](?![.]?([/\\]|$))|__MACOSX[/\\])")


def by_zipfile(path, role):
    """{(number, part): bytes} of the images of a role; None where zipfile does not read all of them."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}
            for info in archive.infolist():
                match = re.fullmatch(NAMES[role], re.split(r"[/\\]", info.filename)[-1])
                if match and not HIDDEN.search(info.filename):
                    part = PARTS.index(match[2].lower()) if role == "hq_parts" else -1
                    found[int(match[1]), part] = archive.read(info)
            return found
    except Exception:  # whatever: it refuses
        return None


def zip_target(role):
    path = Path(_folder.name) / role / FILES[role].name

    def run(data):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        release = sound(Release, path.parent)
        found = sound(find_members, release, role)
        if not found or role not in release.sources:
            return
        images = sound(read_members, found.places, [str(path)])
        if images is None:
            return
        for name, data in zip(found.places.field("name").to_pylist(), images):
            assert name.encode() in data, "an image under the name of another"
        expected = by_zipfile(path, role)
        if expected is None:
            return
        ours = dict(zip(zip(found.numbers.tolist(), found.parts.tolist()), images))
        assert ours.items() <= expected.items(), "other images than in zipfile"
        assert ours == expected or release.notes, "fewer images than in zipfile, without a word"

    TARGETS[f"zip_of_{role}"] = run


for _role in NAMES:
    zip_target(_role)


@target
def search(data):
    """A text of any name: told which official file it is."""
    folder = Path(_folder.name) / "texts"
    folder.mkdir(exist_ok=True)
    for name in ("captions.json", "identity.txt", "a-mapping.txt"):
        (folder / name).write_bytes(data)
    release = sound(Release, folder)
    for role in release.sources if release else ():
        sound(release.read, role)


# -------------------------------------------------------------------------------------------------------------- images


def by_pillow(data, form):
    """(mode, size, whether it is turned, palette, pixels); None where Pillow does not read it."""
    try:
        with Image.open(io.BytesIO(data), formats=[form]) as image:
            if max(image.size) > 4096:
                return None
            turned = image.getexif().get(ORIENTATION, 1) in range(2, 9)
            pixels = np.array(image)
            return image.mode, image.size, turned, image.getpalette() or [], pixels
    except Exception:  # whatever: it refuses
        return None


@target
def mask(data):
    """As it is, and with its checksums made right, so that what they guard is reached."""
    for png in (data, with_right_checksums(data)):
        indices, part = sound(mask_indices, png, "0.png"), sound(sized_part, png, None, "0.png")
        taken = sound(sized_mask, png, None, "0.png")
        expected = by_pillow(png, "PNG")
        for size in (16, 512):
            sound(sized_mask, png, size, "0.png")
            sound(resize_part, png, size, "0.png")
        if expected is None:
            continue
        mode, size, turned, palette, pixels = expected
        assert indices is None or (mode == "P" and (indices == pixels).all()), "other classes than Pillow's"
        assert taken is None or (mode, size, turned, palette[:57]) == ("P", (512, 512), False, PALETTE), "no such mask"
        assert part is None or (mode in ("1", "L", "RGB") and size == (512, 512) and not turned), "no such part mask"


def with_right_checksums(data):
    """A PNG whose chunks have the length and the CRC of what they hold."""
    try:
        return rearranged(data, lambda chunks: None)
    except struct.error:
        return data


@target
def jpeg(data):
    own, image, expected = sound(check_image, data, [256], HQ, "0.jpg"), sound(decode_image, data, "0.jpg"), None
    if image is not None:
        resize_image(image, 16)
        expected = by_pillow(data, "JPEG")
    if own and expected:
        mode, size, turned, _, _ = expected
        assert (mode, size, turned) == ("RGB", own, False), "no such JPEG"


# --------------------------------------------------------------------------------------------------------------- seeds


def seeds():
    """{target: [bytes]} to start from: the files of a tiny demo, and small files of every form."""
    with tempfile.TemporaryDirectory() as folder:
        root = os.path.join(folder, "demo")
        truth = write_release(root, hq=3, standard=3)
        files = {role: path.read_bytes() for role, file in FILES.items() if (path := Path(root) / file.path).exists()}
    found = {name: [] for name in TARGETS}
    for kind in ("labels", "attributes", "identity", "requests_txt", "captions", "requests", "request_labels"):
        found[kind] = [files[f"hq_{kind}"], files[f"standard_{kind}"]]
    found["labels"].append(files["labels_train"])
    found["labels"].append(b"0.jpg 0 1 2 3 4\n1.jpg -1 -1 -1 -1 -1\n2.jpg\n3.jpg None None nan N/A null\n")
    found["requests_txt"].append(b"0.jpg\tMake it longer.\n1.jpg None\n2.jpg\n3.jpg\t n/a\n4.jpg\tNone of it.\n")
    found["requests"].append(b'{"0.jpg": "A", "1.jpg": null, "2.jpg": " None ", "3.jpg": "-1", "4.jpg": -1}')
    found["mapping"] = [files["mapping"]]
    found["partition"] = [files["partition"]]
    found["read_json_file"] = [files["hq_request_labels"], b'{"a": [1, -2.5e3, true, null, "\\u00e9\\ud83d\\ude00"]}']
    found["read_json_file"].append(b'{"a": 1, "b": {"c": "\\":", "c": "\\":"}, "a": {"":0, "" :0}}')
    found["search"] = [files["hq_captions"], files["standard_labels"], files["mapping"], b"<!DOCTYPE html><html>"]
    images = ["image/0.jpg", "image/1.jpg", "__MACOSX/._0.jpg", "image/5380.jpg"]
    found["zip_of_hq_images"] = [zip_of(images, method, wide) for method in (0, 8) for wide in (False, True)]
    found["zip_of_hq_masks"] = [zip_of([f"mask/{number}.png" for number in range(5)], method) for method in (0, 8)]
    parts = [f"0/0000{number}_{part}.png" for number in range(2) for part in PARTS[:3]]
    found["zip_of_hq_parts"] = [zip_of(parts, 0), zip_of(parts, 8), zip_of(parts, 0, True)]
    face = opened(truth["hq"][0]["image"]["bytes"]).resize((256, 256))
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    found["jpeg"] = [saved(face, "JPEG"), saved(face, "JPEG", exif=turned), saved(face.convert("L"), "JPEG")]
    found["jpeg"] += [saved(face.resize((512, 512)), "JPEG", quality=20), saved(face, "JPEG", progressive=True)]
    image = Image.fromarray(np.indices((512, 512)).sum(0).astype(np.uint8) // 32 % 19)
    image.putpalette(PALETTE)
    found["mask"] = [saved(image, "PNG", **options) for options in ({}, {"exif": turned}, {"transparency": 3})]
    found["mask"] += [saved(image.convert("RGB").resize((9, 9)), "PNG"), saved(image.resize((9, 9)), "PNG")]
    found["mask"] += [saved(Image.new(mode, (512, 512)), "PNG") for mode in ("L", "1", "RGBA")]
    return found


def zip_of(names, method, wide=False):
    """A zip of members that hold their own names, by which an image under another's name is found out."""
    return zipped({name: name.encode() * 9 for name in names}, method, b"comment", wide)

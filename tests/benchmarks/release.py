"""A made-up release of any size to measure on, laid out like the real one and as heavy.

The demo draws a pool of images and invents their sentences; here they return under new file numbers, again and again.
A comment in each file makes it distinct, and as large as the real ones are.
"""

import io
import os
import random
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

from PIL import Image

from conversion.demo import people
from conversion.demo import release as demo
from conversion.release.official import FILES
from conversion.release.vocabulary import HQ, PARTITION, PARTITION_ENDS, STANDARD
from conversion.runtime import files

POOL = {HQ: 48, STANDARD: 96}  # drawings
FOLDERS = {"hq_images": "image", "hq_masks": demo.PALETTE_FOLDER, "standard_images": "img_align_celeba"}
# Bytes of a file, from and to: like the real ones, 100 KB, 5.7 KB and 6.9 KB on average.
SIZES = {"hq_images": (70_000, 130_000), "hq_masks": (5_000, 6_400), "standard_images": (4_800, 9_000)}


def release(scale, cache):
    """The folder of a release with `scale` times the official number of images: made once, then kept in `cache`.

    It is read once, so that all that is measured finds it in memory, and nothing waits for the disk to read.
    """
    path = Path(cache) / f"release-{scale:g}"
    if not path.is_dir():
        temporary = path.with_suffix(".tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        write(temporary, scale)
        os.rename(temporary, path)
    for file in path.rglob("*"):
        if file.is_file():
            files.checksum(str(file))
    return path


def write(root, scale):
    """Write a release below `root`, about 4.6 GB at scale 1."""
    pool = demo.entries(people.cast(POOL[HQ], POOL[STANDARD], 0), 0)
    numbers = file_numbers(scale)
    standard = _standard(pool["standard"], numbers)
    entries = {"hq": _hq(pool["hq"], numbers, standard), "standard": standard}
    for role, text in demo.texts(entries).items():
        path = root / FILES[role].path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    rng = random.Random(1)  # noqa: S311
    for role, folder in FOLDERS.items():
        path = root / FILES[role].path
        path.parent.mkdir(parents=True, exist_ok=True)
        column = "mask" if role == "hq_masks" else "image"
        drawings = [entry.row[column]["bytes"] for entry in pool[FILES[role].subset]]
        if role == "standard_images":
            drawings = [_lighter(drawing) for drawing in drawings]
        with zipfile.ZipFile(path, "w") as archive:  # stored
            for index, entry in enumerate(entries[FILES[role].subset]):
                name = entry.row["file_name"]
                if column == "mask":
                    name = name.replace(".jpg", ".png")
                drawing = drawings[index % len(drawings)]
                comment = name.encode().ljust(rng.randint(*SIZES[role]) - len(drawing), b".")
                add = _png_with if column == "mask" else _jpeg_with
                archive.writestr(zipfile.ZipInfo(f"{folder}/{name}"), add(drawing, comment))


def file_numbers(scale):
    """(standard number, HQ number or None, split) of every image, in the order of the standard number.

    Every split has its share; the HQ numbers run through them without order, as the real ones do.
    """
    images = []
    for split, rows, hq_rows, end in zip(PARTITION, STANDARD.rows, HQ.rows, PARTITION_ENDS):
        count, hq_count = round(rows * scale), round(hq_rows * scale)
        hq = {index * count // hq_count for index in range(hq_count)}
        images += [(end - rows + 1 + index * rows // count, index in hq, split) for index in range(count)]
    count = sum(in_hq for _, in_hq, _ in images)
    hq_numbers = [index * HQ.images // count for index in range(count)]
    random.Random(0).shuffle(hq_numbers)  # noqa: S311
    return [(number, hq_numbers.pop() if in_hq else None, split) for number, in_hq, split in images]


def _standard(pool, numbers):
    """The pool's entries under new file numbers, in their order, in the form the demo's texts are written from."""
    labeled = [entry for entry in pool if entry.captions]
    entries = []
    for index, (number, _, split) in enumerate(numbers):
        entry = labeled[index % len(labeled)]
        row = {"file_name": STANDARD.file_name(number), "split": split, "identity": 1 + index % people.IDENTITIES}
        entries.append(entry._replace(row=entry.row | row))
    return entries


def _hq(pool, numbers, standard):
    """HQ pictures with the labels of the standard image that each is made from."""
    made_from = {hq: entry for (_, hq, _), entry in zip(numbers, standard) if hq is not None}
    entries = []
    for index, number in enumerate(sorted(made_from)):
        entry, pictures = made_from[number], pool[index % len(pool)].row
        row = {name: pictures[name] for name in ("image", "mask", "parts")}
        row |= {"file_name": HQ.file_name(number), "celeba_file_name": entry.row["file_name"]}
        entries.append(entry._replace(row=entry.row | row))
    return entries


def _lighter(jpeg):
    """The drawing with fewer bytes, as much as a photograph of its size has."""
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(file, "JPEG", quality=70)
    return file.getvalue()


def _jpeg_with(jpeg, comment):
    """A JPEG with a comment after its first marker, in segments of at most 64 KB."""
    pieces = [comment[start : start + 65000] for start in range(0, len(comment), 65000)]
    segments = b"".join(b"\xff\xfe" + struct.pack(">H", len(piece) + 2) + piece for piece in pieces)
    return jpeg[:2] + segments + jpeg[2:]


def _png_with(png, comment):
    """A PNG with a comment after its header chunk."""
    chunk = b"tEXtComment\0" + comment
    length, checksum = struct.pack(">L", len(chunk) - 4), struct.pack(">L", zlib.crc32(chunk))
    return png[:33] + length + chunk + checksum + png[33:]

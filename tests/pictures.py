"""Pictures for tests: made by Pillow, taken apart and put together by hand."""

import functools
import io
import os
import re
import struct

import numpy as np
from PIL import Image
from releases import at, chunk, members

ORIENTATION = 274  # its number in EXIF


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


def pixels_of(data):
    return np.asarray(opened(data))


def resized(data, size, form="JPEG"):
    return saved(opened(data).convert("RGB").resize(size), form)


@functools.cache
def lanczos(data, side):
    """What a JPEG has to be at another size, made by Pillow alone."""
    small = opened(data).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    return saved(small, "JPEG", quality=95, subsampling="4:4:4")


def rearranged(data, change):
    """A PNG with its chunks, as [kind, content] pairs, put through a function that changes their list."""
    at, chunks = 8, []
    while at < len(data):
        (length,) = struct.unpack_from(">L", data, at)
        chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + length]])
        at += 12 + length
    change(chunks)
    return data[:8] + b"".join(chunk(*pair) for pair in chunks)


def write(folder, entries):
    """Writes (path below a folder, bytes) as files."""
    for name, data in entries:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def take(root, role):
    """The members of a zip of the release, as (base name, bytes); the zip goes."""
    entries = [(os.path.basename(name), data) for name, data in members(at(root, role))]
    at(root, role).unlink()
    return entries


def renamed(entries, digits):
    """The same with numbers of so many digits."""
    result = []
    for path, data in entries:
        folder, base = os.path.split(path)
        number = re.match("[0-9]+", base)[0]
        result.append((os.path.join(folder, f"{int(number):0{digits}d}{base[len(number) :]}"), data))
    return result


def zip_of_names(path, names, count=None):
    """Writes a zip of empty members; without zip64 and with their number modulo 65,536, as macOS writes it."""
    local = struct.pack("<4sHHHHHLLLHH", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    entry = struct.Struct("<4sHHHHHHLLLHHHHHLL").pack
    body, directory, at = [], [], 0
    for name in map(str.encode, names):
        body += [local[:26], len(name).to_bytes(2, "little"), b"\0\0", name]
        directory += [entry(b"PK\1\2", 20, 20, *[0] * 7, len(name), *[0] * 5, at), name]
        at += 30 + len(name)
    data = b"".join(directory)
    count = len(names) % 65536 if count is None else count
    end = struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, count, count, len(data), at, 0)
    path.write_bytes(b"".join(body) + data + end)


def in_folder(entries, folder):
    return [(f"{folder}/{name}", data) for name, data in entries]

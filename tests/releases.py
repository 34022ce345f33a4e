"""Release folders to change and read: helpers of the tests of the reader."""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import hypothesis
import pytest
from PIL import Image

from conversion.release import captions, lists
from conversion.release.errors import FormatError
from conversion.release.finding import Release
from conversion.release.members import find_members
from conversion.release.official import FILES
from conversion.release.rows import examples, read_images
from conversion.release.table import read_index
from conversion.release.vocabulary import HQ, MASK_COLORS
from conversion.release.zips import read_members

PALETTE = [value for color in MASK_COLORS.values() for value in color]
TEXTS = [role for role, file in FILES.items() if file.path.endswith((".txt", ".json"))]
# What Google Drive sends in the place of a file.
QUOTA = b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>No.</body></html>"
REAL = Path(__file__).resolve().parents[2] / "shared" / "real"  # what there is of the real release
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real excerpts are not beside the checkout")
ZIPS = [role for role, file in FILES.items() if file.path.endswith(".zip")]


def given(*arguments, examples=60, **named):
    """`hypothesis.given` with examples that are the same in every run, and may take their time on a busy machine."""
    checks = list(hypothesis.HealthCheck)
    options = dict(deadline=None, derandomize=True, database=None, max_examples=examples, suppress_health_check=checks)
    return lambda test: hypothesis.settings(**options)(hypothesis.given(*arguments, **named)(test))


READ = {
    "degrees": lists.read_degrees,
    "attributes": lists.read_attributes,
    "identity": lists.read_identity,
    "mapping": lists.read_mapping,
    "partition": lists.read_partition,
    "requests_txt": lists.read_requests_txt,
    "captions": captions.read_captions,
    "requests": captions.read_requests,
    "request_labels": captions.read_request_labels,
}


def said(name, data, number=1):
    """What the reader of a text, one of READ, finds of an HQ image in the bytes of a `file`."""
    found, _ = READ[name](data.encode() if isinstance(data, str) else data, "file", HQ)
    if isinstance(found, dict):
        found = {column: values[number].as_py() for column, values in found.items() if column != "text"}
        return found["request"] if name.startswith("requests") else found
    return None if found is None else found[number].tolist()


def refusal(name, data):
    """What is wrong with the bytes of a `file` that such a reader refuses: a short line."""
    with pytest.raises(FormatError) as caught:
        said(name, data)
    line = str(caught.value)
    assert line.startswith("file: ") and line.isprintable() and len(line) < 400
    return line.removeprefix("file: ")


def images_in(root, role="hq_images"):
    """{(number, part): bytes} of the images of a role below a folder or URL."""
    release = Release(root)
    found = find_members(release, role)
    data = read_members(found.places, [source.path for source in release.sources.get(role, ())])
    return dict(zip(zip(found.numbers.tolist(), found.parts.tolist()), data))


def index_of(root, config="hq"):
    """The Index of `hq`, `hq_parts` or `standard`, made from the files and kept nowhere."""
    subset, _, parts = config.partition("_")
    return read_index(Release(root), subset, bool(parts))


def images_of(index):
    """The images of all rows of an Index, as they are in the release."""
    return read_images(index, index.table, [None])[None]


def read(root, config):
    """All rows of `hq`, `hq_parts` or `standard`, read from a release folder."""
    index = index_of(root, config)
    return list(examples(index.table, images_of(index)))


def at(root, role):
    """Where an official file of the demo lies."""
    return Path(root) / FILES[role].path


def edit(root, role, change):
    """Puts a text file through a function of its bytes."""
    path = at(root, role)
    path.write_bytes(change(path.read_bytes()))


def members(path):
    """[(name, bytes)] of a zip."""
    with zipfile.ZipFile(path) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def pack(path, entries, method=zipfile.ZIP_STORED):
    """Writes a zip of (name, bytes)."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data, method)


def zipped(entries, method=0, comment=b"", zip64=False, extra=b"", turned=False, file=None):
    """A zip of {name: bytes}, as Python's zipfile writes it; `turned`: with a directory in the other order."""
    file = file or io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo(name)
            info.extra, info.comment = extra, extra
            with archive.open(info, "w", force_zip64=zip64) as member:
                member.write(data)
        archive.comment = comment
        archive.filelist = archive.filelist[:: -1 if turned else 1]
    return file.getvalue()


def unpack(root, role, folder):
    """Extracts a zip and removes it."""
    with zipfile.ZipFile(at(root, role)) as archive:
        archive.extractall(folder)
    at(root, role).unlink()


def change_json(root, role, change):
    """Puts a JSON file through a function of its object."""
    entries = json.loads(at(root, role).read_bytes())
    at(root, role).write_text(json.dumps(change(entries) or entries, indent=4))


def chunk(kind, data):
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def png(width, height, depth, color, pixels, extra=b""):
    """A PNG made by hand."""
    header = struct.pack(">LLBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(pixels, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + body + chunk(b"IEND", b"")


def jpeg(side=8):
    file = io.BytesIO()
    Image.new("RGB", (side, side), (200, 150, 100)).save(file, "JPEG")
    return file.getvalue()


def raw_zip(entries, *, count=None, length=None, offset=None, tail=b""):
    """A zip made by hand; entries are dicts with `name`, `data` and whatever their directory entry should say else."""
    body, directory = b"", b""
    for entry in entries:
        name, data = entry["name"].encode(), entry["data"]
        crc, flags, method = entry.get("crc", zlib.crc32(data)), entry.get("flags", 0), entry.get("method", 0)
        packed, size = entry.get("packed", len(data)), entry.get("size", len(data))
        place, extra = entry.get("offset", len(body)), entry.get("extra", b"")
        header = (20, flags, method, 0, 0, crc, packed, size, len(name))
        body += struct.pack("<4sHHHHHLLLHH", b"PK\3\4", *header, 0) + name + data
        fields = (*header, len(extra), 0, 0, 0, 0, place)
        directory += struct.pack("<4sHHHHHHLLLHHHHHLL", b"PK\1\2", 20, *fields) + name + extra
    count = len(entries) if count is None else count
    length = len(directory) if length is None else length
    offset = len(body) if offset is None else offset
    return body + directory + struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, count, count, length, offset, 0) + tail

"""What is wrong with a whole release: another thing under a name, files that differ or change; and broken pictures."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from releases import PALETTE, TEXTS, ZIPS, at, chunk, edit, jpeg, png, read

import celeba_dialog
from conversion.release.errors import ConflictError, DamagedFileError, FormatError, MissingFileError
from conversion.release.finding import Release
from conversion.release.images import decode_image
from conversion.release.masks import mask_indices, sized_mask
from conversion.release.members import find_members
from conversion.release.official import FILES
from conversion.release.table import read_index

QUOTA_PAGE = (
    b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>"
    b"<p>Too many users have viewed or downloaded this file recently.</p></body></html>"
)
PAGE = r": this is a web page, as Google Drive sends where its quota is used up or a login is asked for"


# ------------------------------------------------------------------------------------- another thing under the name


@pytest.mark.parametrize("data, part", [(QUOTA_PAGE, PAGE), (b"", ": this is an empty file"), (b"\x1f\x8b", "a gzip")])
def test_every_file_is_named_that_is_another_kind_of_file(data, part, copy):
    for role in (*TEXTS, *ZIPS):
        at(copy, role).write_bytes(data)
    release = Release(copy)
    for role in release.sources:
        with pytest.raises(DamagedFileError, match=re.escape(FILES[role].name) + f".*{part}.*Unpack|{part}.*Download"):
            release.read(role) if role in TEXTS else find_members(release, role)
    assert set(release.sources) == set(FILES)


def test_only_what_a_config_needs_is_opened(demo, copy, same_rows):
    """What is wrong with the part masks or with the standard part does not trouble who wants hq."""
    for role in ("hq_parts", "standard_images", "standard_captions", "standard_attributes", "standard_labels"):
        at(copy, role).write_bytes(QUOTA_PAGE)
    same_rows(read(copy, "hq"), demo.rows("hq"))
    for config in ("hq_parts", "standard"):
        with pytest.raises(DamagedFileError, match="web page"):
            read(copy, config)


# ----------------------------------------------------------------------------------------------------- what differs


@pytest.mark.parametrize("role, old, new", [("hq_labels", b"\t0\n", b"\t1\n"), ("hq_captions", b"The", b"the"),
                                            ("mapping", b"idx ", b"id  "), ("hq_identity", b"\n", b"1\n")])  # fmt: skip
def test_two_copies_of_a_text_that_differ(role, old, new, copy):
    second = copy / "copy" / FILES[role].name
    second.parent.mkdir()
    second.write_bytes(at(copy, role).read_bytes().replace(b"\n", b"\r\n"))
    Release(copy).read(role)  # line ends make no difference
    second.write_bytes(at(copy, role).read_bytes().replace(old, new, 1))
    with pytest.raises(ConflictError, match=re.escape(FILES[role].path) + f" and copy/.*{FILES[role].name} are both"):
        read(copy, "hq")


def test_lists_of_degrees_that_disagree(copy):
    row = at(copy, "labels_train").read_bytes().split(b"\n")[0]
    at(copy, "standard_labels").unlink()
    edit(copy, "labels_test", lambda data: data + re.sub(rb" \d", b" 5", row) + b"\n")
    with pytest.raises((ConflictError, FormatError), match=r"train_attr_list\.txt.*test_attr_list\.txt"):
        read(copy, "standard")


# ------------------------------------------------------------------------------------------- what changes while reading


@pytest.mark.parametrize("role", ["hq_images", "hq_captions"])
def test_a_file_that_vanishes_is_missed_by_name(role, copy):
    release = Release(copy)
    at(copy, role).unlink()
    with pytest.raises(MissingFileError, match=re.escape(FILES[role].name)):
        read_index(release, "hq")


def test_a_text_that_is_cut_off_while_it_is_read(copy):
    """At the end of a line, where nothing else would show it."""
    release = Release(copy)
    data = at(copy, "hq_labels").read_bytes()
    os.truncate(at(copy, "hq_labels"), data.index(b"\n", len(data) // 2) + 1)
    with pytest.raises(DamagedFileError, match="combined_annotation_hq.txt.*changed"):
        read_index(release, "hq")


# ------------------------------------------------------------------------------------------------------ bounded memory

MANY = {  # what a reader is given -> (it, the reader)
    "brackets in pairs": (b'{"0.jpg": [' + b"[]," * 900_000 + b"[]]}", "captions"),
    "numbers": (b'{"0.jpg": [' + b"7," * 6_000_000 + b"7]}", "request_labels"),
    "keys": (b'{"0.jpg": {' + b",".join(b'"%d": 0' % number for number in range(900_000)) + b"}}", "captions"),
    "newlines": (b"\n" * 6_000_000, "degrees"),
    "words": (b"0.jpg" + b" 1" * 6_000_000, "degrees"),
}
PEAK = """
import os, resource, sys
sys.path.insert(0, "tests")
from releases import said
from conversion.release.errors import ReleaseError
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
for path, name in zip(sys.argv[1::2], sys.argv[2::2]):
    if os.fork():  # a process each, because a peak never falls
        assert os.wait()[1] == 0, (path, name)
        continue
    data = open(path, "rb").read()
    before = peak()
    try:
        said(name, data)
        print(name, "took", path)
    except ReleaseError:
        pass
    if peak() - before > 300:
        print(path, name, peak() - before, "MB")
    break
"""


@pytest.mark.trials
def test_memory_is_bounded_whatever_is_in_a_text_file(tmp_path):
    """JSON takes twenty times its size at most, and its marks are counted before; other text takes fifteen times."""
    argv = [sys.executable, "-c", PEAK]
    for what, (data, reader) in MANY.items():
        (tmp_path / what).write_bytes(data)
        argv += [str(tmp_path / what), reader]
    assert subprocess.check_output(argv, cwd=Path(celeba_dialog.__file__).parent, text=True) == ""  # noqa: S603


# ------------------------------------------------------------------------------------------------ decoding of one image


def test_what_does_not_decode_is_refused_by_name():
    face, palette = jpeg(64), chunk(b"PLTE", bytes(PALETTE))
    mask = png(8, 8, 8, 3, b"".join(b"\0" + bytes(range(row, row + 8)) for row in range(8)), palette)
    assert decode_image(face, "0.jpg").size == (64, 64)
    assert mask_indices(mask, "0.jpg")[3].tolist() == list(range(3, 11))
    header = face.index(b"\xff\xc0")
    large = face[: header + 5] + struct.pack(">HH", 65500, 65500) + face[header + 9 :]
    for broken in (face[: len(face) // 2], face[:100], b"", b"\xff\xd8" + b"x" * 999, QUOTA_PAGE, large):
        with pytest.raises(FormatError, match=r"^0\.jpg: the JPEG cannot be decoded: "):
            decode_image(broken, "0.jpg")
    for broken in (mask[:-40], mask[:60], mask.replace(b"IDAT", b"IDAX"), png(50_000, 50_000, 8, 3, b"", palette)):
        with pytest.raises(FormatError, match=r"^0\.jpg: the PNG cannot be decoded: "):
            mask_indices(broken, "0.jpg")


@pytest.mark.parametrize("kind, content", [(b"iCCP", b""), (b"iCCP", b"x\0\0\0"), (b"gAMA", b""), (b"zTXt", b"exif"),
                                           (b"iTXt", b"exif\0\1"), (b"eXIf", b"II*\0"), (b"pHYs", b"")])  # fmt: skip
def test_odd_chunks_end_in_an_error_of_ours_or_in_none(kind, content):
    """Pillow raises TypeError, IndexError and struct.error on some of them."""
    rows = (b"\0" + bytes(i % 19 for i in range(512))) * 512
    mask = png(512, 512, 8, 3, rows, chunk(kind, content) + chunk(b"PLTE", bytes(PALETTE)))
    try:
        assert sized_mask(mask, 256, "0.png").startswith(b"\x89PNG")
    except FormatError as error:
        assert re.match(r"0\.png: (the PNG cannot be decoded|its EXIF says)", str(error))

"""Zips: every form that tools write gives what zipfile reads; what is damaged, hostile or short is refused by name."""

import io
import os
import re
import resource
import struct
import zipfile
import zlib

import fsspec
import pytest
from pictures import zip_of_names
from releases import images_in, jpeg, raw_zip, zipped

from conversion.release import zips
from conversion.release.errors import DamagedFileError, EnvironmentFault, FormatError, MissingFileError, ReleaseError
from conversion.release.finding import Release
from conversion.release.members import find_members
from conversion.release.official import FILES
from conversion.release.storage import read_image_file, read_range
from conversion.release.zips import read_members

JPEG = jpeg()
IMAGES = {n: JPEG + bytes([n]) * n for n in range(7)}  # each of another length


class Pipe(io.BytesIO):
    """What cannot be gone back in: zipfile writes sizes after the data there."""

    def tell(self):
        raise OSError


NAMED = {f"image/{number}.jpg": data for number, data in IMAGES.items()}
PLAIN = zipped(NAMED)


def of_64_bits(**fields):
    """A directory entry whose size, packed size and offset stand in a ZIP64 extra field."""
    numbers = [fields.get(name, 8) for name in ("size", "packed", "offset")]
    extra = struct.pack("<HHQQQ", 1, 24, *numbers)
    wide = dict.fromkeys(("size", "packed", "offset"), 0xFFFFFFFF)
    return {"name": "image/0.jpg", "data": b"x" * 8, "extra": extra} | wide


def wide_after(extra):
    """The entry of an image with such an extra field before that of its true sizes and place."""
    entry = of_64_bits(size=len(JPEG), packed=len(JPEG), offset=0)
    return entry | {"data": JPEG, "extra": extra + entry["extra"]}


def end_of_64_bits(entries, length, offset, disk=0):
    """The end of a zip whose numbers do not fit into the old record."""
    end = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, disk, disk, entries, entries, length, offset)
    end += struct.pack("<4sLQL", b"PK\6\7", disk, length + offset, disk + 1)
    return end + struct.pack("<4sHHHHLLH", b"PK\5\6", 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)


def deflate(data):
    return zlib.compress(data, 9)[2:-4]  # without the head and the sum of zlib's own format


def of_one(**fields):
    return raw_zip([{"name": "image/0.jpg", "data": JPEG} | fields])


# ------------------------------------------------------------------------------------------------------ forms of zips

LIKE_AN_END = "a comment like an end"  # which zipfile takes for one
HIDDEN = {f"__MACOSX/a rather long name for a folder/._{n}.jpg": b"\0\5" for n in range(1200)}  # as the Finder's zips
FRONTS = ("", "/", "/abs/olute/", "../../../", "C:\\Users\\me\\", "./", "été/")
FORMS = {
    "stored": PLAIN,
    "deflated": zipped({f"{n}.jpg": data for n, data in IMAGES.items()}, 8),
    "64 bits": zipped(NAMED, zip64=True),
    "a comment": zipped(NAMED, comment=b"a PK\1\2 comment"),
    LIKE_AN_END: zipped(NAMED, comment=b"PK\5\6" + b"\0" * 40),
    "bytes in front": b"#!/bin/sh\n" * 9999 + PLAIN,
    "extra fields": zipped(NAMED, extra=struct.pack("<HH", 0xCAFE, 300) + b"x" * 300, turned=True),
    "written to a pipe": zipped(NAMED, 8, file=Pipe()),
    "written to a pipe, 64 bits": zipped(NAMED, 8, zip64=True, file=Pipe()),
    "any folder": zipped({"image/": b""} | {f"{front}{n}.jpg": IMAGES[n] for n, front in enumerate(FRONTS)}),
    "hidden and other files": zipped(HIDDEN | NAMED | {".x/1.jpg": b"x", "image/Thumbs.db": b"x", "image/0.jpg/": b""}),
    "an extra field before that of 64 bits": raw_zip([wide_after(b"UT\1\0x")]),
    "end of 64 bits": of_one()[:-22] + end_of_64_bits(1, 57, len(JPEG) + 41),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_zipfile_reads(form, tmp_path):
    (tmp_path / "image.zip").write_bytes(FORMS[form])
    with zipfile.ZipFile(tmp_path / "image.zip") as archive:
        names = [n for n in archive.namelist() if re.search(r"(^|/|\\)\d+\.jpg$", n, re.I) and n[:2] != ".x"]
        expected = {(int(re.search(r"\d+", name)[0]), -1): archive.read(name) for name in names}
    if form == LIKE_AN_END:
        expected = {(number, -1): data for number, data in IMAGES.items()}
    assert len(expected) == (1 if form.endswith("of 64 bits") else 7)
    assert images_in(tmp_path) == expected
    fs = fsspec.filesystem("memory")
    fs.pipe(f"/zips/{form}/image.zip", FORMS[form])
    assert images_in(f"memory://zips/{form}") == expected


@pytest.mark.parametrize("last", ["image/9.jpg", "captions_hq.json"])
def test_a_directory_that_is_longer_than_what_is_read_at_once(last, tmp_path, monkeypatch):
    """Images at its end tell what a zip of official name is; with others there, all of it is read."""
    monkeypatch.setattr(zips, "END_BYTES", 200)
    (tmp_path / "image.zip").write_bytes(zipped(NAMED | {last: JPEG}))
    found = images_in(tmp_path)
    assert {number for number, _ in found} == {*range(7), *([9] if last.endswith("jpg") else [])}


def test_a_count_that_is_wrapped(tmp_path):
    """As macOS's Archive Utility writes it, which knows no zip64: 66,000 members are 464."""
    path, count = tmp_path / "img_align_celeba.zip", 66_000
    zip_of_names(path, [f"{number:06d}.jpg" for number in range(1, count + 1)])
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == count
    found = find_members(Release(tmp_path), "standard_images")
    assert found.numbers.tolist() == list(range(1, count + 1))
    assert read_members(found.places.slice(count - 2), [str(path)]) == [b"", b""]


# ------------------------------------------------------------------------------------------------------ what is refused


def in_directory(old, new, whole=PLAIN):
    place = whole.rindex(old)
    return whole[:place] + new + whole[place + len(old) :]


def split(whole, disk):
    return whole[:-18] + struct.pack("<HH", disk, disk) + whole[-14:]


LONG = [{"name": "image/" + "0" * 80 + f"{n}.jpg", "data": JPEG} for n in range(3)]  # so that more would have room
OVERLAP = raw_zip([{"name": "0.jpg", "data": JPEG}, {"name": "1.jpg", "data": JPEG, "offset": 0}])
# What is wrong -> (the zip, how the error begins).
# fmt: off
REFUSED = {
    "cut in two": (PLAIN[:700], "image.zip: the zip is cut off"),
    "last of several": (split(PLAIN, 3), "image.zip: the last piece of a zip in several, .*: zip -s 0 image.zip --out"),
    "count too low": (raw_zip(LONG, count=2), ".* lists 3 members, and its end record says 2"),
    "count of 65,535": (of_one()[:-14] + b"\xff\xff" * 2 + of_one()[-10:],
                        "image.zip: the zip's end record does not fit the file: 65,535 entries in 57 bytes"),
    "directory of 4 GB": (raw_zip(LONG, length=2**32 - 1), "image.zip: .* in 4,294,967,295 bytes at"),
    "damaged directory": (in_directory(b"PK\1\2", b"PK\1\3"), "image.zip: .* directory is damaged at entry 6 of 7"),
    "a bit of a name": (in_directory(b"image/5.jpg", b"image/4.jpg"),
                        "image.zip: image/4.jpg .*and image.zip: image/4.jpg .*have the same number and differ"),
    "a name where the bytes lie": (PLAIN.replace(b"image/6.jpg", b"image/7.jpg", 1),
                                   ".*image.zip: image/6.jpg in the directory .* is image/7.jpg where its bytes lie"),
    "no header": (PLAIN.replace(b"PK\3\4", b"PK\3\5", 1), ".*: image/0.jpg is not where the directory says"),
    "a byte of an image": (PLAIN.replace(JPEG[-9:], b"\0" * 9, 1),
                           ".*image.zip: image/0.jpg holds .* with CRC [0-9a-f]{8}, expected"),
    "encrypted": (of_one(flags=1), "image.zip: image/0.jpg is encrypted"),
    "bzip2": (of_one(method=12), ".* compressed by method 12,"),
    "claims 4 GB": (of_one(data=deflate(b"\0" * 1000), method=8, size=2**32 - 2), ".* claims 4,294,967,294 bytes"),
    "claims 65 MB, stored": (of_one(size=65 << 20, packed=65 << 20), "image.zip: .* entry 0 of 1"),
    "sizes that differ, stored": (of_one(size=5), "image.zip: image/0.jpg claims 5 bytes"),
    "a bomb": (of_one(data=deflate(b"\0" * (50 << 20)), method=8, size=1000), ".*: image/0.jpg holds 1,001 bytes"),
    "no deflate stream": (of_one(data=b"\xff" * 99, method=8), ".*image/0.jpg cannot be unpacked"),
    "shared bytes": (OVERLAP, "image.zip: members of the zip overlap"),
    "into the directory": (of_one(packed=len(JPEG) + 9, size=len(JPEG) + 9), "image.zip: members "),
    **{f"{field} {number}": (raw_zip([of_64_bits(**{field: number})]), "image.zip: ")
       for number in (2**31, 2**64 - 1) for field in ("size", "packed", "offset")},
    "a field too short": (raw_zip([of_64_bits() | {"extra": b"\1\0\4\0abcd"}]), "image.zip: .* entry 0"),
    "two of one number": (zipped({"image/0.jpg": JPEG, "again/0.jpg": JPEG + b"x"}),
                          "image.zip: .*/0.jpg .* and image.zip: .*/0.jpg .* have the same number and differ"),
    "no such image": (zipped({"image/30000.jpg": JPEG}), "image.zip: image/30000.jpg is no image of the hq"),
}
# fmt: on


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what, tmp_path):
    data, part = REFUSED[what]
    (tmp_path / "image.zip").write_bytes(data)
    with pytest.raises(ReleaseError) as caught:
        images_in(tmp_path)
    assert re.match(part, str(caught.value)), str(caught.value)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


BITS = [  # role, name in the zip, name in the directory
    ("hq_images", "image/0.jpg", "image/1.jpg"),
    ("hq_masks", "CelebAMask-HQ-mask-color-palette/100.png", "CelebAMask-HQ-mask-color-palette/101.png"),
    ("hq_parts", "0/00000_hair.png", "0/00010_hair.png"),
    ("standard_images", "img_align_celeba/000002.jpg", "img_align_celeba/000003.jpg"),
]


@pytest.mark.parametrize("method", [0, 8])
@pytest.mark.parametrize("role, name, other", BITS)
def test_one_bit_of_a_name_in_the_directory(role, name, other, method, tmp_path):
    """The image would be served under the number of another one; its bytes and their CRC are right."""
    file = FILES[role].name
    for root in (str(tmp_path), f"memory://bits/{role}{method}"):
        with fsspec.open(f"{root}/{file}", "wb") as target:
            target.write(in_directory(name.encode(), other.encode(), zipped({name: JPEG * 9}, method)))
        with pytest.raises(DamagedFileError, match=f"{file}: {other} in the directory of the zip is {name} where its"):
            images_in(root, role)


# --------------------------------------------------------------------------------- what is no plain file, or changes


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_plain_file_is_not_opened(make, tmp_path):
    """A pipe would be waited for without end, and /dev/zero read without end."""
    (tmp_path / "image.zip").write_bytes(PLAIN)
    release = Release(tmp_path)
    found = find_members(release, "hq_images")
    (tmp_path / "image.zip").unlink()
    make(tmp_path / "image.zip")
    path = str(tmp_path / "image.zip")
    for reads in (
        lambda: read_range(path),
        lambda: read_image_file(path),
        lambda: read_members(found.places, [path]),
        lambda: find_members(release, "hq_images"),
    ):
        with pytest.raises(EnvironmentFault, match=r"image\.zip: cannot be read: not a plain file"):
            reads()
    assert Release(tmp_path).sources == {}


def test_a_zip_that_changes_after_it_was_looked_through(tmp_path):
    path = tmp_path / "image.zip"
    path.write_bytes(PLAIN)
    release = Release(tmp_path)
    found = find_members(release, "hq_images")
    turned = zipped(dict(reversed(NAMED.items())))
    for data, part in ((turned, r"image/0\.jpg in the directory of the zip is image/6\.jpg"), (PLAIN[:100], "image/0")):
        path.write_bytes(data)
        with pytest.raises(DamagedFileError, match=rf"image\.zip: {part}"):
            read_members(found.places, [str(path)])
    with pytest.raises(DamagedFileError, match=r"image\.zip: "):
        find_members(release, "hq_images")
    path.unlink()
    with pytest.raises(MissingFileError, match=r"image\.zip: not there any more"):
        read_members(found.places, [str(path)])


def test_an_image_file_that_is_far_too_large(tmp_path):
    (tmp_path / "image").mkdir()
    with open(tmp_path / "image" / "0.jpg", "wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(FormatError, match=r"^image/: 0\.jpg claims 67,108,865 bytes"):
        images_in(tmp_path)
    with pytest.raises(FormatError, match="0.jpg: more than 67,108,864 bytes, which no image here has"):
        read_image_file(str(tmp_path / "image" / "0.jpg"))


def test_a_folder_of_more_images_than_files_may_be_open(tmp_path):
    (tmp_path / "image").mkdir()
    for number in range(90):
        (tmp_path / "image" / f"{number}.jpg").write_bytes(JPEG)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 16, hard))
    try:
        assert len(images_in(tmp_path)) == 90
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

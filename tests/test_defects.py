"""Everything that cannot be right, and hostile files: each damage with the error and the parts of its message."""

import os
import random
import re
import shutil
import struct
import zipfile

import pytest
from PIL import Image
from releases import (
    PALETTE,
    TEXTS,
    at,
    change_json,
    chunk,
    deflated,
    edit,
    images_of,
    index_of,
    jpeg,
    members,
    pack,
    png,
    raw_zip,
    read,
    run,
    unpack,
)

from conversion.release.errors import ConflictError, DamagedFileError, FormatError, MissingFileError, ReleaseError
from conversion.release.finding import Release
from conversion.release.images import decode_image
from conversion.release.masks import mask_indices
from conversion.release.official import FILES
from conversion.release.table import read_index

QUOTA_PAGE = (
    b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>"
    b"<p>Too many users have viewed or downloaded this file recently.</p></body></html>"
)


def of_64_bits(**fields):
    """A directory entry whose size, packed size and offset stand in a ZIP64 extra field."""
    numbers = [fields.get(name, 8) for name in ("size", "packed", "offset")]
    extra = struct.pack("<HHQQQ", 1, 24, *numbers)
    return {"name": "image/0.jpg", "data": b"x" * 8, "extra": extra} | dict.fromkeys(
        ("size", "packed", "offset"), 0xFFFFFFFF
    )


# ----------------------------------------------------------------------------------------------------------- defects
# name -> (change of a copy, config that is read, error, parts of its message)

DEFECTS = {}


def defect(name, change, config, error, *parts):
    assert name not in DEFECTS
    DEFECTS[name] = change, config, error, parts


def replace(role, old, new, count=1):
    """A change of a text file: the first place where a pattern of bytes matches."""

    def change(root):
        data = at(root, role).read_bytes()
        found, times = re.subn(old, new, data, count=count)
        assert times and found != data, f"{role} does not hold {old!r}"
        at(root, role).write_bytes(found)

    return change


def write(role, data):
    return lambda root: at(root, role).write_bytes(data)


def append(role, data):
    return lambda root: edit(root, role, lambda old: old + data)


def entry(role, key, value):
    return lambda root: change_json(root, role, lambda entries: entries | {key: value})


ROW = rb"(?m)^(0\.jpg[ \t]+)"  # the row of the first HQ image
LABELS, HQ_ATTRIBUTES, MAPPING = (FILES[role].name for role in ("hq_labels", "hq_attributes", "mapping"))

# Text: the name of the file, the line, what was found, what was expected.
for _found in ("6", "-2", "2.5", "x", "999999999999", "0x5", "+3", "1e0", "٣"):
    defect(
        f"degree {_found}",
        replace("hq_labels", ROW + rb"\d", rb"\g<1>" + _found.encode()),
        "hq",
        FormatError,
        f"{LABELS}: line 2:",
        _found,
        "expected a degree from 0 to 5",
    )
defect(
    "degree of the standard part",
    replace("standard_labels", rb"(?m)^(\d{6}\.jpg) \d", rb"\1 7"),
    "standard",
    FormatError,
    "combined_annotation.txt: line 2: 7",
    "0 to 5",
)
defect("too few words", replace("hq_labels", ROW + rb"\d", rb"\1"), "hq", FormatError, "line 2: 5 words, expected 6")
defect("too many words", replace("hq_labels", ROW, rb"\g<1>0 "), "hq", FormatError, "line 2: 7 words, expected 6")
defect("attribute 2", replace("hq_attributes", ROW + rb"-?1", rb"\g<1>2"), "hq", FormatError, "line 3", "2", "-1 or 1")
defect(
    "attributes of 0 and -1",
    replace("hq_attributes", ROW + rb"-?1", rb"\g<1>0"),
    "hq",
    FormatError,
    f"{HQ_ATTRIBUTES}: line 3",
    "0",
    "-1 or 1",
)
defect(
    "an attribute too few",
    replace("hq_attributes", ROW + rb"-?1", rb"\1"),
    "hq",
    FormatError,
    "line 3: 40 words, expected 41",
)
defect(
    "unknown attribute",
    replace("hq_attributes", rb"Bald", rb"Balder"),
    "hq",
    FormatError,
    HQ_ATTRIBUTES,
    "'Balder'",
    "40 names",
)
defect("attribute twice", replace("hq_attributes", rb"Bald", rb"Bangs"), "hq", FormatError, HQ_ATTRIBUTES, "40 names")
defect(
    "no header of attributes",
    replace("hq_attributes", rb"(?m)^5_o_Clock.*\n", b""),
    "hq",
    FormatError,
    HQ_ATTRIBUTES,
    "no header",
)
defect(
    "unknown degree", replace("hq_labels", rb"Smiling", rb"Laughing"), "hq", FormatError, LABELS, "'Laughing'", "Bangs"
)
defect(
    "count too high",
    replace("hq_attributes", rb"^24", rb"25"),
    "hq",
    FormatError,
    f"{HQ_ATTRIBUTES}: line 1 says 25 rows",
    "holds 24",
)
defect(
    "count too low",
    replace("standard_attributes", rb"^90", rb"9"),
    "standard",
    FormatError,
    "line 1 says 9 rows",
    "holds 90",
)
defect(
    "absurd count",
    replace("standard_attributes", rb"^90", b"9" * 18),
    "standard",
    FormatError,
    "list_attr_celeba.txt: line 1",
    "90",
)
defect(
    "cut-off attributes",
    lambda root: edit(root, "hq_attributes", lambda data: data[: data.rindex(b"\n", 0, -1) + 1]),
    "hq",
    FormatError,
    "says 24 rows",
    "holds 23",
    "cut off",
)
defect(
    "two rows that differ",
    lambda root: edit(root, "hq_labels", lambda data: data + b"0.jpg 0 0 0 0 0\n0.jpg 1 1 1 1 1\n"),
    "hq",
    FormatError,
    f"{LABELS}: lines 2 and 26: 0.jpg stands twice",
)
defect(
    "two identities",
    append("hq_identity", b"0.jpg 99999\n"),
    "hq",
    FormatError,
    "identity_CelebA-HQ.txt: lines 1 and 25: 0.jpg stands twice",
)
defect(
    "two sets of attributes",
    lambda root: edit(
        root,
        "hq_attributes",
        lambda data: data.replace(b"24", b"26", 1) + b"".join(b"1.jpg" + s * 40 + b"\n" for s in (b" 1", b" -1")),
    ),
    "hq",
    FormatError,
    "lines 27 and 28: 1.jpg stands twice",
)
defect(
    "two requests",
    lambda root: (at(root, "hq_requests").unlink(), append("hq_requests_txt", b"0.jpg\tSomething else.\n")(root)),
    "hq",
    FormatError,
    "request_hq.txt: lines 1 and 24: 0.jpg stands twice",
)
for _name in ("30000.jpg", "00001.jpg", "000001.jpg", "0.png", "zero.jpg", "99999999.jpg", "-1.jpg", "../0.jpg"):
    defect(
        f"{_name} in HQ",
        append("hq_labels", _name.encode() + b" 0 0 0 0 0\n"),
        "hq",
        FormatError,
        f"{LABELS}: line 25",
        _name,
        "0.jpg to 29999.jpg",
    )
for _name in ("000000.jpg", "202600.jpg", "999999.jpg", "1.jpg"):
    defect(
        f"{_name} in standard",
        append("standard_identity", _name.encode() + b" 5\n"),
        "standard",
        FormatError,
        "identity_CelebA.txt: line 91",
        _name,
        "000001.jpg to 202599.jpg",
    )
defect(
    "blank row of a strange name",
    append("hq_labels", b"30001.jpg\n"),
    "hq",
    FormatError,
    "line 25",
    "30001.jpg",
)
defect("identity of letters", append("hq_identity", b"1.jpg Bob\n"), "hq", FormatError, "line 25: 'Bob'", "identity")
defect("identity below none", append("hq_identity", b"1.jpg -7\n"), "hq", FormatError, "line 25: -7", "identity")
defect(
    "damaged first row",
    replace("hq_identity", rb"^0\.jpg", b"0.jp"),
    "hq",
    FormatError,
    "identity_CelebA-HQ.txt: line 1",
    "0.jp",
)
defect(
    "damaged first row of labels",
    lambda root: edit(root, "hq_labels", lambda data: data.split(b"\n", 1)[1].replace(b"0.jpg", b"0.jp", 1)),
    "hq",
    FormatError,
    f"{LABELS}",
)
defect(
    "mapping off by one",
    append("mapping", b"7 5 000005.jpg\n"),
    "hq",
    FormatError,
    f"{MAPPING}: line 26: 7, 5 and 000005.jpg",
    "one less",
)
defect("mapping beyond HQ", append("mapping", b"30000 4 000005.jpg\n"), "hq", FormatError, "line 26: 30000", "30,000")
defect("mapping beyond CelebA", append("mapping", b"7 202599 202600.jpg\n"), "hq", FormatError, "line 26", "202599")
defect("mapping of letters", append("mapping", b"7 x 000005.jpg\n"), "hq", FormatError, "line 26: 'x'")
defect(
    "mapping to one image twice",
    append("mapping", b"7 4 000005.jpg\n8 4 000005.jpg\n"),
    "hq",
    FormatError,
    f"{MAPPING}: ",
    "000005.jpg",
)
defect(
    "mapping without an image",
    replace("mapping", rb"(?m)^0 .*\n", b""),
    "hq",
    FormatError,
    f"{MAPPING}: no row for 0.jpg",
)
defect(
    "mapping in a standard row",
    append("mapping", b"7 5 000005.jpg\n"),
    "standard",
    FormatError,
    f"{MAPPING}: line 26",
)
defect(
    "lists that disagree",
    lambda root: (
        at(root, "standard_labels").unlink(),
        edit(
            root,
            "labels_test",
            lambda data: data + re.sub(rb" \d", b" 5", at(root, "labels_train").read_bytes().split(b"\n")[0]) + b"\n",
        ),
    ),
    "standard",
    ReleaseError,
    "train_attr_list.txt",
    "test_attr_list.txt",
)
defect("NUL in text", replace("hq_labels", ROW, b"0.jpg\0\t"), "hq", FormatError, f"{LABELS}: line 2: a NUL byte")
defect(
    "NUL in requests", replace("hq_requests", rb"Please|Could|Now|It|I", b"\0"), "hq", FormatError, "request_hq.json"
)
defect(
    "NUL in requests as text",
    lambda root: (at(root, "hq_requests").unlink(), append("hq_requests_txt", b"1.jpg\ta\0b\n")(root)),
    "hq",
    FormatError,
    "request_hq.txt: line 24",
)
defect("no UTF-8 in text", replace("hq_labels", ROW + rb"\d", b"\\g<1>\xff"), "hq", FormatError, f"{LABELS}: line 2")
defect("no UTF-8 in a key", append("hq_labels", b"\xff\xfe.jpg 0 0 0 0 0\n"), "hq", FormatError, f"{LABELS}: line 25")
defect(
    "no UTF-8 in JSON",
    replace("hq_captions", rb"This|The", b"\xff\xfe"),
    "hq",
    FormatError,
    "captions_hq.json: line ",
    "0xff",
    "UTF-8",
)
defect(
    "no UTF-8 in requests as text",
    lambda root: (at(root, "hq_requests").unlink(), append("hq_requests_txt", b"1.jpg\t\xc3\x28\n")(root)),
    "hq",
    FormatError,
    "request_hq.txt: line 24",
    "UTF-8",
)
defect("a line of 10 MB", append("hq_labels", b"1.jpg" + b" 1" * 5_000_000), "hq", FormatError, f"{LABELS}: line 25")
defect("a word of 10 MB", append("hq_labels", b"1" * 10_000_000 + b" 0 0 0 0 0"), "hq", FormatError, "line 25")
defect("a name of 10 MB", append("hq_identity", b"1" * 10_000_000 + b".jpg 1\n"), "hq", FormatError, "line 25")
defect("a number of 10 MB", append("hq_identity", b"1.jpg " + b"1" * 10_000_000), "hq", FormatError, "line 25")
defect("a first line of 10 MB", write("hq_labels", b"1.jpg" * 2_000_000), "hq", ReleaseError, LABELS)
defect("10 MB of newlines", write("hq_labels", b"0.jpg" + b"\n" * 10_000_000 + b"x"), "hq", FormatError, LABELS)
defect("10 MB without a line end", write("hq_requests_txt", b"0.jpg" + b"x" * 10_000_000), "hq", None)
defect(
    "request of 10 MB as text",
    lambda root: (at(root, "hq_requests").unlink(), append("hq_requests_txt", b"1.jpg " + b"x" * 10_000_000)(root)),
    "hq",
    FormatError,
    "request_hq.txt: line 24",
)

# JSON: the name of the file, the key or the line.
defect(
    "JSON cut off",
    lambda root: edit(root, "hq_captions", lambda data: data[: len(data) // 2]),
    "hq",
    FormatError,
    "captions_hq.json: line ",
)
defect(
    "JSON cut off between entries",
    lambda root: edit(root, "hq_requests", lambda data: data[: data.rindex(b",") + 1]),
    "hq",
    FormatError,
    "request_hq.json: line ",
    "cut off",
)
defect("JSON cut off at the end", replace("hq_requests", rb"}\s*$", b""), "hq", FormatError, "request_hq.json: line 2")
defect(
    "JSON with more behind it",
    append("hq_requests", b'["0.jpg"]'),
    "hq",
    FormatError,
    "request_hq.json: line 25",
    "not JSON",
)
defect("JSON with NULs behind it", append("hq_requests", b"\0" * 100), "hq", FormatError, "request_hq.json: line 25")
for _name, _data, _line in (
    ("of entries", b'{"0.jpg": "x"}\n{"1.jpg": "x"}\n', "line 2: a second JSON object"),
    ("of rows", b'{"file_name": "0.jpg", "text": "x"}\r\n{"file_name": "1.jpg", "text": "x"}', "line 2: a second"),
):
    defect(
        f"JSON lines {_name}", write("hq_requests", _data), "hq", FormatError, _line, "JSON lines", "file names as keys"
    )
defect(
    "one JSON line of a row",
    write("hq_requests", b'{"file_name": "0.jpg", "text": "x"}'),
    "hq",
    FormatError,
    "request_hq.json: a key: 'file_name' is no image",
)
defect("JSON list", write("hq_requests", b'["0.jpg"]'), "hq", FormatError, "line 1: a JSON list", "file names as keys")
defect("JSON text", write("hq_requests", b'"0.jpg"'), "hq", FormatError, "request_hq.json: line 1", "object")
defect("JSON with single quotes", write("hq_requests", b"{'0.jpg': 'x'}"), "hq", FormatError, "line 1", "not JSON")
defect("JSON with a comment", write("hq_requests", b'{"0.jpg": "x", // 1\n}'), "hq", FormatError, "line 1", "not JSON")
defect("JSON with a comma too many", write("hq_requests", b'{"0.jpg": "x",}'), "hq", FormatError, "line 1", "not JSON")
defect("JSON with a newline in a text", write("hq_requests", b'{"0.jpg": "x\ny"}'), "hq", FormatError, "line 1")
defect("JSON number of 10,000 digits", write("hq_requests", b'{"0.jpg": %s}' % (b"1" * 10000)), "hq", FormatError)
defect("JSON key of 10 MB", write("hq_requests", b'{"0.jpg%s": 1}' % (b"x" * 10_000_000)), "hq", FormatError, "0.jpgxx")
defect("JSON of brackets", write("hq_requests", b'{"0.jpg": ' + b"[" * 900_000), "hq", FormatError, "nested")
defect("JSON of braces", write("hq_requests", b'{"0.jpg":' * 900_000), "hq", FormatError, "nested")
for _mark in (b"[", b'{"0.jpg":', b"7,"):
    defect(
        f"JSON of too many {_mark.decode()}",
        write("hq_requests", b'{"0.jpg": ' + _mark * 10_000_001),
        "hq",
        FormatError,
        "request_hq.json: more than 1",
        "plausible",
    )
defect("JSON of plain brackets", write("hq_captions", b"[" * 50_000_000), "hq", DamagedFileError, "captions_hq.json")
for _depth in (100, 500, 900, 1000, 2000):
    defect(
        f"JSON {_depth} deep",
        write("hq_captions", b'{"0.jpg": ' + b"[" * _depth + b"]" * _depth + b"}"),
        "hq",
        FormatError,
        "captions_hq.json",
    )
for _role, _what in (("hq_captions", "overall_caption"), ("hq_request_labels", "request_mode")):
    for _value in (5, True, 1.5, "text", [], ["overall_caption"], {"x": 1}, "overall_caption"):
        defect(
            f"{_role} of {_value!r}",
            entry(_role, "1.jpg", _value),
            "hq",
            FormatError,
            f"{FILES[_role].name}: key '1.jpg': ",
            _what,
        )
for _value in (5, True, 1.5, [], {"text": "x"}):
    defect(f"request of {_value!r}", entry("hq_requests", "1.jpg", _value), "hq", FormatError, "key '1.jpg'", "text")
defect(
    "caption of a number",
    entry("hq_captions", "1.jpg", {"overall_caption": 7}),
    "hq",
    FormatError,
    "captions_hq.json: key '1.jpg': overall_caption is 7, expected a text or null",
)
defect(
    "caption of an attribute of a list",
    entry("hq_captions", "1.jpg", {"attribute_wise_captions": {"No_Beard": ["x"]}, "overall_caption": "x"}),
    "hq",
    FormatError,
    "key '1.jpg'",
    "expected a text or null",
)
defect(
    "captions of a text",
    entry("hq_captions", "1.jpg", {"attribute_wise_captions": "x", "overall_caption": "x"}),
    "hq",
    FormatError,
    "key '1.jpg'",
)
defect("half a character", entry("hq_requests", "1.jpg", "\ud83d"), "hq", FormatError, "key '1.jpg'", "surrogate")
for _key, _value in (
    ("attribute", "Beards"),
    ("attribute", "Male"),
    ("attribute", 3),
    ("attribute", ["Bangs"]),
    ("request_mode", "definite"),
    ("score_change_direction", 1),
    ("score_change_value", 0),
    ("score_change_value", 6),
    ("score_change_value", "many"),
    ("score_change_value", 1.0),
    ("target_score", 6),
    ("target_score", -2),
    ("target_score", True),
    ("target_score", 10**30),
    ("target_score", {"x": 1}),
):
    defect(
        f"{_key} {_value!r}",
        entry("standard_request_labels", "000001.jpg", {"attribute": "Bangs", _key: _value}),
        "standard",
        FormatError,
        f"request_annotated.json: key '000001.jpg': {_key} is ",
        {"attribute": "expected Bangs, Eyeglasses, No_Beard, Smiling, Young."}.get(_key, "expected"),
    )
for _key in ("30000.jpg", "000001.jpg", "0.png", "0", "", "x", "\ud800.jpg"):
    defect(f"key {_key!r}", entry("hq_requests", _key, "x"), "hq", FormatError, "request_hq.json", "0.jpg to 29999.jpg")
defect(
    "key of a standard image that is none",
    entry("standard_captions", "202600.jpg", {"overall_caption": "x"}),
    "standard",
    FormatError,
    "captions.json",
    "202600.jpg",
)
for _role, _values in (
    ("hq_requests", ('"x"', '"y"')),
    ("hq_captions", ('{"overall_caption": "x"}', '{"overall_caption": "y"}')),
    ("hq_request_labels", ('{"target_score": 1}', '{"target_score": null}')),
):
    defect(
        f"key twice in {_role}",
        replace(_role, rb"^{", b'{"1.jpg": %s, "1.jpg": %s,' % tuple(value.encode() for value in _values)),
        "hq",
        FormatError,
        f"{FILES[_role].name}: key '1.jpg' stands twice",
    )

# Another thing under the name of the file.
for _role, _config in (
    ("hq_images", "hq"),
    ("hq_masks", "hq"),
    ("hq_parts", "hq_parts"),
    ("standard_images", "standard"),
):
    _where = FILES[_role].name
    defect(f"web page as {_role}", write(_role, QUOTA_PAGE), _config, DamagedFileError, _where, "web page", "quota")
    defect(f"{_role} empty", write(_role, b""), _config, DamagedFileError, _where, "empty")
    defect(f"{_role} of noise", write(_role, bytes(range(100, 256)) * 99), _config, DamagedFileError, _where, "no zip")
    defect(
        f"{_role} cut off",
        lambda root, role=_role: edit(root, role, lambda data: data[: len(data) // 2]),
        _config,
        DamagedFileError,
        _where,
        "cut off",
    )
for _role in TEXTS:
    _config = FILES[_role].subset
    if _role in (
        "partition",
        "hq_requests_txt",
        "standard_requests_txt",
        "labels_train",
        "labels_validation",
        "labels_test",
    ):
        continue
    _where = FILES[_role].name
    defect(f"web page as {_role}", write(_role, QUOTA_PAGE), _config, DamagedFileError, _where, "web page", "quota")
    defect(f"{_role} empty", write(_role, b""), _config, DamagedFileError, _where, "empty")
    defect(f"zip as {_role}", lambda root, role=_role: pack(at(root, role), []), _config, DamagedFileError, _where)


def both(name, other, *parts):
    """Two copies that differ: the error names both."""
    return ConflictError, name, other, "differ", *parts


def second_copy(role, change):
    def make(root):
        copy = root / "copy" / FILES[role].name
        copy.parent.mkdir()
        copy.write_bytes(change(at(root, role).read_bytes()))

    return make


for _role, _old, _new in (
    ("hq_labels", b"\t0\n", b"\t1\n"),
    ("hq_captions", b"The", b"the"),
    ("mapping", b"idx ", b"id  "),
    ("hq_identity", b"\n", b"1\n"),
):
    defect(
        f"two {_role} that differ",
        second_copy(_role, lambda data, old=_old, new=_new: data.replace(old, new, 1)),
        "hq",
        *both(FILES[_role].path, f"copy/{FILES[_role].name}"),
    )


def _other_image(root):
    entries = members(at(root, "hq_images"))
    pack(root / "image (1).zip", [(entries[0][0], jpeg()), *entries[1:]])


def _other_folder(root):
    unpack(root, "hq_images", root / "a")
    shutil.copytree(root / "a", root / "b")
    (root / "b" / "image" / "0.jpg").write_bytes(jpeg())


def _other_content_of_the_same_size(root):
    with zipfile.ZipFile(at(root, "hq_images")) as archive:
        archive.extractall(root)
    data = (root / "image" / "0.jpg").read_bytes()
    (root / "image" / "0.jpg").write_bytes(data[:-9] + bytes(byte ^ 1 for byte in data[-9:-2]) + data[-2:])


def _same_name_twice(root):
    entries = members(at(root, "hq_images"))
    pack(at(root, "hq_images"), [*entries, ("again/0.jpg", jpeg())])


defect("two images that differ", _other_image, "hq", *both("image.zip: image/0.jpg", "image (1).zip: image/0.jpg"))
defect("two folders that differ", _other_folder, "hq", *both("a/image/: 0.jpg", "b/image/: 0.jpg"))
defect("one name twice in a zip", _same_name_twice, "hq", *both("image.zip: image/0.jpg", "image.zip: again/0.jpg"))
defect(
    "zip and folder that differ in content",
    _other_content_of_the_same_size,
    "hq",
    ConflictError,
    "image.zip",
    "image/",
    "0.jpg",
)


# Missing things.
defect("no folder", shutil.rmtree, "hq", MissingFileError, "no such folder", "celeba-dialog fetch")
defect(
    "a file for a folder",
    lambda root: (shutil.rmtree(root), root.write_bytes(b"x")),
    "hq",
    MissingFileError,
    "is a file, not a folder",
)
defect(
    "an empty folder",
    lambda root: (shutil.rmtree(root), root.mkdir()),
    "hq",
    MissingFileError,
    "no hq images",
    "image.zip",
    "celeba-dialog check",
)
defect(
    "no standard images",
    lambda root: at(root, "standard_images").unlink(),
    "standard",
    MissingFileError,
    "no standard images",
    "img_align_celeba.zip",
)
defect("no mapping", lambda root: at(root, "mapping").unlink(), "hq", MissingFileError, MAPPING, "split")


# Zips.
def images(*entries, **options):
    return write("hq_images", raw_zip([{"name": "image/0.jpg"} | entry for entry in entries], **options))


def corrupt(role, position):
    """Changes one byte of a member's data."""

    def change(root):
        with zipfile.ZipFile(at(root, role)) as archive:
            info = archive.infolist()[0]
        data = bytearray(at(root, role).read_bytes())
        place = info.header_offset + 30 + len(info.filename) + position
        data[place] ^= 0x55
        at(root, role).write_bytes(data)

    return change


defect("byte changed in an image", corrupt("hq_images", 100), "hq", DamagedFileError, "image.zip", "image/0.jpg", "CRC")
defect("byte changed in a mask", corrupt("hq_masks", 90), "hq", DamagedFileError, "palette.zip", "/0.png")
defect("byte changed in a part", corrupt("hq_parts", 90), "hq_parts", DamagedFileError, "anno.zip", "00000_skin.png")
defect("byte changed, deflated", corrupt("standard_images", 90), "standard", DamagedFileError, "img_align_celeba.zip")
defect(
    "local header changed", corrupt("hq_images", -40), "hq", DamagedFileError, "image.zip", "image/0.jpg", "directory"
)
defect("encrypted", images({"data": jpeg(), "flags": 1}), "hq", FormatError, "image.zip: image/0.jpg is encrypted")
for _method in (9, 12, 14, 93, 99):
    defect(
        f"method {_method}",
        images({"data": jpeg(), "method": _method}),
        "hq",
        FormatError,
        f"image.zip: image/0.jpg is compressed by method {_method}",
    )
defect(
    "claims 4 GB",
    images({"data": deflated(b"\0" * 1000), "method": 8, "size": 0xFFFFFFFE}),
    "hq",
    FormatError,
    "image.zip: image/0.jpg claims 4,294,967,294 bytes",
)
defect(
    "claims 65 MB, stored",
    images({"data": b"x", "size": 65 << 20, "packed": 65 << 20}),
    "hq",
    DamagedFileError,
    "image.zip",
    "entry 0 of 1",
)
defect(
    "sizes that differ, stored", images({"data": jpeg(), "size": 5}), "hq", FormatError, "image/0.jpg claims 5 bytes"
)
defect(
    "bomb that claims little",
    images({"data": deflated(b"\0" * (50 << 20)), "method": 8, "size": 1000}),
    "hq",
    DamagedFileError,
    "image.zip: image/0.jpg holds 1,001 bytes",
)
defect(
    "claims more than it holds",
    images({"data": deflated(b"x"), "method": 8, "size": 1000}),
    "hq",
    DamagedFileError,
    "image.zip: image/0.jpg holds 1 bytes",
    "expected 1,000",
)
defect(
    "no deflate stream", images({"data": b"\xff" * 99, "method": 8}), "hq", DamagedFileError, "image/0.jpg", "unpacked"
)
defect(
    "members that share their bytes",
    images({"data": jpeg()}, {"data": jpeg(), "name": "image/1.jpg", "offset": 0}),
    "hq",
    DamagedFileError,
    "image.zip",
    "overlap",
)
defect(
    "members nested in each other",
    images({"data": jpeg() * 3}, {"data": jpeg(), "name": "image/1.jpg", "offset": 60}),
    "hq",
    DamagedFileError,
    "overlap",
)
defect(
    "member that reaches into the directory",
    images({"data": jpeg(), "packed": len(jpeg()) + 9, "size": len(jpeg()) + 9}),
    "hq",
    DamagedFileError,
    "image.zip",
    "overlap",
)
for _number in (2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1):
    for _field in ("size", "packed", "offset"):
        defect(
            f"{_field} {_number} in 64 bits",
            images(of_64_bits(**{_field: _number})),
            "hq",
            ReleaseError,
            "image.zip",
        )
    defect(
        f"other member of packed size {_number}",
        images({"data": jpeg()}, of_64_bits(packed=_number) | {"name": "readme.md"}),
        "hq",
        DamagedFileError,
        "image.zip",
    )
defect("64 bits without a field", images(of_64_bits() | {"extra": b""}), "hq", DamagedFileError, "entry 0")
defect(
    "64 bits in a field too short", images(of_64_bits() | {"extra": b"\1\0\4\0abcd"}), "hq", DamagedFileError, "entry 0"
)
defect("count of 65,535", images({"data": jpeg()}, count=65535), "hq", DamagedFileError, "image.zip", "65,535 entries")
defect("count too high by one", images({"data": jpeg()}, count=2, length=200), "hq", DamagedFileError, "image.zip")
defect("directory of 4 GB", images({"data": jpeg()}, length=0xFFFFFFFF), "hq", DamagedFileError, "4,294,967,295 bytes")
defect("directory behind the end", images({"data": jpeg()}, offset=99999), "hq", DamagedFileError, "at 99,999")


def end_of_64_bits(entries, length, offset):
    """The end of a zip whose numbers do not fit into the old record."""
    numbers = entries, entries, length, offset
    end = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, *numbers)
    end += struct.pack("<4sLQL", b"PK\6\7", 0, length + offset, 1)
    return end + struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)


defect(
    "a billion entries in 64 bits",
    lambda root: at(root, "hq_images").write_bytes(
        raw_zip([{"name": "image/0.jpg", "data": jpeg()}])[:-22] + end_of_64_bits(10**9, 57, 0)
    ),
    "hq",
    DamagedFileError,
    "image.zip",
    "1,000,000,000 entries",
)
defect(
    "more entries than any release has",
    lambda root: at(root, "hq_images").write_bytes(
        (raw_zip([{"name": "0.jpg", "data": b""}])[35:-22] * 1_000_001) + end_of_64_bits(1_000_001, 51 * 1_000_001, 0)
    ),
    "hq",
    DamagedFileError,
    "image.zip",
    "1,000,001 entries",
)
defect("damaged directory", lambda root: edit(root, "hq_images", lambda data: data.replace(b"PK\1\2", b"PK\1\3", 1)),
       "hq", DamagedFileError, "image.zip", "directory is damaged at entry 0 of 24")  # fmt: skip


# Images.
def folder_of(role, name, data):
    """Puts one file into a folder in place of the zip of its role."""

    def change(root):
        unpack(root, role, root / "images")
        found = [path for path in (root / "images").rglob("*") if path.name == name]
        assert len(found) == 1
        found[0].write_bytes(data)

    return change


defect("no JPEG", folder_of("hq_images", "0.jpg", b"GIF89a"), "hq", FormatError, "0.jpg", "GIF89a", "no JPEG")
defect("empty JPEG", folder_of("hq_images", "0.jpg", b""), "hq", FormatError, "0.jpg", "no JPEG")
defect("web page for a JPEG", folder_of("hq_images", "0.jpg", QUOTA_PAGE), "hq", FormatError, "0.jpg", "no JPEG")
defect(
    "image of 65 MB",
    folder_of("hq_images", "0.jpg", b"\xff\xd8" * (33 << 20)),
    "hq",
    FormatError,
    "0.jpg",
    "67,108,864",
)
defect("no PNG", folder_of("hq_masks", "0.png", jpeg()), "hq", FormatError, "no PNG")
defect("empty mask", folder_of("hq_masks", "0.png", b""), "hq", FormatError, "no PNG")
defect(
    "mask of class 19",
    folder_of("hq_masks", "0.png", png(512, 512, 8, 0, (b"\0\1\x13" + b"\0" * 510) * 512)),
    "hq",
    FormatError,
    "class 19, expected 0 to 18",
)
defect(
    "mask of another colour",
    folder_of("hq_masks", "0.png", png(512, 512, 8, 2, (b"\0\xcc\0\0\1\2\3" + b"\0" * 1530) * 512)),
    "hq",
    FormatError,
    "[1, 2, 3]",
    "19 official",
)
defect("mask cut off", folder_of("hq_masks", "0.png", png(9, 9, 8, 0, b"\0" * 90)[:-30]), "hq", FormatError, "decoded")
defect(
    "mask of a bomb",
    folder_of("hq_masks", "0.png", png(50_000, 50_000, 8, 0, b"\0" * 10**6)),
    "hq",
    FormatError,
    "50000×50000 pixels",
    "expected 512×512",
)


@pytest.mark.parametrize("name", DEFECTS)
def test_defects(name, copy):
    change, config, error, parts = DEFECTS[name]
    change(copy)
    if error is None:  # of no account, because something better is there
        read(copy, config)
        return
    with pytest.raises(error) as caught:
        read(copy, config)
    message = str(caught.value)
    for part in parts:
        assert part in message, message
    assert "\n" not in message and len(message) < 700, "one line for a person to read"


def test_only_what_a_config_needs_is_opened(demo, copy, same_rows):
    """What is wrong with the part masks or with the standard part does not trouble who wants hq."""
    for role in ("hq_parts", "standard_images", "standard_captions", "standard_attributes", "standard_labels"):
        at(copy, role).write_bytes(QUOTA_PAGE)
    same_rows(read(copy, "hq"), demo.rows("hq"))
    for config in ("hq_parts", "standard"):
        with pytest.raises(DamagedFileError):
            read(copy, config)


# ------------------------------------------------------------------------------------------- what changes while reading


def test_a_file_that_vanishes_is_missed_by_name(copy):
    for role in ("hq_images", "hq_captions"):
        release = Release(copy)
        at(copy, role).rename(copy / "away")
        with pytest.raises(MissingFileError, match=re.escape(FILES[role].name)):
            read_index(release, "hq")
        (copy / "away").rename(at(copy, role))


def test_images_that_vanish_after_the_index_was_made(copy):
    unpack(copy, "standard_images", copy)
    indexes = index_of(copy), index_of(copy, "standard")
    at(copy, "hq_images").unlink()
    next((copy / "img_align_celeba").iterdir()).unlink()
    for index, name in zip(indexes, ("image.zip", "img_align_celeba/")):
        with pytest.raises(MissingFileError, match=re.escape(name)):
            images_of(index)


def test_a_zip_that_is_replaced_after_the_index_was_made(copy):
    """Its members are read at the old places: what is there now is no such member."""
    index = index_of(copy)
    images_of(index)
    entries = members(at(copy, "hq_images"))
    random.Random(3).shuffle(entries)  # noqa: S311
    pack(copy / "new.zip", entries)
    os.replace(copy / "new.zip", at(copy, "hq_images"))
    with pytest.raises(DamagedFileError, match=r"image\.zip: image/[0-9]+\.jpg .*changed"):
        images_of(index)


def test_a_zip_that_is_cut_off_after_the_index_was_made(copy):
    index = index_of(copy)
    images_of(index)
    os.truncate(at(copy, "hq_images"), 5000)
    with pytest.raises(DamagedFileError, match=r"image\.zip: image/[0-9]+\.jpg"):
        images_of(index)


def test_a_zip_that_shrinks_between_the_search_and_the_reading(copy):
    release = Release(copy)
    os.truncate(at(copy, "hq_images"), 50_000)
    with pytest.raises(DamagedFileError, match=r"image\.zip"):
        read_index(release, "hq")


def test_a_text_that_is_cut_off_while_it_is_read(copy):
    """At the end of a line, where nothing else would show it."""
    release = Release(copy)
    data = at(copy, "hq_labels").read_bytes()
    os.truncate(at(copy, "hq_labels"), data.index(b"\n", len(data) // 2) + 1)
    with pytest.raises(DamagedFileError, match="combined_annotation_hq.txt.*changed"):
        read_index(release, "hq")


# ------------------------------------------------------------------------------------------------ bounded memory, files


def test_a_folder_of_more_images_than_files_may_be_open(copy):
    unpack(copy, "standard_images", copy)
    code = """
index = read_index(Release(sys.argv[1]), "standard")
print(len(read_images(index, index.table, [None])[None]["image"]))
"""
    assert int(run(code, copy, RLIMIT_NOFILE=48)) == 90


MANY = {
    "brackets in pairs": b'{"0.jpg": [' + b"[]," * 4_000_000 + b"[]]}",
    "entries of brackets": b"{%s}"
    % b",".join(b'"%d.jpg": {"overall_caption": [%s[]]}' % (n, b"[]," * 300_000) for n in range(12)),
    "numbers": b'{"0.jpg": [' + b"7," * 6_000_000 + b"7]}",
    "keys": b'{"0.jpg": {' + b",".join(b'"%d": 0' % number for number in range(1_000_000)) + b"}}",
    "newlines": b"\n" * 6_000_000,
    "words": b"0.jpg" + b" 1" * 6_000_000,
}


def test_memory_is_bounded_whatever_is_in_a_text_file(tmp_path):
    """JSON takes twenty times its size at most, and its marks are counted before; other text takes fifteen times."""
    for name, data in MANY.items():
        (tmp_path / name).write_bytes(data)
    code = """
import itertools, os, resource
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
readers = ("degrees", "mapping", "captions", "requests", "request_labels", "requests_txt")
for path, name in itertools.product(sys.argv[1:], readers):
    if os.fork():  # a process each, because a peak never falls
        assert os.wait()[1] == 0, (path, name)
        continue
    data = open(path, "rb").read()
    before = peak()
    try:
        getattr(captions if hasattr(captions, "read_" + name) else texts, "read_" + name)(data, "x", *[HQ][name == "mapping":])
        print(name, "took", path)
    except ReleaseError:
        pass
    if peak() - before > 300:
        print(path, name, peak() - before, "MB")
    break
"""
    assert run(code, *(tmp_path / name for name in MANY)) == ""


# ------------------------------------------------------------------------------------------------ decoding of one image


def test_a_jpeg_that_does_not_decode():
    data = jpeg(64)
    assert decode_image(data, "0.jpg").size == (64, 64)
    header = data.index(b"\xff\xc0")
    bomb = data[: header + 5] + struct.pack(">HH", 65500, 65500) + data[header + 9 :]
    for broken in (data[: len(data) // 2], data[:100], b"", b"\xff\xd8", b"\xff\xd8" + b"x" * 999, QUOTA_PAGE, bomb):
        with pytest.raises(FormatError, match=r"^0\.jpg: the JPEG cannot be decoded: "):
            decode_image(broken, "0.jpg")


def test_a_palette_mask_that_does_not_decode():
    palette = chunk(b"PLTE", bytes(PALETTE))
    good = png(8, 8, 8, 3, b"".join(b"\0" + bytes(range(row, row + 8)) for row in range(8)), palette)
    assert mask_indices(good, "0.png")[3].tolist() == list(range(3, 11))
    over = png(2, 1, 8, 3, b"\0\x12\x13", chunk(b"PLTE", bytes(PALETTE + [19] * 3)))
    bomb = png(50_000, 50_000, 8, 3, b"\0" * 1000, palette)
    for broken in (good[:-40], good[:60], good[:8], good.replace(b"IDAT", b"IDAX"), over, bomb):
        with pytest.raises(FormatError, match=r"^0\.png: "):
            mask_indices(broken, "0.png")


def test_pillows_own_limit_stays_on():
    assert Image.MAX_IMAGE_PIXELS == (1 << 30) // 4 // 3

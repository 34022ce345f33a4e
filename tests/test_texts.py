"""Texts as people have them: line ends, separators, encodings, spellings, fillers. Each is read right or refused.

Everything here is literal bytes and what they say; the properties are in test_annotations.py.
"""

import gzip
import io
import json
import zipfile

import pytest
from releases import at, edit, read

from conversion.release import captions, texts
from conversion.release.errors import DamagedFileError, FormatError
from conversion.release.finding import Release
from conversion.release.official import FILES
from conversion.release.texts import read_degrees, read_mapping, read_partition
from conversion.release.vocabulary import ATTRIBUTES, DEGREES, HQ, STANDARD

NAMES = "5_o_Clock_Shadow " + " ".join(ATTRIBUTES[1:])


def row(name, value="1"):
    return name + f" {value}" * 40


# Reader -> (a file of four lines at least, what is said of image 1).
FILES_OF = {
    "degrees": (
        "img_name Bangs Eyeglasses No_Beard Smiling Young\n0.jpg 1 1 1 1 1\n1.jpg 0 1 2 3 4\n2.jpg 5 5 5 5 5\n",
        [0, 1, 2, 3, 4],
    ),
    "attributes": (f"3\n{NAMES}\n{row('0.jpg', -1)}\n{row('1.jpg')}\n{row('2.jpg', -1)}\n", [1] * 40),
    "identity": ("0.jpg 5\n1.jpg 77\n2.jpg 6\n3.jpg 7\n", 77),
    "mapping": ("idx orig_idx orig_file\n0 8 000009.jpg\n1 41 000042.jpg\n2 9 000010.jpg\n", 42),
    "partition": ("000001.jpg 0\n162771.jpg 1\n182638.jpg 2\n000002.jpg 0\n", None),
    "requests_txt": (
        "0.jpg\tOne.\n1.jpg\tMake it longer, please.\n2.jpg\tTwo.\n3.jpg\tThree.\n",
        "Make it longer, please.",
    ),
}


def said(name, data, number=1):
    """What a reader finds of an image of HQ."""
    data = data.encode() if isinstance(data, str) else data
    if name == "partition":
        read_partition(data, "file")
        return None
    if name == "mapping":
        return read_mapping(data, "file")[0][number]
    found, _ = getattr(captions if hasattr(captions, f"read_{name}") else texts, f"read_{name}")(data, "file", HQ)
    if isinstance(found, dict):
        found = {column: values.to_pylist()[number] for column, values in found.items() if column != "text"}
        return found["request"] if name.startswith("requests") else found
    return found[number].tolist()


@pytest.mark.parametrize("name", FILES_OF)
def test_the_files_that_the_others_are_made_of(name):
    text, expected = FILES_OF[name]
    for form in (text, text.replace("\n", "\r\n"), text.replace("\n", " \t\n\n"), text.rstrip("\n")):
        assert said(name, form) == expected


# ---------------------------------------------------------------------------------------------------------- line ends

NO_LINE_ENDS = [
    "\r",
    "\v",
    "\f",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x85",
    "\u2028",
    "\u2029",
    "\0",
    "\x01",
    "\x1a",
    "\x1b",
    "\x7f",
]


@pytest.mark.parametrize("mark", NO_LINE_ENDS, ids=ascii)
@pytest.mark.parametrize("name", FILES_OF)
def test_nothing_else_ends_a_line(name, mark):
    """Not in the place of a line end, not beside one, and not between words or in the middle of a text."""
    lines = FILES_OF[name][0].splitlines()
    damaged = [
        "\n".join([*lines[:2], lines[2] + mark + lines[3], ""]),
        "\n".join([*lines[:2], lines[2] + mark, *lines[3:], ""]),
        "\n".join([*lines[:2], mark + lines[2], *lines[3:], ""]),
        "\n".join([*lines[:2], lines[2].replace(lines[2][5], mark, 1), *lines[3:], ""]),
    ]
    for text in damaged:
        if mark == "\r" and "\r\n" in text:
            continue
        for data in (text.encode(), text.replace("\n", "\r\n").encode(), b"\xff\xfe" + text.encode("utf-16-le")):
            with pytest.raises(
                FormatError, match="^file: line 3: .*(NUL|U\\+00|U\\+20|carriage return).* may end a line"
            ):
                said(name, data)


@pytest.mark.parametrize("name", FILES_OF)
def test_a_file_of_carriage_returns_only(name):
    """As old Macs saved it. One image would get everything that is said of all."""
    with pytest.raises(FormatError, match="^file: line 1: a carriage return without a line feed"):
        said(name, FILES_OF[name][0].replace("\n", "\r"))
    with pytest.raises(FormatError, match="^file: line 1: a carriage return without a line feed"):
        said(name, FILES_OF[name][0].replace("\n", "\r\r\n"))


def test_requests_of_carriage_returns_only(copy):
    at(copy, "hq_requests").unlink()
    edit(copy, "hq_requests_txt", lambda data: data.replace(b"\n", b"\r"))
    with pytest.raises(FormatError, match=r"request_hq\.txt: line 1: a carriage return without a line feed"):
        read(copy, "hq")


def test_in_json_they_are_content():
    text = "One\v\f\x1c\x1e\x85\u2028\u2029\r\ntwo."
    for escaped in (True, False):
        data = json.dumps({"1.jpg": text}, ensure_ascii=escaped).replace("\\u2028", "\u2028").encode()
        assert said("requests", data) == text
    for mark in ("\r", "\n", "\0", "\x1f"):  # but not as they are
        with pytest.raises(FormatError, match="^file: line [12]: .* is not JSON"):
            said("requests", f'{{\n"1.jpg": "One{mark}two."}}')


# ------------------------------------------------------------------------------------------- separators and encodings


def kaggle(name, text):
    """As Kaggle's CSVs have it: with a header, and without the count."""
    header = {"identity": "image_id,identity\n", "partition": "image_id,partition\n"}.get(name, "")
    lines = [",".join(line.split()) for line in text.splitlines()]
    if name == "attributes":
        lines = ["image_id," + lines[1], *lines[2:]]
    return header + "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", [name for name in FILES_OF if name != "requests_txt"])
def test_separators(name):
    text, expected = FILES_OF[name]
    comma = kaggle(name, text)
    quoted = "\n".join(",".join(f'"{word}"' for word in line.split(",")) for line in comma.splitlines())
    forms = {
        "commas": comma,
        "commas and carriage returns": comma.replace("\n", "\r\n"),
        "semicolons": comma.replace(",", ";"),
        "tabs": comma.replace(",", "\t"),
        "commas and blanks": comma.replace(",", ", "),
        "comma at the end": comma.replace("\n", ",\n"),
        "quoted": quoted,
        "quoted names": "\n".join('"' + line.replace(",", '",', 1) for line in comma.splitlines()),
        "quoted, semicolons": quoted.replace(",", ";"),
        "quoted, blanks": quoted.replace(",", " "),
        "quoted, tabs": quoted.replace(",", "\t"),
        "filled up by a spreadsheet": "3" + "," * 40 + "\n" + comma if name == "attributes" else comma,
    }
    for form, data in forms.items():
        assert said(name, data) == expected, form
        assert said(name, b"\xef\xbb\xbf" + data.encode()) == expected, form


@pytest.mark.parametrize("name", [*FILES_OF, "captions", "requests", "request_labels"])
def test_encodings(name):
    captions = {"overall_caption": "Größe 顔 😀", "attribute_wise_captions": {"Bangs": "é"}}
    text, expected = {
        **FILES_OF,
        "captions": (json.dumps({"1.jpg": captions}, ensure_ascii=False), {"caption": "Größe 顔 😀", "bangs": "é"}),
        "requests": ('{"1.jpg": "Größe 顔 😀"}', "Größe 顔 😀"),
        "request_labels": ('{"1.jpg": {"target_score": 3}}', {"target": 3, "direction": 0}),
    }[name]
    if isinstance(expected, dict):
        empty = dict.fromkeys(["caption", *DEGREES], "")
        empty = (
            empty if name == "captions" else dict.fromkeys(["attribute", "mode", "direction", "value", "target"], -1)
        )
        expected = empty | expected
    marks = {"utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
    for encoding, mark in marks.items():
        assert said(name, mark + text.encode(encoding)) == expected
        assert said(name, text.encode(encoding)) == expected
    for damaged in (b"\xff\xfe" + text.encode("utf-16-le") + b"\n", text.encode("utf-16-le") + b"\x00\xd8\n\0"):
        with pytest.raises(FormatError, match=r"^file: line [0-9]+: byte 0x\w\w is not UTF-16(-LE)? text\. Download"):
            said(name, damaged)
    line = text.count("\n") + 2
    with pytest.raises(FormatError, match=rf"^file: line {line}: byte 0xfc is not UTF-8 text\. Download"):
        said(name, text.encode() + b"\n\xfc\n")


def test_a_release_saved_by_windows(demo, copy, same_rows):
    for index, role in enumerate(role for role, file in FILES.items() if file.path.endswith(("txt", "json"))):
        encoding = ("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig")[index % 4]
        edit(copy, role, lambda data, encoding=encoding: data.decode().encode(encoding))
    for config in ("hq", "standard"):
        same_rows(read(copy, config), demo.rows(config))


# ------------------------------------------------------------------------------------------------------ what is refused

ATTRIBUTE_ROWS = FILES_OF["attributes"][0]
REFUSED = [
    ("mixed separators", "degrees", "0.jpg,0,0,0,0,0\n1.jpg 0 0 0 0 0\n", "line 2: '1.jpg 0 0 0 0 0' is no image"),
    ("a row with two separators", "degrees", "0.jpg,0,0,0,0,0\n1.jpg,0 0,0,0,0\n", "line 2: 5 words"),
    ("two numbers in one field", "degrees", "0.jpg,0,0,0,0,0\n1.jpg,0 0,0,0,0,0\n", "line 2: '0 0', expected a degree"),
    ("commas and semicolons", "degrees", "0.jpg,0,0,0,0,0\n1.jpg;0;0;0;0;0\n", "line 2: '1.jpg;0;0;0;0;0' is no image"),
    ("decimal commas", "degrees", "0.jpg;0;0;0;0;0\n1.jpg;1,5;0;0;0;0\n", "line 2: '1,5', expected a degree"),
    ("a comma among blanks", "identity", "0.jpg 5\n1.jpg 7,7\n", "line 2: '7,7', expected the number"),
    ("a name and a comma", "identity", "0.jpg 5\n1.jpg, 7\n", "line 2: '1.jpg,' is no image"),
    ("half a quote", "identity", '"0.jpg",5\n"1.jpg,7\n', "line 2: '\"1.jpg' is no image"),
    ("a quote too many", "degrees", '0.jpg,0,0,0,0,0\n1.jpg,"0,0,0,0,0\n', "line 2: '\"0', expected a degree"),
    (
        "a column of numbers before",
        "identity",
        ",image_id,identity\n0,0.jpg,5\n1,1.jpg,7\n",
        "line 2: starts with '0 0.jpg 5'",
    ),
    ("colons", "identity", "0.jpg:5\n1.jpg:7\n", "line 1: starts with '0.jpg:5'"),
    *(
        (
            f"a degree {word}",
            "degrees",
            f"0.jpg 0 0 0 0 0\n1.jpg 0 0 {word} 0 0\n",
            f"line 2: {word!r}, expected a degree",
        )
        for word in ("5.0", "+5", "0x5", "1e0", "٣", "３", "½", "five", "--1", "1_0", "1-", "O", "0\u200b", "\xa05")
    ),
    *(
        (f"an identity {word}", "identity", f"0.jpg 5\n1.jpg {word}\n", f"line 2: {word!r}, expected the number")
        for word in ("5.0", "+5", "0x5", "1e3", "٣", "Bob", "99999999999")
    ),
    (
        "a degree in letters of Latin-1",
        "degrees",
        b"0.jpg 0 0 0 0 0\n1.jpg 0 0 \xbd 0 0\n",
        "line 2: byte 0xbd is not UTF-8",
    ),
    ("half-filled", "degrees", "0.jpg 0 0 0 0 0\n1.jpg 1 2 -1 -1 3\n", "line 2: 2 of 5 values are missing"),
    ("half-filled, None", "degrees", "0.jpg 0 0 0 0 0\n1.jpg None 2 3 4 5\n", "line 2: 1 of 5 values are missing"),
    ("half-filled, commas", "degrees", "0.jpg,0,0,0,0,0\n1.jpg,1,,3,4,5\n", "line 2: 1 of 5 values are missing"),
    ("half-filled, commas at the end", "degrees", "0.jpg,0,0,0,0,0\n1.jpg,1,2,3,4,\n", "line 2: 5 words, expected 6"),
    (
        "half-filled attributes",
        "attributes",
        ATTRIBUTE_ROWS.replace("1.jpg 1", "1.jpg nan"),
        "line 4: 1 of 40 values are missing",
    ),
    (
        "half a row of the mapping",
        "mapping",
        "0 8 000009.jpg\n1 None 000042.jpg\n",
        "line 2: 1 of 2 values are missing",
    ),
    (
        "nothing in the partition",
        "partition",
        "000001.jpg 0\n000002.jpg None\n",
        "line 2: no number, expected 0, 1 or 2",
    ),
    ("garbage in one word, first", "identity", "garbage\n0.jpg 5\n", "'garbage' is no header of rows of 2 words"),
    (
        "garbage in two words, first",
        "identity",
        "hello world\n0.jpg 5\n",
        "'hello world' is no header of rows of 2 words",
    ),
    ("garbage in one word", "identity", "0.jpg 5\ngarbage\n1.jpg 7\n", "line 2: 'garbage' is no image"),
    ("garbage in one word at the end", "identity", "0.jpg 5\n1.jpg 7\nxyz\n", "line 3: 'xyz' is no image"),
    ("garbage in one word", "degrees", "0.jpg 0 0 0 0 0\ngarbage\n", "line 2: 'garbage' is no image"),
    (
        "garbage in one word",
        "attributes",
        ATTRIBUTE_ROWS.replace("3\n", "4\n") + "garbage\n",
        "line 6: 'garbage' is no image",
    ),
    ("garbage in one word", "mapping", "0 8 000009.jpg\ngarbage\n", "line 2: 1 words, expected 3"),
    ("garbage in one word", "partition", "000001.jpg 0\ngarbage\n", "line 2: 1 words, expected 2"),
    ("garbage in one word", "requests_txt", "0.jpg\tA\ngarbage\n", "line 2: 'garbage' is no image"),
    ("garbage at the end", "degrees", "0.jpg 0 0 0 0 0\n-- end of file --\n", "line 2: 5 words, expected 6"),
    ("garbage at the end", "requests_txt", "0.jpg\tA\n-- end of file --\n", "line 2: '--' is no image"),
    ("a header in the middle", "degrees", FILES_OF["degrees"][0] * 2, "line 5: 'Bangs', expected a degree"),
    (
        "a header in the middle",
        "identity",
        "image_id identity\n0.jpg 5\n" * 2,
        "line 3: 'identity', expected the number",
    ),
    ("a header in the middle", "attributes", ATTRIBUTE_ROWS.replace("3\n", "") * 2, "line 5: 40 words, expected 41"),
    ("a count in the middle", "attributes", ATTRIBUTE_ROWS.replace("3\n", "4\n") + "7\n", "line 6: '7' is no image"),
    ("a header in the middle", "mapping", FILES_OF["mapping"][0] * 2, "line 5: 'idx', expected an HQ file number"),
    (
        "two headers",
        "identity",
        "image_id identity\nimage_id identity\n0.jpg 5\n",
        "line 2: starts with 'image_id identity'",
    ),
    ("a header of requests", "requests_txt", "img_name\trequest\n0.jpg\tA\n", "line 1: 'img_name' is no image"),
    ("no rows", "degrees", "img_name Bangs Eyeglasses No_Beard Smiling Young\n", "1 lines, and no row"),
    ("a comma before the request", "requests_txt", "0.jpg\tA\n1.jpg ,Make it longer.\n", "line 2: ',Make it longer.'"),
    ("requests after a comma", "requests_txt", "0.jpg,A\n1.jpg,Make it longer.\n", "line 1: '0.jpg,A' is no image"),
    ("quoted requests", "requests_txt", '"0.jpg"\t"A"\n', "line 1: '\"0.jpg\"' is no image"),
    (
        "a blank that is none",
        "requests_txt",
        "0.jpg\tA\n1.jpg\xa0Make it longer.\n",
        "line 2: '1.jpg\\xa0Make' is no image",
    ),
    ("two requests", "requests_txt", "0.jpg\tA\n1.jpg\tB\n0.jpg\tC\n", "lines 1 and 3: 0.jpg stands twice"),
    ("a request and none", "requests_txt", "0.jpg\tA\n1.jpg\tB\n0.jpg\t\n", "lines 1 and 3: 0.jpg stands twice"),
    ("a mapping that goes elsewhere", "mapping", "0 8 000009.jpg\n1 42 000042.jpg\n", "line 2: 1, 42 and 000042.jpg"),
    ("a mapping of four words", "mapping", "0 8 000009.jpg\n1 41 000042.jpg x\n", "line 2: 4 words, expected 3"),
    (
        "an image list with a short row",
        "mapping",
        "0 8 000009.jpg a b\n1 41 000042.jpg\n",
        "line 2: 3 words, expected 5",
    ),
    ("nothing but fillers", "degrees", "0.jpg -1 -1 -1 -1 -1\n1.jpg\n", "2 rows, and not one of them says anything"),
    ("nothing but fillers", "identity", "0.jpg -1\n1.jpg None\n", "2 rows, and not one of them says anything"),
    (
        "nothing but fillers",
        "attributes",
        ATTRIBUTE_ROWS.replace(" -1", " nan").replace(" 1", " nan"),
        "3 rows, and not one",
    ),
    ("nothing but fillers", "requests_txt", "0.jpg\n1.jpg\tNone\n", "no entry says anything of the request"),
    ("nothing but fillers", "requests", '{"0.jpg": null, "1.jpg": ""}', "no entry says anything of the request"),
    (
        "nothing but fillers",
        "captions",
        '{"0.jpg": null, "1.jpg": {}}',
        "no entry says anything of overall_caption, attr",
    ),
    (
        "nothing but fillers",
        "request_labels",
        '{"0.jpg": null, "1.jpg": {}}',
        "no entry says anything of attribute, request",
    ),
    ("no entries", "requests", "{}", "no entry says anything of the request"),
    ("a name and a blank", "requests", '{"1.jpg ": "A"}', "a key: '1.jpg ' is no image"),
]


@pytest.mark.parametrize("what, name, data, part", REFUSED, ids=[f"{name}: {what}" for what, name, _, _ in REFUSED])
def test_refused(what, name, data, part):
    with pytest.raises(FormatError) as caught:
        said(name, data)
    assert str(caught.value).startswith(f"file: {part}")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


FILLERS = ["", "None", "none", "NONE", "null", "NULL", "nan", "NaN", "NA", "n/a", "N/A", "-1"]


@pytest.mark.parametrize("filler", FILLERS)
def test_fillers(filler):
    """One list of them, for words and for JSON."""
    nothing = [-1] * 5
    assert said("degrees", f"0.jpg 1 1 1 1 1\n1.jpg{f' {filler}' * 5}\n") == nothing
    assert said("degrees", f"0.jpg,1,1,1,1,1\n1.jpg{f',{filler}' * 5}\n") == nothing
    assert read_degrees(f"0.jpg 1 1 1 1 1\n1.jpg{f' {filler}' * 5}\n".encode(), "file", HQ)[1] == 1
    assert said("identity", f"0.jpg 5\n1.jpg {filler}\n") == -1
    if filler != "-1":  # which says no there
        assert said("attributes", ATTRIBUTE_ROWS.replace(row("1.jpg"), row("1.jpg", filler))) == [-1] * 40
    assert said("requests_txt", f"0.jpg\tA\n1.jpg\t{filler}\n") == ""
    for value in (filler, f" {filler}\n", None, -1, {}, float("nan")):
        assert said("requests", json.dumps({"0.jpg": "A", "1.jpg": value})) == ""
        found = said("captions", json.dumps({"0.jpg": {"overall_caption": "A"}, "1.jpg": value}))
        assert set(found.values()) == {""}
        found = said("captions", json.dumps({"0.jpg": {"overall_caption": "A"}, "1.jpg": {"overall_caption": value}}))
        assert set(found.values()) == {""}
        found = said("request_labels", json.dumps({"0.jpg": {"target_score": 1}, "1.jpg": value}))
        assert set(found.values()) == {-1}
        asked = {"0.jpg": {"target_score": 1}, "1.jpg": {"attribute": value, "target_score": 2}}
        assert said("request_labels", json.dumps(asked))["attribute"] == -1


# ------------------------------------------------------------------------------------------------------------ spellings


@pytest.mark.parametrize(
    "names",
    [
        "bangs eyeglasses beard smiling age",
        "Bangs Eyeglasses Beard Smiling Age",
        "BANGS EYEGLASSES NO_BEARD SMILING YOUNG",
        "bangs eyeglasses no-beard smiling young",
    ],
)
def test_names_of_the_degrees(names):
    expected = [0, 1, 2, 3, 4]
    lines = FILES_OF["degrees"][0].split("\n", 1)[1]
    assert said("degrees", f"img_name {names}\n{lines}") == expected
    assert said("degrees", f"{names}\n{lines}") == expected
    turned = " ".join(reversed(names.split()))
    assert said("degrees", f"img_name {turned}\n{lines}") == expected[::-1]
    commas = "image," + names.replace(" ", ",").replace("-", " ") + "\n" + lines.replace(" ", ",")
    assert said("degrees", commas) == expected


@pytest.mark.parametrize(
    "names, strange",
    [
        ("Bangs Eyeglasses No_Beard Smiling Old", "'Old'"),
        ("Bangs Eyeglasses Beard No_Beard Young", "'Beard', 'No_Beard'"),
        ("Bangs Bangs No_Beard Smiling Young", "'Bangs', 'Bangs'"),
        ("Bang Glasses Beards Smile Ages", "'Bang', 'Glasses', 'Beards', 'Smile', 'Ages'"),
    ],
)
def test_other_names_of_the_degrees(names, strange):
    text = f"img_name {names}\n0.jpg 1 1 1 1 1\n"
    with pytest.raises(FormatError, match=f"^file: the header names {strange}, expected 5 names, Bangs to Young"):
        said("degrees", text)


def test_names_of_the_attributes():
    for spell in (str.lower, str.upper, lambda name: name.replace("_", "-")):
        text = ATTRIBUTE_ROWS.replace(NAMES, spell(NAMES))
        assert said("attributes", text) == [1] * 40
    for name, other in (("No_Beard", "Beard"), ("Young", "Age"), ("Young", "Old"), ("Bald", "Bangs")):
        with pytest.raises(
            FormatError, match=f"^file: the header names '{other}'.*40 names, 5_o_Clock_Shadow to Young"
        ):
            said("attributes", ATTRIBUTE_ROWS.replace(name, other))


WHOLE = {"overall_caption": "All.", "attribute_wise_captions": dict(zip(DEGREES, ["a", "b", "c", "d", "e"]))}
SAID = {"caption": "All.", **WHOLE["attribute_wise_captions"]}


@pytest.mark.parametrize(
    "keys",
    [
        "Bangs Eyeglasses No_Beard Smiling Young",
        "bangs eyeglasses no_beard smiling young",
        "Bangs Eyeglasses Beard Smiling Age",
        "BANGS EYEGLASSES NO-BEARD SMILING YOUNG",
    ],
)
@pytest.mark.parametrize(
    "whole, parts", [("overall_caption", "attribute_wise_captions"), ("Overall Caption", "Attribute-wise Captions")]
)
def test_keys_of_the_captions(keys, whole, parts):
    entry = {parts: dict(zip(keys.split(), "abcde")), whole: "All."}
    assert said("captions", json.dumps({"1.jpg": entry})) == SAID


RENAMED = [  # and whether the new name is so close to the old one that the first entry with it is refused
    ("hq_captions", "overall_caption", "overall_captions", True),
    ("hq_captions", "overall_caption", "caption", False),
    ("hq_captions", "attribute_wise_captions", "attribute_captions", True),
    ("hq_captions", "attribute_wise_captions", "captions", False),
    ("hq_captions", "No_Beard", "Beards", True),
    ("hq_captions", "Young", "Old", False),
    ("hq_request_labels", "attribute", "attr", False),
    ("hq_request_labels", "request_mode", "mode", False),
    ("hq_request_labels", "score_change_direction", "direction", False),
    ("hq_request_labels", "score_change_value", "score_change_values", True),
    ("hq_request_labels", "score_change_value", "value", False),
    ("hq_request_labels", "target_score", "target", False),
]


@pytest.mark.parametrize("role, key, other, close", RENAMED)
def test_a_renamed_key_empties_no_column(role, key, other, close, copy):
    edit(copy, role, lambda data: data.replace(f'"{key}":'.encode(), f'"{other}":'.encode()))
    name = FILES[role].name
    part = (
        f"key '0.jpg': an object with '{other}', exp" if close else f"no entry says anything of {key}, but .*'{other}'"
    )
    with pytest.raises(FormatError, match=f"{name}: {part}"):
        read(copy, "hq")


def parts(**texts):
    return {"overall_caption": "A", "attribute_wise_captions": texts}


ENTRIES = [
    ("captions", {"overall_captions": "A"}, "an object with 'overall_captions', expected {'attribute_wise_captions'"),
    ("captions", {"caption": "A", "Bangs": "B"}, "an object with 'caption', 'Bangs', expected {'attribute_wise_"),
    ("captions", parts(Fringe="B"), "an object with 'Fringe', expected a caption for each of Bangs,"),
    ("captions", parts(No_Beard="A", Beard="B"), "'Beard' and another spelling of it differ"),
    ("captions", {"overall_caption": "A", "Overall_Caption": "B"}, "'Overall_Caption' and another spelling of it"),
    ("captions", {"overall_caption": ["A"]}, "overall_caption is a list, expected a text or null"),
    ("captions", parts() | {"attribute_wise_captions": "B"}, "'B', expected a caption for each of Bangs,"),
    ("captions", parts() | {"attribute_wise_captions": []}, "a list, expected a caption for each of Bangs,"),
    ("captions", parts(Bangs=5), "Bangs is 5, expected a text or null"),
    ("captions", parts(Bangs="\ud800"), "Bangs holds half a character (a lone surrogate), expected a text or null"),
    (
        "captions",
        parts(**{f"k{n}": "A" for n in range(99)}),
        "an object with 'k0', 'k1', 'k2', 'k3', 'k4', 'k5', 'k6', ",
    ),
    ("captions", {"overall_caption": "A", "attribute_captions": {}}, "an object with 'attribute_captions', expected"),
    ("captions", parts(Youngs="B", Bangs="C"), "an object with 'Youngs', expected a caption for each of Bangs,"),
    ("request_labels", {"target_score": 1, "request_modes": "target"}, "an object with 'request_modes', expected {"),
    ("request_labels", {"attr": "A", "mode": 1}, "an object with 'attr', 'mode', expected {'attribute'"),
    ("request_labels", {"target_score": 1, "Target_Score": True}, "'Target_Score' and another spelling of it differ"),
    ("request_labels", {"attribute": "Hair"}, "attribute is 'Hair', expected Bangs, Eyeglasses, No_Beard, Smiling, "),
    ("request_labels", {"request_mode": "change"}, "request_mode is 'change', expected target, change_definite, ch"),
    ("request_labels", {"score_change_direction": "up"}, "score_change_direction is 'up', expected none, negative, p"),
    ("request_labels", {"score_change_value": "6"}, "score_change_value is '6', expected 1, 2, 3, 4, 5"),
    ("request_labels", {"target_score": float("inf")}, "target_score is inf, expected 0, 1, 2, 3, 4, 5"),
]


@pytest.mark.parametrize("name, entry, part", ENTRIES)
def test_entries_that_are_refused(name, entry, part):
    good = {"captions": {"overall_caption": "A"}, "request_labels": {"target_score": 1}}[name]
    with pytest.raises(FormatError) as caught:
        said(name, json.dumps({"0.jpg": good, "1.jpg": entry}))
    assert str(caught.value).startswith(f"file: key '1.jpg': {part}")
    assert len(str(caught.value)) < 400


def test_two_spellings_that_agree():
    parts = {"No_Beard": "A", "beard": "A", "Young": None, "Age": "B", "age": None}
    found = said("captions", json.dumps({"1.jpg": {"overall_caption": "x", "attribute_wise_captions": parts}}))
    assert found == {"caption": "x", "bangs": "", "eyeglasses": "", "beard": "A", "smiling": "", "age": "B"}


def test_a_key_that_is_mistyped_in_one_entry():
    """Its text would be missing for this image alone."""
    entries = {"0.jpg": WHOLE, "1.jpg": {"overall_captions": "A", "attribute_wise_captions": {"Bangs": "B"}}}
    with pytest.raises(FormatError, match="^file: key '1.jpg': an object with 'overall_captions', expected"):
        said("captions", json.dumps(entries))
    entries["1.jpg"]["overall_caption"] = "C"  # then it is only one more key
    assert said("captions", json.dumps(entries))["caption"] == "C"


def test_keys_that_nobody_knows_are_passed_over_where_no_column_is_empty():
    parts = dict(zip(["Bangs", "Eyeglasses", "No_Beard", "Smiling", "Young"], "abcde"))
    entry = {"id": 7, "overall_caption": "All.", "attribute_wise_captions": parts | {"Hat": "x"}}
    assert said("captions", json.dumps({"0.jpg": {"overall_caption": "B"}, "1.jpg": entry})) == SAID
    asked = {"attribute": "Young", "request_mode": "target", "target_score": 3, "dialog": [1, {"a": 2}]}
    found = said("request_labels", json.dumps({"1.jpg": asked}))
    assert found == {"attribute": 4, "mode": 0, "direction": 0, "value": -1, "target": 3}
    some = {"attribute": "Young", "request_mode": "change_indefinite", "score_change_direction": "positive", "id": 5}
    found = said("request_labels", json.dumps({"1.jpg": some}))
    assert found == {"attribute": 4, "mode": 2, "direction": 2, "value": -1, "target": -1}


def test_a_column_may_be_empty_where_all_keys_are_known():
    """As in an excerpt that has the overall captions only."""
    nothing = dict.fromkeys(["Bangs", "Eyeglasses", "No_Beard", "Smiling", "Young"])
    for parts in (nothing, {}, None):
        entry = {"attribute_wise_captions": parts, "overall_caption": "All."}
        assert said("captions", json.dumps({"1.jpg": entry})) == dict.fromkeys(SAID, "") | {"caption": "All."}


# ------------------------------------------------------------------------------------------------- other kinds of files


def zipped(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x", data)
    return file.getvalue()


OTHERS = {
    "gzip": (gzip.compress, "this is a gzip file under another name. Unpack it"),
    "zip": (zipped, "this is a zip file under another name. Unpack it"),
    "page": (
        lambda data: b"\n<!DOCTYPE html><html>Google Drive: 0.jpg 000001.jpg</html>",
        "this is a web page.*Google Drive",
    ),
    "xml": (lambda data: b'<?xml version="1.0"?><Error>0.jpg 000001.jpg</Error>', "this is a web page"),
    "nothing": (lambda data: b"", "the file is empty"),
    "blanks": (lambda data: b" \n\n\t", "holds no file name"),
}


@pytest.mark.parametrize("role", ["hq_labels", "hq_captions", "hq_request_labels", "hq_identity", "mapping"])
@pytest.mark.parametrize("kind", OTHERS)
def test_another_kind_of_file(role, kind, copy):
    make, part = OTHERS[kind]
    data = make(at(copy, role).read_bytes())
    at(copy, role).write_bytes(data)
    with pytest.raises(DamagedFileError, match=f"{FILES[role].name}: .*{part}"):
        read(copy, "hq")
    reader = "degrees" if role == "hq_labels" else role.removeprefix("hq_")
    with pytest.raises(DamagedFileError, match=f"^file: .*{part}"):
        said(reader, data)


def test_a_release_of_csv_and_other_spellings(demo, copy, same_rows):
    """Every form at once, through the whole reader."""
    for role in ("hq_attributes", "standard_attributes", "hq_identity", "standard_identity", "hq_labels", "partition"):
        name = role.split("_")[-1]
        edit(copy, role, lambda data, name=name: kaggle(name, data.decode()).encode())
    edit(copy, "standard_labels", lambda data: data.lower().replace(b"no_beard", b"Beard").replace(b" ", b";"))
    edit(copy, "mapping", lambda data: b"\n".join(line + b" 0a 0b" for line in data.splitlines()))
    for role in ("hq_captions", "standard_captions"):
        edit(copy, role, lambda data: data.replace(b'"No_Beard"', b'"Beard"').replace(b'"Young"', b'"age"'))
    for role in ("hq_request_labels", "standard_request_labels"):
        edit(
            copy,
            role,
            lambda data: data.replace(b'"No_Beard"', b'"beard"').replace(b'"request_mode"', b'"Request_Mode"'),
        )
    for config in ("hq", "standard"):
        same_rows(read(copy, config), demo.rows(config))
    assert Release(copy).sources["mapping"]
    assert STANDARD.images == 202599


def test_half_a_row_of_degrees_is_told_with_its_line(copy):
    edit(copy, "hq_labels", lambda data: data + b"5380.jpg\t1\t-1\t-1\t-1\t-1\n")
    with pytest.raises(FormatError, match=r"combined_annotation_hq\.txt: line 25: 4 of 5 values are missing"):
        read(copy, "hq")

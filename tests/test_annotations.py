"""The readers of text and JSON: what is written in the official formats comes back, and any bytes are taken or refused.

The other side of each comparison is plain Python: str.split, csv, json.loads, int.
"""

import csv
import io
import json
import re
import zipfile
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from conversion.release import captions, texts
from conversion.release.captions import read_captions, read_json, read_request_labels, read_requests
from conversion.release.errors import ConflictError, FormatError, ReleaseError
from conversion.release.finding import Release
from conversion.release.images import decode_image, jpeg_header
from conversion.release.masks import mask_indices, palette_mask, png_header, resize_mask, resize_part, sized_part
from conversion.release.members import find_members
from conversion.release.official import part_of
from conversion.release.texts import (
    NO_NUMBER,
    read_attributes,
    read_degrees,
    read_identity,
    read_mapping,
    read_partition,
    read_requests_txt,
    split_text,
)
from conversion.release.vocabulary import ATTRIBUTES, DEGREES, HQ, PARTITION_ENDS, RELEASE_NAMES, STANDARD
from conversion.release.zips import read_members

SETTINGS = hypothesis.settings(
    deadline=None,  # nothing depends on the speed of the machine
    derandomize=True,
    database=None,
    max_examples=60,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def given(*arguments, **named):
    return lambda test: SETTINGS(hypothesis.given(*arguments, **named)(test))


SUBSETS = st.sampled_from([HQ, STANDARD])

# ----------------------------------------------------------------------------------------------- tables and their texts


def numbers(subset):
    """Some file numbers, each once."""
    most = subset.first + subset.images - 1
    return st.lists(st.integers(subset.first, most), min_size=1, max_size=30, unique=True)


def table(subset, width, values):
    """(file number, values) of some rows."""
    return numbers(subset).flatmap(
        lambda found: st.tuples(*(st.tuples(st.just(n), st.tuples(*[values] * width)) for n in found))
    )


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]


def text_of(lines, encodings=ENCODINGS):
    """Lines of words as the bytes of a file: as people and programs space them, with commas, quoted, encoded."""
    return st.one_of(spaced(lines), separated(lines)).flatmap(
        lambda text: st.sampled_from(encodings).map(lambda encoding: encode(text, encoding))
    )


def encode(text, encoding):
    return {"utf-16": b"\xff\xfe"}.get(encoding, b"") + text.encode(encoding.replace("utf-16", "utf-16-le", 1)[:9])


@st.composite
def spaced(draw, lines):
    spaces, ends = st.sampled_from([" ", "  ", "\t", " \t ", "   "]), st.sampled_from(["\n", "\r\n", " \n", "\t\r\n"])
    space, end = draw(st.one_of(spaces.map(st.just), st.just(spaces))), draw(ends)
    blank, front = draw(st.sampled_from(["", "", "\n", " \r\n"])), draw(st.sampled_from(["", "", " "]))
    text = blank + "".join(front + draw(space).join(words) + end + blank for words in lines)
    return text.rstrip() if draw(st.booleans()) else text


@st.composite
def separated(draw, lines):
    """As the csv module writes them; some people have a comma at the end, and spreadsheets fill up the short lines."""
    file = io.StringIO(newline="")
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    delimiter, end = draw(st.sampled_from(",;")), draw(st.sampled_from(["\n", "\r\n"]))
    more = draw(st.sampled_from([0, 0, 1, max(map(len, lines))]))
    csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(
        [*words, *[""] * (more if more < 2 else more - len(words))] for words in lines
    )
    text = file.getvalue()
    return text.replace(delimiter, delimiter + " ") if draw(st.booleans()) else text


@given(st.data(), SUBSETS, st.booleans())
def test_degrees_come_back(data, subset, headed):
    rows = data.draw(table(subset, 5, st.integers(0, 5)))
    order = data.draw(st.permutations(range(5))) if headed else range(5)
    unlabeled = data.draw(
        st.sampled_from([None, [], ["-1"] * 5, ["None"] * 5, ["NaN"] * 5, ["null", "-1"] * 2 + ["N/A"]])
    )
    names = data.draw(
        st.sampled_from(
            [list(RELEASE_NAMES.values()), list(DEGREES), ["BANGS", "eyeglasses", "no_beard", "smiling", "Age"]]
        )
    )
    lines = [["img_name", *(names[i] for i in order)]] if headed else []
    lines += [[subset.file_name(number), *(str(values[i]) for i in order)] for number, values in rows]
    expected = np.full((subset.first + subset.images, 5), -1)
    for number, values in rows:
        expected[number] = values
    if unlabeled is not None and len(rows) > 1:
        lines[-1][1:] = unlabeled
        expected[rows[-1][0]] = -1
    found, count = read_degrees(data.draw(text_of(lines)), "file", subset)
    assert found.dtype == np.int8
    assert np.array_equal(found, expected)
    assert count == len(rows) - (unlabeled is not None and len(rows) > 1)


@given(
    st.data(), SUBSETS, st.sampled_from([("-1", "1"), ("0", "1")]), st.booleans(), st.sampled_from([[], ["image_id"]])
)
def test_attributes_come_back(data, subset, words, counted, named):
    rows = data.draw(table(subset, 40, st.integers(0, 1)))
    order = data.draw(st.permutations(range(40)))
    spell = data.draw(st.sampled_from([str, str.lower, str.upper]))
    lines = ([[str(len(rows))]] if counted else []) + [[*named, *(spell(ATTRIBUTES[i]) for i in order)]]
    lines += [[subset.file_name(number), *(words[values[i]] for i in order)] for number, values in rows]
    found, count = read_attributes(data.draw(text_of(lines)), "file", subset)
    expected = np.full((subset.first + subset.images, 40), -1)
    for number, values in rows:
        expected[number] = values
    assert found.dtype == np.int8
    assert np.array_equal(found, expected)
    assert count == len(rows)


@given(st.data(), SUBSETS, st.booleans())
def test_identities_come_back(data, subset, headed):
    rows = data.draw(table(subset, 1, st.integers(1, 10177)))
    lines = [["image_id", "identity"]] if headed else []
    lines += [[subset.file_name(number), str(value)] for number, (value,) in rows]
    found, count = read_identity(data.draw(text_of(lines)), "file", subset)
    expected = np.full(subset.first + subset.images, -1)
    for number, (value,) in rows:
        expected[number] = value
    assert found.dtype == np.int32
    assert np.array_equal(found, expected)
    assert count == len(rows)


@given(st.data(), st.booleans(), st.booleans())
def test_the_mapping_comes_back(data, headed, longer):
    """From its own file, and from the image_list.txt of progressive GANs, which has two checksums more."""
    hq, standard = data.draw(numbers(HQ)), data.draw(numbers(STANDARD))
    pairs = dict(zip(hq, standard))
    sums = [["proc_md5", "final_md5"]] + [["0" * 31 + "a", f"{number:032x}"] for number in pairs]
    lines = [["idx", "orig_idx", "orig_file"]] if headed else []
    lines += [[str(number), str(other - 1), f"{other:06d}.jpg"] for number, other in pairs.items()]
    if longer:
        lines = [line + more for line, more in zip(lines, sums[not headed :])]
    found, count = read_mapping(data.draw(text_of(lines)), "file")
    assert found.dtype == np.int32 and len(found) == 30000
    assert {number: found[number] for number in np.flatnonzero(found >= 0)} == pairs
    assert count == len(pairs)


def split_by_hand(number):
    return next(split for split, end in enumerate(PARTITION_ENDS) if number <= end)


@given(st.data())
def test_the_partition_is_held_against_the_three_ranges(data):
    found = data.draw(numbers(STANDARD))
    lines = [[f"{number:06d}.jpg", str(split_by_hand(number))] for number in found]
    header = data.draw(st.sampled_from([[], [["image_id", "partition"]]]))  # as Kaggle's has it
    assert read_partition(data.draw(text_of(header + lines)), "file") == (None, len(found))
    wrong = data.draw(st.integers(0, len(lines) - 1))
    lines[wrong][1] = str((int(lines[wrong][1]) + data.draw(st.integers(1, 2))) % 3)
    text = "".join(" ".join(words) + "\n" for words in lines).encode()
    with pytest.raises(ConflictError, match=rf"^file: line {wrong + 1}: \d, where CelebA puts {lines[wrong][0]} into "):
        read_partition(text, "file")


def test_the_ends_of_the_splits():
    edges = [1, 162770, 162771, 182637, 182638, 202599]
    assert part_of(np.array(edges)).tolist() == [0, 0, 1, 1, 2, 2] == [split_by_hand(n) for n in edges]


SENTENCES = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["", "Make it longer.", " with blanks ", "ein Bart – 顔 😀", 'a "quote" and a \\', "\x7f\u2028"]),
)


def told(text):
    """How the dataset says it."""
    return "" if text is None or text.strip(" \t\n\r\f").lower() in NOTHING else text


NOTHING = ("", "none", "null", "nan", "na", "n/a", "-1")
JSON_KEYS = st.sampled_from(
    [str, str.lower, str.upper, lambda key: key.replace("_", " "), lambda key: key.replace("_", "-")]
)


@given(st.data(), SUBSETS, st.booleans(), st.sampled_from([None, 1, "\t"]), JSON_KEYS)
def test_captions_come_back(data, subset, ascii_only, indent, spell):
    names = dict(zip(DEGREES, data.draw(st.sampled_from([list(RELEASE_NAMES.values()), list(DEGREES)]))))
    entries = {}
    for number in data.draw(numbers(subset)):
        each = {name: data.draw(SENTENCES) for name in names.values() if data.draw(st.booleans())}
        entries[number] = {"attribute_wise_captions": each, "overall_caption": data.draw(SENTENCES)}
    named = {
        subset.file_name(number): {
            spell("attribute_wise_captions"): {spell(k): v for k, v in entry["attribute_wise_captions"].items()},
            spell("overall_caption"): entry["overall_caption"],
        }
        for number, entry in entries.items()
    }
    text = json.dumps(named, ensure_ascii=ascii_only, indent=indent)
    text = encode(text, data.draw(st.sampled_from(ENCODINGS)))
    expected = {"caption": {n: told(entry["overall_caption"]) for n, entry in entries.items()}}
    for column, name in names.items():
        expected[column] = {n: told(entry["attribute_wise_captions"].get(name)) for n, entry in entries.items()}
    if not any(any(texts.values()) for texts in expected.values()):
        with pytest.raises(FormatError, match="^file: no entry says anything of overall_caption, attribute_wise"):
            read_captions(text, "file", subset)
        return
    found, count = read_captions(text, "file", subset)
    assert count == len(entries)
    assert list(found) == ["caption", *DEGREES]
    for column, texts in found.items():
        assert texts.to_pylist() == [expected[column].get(n, "") for n in range(subset.first + subset.images)]


@given(st.data(), SUBSETS)
def test_requests_come_back_from_both_forms(data, subset):
    words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=30)
    words = words.map(lambda text: text.strip(" ").lstrip(",;|"))  # a text may not start with what separates columns
    entries = {
        number: data.draw(st.one_of(words, st.sampled_from(["None", "-1", "nan", "a, b"])))
        for number in data.draw(numbers(subset))
    }
    expected = [told(entries.get(number)) for number in range(subset.first + subset.images)]
    named = {subset.file_name(number): text for number, text in entries.items()}
    lines = "".join(f"{name}\t{text}\n" for name, text in named.items())
    forms = (
        (read_requests, json.dumps(named, ensure_ascii=data.draw(st.booleans()))),
        (read_requests_txt, lines.replace("\n", data.draw(st.sampled_from(["\n", "\r\n", " \n\n"])))),
    )
    for read, text in forms:
        text = encode(text, data.draw(st.sampled_from(ENCODINGS)))
        if any(expected):
            found, count = read(text, "file", subset)
            assert found["request"].to_pylist() == expected
            assert count == len(entries)
        else:
            with pytest.raises(FormatError, match="^file: no entry says anything of the request"):
                read(text, "file", subset)


def written(values):
    """How people write what is one of some values, beside the official ways."""
    return st.sampled_from(
        [(None, -1), ("", -1), ("None", -1), *((way, code) for code, ways in enumerate(values) for way in ways)]
    )


ASKED = {
    "attribute": written(
        [["Bangs", "bangs"], ["Eyeglasses"], ["No_Beard", "Beard", "beard", "no beard"], ["Smiling"], ["Young", "age"]]
    ),
    "request_mode": written([["target", "Target"], ["change_definite", "change definite"], ["change_indefinite"]]),
    "score_change_direction": written([["none"], ["negative", "NEGATIVE"], ["positive"]]).filter(
        lambda pair: pair[0] != "None"
    ),
    "score_change_value": written([[], [1, "1"], [2], [3], [4], [5, "5"]]),
    "target_score": written([[0, "0"], [1], [2], [3], [4], [5, "5"]]),
    "text": st.text(max_size=5).map(lambda text: (f"t{text}", None)),
    "user_mode": st.just(("start_pureRequest", None)),
}
COLUMNS = dict(zip(ASKED, ("attribute", "mode", "direction", "value", "target")))


@given(st.data(), SUBSETS, JSON_KEYS)
def test_request_labels_come_back(data, subset, spell):
    entries = {}
    for number in data.draw(numbers(subset)):
        asked = {key: data.draw(values) for key, values in ASKED.items() if data.draw(st.booleans())}
        entries[number] = asked if set(asked) & set(COLUMNS) else {}
    named = {
        subset.file_name(number): {spell(key): value for key, (value, _) in entry.items()}
        for number, entry in entries.items()
    }
    text = encode(json.dumps(named), data.draw(st.sampled_from(ENCODINGS)))
    expected = {}
    for number, entry in entries.items():
        codes = {column: entry.get(key, (None, -1))[1] for key, column in COLUMNS.items()}
        if codes["direction"] == -1 and max(codes.values()) >= 0:
            codes["direction"] = 0
        expected[number] = codes
    if all(max(codes.values()) < 0 for codes in expected.values()):
        with pytest.raises(FormatError, match="^file: no entry says anything of attribute, request_mode, "):
            read_request_labels(text, "file", subset)
        return
    found, count = read_request_labels(text, "file", subset)
    assert count == len(entries)
    texts = found.pop("text").to_pylist()
    assert {n: texts[n] for n in entries} == {n: entry.get("text", ("", 0))[0] or "" for n, entry in entries.items()}
    assert list(found) == list(COLUMNS.values())
    for column, codes in found.items():
        assert codes.type == "int8"
        assert codes.to_pylist() == [expected.get(n, {column: -1})[column] for n in range(subset.first + subset.images)]


# ----------------------------------------------------------------------------------------------- against plain Python

WORDS = st.one_of(
    st.integers(-(10**9) + 1, 10**9 - 1).map(str), st.sampled_from(["0", "-1", "007", "None", "nan", "NULL"])
)


def values_of(rows):
    none = NO_NUMBER
    return [[none if word.lower() in NOTHING[:-1] else int(word) for word in words[1:]] for words in rows]


@given(st.data(), st.integers(2, 6))
def test_split_text_is_str_split(data, width):
    """Whatever the white space."""
    rows = data.draw(st.lists(st.lists(WORDS, min_size=width - 1, max_size=width - 1), min_size=1, max_size=40))
    text = data.draw(spaced([[f"{index}.jpg", *words] for index, words in enumerate(rows)]))
    found = split_text(text.encode(), "file", width, "a number")
    plain = [(line, words) for line, row in enumerate(text.split("\n"), 1) if (words := row.split())]
    assert found.header is None
    assert found.lines.tolist() == [line for line, _ in plain]
    assert found.keys.to_pylist() == [words[0] for _, words in plain]
    assert found.values.tolist() == values_of(words for _, words in plain)


@given(st.data(), st.integers(2, 6), st.sampled_from(",;"), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_split_text_is_csv(data, width, delimiter, quoting):
    """A field that is left out says nothing."""
    words = st.lists(st.one_of(WORDS, st.just("")), min_size=width - 2, max_size=width - 2)
    rows = [[f"{i}.jpg", *row, "7"] for i, row in enumerate(data.draw(st.lists(words, min_size=1, max_size=40)))]
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, quoting=quoting).writerows(rows)
    found = split_text(file.getvalue().encode(), "file", width, "a number")
    plain = list(csv.reader(io.StringIO(file.getvalue(), newline=""), delimiter=delimiter))
    assert found.keys.to_pylist() == [row[0] for row in plain]
    assert found.values.tolist() == values_of(plain)


@given(st.data())
def test_the_line_of_a_fault_is_the_line_in_the_file(data):
    lines = [[f"{index}.jpg", *"12345"] for index in range(data.draw(st.integers(2, 40)))]
    wrong = data.draw(st.integers(0, len(lines) - 1))
    lines[wrong][2:3] = data.draw(st.sampled_from([["6"], ["x"], ["1", "1"], [], ["None"], ["-1"]]))
    text = data.draw(text_of(lines, ["utf-8"])).decode()
    place = next(i for i, line in enumerate(text.split("\n"), 1) if f"{wrong}.jpg" in re.split('[ \t,;"]+', line))
    with pytest.raises(FormatError, match=f"^file: line {place}: "):
        read_degrees(text.encode(), "file", HQ)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.just("\ud800")),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def json_text(draw, value):
    ascii_only = draw(st.booleans()) or "\\ud800" in json.dumps(value)
    separators = draw(st.sampled_from([(", ", ": "), (",", ":"), (" ,\t", "\n:\r\n ")]))
    text = json.dumps(value, ensure_ascii=ascii_only, indent=draw(st.sampled_from([None, 0, 2])), separators=separators)
    return draw(st.sampled_from(["", " \n"])) + text + draw(st.sampled_from(["", "\n", " \r\n\t"]))


@given(st.data(), st.dictionaries(st.text(), JSON, max_size=12), st.sampled_from(ENCODINGS))
def test_read_json_is_json_loads(data, value, encoding):
    text = data.draw(json_text(value))
    found = read_json(encode(text, encoding), "file")
    assert repr(found) == repr(json.loads(text))


@given(st.dictionaries(st.text(), JSON, min_size=1, max_size=5), st.data(), st.integers(0, 3))
def test_json_with_a_key_twice(value, data, depth):
    """The same again is passed over, anything else is refused, at any depth."""
    key = data.draw(st.sampled_from(list(value)))
    again = json.dumps({key: value[key]})[1:-1]
    other = json.dumps({key: ["another"]})[1:-1]

    def nested(twice):
        text = f"{json.dumps(value)[:-1]}, {twice}}}"
        for _ in range(depth):
            text = f'{{"inside": {text}, "beside": 1}}'
        return text.encode()

    assert repr(read_json(nested(again), "file")) == repr(json.loads(nested(again)))
    if value[key] != ["another"]:
        with pytest.raises(FormatError, match="stands twice, with different values"):
            read_json(nested(other), "file")


@pytest.mark.parametrize("one, other", [("1", "true"), ("0", "false"), ("1", "1.0"), ('""', "null"), ("{}", "[]")])
def test_json_values_that_only_python_takes_for_equal(one, other):
    with pytest.raises(FormatError, match="^file: key 'a': key 'b' stands twice, with different values"):
        read_json(f'{{"z": 1, "a": {{"b": {one}, "b": {other}}}}}'.encode(), "file")
    assert read_json(b'{"a": {"x": 1, "y": [2]}, "a": {"y": [2], "x": 1}}', "file") == {"a": {"x": 1, "y": [2]}}


@given(st.dictionaries(st.text(), JSON, max_size=4), st.data())
def test_json_that_is_cut_off_is_refused_wherever_the_cut_is(value, data):
    text = json.dumps(value, indent=1).encode()
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(ReleaseError):
        read_json(cut, "file")


# ----------------------------------------------------------------------------------------------------- any bytes at all

READERS = {
    name: lambda data, name=name: getattr(captions if hasattr(captions, f"read_{name}") else texts, f"read_{name}")(
        data, "file", HQ
    )
    for name in ("degrees", "attributes", "identity", "captions", "requests", "requests_txt", "request_labels")
}
READERS |= {
    "mapping": lambda data: read_mapping(data, "file"),
    "partition": lambda data: read_partition(data, "file"),
    "json": lambda data: read_json(data, "file"),
    "mask": lambda data: mask_indices(data, "file"),
    "palette mask": lambda data: palette_mask(data, "file"),
    "resized mask": lambda data: resize_mask(data, 8, "file"),
    "resized part": lambda data: resize_part(data, 8, "file"),
    "part": lambda data: sized_part(data, None, "file"),
    "jpeg": lambda data: decode_image(data, "file"),
    "jpeg header": lambda data: jpeg_header(data, "file"),
    "png header": lambda data: png_header(data, "file"),
}
PIECES = [bytes([byte]) for byte in b' \t\r\n\0\xff\x1b"{}[]:,.-0156']
PIECES += [b"0.jpg", b"000001.jpg", b"29999.jpg", b'{"0.jpg": ', b'"overall_caption": ', b'"target_score": ', b"null"]
PIECES += [
    b"None",
    b"1" * 30,
    b"\\u00e9",
    b"\xef\xbb\xbf",
    b"0 0 000001.jpg\n",
    b"0.jpg 1 2 3 4 5\n",
    b"0.jpg" + b" 1" * 40,
]
PIECES += [b"img_name Bangs Eyeglasses No_Beard Smiling Young\n", " ".join(ATTRIBUTES).encode()]
MIXED = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3)), max_size=25).map(b"".join)


def taken_or_refused(read, *arguments):
    """A refusal is one line that can be printed."""
    try:
        return read(*arguments)
    except ReleaseError as error:
        assert str(error).isprintable()
        return None


@pytest.mark.parametrize("name", READERS)
@given(data=st.one_of(MIXED, st.binary(max_size=100)))
def test_any_bytes(name, data):
    taken_or_refused(READERS[name], data)


def some_image(mode, form, **options):
    file = io.BytesIO()
    Image.linear_gradient("L").resize((9, 7)).point([i % 19 for i in range(256)]).convert(mode).save(
        file, form, **options
    )
    return file.getvalue()


MASKS = [some_image(mode, "PNG") for mode in ("L", "P", "RGB", "1", "LA")]
JPEG = some_image("RGB", "JPEG")


@st.composite
def damaged(draw, whole):
    """A file with a few bytes changed, cut out or put in."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=6))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 9)) == 0 else data)


@given(damaged(st.sampled_from(MASKS)), damaged(st.just(JPEG)))
def test_damaged_images(mask, jpeg):
    for name in ("palette mask", "resized mask", "resized part", "part"):
        taken_or_refused(READERS[name], mask)
    indices, header = (taken_or_refused(READERS[name], mask) for name in ("mask", "png header"))
    assert indices is None or header.size == indices.shape[::-1]
    image, header = (taken_or_refused(READERS[name], jpeg) for name in ("jpeg", "jpeg header"))
    assert None in (image, header) or header[0] == image.size


def some_zip(method, names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), JPEG, method)
    return file.getvalue()


ZIPS = [some_zip(method, ["image/0.jpg", "1.jpg", "x/__MACOSX/._1.jpg"]) for method in (0, 8)]
ZIPS += [some_zip(0, ["000001.jpg"]), some_zip(8, ["m/3.png"]), some_zip(0, ["00003_hair.png"]), some_zip(0, [])]


@given(st.one_of(damaged(st.sampled_from(ZIPS)), MIXED, st.binary(max_size=100)), st.sampled_from(["image", "other"]))
def test_any_bytes_as_a_zip(tmp_path_factory, data, name):
    """What is read from a damaged zip is what was put into it: its checksums see to that."""
    path = folder(tmp_path_factory) / f"{name}.zip"
    path.write_bytes(data)
    release = taken_or_refused(Release, path.parent)
    for role in release.sources if release else ():
        members = taken_or_refused(find_members, release, role)
        for at in range(len(members.numbers) if members else 0):
            found = taken_or_refused(read_members, members.places.slice(at, 1), [str(path)])
            assert found in (None, [JPEG])
    path.unlink()


def folder(factory, made=[]):  # noqa: B006
    """One folder for all examples."""
    if not made:
        made.append(Path(factory.mktemp("zips")))
    return made[0]

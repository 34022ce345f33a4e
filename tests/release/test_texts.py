"""Text files as people have them: line ends, separators, encodings, other kinds of files. The right rows, or a refusal.

What is right is told by literals, and by str.split and csv.
"""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import strategies as st
from releases import given, refusal, said

import celeba_dialog
from conversion.release import texts
from conversion.release.errors import DamagedFileError, FormatError, ReleaseError
from conversion.release.texts import NO_NUMBER, says_nothing, split_text, told_texts
from conversion.release.vocabulary import ATTRIBUTES

HEADER = " ".join(ATTRIBUTES)


def row(name, value="1"):
    return name + f" {value}" * 40


# Reader -> (a file of four lines at least, what is said of image 1).
FILES_OF = {
    "degrees": (
        "img_name Bangs Eyeglasses No_Beard Smiling Young\n0.jpg 1 1 1 1 1\n1.jpg 0 1 2 3 4\n2.jpg 5 5 5 5 5\n",
        [0, 1, 2, 3, 4],
    ),
    "attributes": (f"3\n{HEADER}\n{row('0.jpg', -1)}\n{row('1.jpg')}\n{row('2.jpg', -1)}\n", [1] * 40),
    "identity": ("0.jpg 5\n1.jpg 77\n2.jpg 6\n3.jpg 7\n", 77),
    "mapping": ("idx orig_idx orig_file\n0 8 000009.jpg\n1 41 000042.jpg\n2 9 000010.jpg\n", 42),
    "partition": ("000001.jpg 0\n162771.jpg 1\n182638.jpg 2\n000002.jpg 0\n", None),
    "requests_txt": ("0.jpg\tOne.\n1.jpg\tMake it longer.\n2.jpg\tTwo.\n3.jpg\tThree.\n", "Make it longer."),
}
JSON_OF = {
    "captions": '{"1.jpg": {"overall_caption": "Größe 顔 😀"}}',
    "requests": '{"1.jpg": "Größe 顔 😀"}',
    "request_labels": '{"1.jpg": {"target_score": 3}}',
}


# ------------------------------------------------------------------------------------------------ line ends, encodings

NO_LINE_ENDS = "\r \v \f \x1c \x1d \x1e \x85 \u2028 \u2029 \0 \x01 \x1a \x1b \x7f".split(" ")


@pytest.mark.parametrize("mark", NO_LINE_ENDS, ids=ascii)
@pytest.mark.parametrize("name", FILES_OF)
def test_nothing_else_ends_a_line(name, mark):
    """Not in the place of a line end, not beside one, and not between words or in the middle of a text."""
    *before, third, fourth = FILES_OF[name][0].splitlines()[:4]
    damaged = [mark + third, third.replace(third[5], mark, 1), third + mark + fourth]
    if mark != "\r":  # which may stand before a line feed
        damaged.append(third + mark)
    for line in damaged:
        with pytest.raises(FormatError, match=r"^file: line 3: .*(NUL|U\+00|U\+20|carriage return).* may end a"):
            said(name, "\n".join([*before, line, fourth, ""]))


@pytest.mark.parametrize("name", [*FILES_OF, *JSON_OF])
def test_encodings(name):
    text = FILES_OF[name][0] if name in FILES_OF else JSON_OF[name]
    assert said(name, b"\xef\xbb\xbf" + text.encode()) == said(name, text)
    says = "^file: this is text in UTF-16, which is not read. Save it as UTF-8"
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        with pytest.raises(DamagedFileError, match=says):
            said(name, text.encode(encoding))
    line = text.count("\n") + 2
    with pytest.raises(FormatError, match=rf"^file: line {line}: byte 0xfc is not UTF-8 text\. Download"):
        said(name, text.encode() + b"\n\xfc\n")


# ----------------------------------------------------------------------------------------------- against plain Python

NOTHING = ("", "none", "null", "nan", "na", "n/a", "-1")
WORDS = st.integers(-(10**9) + 1, 10**9 - 1).map(str) | st.sampled_from(["0", "-1", "007", "None", "nan", "NULL"])


@st.composite
def spaced(draw, lines):
    """Lines of words as a text, with white space as people and programs set it."""
    spaces, ends = st.sampled_from([" ", "  ", "\t", " \t ", "   "]), st.sampled_from(["\n", "\r\n", " \n", "\t\r\n"])
    space, end = draw(st.one_of(spaces.map(st.just), st.just(spaces))), draw(ends)
    blank, front = draw(st.sampled_from(["", "", "\n", " \r\n"])), draw(st.sampled_from(["", "", " "]))
    text = blank + "".join(front + draw(space).join(words) + end + blank for words in lines)
    return text.rstrip() if draw(st.booleans()) else text


@st.composite
def separated(draw, lines):
    """As the csv module writes them; some people have a comma at the end, and spreadsheets fill up the short lines."""
    file = io.StringIO(newline="")
    delimiter, end = draw(st.sampled_from(",;\t ")), draw(st.sampled_from(["\n", "\r\n"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    more = draw(st.sampled_from([0, 0, 1, max(map(len, lines))])) if delimiter in ",;" else 0
    csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(
        [*words, *[""] * (more if more < 2 else more - len(words))] for words in lines
    )
    text = file.getvalue()
    return text.replace(delimiter, delimiter + " ") if draw(st.booleans()) else text


def text_of(lines):
    """Lines of words as the bytes of a file: with white space or commas, quoted, with a byte order mark or without."""
    mark = st.sampled_from([b"", b"\xef\xbb\xbf"])
    return st.tuples(mark, st.one_of(spaced(lines), separated(lines))).map(lambda both: both[0] + both[1].encode())


def values_of(rows):
    return [[NO_NUMBER if word.lower() in NOTHING[:-1] else int(word) for word in words[1:]] for words in rows]


@given(st.data(), st.integers(2, 6), examples=30)
def test_split_text_is_str_split(data, width):
    """Whatever the white space."""
    rows = data.draw(st.lists(st.lists(WORDS, min_size=width - 1, max_size=width - 1), min_size=1, max_size=40))
    text = data.draw(spaced([[f"{index}.jpg", *words] for index, words in enumerate(rows)]))
    found = split_text(text.encode(), "file", width, "a number")
    plain = [(line, words) for line, row in enumerate(text.split("\n"), 1) if (words := row.split())]
    assert found.header is None
    assert list(found.lines) == [line for line, _ in plain]
    assert found.keys.to_pylist() == [words[0] for _, words in plain]
    assert found.values.tolist() == values_of(words for _, words in plain)


@given(st.data(), examples=30)
def test_the_line_of_a_fault_is_the_line_in_the_file(data):
    lines = [[f"{index}.jpg", *"12345"] for index in range(data.draw(st.integers(2, 40)))]
    wrong = data.draw(st.integers(0, len(lines) - 1))
    lines[wrong][2:3] = data.draw(st.sampled_from([["6"], ["x"], ["1", "1"], [], ["None"], ["-1"]]))
    text = data.draw(text_of(lines)).decode("utf-8-sig")
    place = next(i for i, line in enumerate(text.split("\n"), 1) if f"{wrong}.jpg" in re.split('[ \t,;"]+', line))
    with pytest.raises(FormatError, match=f"^file: line {place}: "):
        said("degrees", text)


# What rows of official form are made of, and what is nearly that.
PIECES = [*"\n\n\n   \t15-.,;\"'\v\f\0gé\ufeff\u2028", "0.jpg 5\n", "1.jpg -1\r\n", "\r\n", "000012.jpg", "0.jpg"]
PIECES += ["3\n", "im id\n", "im,id\n", "None", "2147483648", "-2147483648", "1000000000", "999999999", "0" * 20]
PIECES += ["jpg", "0 8 000009.jpg\n", "1 9 000010.jpg\n", "idx orig_idx orig_file\n"]


def asked(way, data, *options):
    """What one way through a list tells, as plain values; None where it leaves the list to the other."""
    try:
        found = way(data, "file", *options)
    except ReleaseError as error:
        return str(error)
    return found and [*found[:2], int(found[2]), *(getattr(part, "tolist", lambda: None)() for part in found[3])]


@pytest.mark.parametrize("width, row, key_column", [(2, "[.]jpg$", 0), (3, "^[0-9]+$", 2)])
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=9), rows=st.integers(0, 2), examples=150)
def test_both_ways_through_a_list_tell_the_same(width, row, key_column, pieces, rows):
    """The quick one, numpy's, and the one that reads every form and finds the line of a fault."""
    data = (["0 8 000009.jpg\n", "0.jpg 5\n"][width == 2] * rows + "".join(pieces)).encode()
    quick = asked(texts._plain_rows, data, width, row, key_column)
    if quick is not None:
        assert quick == asked(texts._any_rows, data, width, "a number", row, key_column, not key_column, 0)


@pytest.mark.parametrize("name", ["degrees", "attributes", "identity", "mapping", "partition"])
def test_the_quick_way_reads_the_official_lists(name, monkeypatch):
    monkeypatch.setattr(texts, "_any_rows", None)
    assert said(name, FILES_OF[name][0]) == FILES_OF[name][1]


# ------------------------------------------------------------------------------------------------- other kinds of files

OTHERS = {  # beside those of test_finding
    b"PK\3\4": "this is a zip. Unpack it",
    b'<?xml version="1.0"?><Error>0.jpg 000001.jpg</Error>': "this is a web page",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0": "Git LFS.* git lfs pull",
    b" \n\n\t": "this is an empty file",
}


@pytest.mark.parametrize("data", OTHERS)
def test_another_kind_of_file(data):
    for name in ("degrees", "captions", "mapping"):
        with pytest.raises(DamagedFileError, match=f"^file: .*{OTHERS[data]}"):
            said(name, data)


def test_blanks_without_end():
    """Of 300,000 blanks a regular expression that tries every split of them takes ten minutes."""
    blanks = " \t\n\r" * 75_000
    found = pa.array([blanks, blanks + "None" + blanks, blanks + "x" + blanks])
    assert says_nothing(found).to_pylist() == [True, True, False]
    assert told_texts(found).to_pylist() == ["", "", found[2].as_py()]
    value = f"{blanks}nan{blanks}"
    assert said("requests", json.dumps({"0.jpg": "A", "1.jpg": value})) == ""
    captions = {"0.jpg": {"overall_caption": "A"}, "1.jpg": {"overall_caption": value}}
    assert set(said("captions", json.dumps(captions)).values()) == {""}
    labels = {"0.jpg": {"target_score": 1}, "1.jpg": {"request_mode": value, "attribute": value}}
    assert set(said("request_labels", json.dumps(labels)).values()) == {-1}
    line = " " * 300_000
    assert said("requests_txt", f"0.jpg\tA\n1.jpg{line}None{line}\n") == ""
    assert said("degrees", f"0.jpg 1 1 1 1 1\n{line}1.jpg{line}{' 2' * 5}{line}\n") == [2] * 5
    assert said("degrees", f"0.jpg,1,1,1,1,1\n1.jpg{f',{line}2' * 5}{',' * 30_000}\n") == [2] * 5


MONSTERS = {
    "a line": b"1.jpg" + b" 1" * 500_000,
    "a word": b"1" * 1_000_000 + b" 0 0 0 0 0",
    "a name": b"1" * 1_000_000 + b".jpg 1 1 1 1 1",
    "a number": b"1.jpg 1 1 1 1 " + b"1" * 1_000_000,
    "line ends": b"\n" * 1_000_000 + b"x",
}


@pytest.mark.parametrize("what", MONSTERS)
def test_monstrous_lines_are_refused_in_a_short_message(what):
    assert re.match("line [0-9]+: ", refusal("degrees", b"0.jpg 0 0 0 0 0\n" + MONSTERS[what]))


MANY = {
    "captions": b'{"0.jpg": [' + b"[]," * 900_000 + b"[]]}",
    "requests": b'{"0.jpg": {' + b",".join(b'"%d": 0' % number for number in range(900_000)) + b"}}",
    "request_labels": b'{"0.jpg": [' + b"7," * 6_000_000 + b"7]}",
    "identity": b"0.jpg 5" + b"\n" * 6_000_000 + b"x",
    "degrees": b"0.jpg" + b" 1" * 6_000_000,
}
PEAK = """
import resource, sys
sys.path.insert(0, "tests")
from releases import refusal
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
data = open(sys.argv[1], "rb").read()
before = peak()
refusal(sys.argv[2], data)
print(peak() - before)
"""


@pytest.mark.trials
@pytest.mark.parametrize("name", MANY)
def test_memory_is_bounded_whatever_is_in_a_text_file(name, tmp_path):
    """JSON takes twenty times its size at most, and its marks are counted before; other text takes fifteen times."""
    (tmp_path / "file").write_bytes(MANY[name])
    argv = [sys.executable, "-c", PEAK, str(tmp_path / "file"), name]
    assert int(subprocess.check_output(argv, cwd=Path(celeba_dialog.__file__).parent)) < 300  # noqa: S603

"""The readers of text and JSON: what is written in the official formats comes back, and any bytes are taken or refused.

The other side of each comparison is plain Python: str.split, json.loads, int.
"""

import io
import json
import zipfile
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

import celeba_dialog
from celeba_dialog import ATTRIBUTES
from celeba_dialog import DEGREES
from celeba_dialog import HQ
from celeba_dialog import PARTITION_ENDS
from celeba_dialog import RELEASE_NAMES
from celeba_dialog import STANDARD
from celeba_dialog import FormatError
from celeba_dialog import Release
from celeba_dialog import ReleaseError
from tests.fuzz.targets import either_way

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


@st.composite
def text_of(draw, lines):
    """Lines of words as the text of a file, with the white space that people and programs leave."""
    spaces, ends = st.sampled_from([" ", "  ", "\t", " \t ", "   "]), st.sampled_from(["\n", "\r\n", " \n", "\t\r\n"])
    space, end = draw(st.one_of(spaces.map(st.just), st.just(spaces))), draw(ends)
    blank, front = draw(st.sampled_from(["", "", "\n", " \r\n"])), draw(st.sampled_from(["", "", " "]))
    text = blank + "".join(front + draw(space).join(words) + end + blank for words in lines)
    if draw(st.booleans()):
        text = text.rstrip()
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode()


@given(st.data(), SUBSETS, st.booleans())
def test_degrees_come_back(data, subset, headed):
    rows = data.draw(table(subset, 5, st.integers(0, 5)))
    order = data.draw(st.permutations(range(5))) if headed else range(5)
    unlabeled = data.draw(st.sampled_from([None, [], ["-1"] * 5, ["None"] * 5]))
    names = list(RELEASE_NAMES.values())
    lines = [["img_name", *(names[i] for i in order)]] if headed else []
    lines += [[subset.file_name(number), *(str(values[i]) for i in order)] for number, values in rows]
    expected = np.full((subset.first + subset.images, 5), -1)
    for number, values in rows:
        expected[number] = values
    if unlabeled is not None and len(rows) > 1:
        lines[-1][1:] = unlabeled
        expected[rows[-1][0]] = -1
    found, count = celeba_dialog.read_degrees(data.draw(text_of(lines)), "file", subset)
    assert found.dtype == np.int8
    assert np.array_equal(found, expected)
    assert count == len(rows) - (unlabeled == [] and len(rows) > 1)


@given(st.data(), SUBSETS, st.sampled_from([("-1", "1"), ("0", "1")]), st.booleans())
def test_attributes_come_back(data, subset, words, counted):
    rows = data.draw(table(subset, 40, st.integers(0, 1)))
    order = data.draw(st.permutations(range(40)))
    lines = ([[str(len(rows))]] if counted else []) + [[ATTRIBUTES[i] for i in order]]
    lines += [[subset.file_name(number), *(words[values[i]] for i in order)] for number, values in rows]
    found, count = celeba_dialog.read_attributes(data.draw(text_of(lines)), "file", subset)
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
    found, count = celeba_dialog.read_identity(data.draw(text_of(lines)), "file", subset)
    expected = np.full(subset.first + subset.images, -1)
    for number, (value,) in rows:
        expected[number] = value
    assert found.dtype == np.int32
    assert np.array_equal(found, expected)
    assert count == len(rows)


@given(st.data(), st.booleans())
def test_the_mapping_comes_back(data, headed):
    hq, standard = data.draw(numbers(HQ)), data.draw(numbers(STANDARD))
    pairs = dict(zip(hq, standard))
    lines = [["idx", "orig_idx", "orig_file"]] if headed else []
    lines += [[str(number), str(other - 1), f"{other:06d}.jpg"] for number, other in pairs.items()]
    found, count = celeba_dialog.read_mapping(data.draw(text_of(lines)), "file")
    assert found.dtype == np.int32 and len(found) == 30000
    assert {number: found[number] for number in np.flatnonzero(found >= 0)} == pairs
    assert count == len(pairs)


def split_by_hand(number):
    return next(split for split, end in enumerate(PARTITION_ENDS) if number <= end)


@given(st.data())
def test_the_partition_is_held_against_the_three_ranges(data):
    found = data.draw(numbers(STANDARD))
    lines = [[f"{number:06d}.jpg", str(split_by_hand(number))] for number in found]
    assert celeba_dialog.read_partition(data.draw(text_of(lines)), "file") == len(found)
    wrong = data.draw(st.integers(0, len(lines) - 1))
    lines[wrong][1] = str((int(lines[wrong][1]) + data.draw(st.integers(1, 2))) % 3)
    text = "".join(" ".join(words) + "\n" for words in lines).encode()
    with pytest.raises(
        celeba_dialog.ConflictError, match=rf"^file: line {wrong + 1}: \d, where CelebA puts {lines[wrong][0]} into "
    ):
        celeba_dialog.read_partition(text, "file")


def test_the_ends_of_the_splits():
    edges = [1, 162770, 162771, 182637, 182638, 202599]
    assert celeba_dialog.part_of(np.array(edges)).tolist() == [0, 0, 1, 1, 2, 2] == [split_by_hand(n) for n in edges]


SENTENCES = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["", "Make it longer.", " with blanks ", "ein Bart – 顔 😀", 'a "quote" and a \\', "\x7f\u2028"]),
)


def missing(text):
    """How the dataset says it."""
    return None if text in (None, "", "None", "null", "-1") else text


@given(st.data(), SUBSETS, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_captions_come_back(data, subset, ascii_only, indent):
    entries = {}
    for number in data.draw(numbers(subset)):
        each = {name: data.draw(SENTENCES) for name in RELEASE_NAMES.values() if data.draw(st.booleans())}
        entries[number] = {"attribute_wise_captions": each, "overall_caption": data.draw(SENTENCES)}
    named = {subset.file_name(number): entry for number, entry in entries.items()}
    text = json.dumps(named, ensure_ascii=ascii_only, indent=indent).encode()
    found, count = celeba_dialog.read_captions(text, "file", subset)
    assert count == len(entries)
    assert set(found) == {"caption", *DEGREES}
    assert all(len(column) == subset.first + subset.images for column in found.values())
    for number, entry in entries.items():
        assert found["caption"][number] == missing(entry["overall_caption"])
        for column, name in RELEASE_NAMES.items():
            assert found[column][number] == missing(entry["attribute_wise_captions"].get(name))
    assert sum(text is not None for text in found["caption"]) <= count
    assert either_way("captions", text, subset) or not text.isascii()


@given(st.data(), SUBSETS)
def test_requests_come_back_from_both_forms(data, subset):
    words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30).map(str.strip)
    entries = {number: data.draw(words) for number in data.draw(numbers(subset))}
    expected = [missing(entries.get(number)) for number in range(subset.first + subset.images)]
    named = {subset.file_name(number): text for number, text in entries.items()}
    assert either_way("requests", json.dumps(named).encode(), subset)  # in ASCII
    found, count = celeba_dialog.read_requests(json.dumps(named).encode(), "file", subset)
    assert found == expected
    assert count == len(entries)
    lines = "".join(f"{name}\t{text}\n" for name, text in named.items())
    found, count = celeba_dialog.read_requests_txt(lines.encode(), "file", subset)
    assert found == expected
    assert count == len(entries)


ASKED = st.fixed_dictionaries(
    {},
    optional={
        "attribute": st.sampled_from([None, *RELEASE_NAMES.values()]),
        "request_mode": st.sampled_from([None, *celeba_dialog.REQUEST_MODES]),
        "score_change_direction": st.sampled_from([None, *celeba_dialog.REQUEST_DIRECTIONS]),
        "score_change_value": st.sampled_from([None, 1, 2, 3, 4, 5, "1", "5"]),
        "target_score": st.sampled_from([None, 0, 1, 2, 3, 4, 5, "0", "5"]),
        "text": st.text(max_size=5),
        "user_mode": st.just("start_pureRequest"),
    },
).filter(lambda entry: not entry or set(entry) - {"text", "user_mode"})


@given(st.data(), SUBSETS)
def test_request_labels_come_back(data, subset):
    entries = {number: data.draw(ASKED) for number in data.draw(numbers(subset))}
    named = {subset.file_name(number): entry for number, entry in entries.items()}
    found, count = celeba_dialog.read_request_labels(json.dumps(named).encode(), "file", subset)
    either_way("request_labels", json.dumps(named).encode(), subset)  # which leaves digits in quotes to the reader
    assert count == len(entries)
    names = {
        "attribute": ("attribute", list(RELEASE_NAMES.values())),
        "mode": ("request_mode", ["target", "change_definite", "change_indefinite"]),
        "direction": ("score_change_direction", ["none", "negative", "positive"]),
    }
    for number, entry in entries.items():
        for column, (key, choices) in names.items():
            word = entry.get(key)
            assert found[column][number] == (-1 if word is None else choices.index(word))
        for column, key in (("value", "score_change_value"), ("target", "target_score")):
            assert found[column][number] == (-1 if entry.get(key) is None else int(entry[key]))
    assert all((column == -1).sum() >= len(column) - count for column in found.values())


@given(st.data(), SUBSETS, st.sampled_from(["captions", "requests", "request_labels"]))
def test_the_quick_way_through_damaged_json(data, subset, kind):
    entries = {
        "captions": st.fixed_dictionaries({"overall_caption": SENTENCES}),
        "requests": SENTENCES,
        "request_labels": ASKED,
    }[kind]
    named = {subset.file_name(number): data.draw(entries) for number in data.draw(numbers(subset))}
    text = json.dumps(named, indent=data.draw(st.sampled_from([None, 4])))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from(TOKENS)) + text[at + data.draw(st.integers(0, 8)) :]
    either_way(kind, text.encode(), subset)


TOKENS = [*'{}[]:," \\', "", "null", '"v"', '"0.jpg": ', '"000001.jpg":', ', "000002.jpg": {}', '{"v": 1}', "1.5", "\0"]


# ----------------------------------------------------------------------------------------------- against plain Python

WORDS = st.one_of(st.integers(-(10**9) + 1, 10**9 - 1).map(str), st.sampled_from(["0", "-1", "007", "None", "nan"]))


@given(st.data(), st.integers(2, 6), st.integers(400, 900))
def test_split_text_is_str_split(data, width, block):
    """Whatever the white space, and wherever the blocks end in which a large file is read."""
    rows = data.draw(st.lists(st.lists(WORDS, min_size=width - 1, max_size=width - 1), min_size=1, max_size=40))
    lines = [[f"{index}.jpg", *words] for index, words in enumerate(rows)]
    text = data.draw(text_of(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(celeba_dialog, "_BLOCK", block)
        found = celeba_dialog.split_text(text, "file", width, "a number", lambda words: words[0].endswith(b".jpg"))
    plain = [
        (line, words) for line, row in enumerate(text.decode("utf-8-sig").split("\n"), 1) if (words := row.split())
    ]
    assert found.header is None and found.bare == ()
    assert found.lines.tolist() == [line for line, _ in plain]
    assert [key.decode() for key in found.keys.to_pylist()] == [words[0] for _, words in plain]
    none = celeba_dialog._NONE
    expected = [[none if word in ("None", "nan") else int(word) for word in words[1:]] for _, words in plain]
    assert found.values.tolist() == expected


@given(st.data(), st.integers(1, 5))
def test_the_line_of_a_fault_is_the_line_in_the_file(data, block):
    lines = [[f"{index}.jpg", *"12345"] for index in range(data.draw(st.integers(2, 40)))]
    wrong = data.draw(st.integers(0, len(lines) - 1))
    words = data.draw(st.sampled_from([["6"], ["x"], ["1", "1"], []]))
    lines[wrong][2:3] = words
    text = data.draw(text_of(lines))
    place = next(i for i, line in enumerate(text.split(b"\n"), 1) if f"{wrong}.jpg" in line.decode("utf-8-sig").split())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(celeba_dialog, "_BLOCK", block * 150)
        with pytest.raises(FormatError, match=f"^file: line {place}: "):
            celeba_dialog.read_degrees(text, "file", HQ)


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
    return draw(st.sampled_from(["", "\ufeff", " \n"])) + text + draw(st.sampled_from(["", "\n", " \r\n\t"]))


@given(st.data(), st.dictionaries(st.text(), JSON, max_size=12), st.booleans())
def test_json_entries_is_json_loads(data, value, through_a_window):
    text = data.draw(json_text(value))
    with pytest.MonkeyPatch.context() as patch:
        if through_a_window:  # one that any entry fits into, and few do whole
            patch.setattr(
                celeba_dialog,
                "_BLOCK",
                20 + max([len(json.dumps({k: v}, indent=2)) * 3 for k, v in value.items()] + [0]),
            )
        found = list(celeba_dialog.json_entries(text.encode(), "file"))
    assert repr(found) == repr(list(json.loads(text.removeprefix("\ufeff")).items()))


@given(st.dictionaries(st.text(), JSON, min_size=1, max_size=5), st.data())
def test_json_with_a_key_twice(value, data):
    """The same again is passed over, anything else is refused."""
    key = data.draw(st.sampled_from(list(value)))
    again = json.dumps({key: value[key]})[1:-1]
    other = json.dumps({key: ["another"]})[1:-1]
    text = json.dumps(value)
    found = list(celeba_dialog.json_entries(f"{text[:-1]}, {again}}}".encode(), "file"))
    assert repr(found) == repr(list(value.items()))
    if value[key] != ["another"]:
        with pytest.raises(FormatError, match="stands twice, with different values"):
            list(celeba_dialog.json_entries(f"{text[:-1]}, {other}}}".encode(), "file"))


@given(st.dictionaries(st.text(), JSON, max_size=4), st.data())
def test_json_that_is_cut_off_is_refused_wherever_the_cut_is(value, data):
    text = json.dumps(value, indent=1).encode()
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(ReleaseError):
        list(celeba_dialog.json_entries(cut, "file"))


# ----------------------------------------------------------------------------------------------------- any bytes at all

READERS = {
    name: lambda data, name=name: getattr(celeba_dialog, f"read_{name}")(data, "file", HQ)
    for name in ("degrees", "attributes", "identity", "captions", "requests", "requests_txt", "request_labels")
}
READERS |= {
    "mapping": lambda data: celeba_dialog.read_mapping(data, "file"),
    "partition": lambda data: celeba_dialog.read_partition(data, "file"),
    "json": lambda data: list(celeba_dialog.json_entries(data, "file")),
    "mask": lambda data: celeba_dialog.mask_indices(data, "file"),
    "palette mask": lambda data: celeba_dialog.palette_mask(data, "file"),
    "resized mask": lambda data: celeba_dialog.resize_mask(data, 8, "file"),
    "resized part": lambda data: celeba_dialog.resize_part(data, 8, "file"),
    "part": lambda data: celeba_dialog.sized_part(data, None, "file"),
    "jpeg": lambda data: celeba_dialog.decode_image(data, "file"),
    "jpeg header": lambda data: celeba_dialog.jpeg_header(data, "file"),
    "png header": lambda data: celeba_dialog.png_header(data, "file"),
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
        members = taken_or_refused(celeba_dialog.find_members, release, role)
        for at in range(len(members.numbers) if members else 0):
            found = taken_or_refused(celeba_dialog.read_members, members.places.slice(at, 1), [str(path)])
            assert found in (None, [JPEG])
    path.unlink()


def folder(factory, made=[]):  # noqa: B006
    """One folder for all examples."""
    if not made:
        made.append(Path(factory.mktemp("zips")))
    return made[0]

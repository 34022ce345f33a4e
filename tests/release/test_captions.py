"""JSON: what json.loads reads is read, a key that says two things is refused, and captions and requests come back."""

import functools
import json
import re

import pyarrow.compute as pc
import pytest
from hypothesis import strategies as st
from releases import READ, given, refusal, said
from test_lists import FILLERS, SUBSETS, numbers
from test_texts import NOTHING

from conversion.release import captions
from conversion.release.errors import FormatError
from conversion.release.vocabulary import DEGREES, RELEASE_NAMES

# -------------------------------------------------------------------------------------------------- against json.loads

# Texts that look like a key and its colon once they are written.
TEXTS = st.one_of(
    st.text(),
    st.sampled_from(['"', '":', '" :', '\\":', "\\", 'a":1,"a', ":", '"a" :', "\ud800", "a"]),
    st.sampled_from(["0.jpg", "1.jpg", ',"0.jpg"', ', "0.jpg": {', '}, "0.jpg']),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def json_text(draw, value):
    ascii_only = draw(st.booleans()) or "\\ud800" in json.dumps(value)
    separators = draw(st.sampled_from([(", ", ": "), (",", ":"), (" ,\t", "\n:\r\n "), (",", " :"), (",", "\t: ")]))
    text = json.dumps(value, ensure_ascii=ascii_only, indent=draw(st.sampled_from([None, 0, 2])), separators=separators)
    return draw(st.sampled_from(["", " \n", "\ufeff"])) + text + draw(st.sampled_from(["", "\n", " \r\n\t"]))


@pytest.fixture(autouse=True, scope="module")
def small_pieces():
    """Every file of this module is read in several pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(captions, "_PIECE", 16)
        yield


def read_json(data, shown):
    return functools.reduce(dict.__or__, captions.read_json(data, shown))


@given(st.data(), st.dictionaries(TEXTS, JSON, max_size=12), examples=60)
def test_read_json_is_json_loads(data, value):
    text = data.draw(json_text(value))
    assert repr(read_json(text.encode(), "file")) == repr(json.loads(text.removeprefix("\ufeff")))


# What a cut where an entry seems to begin could make valid, or whose second part is none.
CUTS = [
    '{%s, "0.jpg": 1}' % (" " * 20),
    '{"0.jpg": "%s",, "1.jpg": 1}' % ("x" * 20),
    '{"a": [%s, "0.jpg"]}' % ("1," * 20),
]
CUTS += ['{"0.jpg": {"a": "%s", "1.jpg": 1}, "2.jpg": 2}' % ("x" * 20), '{"0.jpg": "%s"},"1.jpg": "B"}' % ("x" * 20)]


@pytest.mark.parametrize("text", CUTS)
def test_only_whole_entries_are_a_piece(text):
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(FormatError, match="^file: line 1: "):
            read_json(text.encode(), "file")
    else:
        assert read_json(text.encode(), "file") == expected


def test_a_piece_is_no_more_than_some_entries():
    text = json.dumps({f"{number}.jpg": {"a": number} for number in range(30)}, indent=1)
    assert max(map(len, captions.read_json(text.encode(), "file"))) <= 2


# The quotes before a colon are as many as the keys in the last ones, if one looks at colons only or at keys only.
TWICE = ['{"a": 1, "a": 2}', '{"z": {"a": 1, "a": 2}}', '{"z": [0, [{"a": 1, "a": 2}]]}', '{"a": 1, "\\u0061": 2}']
TWICE += [f'{{"a":1,"a":2,"b"{blank}:3}}' for blank in (" ", "\t", "\r", "\n", " \n ")]
TWICE += ['{"a":1, "0.jpg": "a text between", "1.jpg":3, "a":2}', '{"a":1,"a" :2}', '{"a" :1,"a":2,"b":"\\":"}']


@pytest.mark.parametrize("text", TWICE)
def test_a_key_that_stands_twice(text):
    """The same again is passed over, anything else is refused, wherever it stands and whatever else has a colon."""
    with pytest.raises(FormatError, match="^file: .*key 'a' stands twice, with different values"):
        read_json(text.encode(), "file")
    same = text.replace("2", "1")
    assert read_json(same.encode(), "file") == json.loads(same)


@pytest.mark.parametrize("one, other", [("1", "true"), ("0", "false"), ("1", "1.0"), ('""', "null"), ("{}", "[]")])
def test_values_that_only_python_takes_for_equal(one, other):
    with pytest.raises(FormatError, match="^file: key 'a': key 'b' stands twice, with different values"):
        read_json(f'{{"z": 1, "a": {{"b": {one}, "b": {other}}}}}'.encode(), "file")
    assert read_json(b'{"a": {"x": 1, "y": [2]}, "a": {"y": [2], "x": 1}}', "file") == {"a": {"x": 1, "y": [2]}}


# fmt: off
NO_JSON = [
    (b'{"0.jpg": "x",\n"1.jpg": "y', "line 2: the text ends in the middle of an entry: it is cut off"),
    (b'{"0.jpg": "x"}\n["0.jpg"]', "line 2: '[\"0.jpg\"]' is not JSON"),
    (b'{"0.jpg": "x"}\r\n{"1.jpg": "x"}\n', "line 2: a second JSON object: these are JSON lines, where one object"),
    (b'["0.jpg"]', "line 1: a JSON list, expected a JSON object with file names as keys"),
    (b'{"0.jpg": "x",}', "line 1: "),
    ("\xa0{}".encode(), "line 1: starts with '\\xa0{}', expected a JSON object with file names as keys"),
    (b'{"0.jpg": "\0"}', "line 1: '\\x00\"}' is not JSON"),
    (b'{"0.jpg": "\xff"}', "line 1: byte 0xff is not UTF-8 text"),
    (b'{"0.jpg": %s}' % (b"1" * 10_000), "a number of thousands of digits"),
    (b'{"0.jpg": ' + b"[" * 900_000, "nested far too deeply"),
    (b'{"0.jpg": ' + b"[" * 1_000_001, "more than 1,000,000 times [, which is not plausible"),
    (b'{"0.jpg": ' + b"7," * 10_000_001, "more than 10,000,000 times ,, which is not plausible"),
]
# fmt: on


@pytest.mark.parametrize("data, part", NO_JSON, ids=[part[:40] for _, part in NO_JSON])
def test_no_json(data, part):
    assert refusal("requests", data).startswith(part)


@pytest.mark.parametrize("depth", [100, 900, 1000, 5000])
def test_deep_json_ends_in_an_error_of_ours(depth):
    assert refusal("captions", b'{"0.jpg": ' + b"[" * depth + b"]" * depth + b"}")
    assert refusal("captions", b'{"0.jpg": 1, ' + b'"0.jpg": {"a":' * depth + b"1" + b"}" * depth + b"}")


# ----------------------------------------------------------------------------------------------------- what comes back

SENTENCES = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["", "Make it longer.", " with blanks ", "ein Bart – 顔 😀", 'a "quote": and a \\', "\x7f\u2028"]),
)


def told(text):
    """How the dataset says it."""
    return "" if text is None or text.strip().lower() in NOTHING else text


def check_texts(found, expected):
    """Holds Arrow texts by file number against {file number: text}, "" elsewhere."""
    assert [found[number].as_py() for number in expected] == list(expected.values())
    assert pc.sum(pc.not_equal(found, "")).as_py() == sum(text != "" for text in expected.values())


@given(st.data(), SUBSETS, st.booleans(), st.sampled_from([None, 1, "\t"]), examples=25)
def test_captions_come_back(data, subset, ascii_only, indent):
    entries = {}
    for number in data.draw(numbers(subset)):
        each = {name: data.draw(SENTENCES) for name in RELEASE_NAMES.values() if data.draw(st.booleans())}
        entries[number] = {"attribute_wise_captions": each, "overall_caption": data.draw(SENTENCES)}
    named = {subset.file_name(number): entry for number, entry in entries.items()}
    text = json.dumps(named, ensure_ascii=ascii_only, indent=indent).encode()
    expected = {"caption": {n: told(entry["overall_caption"]) for n, entry in entries.items()}}
    for column, name in RELEASE_NAMES.items():
        expected[column] = {n: told(entry["attribute_wise_captions"].get(name)) for n, entry in entries.items()}
    if not any(any(texts.values()) for texts in expected.values()):
        with pytest.raises(FormatError, match="^file: no entry says anything of overall_caption, attribute_wise"):
            READ["captions"](text, "file", subset)
        return
    found, count = READ["captions"](text, "file", subset)
    assert count == len(entries)
    assert list(found) == ["caption", *DEGREES]
    for column, texts in found.items():
        check_texts(texts, expected[column])


@given(st.data(), SUBSETS, examples=25)
def test_requests_come_back_from_both_forms(data, subset):
    words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=30)
    words = words.map(lambda text: text.strip(" ").lstrip(",;|"))  # a text may not start with what separates columns
    words = st.one_of(words, st.sampled_from(["None", "-1", "nan", "a, b"]))
    entries = {number: data.draw(words) for number in data.draw(numbers(subset))}
    named = {subset.file_name(number): text for number, text in entries.items()}
    lines = "".join(f"{name}\t{text}\n" for name, text in named.items())
    forms = {
        "requests": json.dumps(named, ensure_ascii=data.draw(st.booleans())),
        "requests_txt": lines.replace("\n", data.draw(st.sampled_from(["\n", "\r\n", " \n\n"]))),
    }
    expected = {number: told(text) for number, text in entries.items()}
    for name, text in forms.items():
        if any(expected.values()):
            found, count = READ[name](text.encode(), "file", subset)
            check_texts(found["request"], expected)
            assert count == len(entries)
        else:
            with pytest.raises(FormatError, match="^file: no entry says anything of the request"):
                READ[name](text.encode(), "file", subset)


def written(values):
    """How people write what is one of some values, beside the official ways."""
    ways = [(way, code) for code, ways in enumerate(values) for way in ways]
    return st.sampled_from([(None, -1), ("", -1), ("None", -1), *ways])


BEARDS = ["No_Beard", "Beard", "beard", "no beard"]
ASKED = {
    "attribute": written([["Bangs", "bangs"], ["Eyeglasses"], BEARDS, ["Smiling"], ["Young", "age"]]),
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
SPELLINGS = [str, str.lower, str.upper, lambda key: key.replace("_", " "), lambda key: key.replace("_", "-")]


@given(st.data(), SUBSETS, st.sampled_from(SPELLINGS), examples=30)
def test_request_labels_come_back(data, subset, spell):
    entries = {}
    for number in data.draw(numbers(subset)):
        asked = {key: data.draw(values) for key, values in ASKED.items() if data.draw(st.booleans())}
        entries[number] = asked if set(asked) & set(COLUMNS) else {}
    named = {
        subset.file_name(number): {spell(key): value for key, (value, _) in entry.items()}
        for number, entry in entries.items()
    }
    expected = {}
    for number, entry in entries.items():
        codes = {column: entry.get(key, (None, -1))[1] for key, column in COLUMNS.items()}
        if codes["direction"] == -1 and max(codes.values()) >= 0:
            codes["direction"] = 0
        expected[number] = codes
    text = json.dumps(named).encode()
    if all(max(codes.values()) < 0 for codes in expected.values()):
        with pytest.raises(FormatError, match="^file: no entry says anything of attribute, request_mode, "):
            READ["request_labels"](text, "file", subset)
        return
    found, count = READ["request_labels"](text, "file", subset)
    assert count == len(entries)
    check_texts(found.pop("text"), {n: entry.get("text", ("", 0))[0] for n, entry in entries.items()})
    assert list(found) == list(COLUMNS.values())
    for column, codes in found.items():
        assert codes.type == "int8"
        assert {n: codes[n].as_py() for n in entries} == {n: entry[column] for n, entry in expected.items()}
        assert pc.sum(pc.greater_equal(codes, 0)).as_py() == sum(entry[column] >= 0 for entry in expected.values())


@pytest.mark.parametrize("filler", [*FILLERS, None, -1, {}, float("nan"), " None\n", "\tn/a "], ids=repr)
def test_fillers(filler):
    assert said("requests", json.dumps({"0.jpg": "A", "1.jpg": filler})) == ""
    for value in (filler, {"overall_caption": filler}):
        entries = {"0.jpg": {"overall_caption": "A"}, "1.jpg": value}
        assert set(said("captions", json.dumps(entries)).values()) == {""}
    assert set(said("request_labels", json.dumps({"0.jpg": {"target_score": 1}, "1.jpg": filler})).values()) == {-1}
    asked = {"0.jpg": {"target_score": 1}, "1.jpg": {"attribute": filler, "target_score": 2}}
    assert said("request_labels", json.dumps(asked))["attribute"] == -1


# ------------------------------------------------------------------------------------------------------------ the keys

PARTS = dict(zip(RELEASE_NAMES.values(), "abcde"))
WHOLE = {"overall_caption": "All.", "attribute_wise_captions": PARTS}
SAID = {"caption": "All.", **dict(zip(DEGREES, "abcde"))}
CHANGE = {"attribute": "Bangs", "request_mode": "change_definite", "score_change_direction": "positive"}
TARGET = {"attribute": "Bangs", "request_mode": "target", "target_score": 2}


# (key, its new name, whether the two are so alike that the first entry is refused)
RENAMED = [("overall_caption", "Overall_Caption", True), ("overall_caption", "caption", False),
           ("attribute_wise_captions", "attribute_captions", True), ("attribute_wise_captions", "captions", False),
           ("No_Beard", "no_beard", True), ("Young", "Age", False), ("attribute", "attr", False),
           ("request_mode", "mode", False), ("score_change_direction", "direction", False),
           ("score_change_value", "score_change_values", True), ("target_score", "target", False)]  # fmt: skip


@pytest.mark.parametrize("key, other, close", RENAMED)
def test_a_renamed_key_empties_no_column(key, other, close):
    captions = json.dumps({"0.jpg": WHOLE, "1.jpg": WHOLE})
    requests = json.dumps({"0.jpg": CHANGE | {"score_change_value": 1}, "1.jpg": TARGET})
    name, text = ("captions", captions) if f'"{key}":' in captions else ("request_labels", requests)
    says = refusal(name, text.replace(f'"{key}":', f'"{other}":'))
    first = f"key '0.jpg': an object with '{other}', exp"
    assert says.startswith(first if close else f"no entry says anything of {key}, but ") and f"'{other}'" in says


def parts(**texts):
    return {"overall_caption": "A", "attribute_wise_captions": texts}


# fmt: off
ENTRIES = [
    *[("captions", value, f"{shown}, expected {{'attribute_wise_captions'") for value, shown in (
        (5, "5"), (True, "True"), ("text", "'text'"), ([], "a list"), ({"x": 1}, "an object with 'x'"),
        ({"Overall_Caption": "A"}, "an object with 'Overall_Caption'"),
        ({"overall_caption": "A", "attribute_captions": {}}, "an object with 'attribute_captions'"),
        ({"caption": "A", "Bangs": "B"}, "an object with 'caption', 'Bangs'"))],
    ("captions", parts(Fringe="B"), "an object with 'Fringe', expected a caption for each of Bangs,"),
    ("captions", parts(**{f"k{n}": "A" for n in range(99)}), "an object with 'k0', 'k1', 'k2', 'k3', 'k4', 'k5', "),
    ("captions", {"overall_caption": ["A"]}, "overall_caption is a list, expected a text or null"),
    ("captions", parts(Bangs=5), "Bangs is 5, expected a text or null"),
    ("captions", parts(Bangs="\ud800"), "Bangs holds half a character (a lone surrogate), expected a text or null"),
    *[("requests", value, f"the request is {shown}, expected a text or null")
      for value, shown in ((5, "5"), (True, "True"), (1.5, "1.5"), ([], "a list"), ({"text": "x"}, "an object"))],
    ("requests", "\ud83d", "the request holds half a character (a lone surrogate), expected a text or null"),
    *[("request_labels", value, f"{shown}, expected {{'attribute': …, 'request_mode'") for value, shown in (
        (5, "5"), ("text", "'text'"), ([], "a list"), ({"x": 1}, "an object with 'x'"),
        ({"target_score": 1, "request_modes": "target"}, "an object with 'request_modes'"),
        ({"attr": "A", "mode": 1}, "an object with 'attr', 'mode'"))],
    ("request_labels", {"target_score": 1, "Target_Score": True}, "'Target_Score' and another spelling of it differ"),
    *[("request_labels", {"attribute": "Bangs", key: value}, f"{key} is {shown}, expected {words}")
      for key, words, values in (
        ("attribute", "Bangs, Eyeglasses, No_Beard, Smiling, Young.", ["Hair", "Male", 3]),
        ("request_mode", "target, change_definite, change_indefinite.", ["change", 1]),
        ("score_change_direction", "none, negative, positive.", ["up", 1]),
        ("score_change_value", "1, 2, 3, 4, 5.", [0, 6, "6", "many", 1.0, True]),
        ("target_score", "0, 1, 2, 3, 4, 5.", [6, -2, True, 10**30, float("inf")])) for value in values
        for shown in [repr(value)]],
]
# fmt: on


@pytest.mark.parametrize("name, entry, part", ENTRIES, ids=[f"{name}-{part[:60]}" for name, _, part in ENTRIES])
def test_entries_that_are_refused(name, entry, part):
    good = {"captions": {"overall_caption": "A"}, "request_labels": {"target_score": 1}, "requests": "A"}[name]
    assert refusal(name, json.dumps({"0.jpg": good, "1.jpg": entry})).startswith(f"key '1.jpg': {part}")


NO_KEYS = ["30000.jpg", "000001.jpg", "0.png", "0", "", "x", "1.jpg ", "\ud800.jpg", "0.jpg" * 10**6]


@pytest.mark.parametrize("key", NO_KEYS)
def test_keys_that_are_no_image(key):
    says = refusal("requests", json.dumps({"0.jpg": "A", key: "B"}))
    assert re.match(r"a key: '.*' is no image of the hq subset, whose files are 0\.jpg to", says)


@pytest.mark.parametrize("name", ["captions", "requests", "request_labels"])
def test_files_that_say_nothing(name):
    for text in ("{}", '{"0.jpg": null, "1.jpg": {}}', '{"0.jpg": null, "1.jpg": ""}'):
        assert refusal(name, text).startswith("no entry says anything of ")


def test_keys_that_nobody_knows_are_passed_over_where_no_column_is_empty():
    entry = {"id": 7, "overall_caption": "All.", "attribute_wise_captions": PARTS | {"Hat": "x"}}
    assert said("captions", json.dumps({"0.jpg": {"overall_caption": "B"}, "1.jpg": entry})) == SAID
    asked = {"attribute": "Young", "request_mode": "target", "target_score": 3, "dialog": [1, {"a": 2}]}
    found = said("request_labels", json.dumps({"1.jpg": asked}))
    assert found == {"attribute": 4, "mode": 0, "direction": 0, "value": -1, "target": 3}


def test_two_spellings_of_a_key_that_say_the_same():
    """In one entry or in two."""
    one = {"attribute": None, "Attribute": "Young", "request_mode": "target", "Request Mode": "target"}
    one["target_score"] = 3
    other = {"ATTRIBUTE": "Young", "request mode": "target", "target-score": "3"}
    for entries in ({"1.jpg": one}, {"0.jpg": other, "1.jpg": one}, {"0.jpg": one, "1.jpg": other}):
        found = said("request_labels", json.dumps(entries))
        assert found == {"attribute": 4, "mode": 0, "direction": 0, "value": -1, "target": 3}


def test_a_column_may_be_empty_where_all_keys_are_known():
    """As in an excerpt that has the overall captions only."""
    for each in (dict.fromkeys(PARTS), {}, None):
        entry = {"attribute_wise_captions": each, "overall_caption": "All."}
        assert said("captions", json.dumps({"1.jpg": entry})) == dict.fromkeys(SAID, "") | {"caption": "All."}

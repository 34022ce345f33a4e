"""The language of `preview --where` and of the page: held against Python over the rows that the demo was made from."""

import contextlib
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from celeba_dialog import ATTRIBUTES
from celeba_dialog import DEGREES
from celeba_dialog import REQUEST_MODES
from celeba_dialog import UsageError
from conversion.look import rows
from conversion.look.where import select

OPERATORS = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@pytest.fixture(scope="module")
def labels(demo):
    return rows.open_rows(demo.root).labels("hq")


@pytest.fixture(scope="module")
def truth(demo):
    """The rows of the truth, flat: {column: value}, None for what is missing; an attribute is True or False."""

    def flat(row, split):
        values = {"split": split, "mask": row["mask"] is not None}
        values |= {name: row[name] for name in (*DEGREES, "caption", "request", "identity", "file_name")}
        values |= dict(zip(ATTRIBUTES, row["attributes"]))
        values |= {f"request_labels.{name}": value for name, value in row["request_labels"].items()}
        return {name: None if value in (-1, None) else value for name, value in values.items()}

    return [flat(row, split) for split, found in demo.splits("hq").items() for row in found]


def selected(labels, text):
    return np.flatnonzero(select(labels, text)).tolist()


@pytest.mark.parametrize(
    "text, meets",
    [
        ("smiling >= 4 and eyeglasses > 0", lambda r: r["smiling"] >= 4 and r["eyeglasses"] > 0),
        ("smiling=big_smile or smiling = 'very_big_smile'", lambda r: r["smiling"] in (4, 5)),
        ("age < 30_to_40", lambda r: r["age"] < 2),
        ("Male", lambda r: r["Male"] == 1),
        ("not Male and 5_o_Clock_Shadow = no", lambda r: not r["Male"] and not r["5_o_Clock_Shadow"]),
        ("Bangs = yes and bangs <> 5", lambda r: r["Bangs"] == 1 and r["bangs"] != 5),
        (
            "Young = 1 AND NOT (Smiling OR Eyeglasses)",
            lambda r: r["Young"] and not r["Smiling"] and not r["Eyeglasses"],
        ),
        ('caption contains "SMILE"', lambda r: "smile" in r["caption"].lower()),
        ("request contains bangs", lambda r: "bangs" in r["request"].lower()),
        ("file_name = 5380.jpg", lambda r: r["file_name"] == "5380.jpg"),
        ("split = validation or split = 'test'", lambda r: r["split"] in ("validation", "test")),
        ("identity > 5000", lambda r: r["identity"] > 5000),
        ("request_labels.attribute = age", lambda r: r["request_labels.attribute"] == 4),
        ("request_labels.mode = change_definite", lambda r: r["request_labels.mode"] == 1),
        ("request_labels.target >= 3", lambda r: r["request_labels.target"] >= 3),
    ],
)
def test_conditions(labels, truth, text, meets):
    def holds(row):
        try:
            return bool(meets(row))
        except (TypeError, AttributeError):  # None compared, or searched: missing values meet no condition
            return False

    expected = [number for number, row in enumerate(truth) if holds(row)]
    assert 0 < len(expected) < len(truth), "this case tells nothing on this demo"
    assert selected(labels, text) == expected


@pytest.mark.parametrize("column", ["bangs", "caption", "request", "request_labels.value"])
def test_missing(labels, truth, column):
    expected = [number for number, row in enumerate(truth) if row[column] is None]
    assert expected
    assert selected(labels, f"{column} = missing") == expected
    assert selected(labels, f"not {column} != missing") == expected
    if column != "caption" and column != "request":
        assert selected(labels, f"{column} == -1") == expected
        assert not set(expected) & set(selected(labels, f"{column} != 1"))
        assert not set(expected) & set(selected(labels, f"not {column} = 1"))


def test_a_missing_mask(copy):
    (copy / "CelebA-Dialog (HQ)" / "mask" / "CelebAMask-HQ-mask-color-palette.zip").unlink()
    labels = rows.open_rows(copy).labels("hq")
    assert selected(labels, "mask") == selected(labels, "mask != missing") == selected(labels, "mask = yes") == []
    assert len(selected(labels, "not mask")) == len(selected(labels, "mask = missing")) == len(labels)


def test_position_in_the_split(labels, truth):
    first = [number for number, row in enumerate(truth) if number == 0 or row["split"] != truth[number - 1]["split"]]
    assert selected(labels, "row = 0") == first


def test_quotes_in_quotes(labels):
    text = "a \"b\" 'c'"
    table = labels.slice(0, 2).set_column(labels.column_names.index("caption"), "caption", [[text, "a b c"]])
    assert selected(table, """caption = "a ""b"" 'c'" """) == [0]
    assert selected(table, """caption = 'a "b" ''c''' """) == [0]


# Conditions at random, each as (text, what Python makes of a row: True, False or None for unknown).


def _comparison(name, sign, value):
    def holds(row):
        return None if row[name] is None else OPERATORS[sign](row[name], value)

    return f"{name} {sign} {value}", holds


def _missing(name, sign):
    return f"{name} {sign} missing", lambda row: (row[name] is None) == (sign == "=")


def _attribute(name):
    return name, lambda row: None if row[name] is None else row[name] == 1


def _not(one):
    def holds(row):
        value = one[1](row)
        return None if value is None else not value

    return f"not ({one[0]})", holds


def _join(word, one, other):
    def holds(row):
        values = [one[1](row), other[1](row)]
        decisive = word == "or"
        if decisive in values:
            return decisive
        return None if None in values else not decisive

    return f"({one[0]}) {word} {other[0] if ' ' not in other[0] else f'({other[0]})'}", holds


SIMPLE = st.one_of(
    st.builds(_comparison, st.sampled_from(list(DEGREES)), st.sampled_from(list(OPERATORS)), st.integers(0, 5)),
    st.builds(_missing, st.sampled_from([*DEGREES, "caption", "request_labels.target"]), st.sampled_from(["=", "!="])),
    st.builds(_attribute, st.sampled_from(ATTRIBUTES)),
)
CONDITIONS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(st.builds(_not, inner), st.builds(_join, st.sampled_from(["and", "or"]), inner, inner)),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(CONDITIONS)
def test_any_conditions(labels, truth, condition):
    text, holds = condition
    assert selected(labels, text) == [number for number, row in enumerate(truth) if holds(row)]


def test_and_binds_closer_than_or(labels):
    loose = selected(labels, "Male or Young and Smiling")
    assert loose == selected(labels, "Male or (Young and Smiling)")
    assert loose != selected(labels, "(Male or Young) and Smiling")


@pytest.mark.parametrize(
    "text, at, says",
    [
        ("smiling >= 9", 11, "expected 0 to 5 or none, closed_smile"),
        ("smiling >= grin", 11, "grin is no value of smiling"),
        ("Smiling >= 3", 11, "the degree is called smiling"),
        ("Smiling = 3", 10, "the degree is called smiling"),
        ("colour = 3", 0, "no column colour. There are the degrees bangs, "),
        ("glasses = 3", 0, "Did you mean eyeglasses or Eyeglasses?"),
        ("smile = 3", 0, "no column smile. Did you mean smiling or Smiling?"),
        ("Beard > 2", 0, "Did you mean beard?"),
        ("smiling", 7, "expected =, !=, <"),
        ("smiling >=", 10, "found the end"),
        ("smiling > 3 and", 15, "expected a column, found the end"),
        ("smiling > 3 Male", 12, "expected `and`, `or` or the end, found Male"),
        ("(smiling > 3", 12, "expected `)`"),
        ("smiling > 3)", 11, "found )"),
        ("smiling > )", 10, "found )"),
        ("", 0, "expected a column"),
        ("   ", 0, "expected a column"),
        ("and and", 0, "expected a column, found and"),
        ("caption contains", 16, "expected a text"),
        ('caption = "open', 10, "a quote that is not closed"),
        ("smiling ; 3", 8, "';' means nothing"),
        ("identity contains 3", 18, "no text"),
        ("identity = many", 11, "expected a number"),
        ("split > train", 8, "has no order"),
        ("smiling > missing", 10, "with = or !="),
        (f"request_labels.mode = {REQUEST_MODES[0]}s", 22, "targets is no value"),
    ],
)
def test_a_mistake_is_pointed_at(labels, text, at, says):
    with pytest.raises(UsageError) as error:
        select(labels, text)
    lines = str(error.value).split("\n")
    assert says in lines[0]
    assert f"character {at + 1}:" in lines[0]
    assert lines[1] == f"  {text}"
    assert lines[2] == "  " + " " * at + "^"


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("()<>=!\"' andornt smiling Male 3 é\n\t"), max_size=40))
def test_any_text_selects_or_is_a_mistake(labels, text):
    with contextlib.suppress(UsageError):
        assert len(select(labels, text)) == len(labels)


def test_far_too_deep(labels):
    with pytest.raises(UsageError, match="parentheses"):
        select(labels, "(" * 5000 + "Male" + ")" * 5000)

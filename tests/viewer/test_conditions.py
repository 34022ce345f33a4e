"""The SQL conditions of `preview --where` and of the page: held against the rows that the demo was made from."""

import concurrent.futures
import contextlib
import os

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import write_release
from releases import at

from conversion import card
from conversion.parquet import command as build
from conversion.release.errors import EnvironmentFault, UsageError
from conversion.release.vocabulary import ATTRIBUTES, DEGREES, REQUEST_DIRECTIONS, REQUEST_MODES
from conversion.viewer import conditions, rows

NEGATIVE = REQUEST_DIRECTIONS.index("negative")
TEXTS = ("caption", "request", "celeba_file_name", "file_name")


@pytest.fixture(scope="module")
def labels(demo):
    return rows.open_rows(demo.root).labels("hq")


@pytest.fixture(scope="module")
def asked(labels):
    """Conditions over `labels`."""
    return conditions.Conditions(labels)


@pytest.fixture(scope="module")
def truth(demo):
    """The rows of the truth, flat: {column: value}, None for a missing label and "" for a missing text."""

    def flat(row, split):
        values = {name: row[name] for name in (*DEGREES, "identity")}
        values |= dict(zip(ATTRIBUTES, row["attributes"]))
        values |= {f"request_{name}": value for name, value in row["request_labels"].items()}
        values = {name: None if value == -1 else value for name, value in values.items()}
        return values | {name: row[name] or "" for name in TEXTS} | {"split": split}

    splits = demo.splits("hq")
    return [flat(row, split) | {"row": at} for split in splits for at, row in enumerate(splits[split])]


def selected(asked, text):
    return np.flatnonzero(asked.select(text)).tolist()


@pytest.mark.parametrize(
    "text, meets",
    [
        ("smiling >= 4 AND NOT Male", lambda r: r["smiling"] >= 4 and not r["Male"]),
        ("smiling_class NOT IN ('big_smile', 'smile')", lambda r: r["smiling"] not in (None, 3, 4)),
        ("age BETWEEN 2 AND 4", lambda r: 2 <= r["age"] <= 4),
        ("CASE WHEN Male THEN Young ELSE smiling = 3 END", lambda r: r["Young"] if r["Male"] else r["smiling"] == 3),
        ("SPLIT = 'validation' OR split = 'test'", lambda r: r["split"] in ("validation", "test")),
        ("row = 0", lambda r: r["row"] == 0),
        ("Request_Mode = 1", lambda r: r["request_mode"] == 1),
        ("request_direction_class <> 'negative'", lambda r: r["request_direction"] not in (None, NEGATIVE)),
        ("request_value * 2 = 4", lambda r: r["request_value"] == 2),
        ("Male = 'no' AND Young IS TRUE", lambda r: not r["Male"] and r["Young"]),
        ("Bangs_attribute AND bangs <> 5", lambda r: r["Bangs"] and r["bangs"] != 5),
        ("caption ILIKE '%SMILE%'", lambda r: "smile" in r["caption"].lower()),
        ("contains(lower(caption), lower('Smile'))", lambda r: "smile" in r["caption"].lower()),
        ("starts_with (\"caption\", 'This')", lambda r: r["caption"].startswith("This")),
        ("length(caption) > 150.5", lambda r: len(r["caption"]) > 150),
        ("caption = '' OR request = ''", lambda r: r["caption"] == "" or r["request"] == ""),
        ("celeba_file_name < '100000.jpg'", lambda r: r["celeba_file_name"] < "100000.jpg"),
        ("identity > 5000", lambda r: r["identity"] > 5000),
        ("greatest(smiling, bangs) = 3", lambda r: max(r["smiling"], r["bangs"]) == 3),
        ("coalesce(smiling, 5) = 5", lambda r: r["smiling"] in (5, None)),
    ],
)
def test_conditions(asked, truth, text, meets):
    def holds(row):
        try:
            return bool(meets(row))
        except TypeError:  # None compared: what is missing meets no comparison
            return False

    expected = [number for number, row in enumerate(truth) if holds(row)]
    assert 0 < len(expected) < len(truth), "this case tells nothing on this demo"
    assert selected(asked, text) == expected


CLASSES = DEGREES | {"request_attribute": tuple(DEGREES), "request_mode": REQUEST_MODES}
CLASSES |= {"request_direction": REQUEST_DIRECTIONS}


@pytest.mark.parametrize("column, names", CLASSES.items())
def test_every_class_has_its_number_and_its_name(asked, truth, column, names):
    for index, name in enumerate(names):
        expected = [number for number, row in enumerate(truth) if row[column] == index]
        assert selected(asked, f"{column} = {index}") == selected(asked, f"{column}_class = '{name}'") == expected


def test_every_attribute_has_its_column(asked, truth):
    for name in ATTRIBUTES:
        column = name.replace("5", "Five") + "_attribute" * (name.lower() in DEGREES)
        for text, value in ((column, 1), (f"NOT {column}", 0)):
            assert selected(asked, text) == [number for number, row in enumerate(truth) if row[name] == value]


@pytest.mark.parametrize("column", ["bangs", "request_value"])
def test_what_is_missing_meets_no_comparison(asked, truth, column):
    expected = [number for number, row in enumerate(truth) if row[column] is None]
    assert expected
    assert selected(asked, f"{column} IS NULL") == selected(asked, f"NOT {column} IS NOT NULL") == expected
    for text in (f"{column} <> 1", f"NOT {column} = 1", f"{column} NOT IN (1)", f"{column} < 1 OR {column} >= 1"):
        assert not set(expected) & set(selected(asked, text))


def test_texts_are_what_they_are(labels):
    texts = ["a \"b\" 'c'", "a -- b /* c", "SELECT repeat(1);", "é😀\n%", ""]
    table = labels.slice(0, 5).set_column(labels.column_names.index("caption"), "caption", [texts])
    asked = conditions.Conditions(table)
    for number, text in enumerate(texts):
        quoted = text.replace("'", "''")
        assert selected(asked, f"caption = '{quoted}'") == [number]
        assert selected(asked, f"contains(caption, '{quoted}') AND length(caption) = {len(text)}") == [number]


def test_columns_of_standard(demo):
    asked = conditions.Conditions(rows.open_rows(demo.root).labels("standard"))
    expected = [number for number, row in enumerate(demo.rows("standard")) if row["hq_file_name"]]
    assert selected(asked, "hq_file_name <> ''") == selected(asked, "hq_file_name LIKE '_%'") == expected != []
    with pytest.raises(UsageError, match="no column mask"):
        asked.select("mask")


def test_no_mask(tmp_path, monkeypatch):
    """Where the file of masks is missing, no row has one, in the release and in the folder that was built of it."""
    monkeypatch.setattr(card, "render", lambda *_: {"README.md": b""})
    release, out = tmp_path / "release", tmp_path / "celeba_dialog"
    write_release(release, hq=3, standard=1)
    at(release, "hq_masks").unlink()
    build.build(release, out, ["hq"], workers=1, allow_incomplete=True)
    for folder in (release, out):
        asked = conditions.Conditions(rows.open_rows(folder).labels("hq"))
        assert selected(asked, "NOT mask") == [0, 1, 2]
        assert selected(asked, "mask") == []


@pytest.mark.parametrize(
    "text, says",
    [
        ("smilin > 3", "no column smilin; did you mean smiling?"),
        ("qqqqqq", "no column qqqqqq; see preview --help"),
        ('caption = "double"', 'no column "double"; did you mean Double_Chin?'),
        ("smiling = 'smile'", "Classes go by name in smiling_class"),
        ("smiling > 3 and", "syntax error"),
        ("caption = 'open", "' is not closed"),
        ("smiling * 127 * 127 > 1", "Overflow"),
        ("repeat(caption, 2) = ''", "no function repeat in a condition, only lower, upper"),
        ("caption LIKE '%a%b%c%'", "a pattern has at most 3 times %"),
        ("", "syntax error"),
        ("-- nothing", "-- may not be in a condition"),
        ("caption = '\x1b[31m'", "can be printed"),
        ("caption = 'a" + "a" * 10_000 + "'", "at most 10,000 letters"),
    ],
)
def test_a_mistake_is_one_line(asked, text, says):
    with pytest.raises(UsageError) as error:
        asked.select(text)
    assert str(error.value).startswith("where: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) <= 500


HOSTILE = """
true; SELECT 1
true; ATTACH 'x.db'
true) --
caption = '' /* ' */ OR getenv('HOME') = '' /* ' */
caption = "a' OR getenv('HOME') = '" OR caption = 'a'
caption = E'\\' OR getenv(\\'HOME\\') = '' --'
EXISTS (FROM read_csv('/etc/passwd'))
getenv('HOME') = ''
getenv /**/ ('HOME') = ''
'HOME'.getenv() = ''
current_user = ''
length(repeat('x', 2000000000)) > 0
NULL::INT[100000][100000] IS NULL
regexp_matches(caption, '(a{1,100}){1,10}b')
caption LIKE '%_%_%_%_%_%_%_%_%_%_%_%_%z'
100000 ! > 0
row_number() OVER () = 1
COLUMNS(*)
labels.smiling > 3
position > 3
lambda x: x
""".strip().splitlines()


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_but_a_condition(asked, truth, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for whole in (text, f"smiling > 3 OR {text}"):
        with pytest.raises(UsageError) as error:
            asked.select(whole)
        assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == []
    assert len(selected(asked, "true")) == len(truth)


CLOSED = """FROM read_csv('/etc/passwd')|FROM '/etc/passwd'|FROM glob('/*')|COPY labels TO 'x.csv'|ATTACH 'x.db'|
INSTALL httpfs|LOAD httpfs|SET enable_external_access = true|SET memory_limit = '1TB'|SET lock_configuration = false|
FROM python_table""".split("|")


@pytest.mark.parametrize("query", CLOSED)
def test_behind_it_the_database_is_closed(asked, query, tmp_path, monkeypatch):
    """Were something let through, there would be nothing to read or to change."""
    monkeypatch.chdir(tmp_path)
    python_table = pa.table({"a": [1]})
    with pytest.raises(duckdb.Error):
        asked._database.execute(query)
    assert os.listdir(tmp_path) == []
    del python_table


NESTED = [("(", "true", ")"), ("NOT ", "true", ""), ("CASE WHEN ", "true", " THEN true END"), ("lower(", "'a'", ")")]
NESTED += [("", "true", " OR (NOT Male AND Young)")]


@pytest.mark.parametrize("before, middle, after", NESTED)
def test_far_too_deep(asked, before, middle, after):
    depth = (conditions.LETTERS - len(middle)) // len(before + after)
    for text in (before * depth + middle + after * depth, before * 200 + middle + after * 200):
        with contextlib.suppress(UsageError):
            assert len(asked.select(text)) == 24


WORDS_OF_SQL = (  # of which any sequence passes the first look, and some others
    "smiling Male caption split row ( ) ( ) , = <> < >= ! + - * / % 'big_smile' '%a' \"row\" 3 -1 1.5 NULL TRUE AND OR "
    "NOT IS IN BETWEEN LIKE ILIKE ESCAPE CASE WHEN THEN ELSE END lower( contains( greatest( coalesce( SELECT :: é \n"
).split(" ")


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.lists(st.sampled_from(WORDS_OF_SQL), max_size=12).map(" ".join), st.text(max_size=40)))
def test_any_text_selects_or_is_a_mistake(asked, text):
    with contextlib.suppress(UsageError):
        assert len(asked.select(text)) == 24


def test_time_is_bounded(labels, monkeypatch):
    """The condition would take many times as long, on any machine."""
    asked = conditions.Conditions(labels.take(np.tile(np.arange(24), 12_000)))
    monkeypatch.setattr(conditions, "SECONDS", 0.5)
    text = " OR ".join(f"caption ILIKE '%q{number}%z{number}%'" for number in range(300))
    with pytest.raises(UsageError, match="takes more than 0.5 seconds"):
        asked.select(text)
    monkeypatch.undo()
    assert len(selected(asked, "row = 0")) == 12_000 * len(set(labels["split"].to_pylist()))  # and it goes on


def test_more_rows_than_the_memory_holds(labels, monkeypatch):
    monkeypatch.setitem(conditions.SETTINGS, "memory_limit", "1MB")
    with pytest.raises(EnvironmentFault, match="rows of labels are too much for conditions"):
        conditions.Conditions(labels.take(np.tile(np.arange(24), 12_000)))


def test_many_at_once(asked, truth):
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: selected(asked, f"smiling = {number % 6}"), range(96)))
    assert found == [[at for at, row in enumerate(truth) if row["smiling"] == number % 6] for number in range(96)]

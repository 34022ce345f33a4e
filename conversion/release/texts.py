"""Text files: their text, lines, and rows of words and numbers."""

import io
import re
import warnings
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import AGAIN, DamagedFileError, FormatError
from .storage import kind_of
from .vocabulary import ATTRIBUTES, DEGREES, HQ, RELEASE_NAMES, Subset

NO_NUMBER = -(1 << 31)  # in a column of numbers, where the file has `None` or the like
NOTHING = "(?i)^(none|null|nan|n/?a|-1)?$"  # how files say that there is no label, but for blanks around it
# What ends a line for some programs, or belongs in no text.
_NO_LINE_END = re.compile("[\0-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")
_HEADER_WORD = re.compile("(?=.*[A-Za-z])[A-Za-z0-9_ -]+")
_FILE_COLUMN = re.compile("(?i)im|pic|photo|file|name|id|key")  # what headers call the column of file names


def wrong_line(shown: str, line: Any, found: str, expected: str = "") -> FormatError:
    """The FormatError for a line of a text file."""
    return FormatError(f"{shown}: line {line}: {found}{expected and f', expected {expected}'}. {AGAIN}")


def text_of(data: bytes, shown: str) -> str:
    """The text of a file, in UTF-8. Raises DamagedFileError for another kind of file, FormatError for bytes that are no
    text."""
    kind, advice = kind_of(data[:4096])
    if kind:
        raise DamagedFileError(f"{shown}: this is {kind}. {advice}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise wrong_line(shown, line, f"byte {data[error.start]:#04x} is not UTF-8 text") from None


def lines_of(data: bytes, shown: str) -> tuple[pa.Array, np.ndarray]:
    r"""The lines of a text file that hold something, trimmed, as an Arrow array; and the number of each, from 1.

    Only \n and \r\n end a line. Raises FormatError for what ends one elsewhere, or is no text at all.
    """
    text = text_of(data, shown).replace("\r\n", "\n")
    strange = _NO_LINE_END.search(text)
    if strange:
        line = text.count("\n", 0, strange.start()) + 1
        what = {"\0": "a NUL byte", "\r": "a carriage return without a line feed"}.get(strange[0])
        raise FormatError(
            f"{shown}: line {line}: {what or f'the control character U+{ord(strange[0]):04X}'}, where only \\n and "
            f"\\r\\n may end a line. Save it with such line ends, or download it again."
        )
    lines = pc.utf8_trim(pc.split_pattern(pa.array([text]), "\n").flatten(), " \t")
    full = pc.not_equal(lines, "")
    return lines.filter(full), np.flatnonzero(full) + 1


class TextRows(NamedTuple):
    """A text file of rows with one file name and some numbers each."""

    header: list[str] | None  # the words of the header line, None where there is none
    keys: pa.Array  # the file name of each row, texts
    values: np.ndarray  # int32 (rows, numbers per row); NO_NUMBER where the file says nothing
    lines: np.ndarray  # the line of each row, from 1


def split_text(
    data: bytes,
    shown: str,
    width: int,
    expected: str,
    row: str = "[.]jpg$",
    key_column: int = 0,
    bare_ok: bool = False,
    wider: int = 0,
) -> TextRows:
    """Reads a text file of rows of words, with an optional count line and header.

    Args:
        data: the bytes; between words there is white space in the whole file, or a comma, or a semicolon.
        shown: the file's name in messages.
        width: words per row: a file name and numbers.
        expected: what the numbers are, in words.
        row: a pattern of the first word of a row. The first such line starts the rows.
        key_column: which word is the file name.
        bare_ok: whether a row may be a file name alone, which says nothing of it.
        wider: words per row of a longer form of the file, of which the first `width` are read.

    Raises FormatError with the line where a row has another number of words or something else where a number should be,
    DamagedFileError for a file that is no such text at all.
    """
    found = _plain_rows(data, shown, width, row, key_column) or _any_rows(
        data, shown, width, expected, row, key_column, bare_ok, wider
    )
    header, count, line_of_count, rows = found
    here = rows.values.shape[1] + 1
    if header and not (len(header) in (here, wider) and _FILE_COLUMN.search(header[0]) or 2 < len(header) == width - 1):
        raise FormatError(f"{shown}: {' '.join(header)[:60]!r} is no header of rows of {here} words. {AGAIN}")
    if count not in (None, len(rows.keys)):
        raise FormatError(
            f"{shown}: line {line_of_count} says {count:,} rows, the file holds {len(rows.keys):,}: it is cut off or "
            f"edited. {AGAIN}"
        )
    return rows


_PLAIN = b"0123456789-.jpg \t\n"  # all that there is in the rows of an official list


def _plain_rows(data: bytes, shown: str, width: int, row: str, key_column: int) -> Any:
    """What `_any_rows` returns, read by numpy, for rows of official form; None for others, and for any with a fault.

    That takes a quarter of the time, and a seventh of the memory; the line of a fault is found by the other way.
    """
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    place = ahead = 0  # of the first row: its first byte, and lines above it
    while True:
        first = data[place : data.find(b"\n", place)].split(None, 1)
        if first and re.search(row.encode(), first[0]):
            break
        place, ahead = data.find(b"\n", place) + 1, ahead + 1
        if not first or not place or ahead > 2:
            return None
    if re.search(b'[,;"]', data[:place]):
        return None
    rows = data[place:]
    count = rows.count(b"\n") + (not rows.endswith(b"\n"))
    if rows.translate(None, _PLAIN) or not rows.count(b".jpg") == rows.count(b".") == count:
        return None
    key, values = ("key", "S12"), ("values", np.int32, (width - 1,))
    layout = [values, key] if key_column else [key, values]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = np.loadtxt(io.BytesIO(rows), layout, comments=None, encoding="latin1", ndmin=1)
    except (ValueError, OverflowError, Warning):
        return None
    keys = pa.array(table["key"]).cast(pa.string())
    long = (table["values"] >= 10**9) | (table["values"] <= -(10**9))  # of more digits than the other way takes
    if len(table) != count or pc.max(pc.binary_length(keys)).as_py() > 11 or long.any():  # an empty line, a longer name
        return None
    texts, lines = lines_of(data[:place], shown) if place else (pa.array([], pa.string()), np.array([], int))
    header, number = _head(_words(texts), lines, shown) if len(texts) else (None, None)
    found = TextRows(header, keys, table["values"], np.arange(ahead + 1, ahead + 1 + count))
    return header, number, lines[0] if len(lines) else 1, found


def _any_rows(
    data: bytes, shown: str, width: int, expected: str, row: str, key_column: int, bare_ok: bool, wider: int
) -> tuple[list[str] | None, int | None, Any, TextRows]:
    """(words of the header or None, number in the count line or None, the line of that, rows) of a text file.

    Arrow splits it into words and makes numbers of them, with no Python loop per value.
    """
    texts, lines = lines_of(data, shown)
    words = _words(texts)
    rows = np.flatnonzero(pc.match_substring_regex(pc.list_element(words, 0), row))
    start = int(rows[0]) if len(rows) else len(words)
    header, count = _head(words.slice(0, start), lines, shown)
    if not len(rows):
        raise FormatError(f"{shown}: {len(lines):,} lines, and no row that starts with a file name. {AGAIN}")
    words, texts, line_of_count, lines = words.slice(start), texts.slice(start), lines[0], lines[start:]
    counts = np.asarray(pc.list_value_length(words))
    width_here = wider if counts[0] == wider else width
    full = counts == width_here
    wrong = ~full & ~(bare_ok & (counts == 1))
    if wrong.any():
        at = int(np.argmax(wrong))
        found = f"{counts[at]} words, expected {width_here}: {texts[at].as_py()[:80]!r}"
        if width == 1 + len(DEGREES) and counts[at] == 1 + len(ATTRIBUTES):
            found += ". These are the forty binary attributes, which other projects keep under this name"
        raise wrong_line(shown, lines[at], found)
    keys = pc.list_element(words, key_column)
    encoded = pc.dictionary_encode((words if full.all() else words.filter(pa.array(full))).flatten())
    places = np.asarray(encoded.indices).reshape(-1, width_here)  # in the dictionary, which has each word once
    places = np.delete(places[:, :width], key_column, axis=1)
    numbers, good = _integers(encoded.dictionary)
    if not good[places].all():
        at, column = np.argwhere(~good[places])[0]
        raise wrong_line(shown, lines[full][at], repr(encoded.dictionary[places[at, column]].as_py()[:40]), expected)
    values = np.full((len(keys), width - 1), NO_NUMBER, np.int32)
    values[full] = numbers[places]
    return header, count, line_of_count, TextRows(header, keys, values, lines)


def _words(lines: pa.Array) -> pa.ListArray:
    """The words of lines, as an Arrow array of lists. The first row shows what is between them, and if it is quoted."""
    row = lines[max(0, pc.index(pc.match_substring(lines, ".jpg"), True).as_py())].as_py()
    separator = next((mark for mark in ",;" if mark in row), None)
    if separator:
        empty = f'({separator}[ \t]*(""[ \t]*)?)+$'  # what spreadsheets fill up shorter lines with
        words = pc.split_pattern(pc.replace_substring_regex(lines, empty, ""), separator)
    else:
        words = pc.ascii_split_whitespace(lines)
    plain = words.flatten()
    if separator or '"' in row:
        plain = pc.replace_substring_regex(pc.utf8_trim(plain, " \t"), '^"(.*)"$', r"\1")
    return pa.ListArray.from_arrays(words.offsets, plain)


def _head(head: pa.ListArray, lines: Iterable[Any], shown: str) -> tuple[list[str] | None, int | None]:
    """(words of the header or None, number of the count line or None), from what stands above the first row."""
    header: list[str] | None = None
    count: int | None = None
    for line, found in zip(lines, head.slice(0, 3)):
        found = [word for word in found.values.slice(0, 64).to_pylist() if word]
        if header is None and count is None and len(found) == 1 and re.fullmatch("[0-9]{1,18}", found[0]):
            count = int(found[0])
        elif header is None and all(map(_HEADER_WORD.fullmatch, found)):
            header = found
        else:
            found = f"starts with {' '.join(found)[:40]!r}"
            raise wrong_line(shown, line, found, "a row with a file name, or a header")
    return header, count


def numbers_of(keys: pa.Array, lines: Sequence[Any] | np.ndarray | None, shown: str, subset: Subset) -> np.ndarray:
    """File numbers (int32) of an array of file names, which stand in some lines; None for `lines` where they are keys.

    Raises FormatError for a name that is none of the subset's.
    """
    pattern = "^(0|[1-9][0-9]{0,4})[.]jpg$" if subset is HQ else "^[0-9]{6}[.]jpg$"
    named = pc.match_substring_regex(keys, pattern)
    numbers = np.asarray(pc.if_else(named, pc.utf8_rtrim(keys, ".jpg"), "-1").cast(pa.int32()))
    good = (numbers >= subset.first) & (numbers < subset.first + subset.images)
    if not good.all():
        at = int(np.argmin(good))
        where = "a key" if lines is None else f"line {lines[at]}"
        raise FormatError(
            f"{shown}: {where}: {keys[at].as_py()[:60]!r} is no image of the {subset.name} subset, whose files are "
            f"{subset.keys}. {AGAIN}"
        )
    return numbers


def _integers(words: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Words as int32, NO_NUMBER for those that say nothing or are no number; and whether each is one or the other."""
    number = pc.match_substring_regex(words, "^-?0*[0-9]{1,9}$")
    good = pc.or_(number, says_nothing(words))
    return np.asarray(pc.if_else(number, words, str(NO_NUMBER)).cast(pa.int32())), np.asarray(good)


def spelled(word: str) -> str:
    """A name as it is compared: without regard to case, and with `_` for blanks and hyphens."""
    return re.sub("[ -]", "_", word.strip().lower())


# Spelling -> name in the release, of the five degrees.
DEGREE_SPELLINGS = {spelled(name): name for name in RELEASE_NAMES.values()} | RELEASE_NAMES


def says_nothing(texts: pa.Array) -> pa.Array:
    """Whether each of some texts is one of the ways to say that there is no label: `None`, `n/a`, blanks and so on."""
    return pc.match_substring_regex(pc.utf8_trim_whitespace(texts), NOTHING)


def told_texts(texts: pa.Array) -> pa.Array:
    """An Arrow array of texts with "" in the place of `None`, `n/a` and so on."""
    return pc.if_else(says_nothing(texts), "", texts)


def texts_by_number(numbers: np.ndarray, texts: pa.Array, subset: Subset) -> pa.Array:
    """Texts by file number, "" where there is none; the last of several."""
    entry = np.full(subset.first + subset.images, -1)
    entry[numbers] = np.arange(len(numbers))
    return pc.fill_null(texts.take(pa.array(entry, mask=entry < 0)), "")


def how_many(numbers: np.ndarray) -> int:
    """How many images some file numbers are of, each counted once."""
    return int(np.count_nonzero(np.bincount(numbers)))


def any_text(texts: pa.Array) -> bool:
    return pc.any(pc.not_equal(texts, "")).as_py()


def brief(value: object) -> str:
    """A JSON value for a message."""
    return "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(value)[:40]


def listed(keys: Collection[object]) -> str:
    """Some keys for a message, the first of many."""
    shown = [brief(key) for key in list(keys)[:8]]
    return ", ".join(shown + ["…"] * (len(keys) > len(shown)))


def check_filled(filled: dict[str, Any], unknown: Collection[object], shown: str) -> None:
    """Raises FormatError where no entry has anything in any field, or in one of them while there are unknown keys.

    `filled` is {field: whether an entry has something there}.
    """
    empty = [field for field in filled if not filled[field]]
    if len(empty) == len(filled) or (empty and unknown):
        other = f", but there is {listed(unknown)}" if unknown else ""
        raise FormatError(
            f"{shown}: no entry says anything of {', '.join(empty)}{other}. This is another file, or an edited one. "
            f"{AGAIN}"
        )

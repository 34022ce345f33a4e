"""Lists: degrees, attributes, identities, mapping, partition, requests."""

import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import AGAIN, ConflictError, DamagedFileError, FormatError
from .official import part_of
from .storage import other_kind, what_is
from .vocabulary import ATTRIBUTES, DEGREES, HQ, PARTITION, RELEASE_NAMES, STANDARD

# ------------------------------------------------------------------------------------------------------------- texts
# Arrow splits text files into words and makes numbers of them, with no Python loop per value. Every reader, here and in
# the next section, takes (bytes, shown name, subset) and gives arrays by file number, with -1 or "" where the file says
# nothing, and how many rows or entries say something.

NO_NUMBER = -(1 << 31)  # in a column of numbers, where the file has `None` or the like
NOTHING = r"(?i)^\s*(none|null|nan|n/?a|-1)?\s*$"  # how files say that there is no label; for `re` and Arrow
_NO_LINE_END = re.compile(
    "[\0-\x08\x0b-\x1f\x7f\x85\u2028\u2029]"
)  # ends a line for some programs, or belongs in no text
_HEADER_WORD = re.compile("(?=.*[A-Za-z])[A-Za-z0-9_ -]+")
_FILE_COLUMN = re.compile("(?i)im|pic|photo|file|name|id|key")  # what headers call the column of file names
_LONGEST_REQUEST = 65536  # bytes


def wrong_line(shown, line, found, expected=""):
    """The FormatError for a line of a text file."""
    return FormatError(f"{shown}: line {line}: {found}{expected and f', expected {expected}'}. {AGAIN}")


def decoded(data, errors="strict"):
    """The bytes of a text file as text without its byte order mark: UTF-8, or UTF-16 as Windows saves it."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors)
    if b"\0" in data[:2]:  # UTF-16 without a mark: one of the two bytes of a letter is zero
        return data.decode("utf-16-le" if data[0] else "utf-16-be", errors)
    return data.decode("utf-8-sig", errors)


def text_of(data, shown):
    """The text of a file. Raises DamagedFileError for another kind of file, FormatError for bytes that are no text."""
    try:
        text = "" if other_kind(data[:4096]) else decoded(data)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise wrong_line(shown, line, f"byte {data[error.start]:#04x} is not {error.encoding.upper()} text") from None
    if not re.search(r"\S", text):
        raise DamagedFileError(f"{shown}: {what_is(data[:4096], len(data))}")
    return text


def _lines(data, shown):
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

    header: list | None  # the words of the header line, None where there is none
    keys: pa.Array  # the file name of each row
    values: np.ndarray  # int32 (rows, numbers per row); NO_NUMBER where the file says nothing
    lines: np.ndarray  # the line of each row, from 1


def split_text(data, shown, width, expected, row="[.]jpg$", key_column=0, bare_ok=False, wider=0):
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
    texts, lines = _lines(data, shown)
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
        raise wrong_line(shown, lines[at], found)
    if header and not (len(header) == width_here and _FILE_COLUMN.search(header[0]) or 2 < len(header) == width - 1):
        found = " ".join(header)[:60]
        raise FormatError(f"{shown}: {found!r} is no header of rows of {width_here} words. {AGAIN}")
    if count not in (None, len(words)):
        raise FormatError(
            f"{shown}: line {line_of_count} says {count:,} rows, the file holds {len(words):,}: it is cut off or "
            f"edited. {AGAIN}"
        )
    keys = pc.list_element(words, key_column)
    words = pc.dictionary_encode((words if full.all() else words.filter(pa.array(full))).flatten())
    places = np.asarray(words.indices).reshape(-1, width_here)  # in the dictionary, which has each word once
    places = np.delete(places[:, :width], key_column, axis=1)
    numbers, good = _integers(words.dictionary)
    if not good[places].all():
        at, column = np.argwhere(~good[places])[0]
        raise wrong_line(shown, lines[full][at], repr(words.dictionary[places[at, column]].as_py()[:40]), expected)
    values = np.full((len(keys), width - 1), NO_NUMBER, np.int32)
    values[full] = numbers[places]
    return TextRows(header, keys, values, lines)


def _words(lines):
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


def _head(head, lines, shown):
    """(words of the header or None, number of the count line or None), from what stands above the first row."""
    header = count = None
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


def numbers_of(keys, lines, shown, subset):
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


def _integers(words):
    """Words as int32, NO_NUMBER for those that say nothing or are no number; and whether each is one or the other."""
    number = pc.match_substring_regex(words, "^-?[0-9]{1,9}$")
    good = pc.or_(number, pc.match_substring_regex(words, NOTHING))
    return np.asarray(pc.if_else(number, words, str(NO_NUMBER)).cast(pa.int32())), np.asarray(good)


def _in_range(rows, low, high, shown, expected):
    """The values of rows, -1 in rows that say nothing. Raises FormatError for one outside low … high.

    A row says something in all of its values or in none; -1 says nothing, unless it is in the range.
    """
    nothing = (rows.values == NO_NUMBER) | ((rows.values == -1) & (low > -1))
    bad = ((rows.values < low) | (rows.values > high)) & ~nothing
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise wrong_line(shown, rows.lines[row], rows.values[row, column], expected)
    half = nothing.any(axis=1) & ~nothing.all(axis=1)
    if half.any():
        row = int(np.argmax(half))
        found = f"{nothing[row].sum()} of {nothing.shape[1]} values are missing"
        raise wrong_line(shown, rows.lines[row], found, f"{expected} for each, or for none")
    return np.where(nothing, -1, rows.values)


def _by_number(numbers, values, lines, shown, subset):
    """Values (rows, width) by file number, -1 where there is none; and how many images have some.

    Raises FormatError where two rows of an image differ, or where no row says anything.
    """
    table = np.full((subset.first + subset.images, values.shape[1]), -1, values.dtype)
    table[numbers] = values
    differ = (table[numbers] != values).any(axis=1)
    if differ.any():
        row = int(np.argmax(differ))
        other = int(np.flatnonzero(numbers == numbers[row])[-1])
        raise FormatError(
            f"{shown}: lines {lines[row]} and {lines[other]}: {subset.file_name(numbers[row])} stands twice, with "
            f"different values. {AGAIN}"
        )
    count = int((table[:, 0] >= 0).sum())
    if not count:
        raise FormatError(f"{shown}: {len(lines):,} rows, and not one of them says anything. {AGAIN}")
    return table, count


def spelled(word):
    """A name as it is compared: without regard to case, and with `_` for blanks and hyphens."""
    return re.sub("[ -]", "_", word.strip().lower())


def spellings(names):
    """Spelling -> name, for names that may be spelled in any case."""
    return {spelled(name): name for name in names}


# Spelling -> column, of the five degrees.
DEGREE_SPELLINGS = spellings(RELEASE_NAMES.values()) | RELEASE_NAMES


def _header_order(header, spellings, shown):
    """Where the column of each name stands in a header, which may start with a word for the file name."""
    names = list(dict.fromkeys(spellings.values()))  # in their order, each once
    found = header[1:] if len(header) == len(names) + 1 else header
    columns = [spellings.get(spelled(name)) for name in found]
    if sorted(map(str, columns)) != sorted(names):
        strange = [name for name, column in zip(found, columns) if column is None or columns.count(column) > 1]
        raise FormatError(
            f"{shown}: the header names {', '.join(map(repr, strange))[:60]}, expected {len(names)} names, "
            f"{names[0]} to {names[-1]}. This is another file, or an edited one. {AGAIN}"
        )
    return [columns.index(name) for name in names]


def read_degrees(data, shown, subset):
    """Degrees: int8 (file numbers, 5) in the order of DEGREES, all -1 where missing; and how many images have some."""
    expected = "a degree from 0 to 5"
    rows = split_text(data, shown, 6, expected, bare_ok=True)
    order = _header_order(rows.header, DEGREE_SPELLINGS, shown) if rows.header else range(len(DEGREES))
    numbers = numbers_of(rows.keys, rows.lines, shown, subset)
    values = _in_range(rows, 0, 5, shown, expected).astype(np.int8)
    return _by_number(numbers, values[:, order], rows.lines, shown, subset)


def read_attributes(data, shown, subset):
    """Binary attributes: int8 (file numbers, 40), 1 yes, 0 no, all -1 where missing; and how many images have some.

    The release writes 1 and -1. A file that holds no -1 at all is one of the copies that write 1 and 0.
    """
    rows = split_text(data, shown, 41, "-1 or 1", bare_ok=True)
    if rows.header is None:
        raise FormatError(f"{shown}: no header with the forty attribute names, so no column can be told. {AGAIN}")
    order = _header_order(rows.header, spellings(ATTRIBUTES), shown)
    numbers = numbers_of(rows.keys, rows.lines, shown, subset)
    values = _in_range(rows, -1, 1, shown, "-1 or 1").astype(np.int8)
    zeros = values == 0
    if zeros.any() and (rows.values == -1).any():
        line = rows.lines[int(np.argmax(zeros.any(axis=1)))]
        raise FormatError(f"{shown}: line {line}: 0, in a file that also writes -1; expected -1 or 1. {AGAIN}")
    values[rows.values == -1] = 0
    return _by_number(numbers, values[:, order], rows.lines, shown, subset)


def read_identity(data, shown, subset):
    """Identities: int32 by file number, -1 where missing; and how many images have one."""
    expected = "the number of an identity"
    rows = split_text(data, shown, 2, expected, bare_ok=True)
    numbers = numbers_of(rows.keys, rows.lines, shown, subset)
    values = _in_range(rows, 0, 1 << 30, shown, expected)
    table, count = _by_number(numbers, values, rows.lines, shown, subset)
    return table[:, 0], count


def read_mapping(data, shown, _=HQ):
    """HQ file number -> standard file number: int32 (30000,), -1 where missing; and how many there are.

    The file is CelebA-HQ-to-CelebA-mapping.txt, or the image_list.txt it was made from, with two checksums more a row.
    """
    expected = "an HQ file number below 30,000 and an index below 202,599"
    rows = split_text(data, shown, 3, expected, "^[0-9]+$", key_column=2, wider=5)
    values = _in_range(rows, 0, STANDARD.images - 1, shown, expected)
    numbers, index = values.T
    files = numbers_of(rows.keys, rows.lines, shown, STANDARD)
    wrong = (index + 1 != files) | (numbers >= HQ.images) | (numbers < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise FormatError(
            f"{shown}: line {rows.lines[row]}: {numbers[row]}, {index[row]} and {STANDARD.file_name(files[row])}; "
            f"expected {expected} that is one less than the number in the file name. {AGAIN}"
        )
    table, count = _by_number(numbers, files[:, None], rows.lines, shown, HQ)
    known = np.sort(table[table >= 0])
    if (known[1:] == known[:-1]).any():
        twice = STANDARD.file_name(known[1:][known[1:] == known[:-1]][0])
        raise FormatError(f"{shown}: two HQ images come from {twice}, where each has its own. {AGAIN}")
    return table[:, 0], count


def read_partition(data, shown, _=STANDARD):
    """CelebA's own partition: None, for it is three ranges of the file number; and how many images the file has.

    The file serves as a check only: raises ConflictError where it says otherwise.
    """
    rows = split_text(data, shown, 2, "0, 1 or 2")
    numbers = numbers_of(rows.keys, rows.lines, shown, STANDARD)
    values = _in_range(rows, 0, 2, shown, "0, 1 or 2")[:, 0]
    if (values < 0).any():
        raise wrong_line(shown, rows.lines[int(np.argmax(values < 0))], "no number", "0, 1 or 2")
    wrong = values != part_of(numbers)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ConflictError(
            f"{shown}: line {rows.lines[row]}: {values[row]}, where CelebA puts "
            f"{STANDARD.file_name(numbers[row])} into {PARTITION[part_of(numbers[row])]}. {AGAIN}"
        )
    return None, len(np.unique(numbers))


def read_requests_txt(data, shown, subset):
    """Editing requests by file number, from the text form, {"request": Arrow texts}; and the number of entries.

    A row is a file name, white space, and the request to the end of the line.
    """
    rows, lines = _lines(data, shown)
    names, requests = pc.extract_regex(rows, r"^(?P<name>[^ \t]+)[ \t]*(?P<request>.*)$").flatten()
    numbers = numbers_of(names, lines, shown, subset)
    wrong = pc.or_(
        pc.greater(pc.binary_length(requests), _LONGEST_REQUEST), pc.match_substring_regex(requests, "^[,;|]")
    )
    if pc.any(wrong).as_py():
        at = wrong.index(True).as_py()
        expected = f"a request of at most {_LONGEST_REQUEST:,} bytes after a tab"
        raise wrong_line(shown, lines[at], repr(requests[at].as_py()[:40]), expected)
    texts = told_texts(requests)
    codes = np.asarray(pc.dictionary_encode(texts).indices)
    _, count = _by_number(numbers, codes[:, None], lines, shown, subset)
    check_filled({"the request": any_text(texts)}, (), shown)
    return {"request": texts_by_number(numbers, texts, subset)}, count


def told_texts(texts):
    """An Arrow array of texts with "" in the place of `None`, `n/a` and so on."""
    return pc.if_else(pc.match_substring_regex(texts, NOTHING), "", texts)


def texts_by_number(numbers, texts, subset):
    """Texts by file number, "" where there is none; the last of several."""
    entry = np.full(subset.first + subset.images, -1)
    entry[numbers] = np.arange(len(numbers))
    return pc.fill_null(texts.take(pa.array(entry, mask=entry < 0)), "")


def any_text(texts):
    return pc.any(pc.not_equal(texts, "")).as_py()


def brief(value):
    """A JSON value for a message."""
    return "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(value)[:40]


def listed(keys):
    """Some keys for a message, the first of many."""
    shown = [brief(key) for key in list(keys)[:8]]
    return ", ".join(shown + ["…"] * (len(keys) > len(shown)))


def check_filled(filled, unknown, shown):
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

"""Lists: degrees, attributes, identities, mapping, partition, requests.

Every reader, here and in `captions`, takes (bytes, shown name, subset) and gives arrays by file number, with -1 or ""
where the file says nothing, and how many rows or entries say something.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import AGAIN, ConflictError, FormatError
from .official import part_of
from .texts import (
    DEGREE_SPELLINGS,
    NO_NUMBER,
    TextRows,
    any_text,
    check_filled,
    how_many,
    lines_of,
    numbers_of,
    spelled,
    split_text,
    texts_by_number,
    told_texts,
    wrong_line,
)
from .vocabulary import ATTRIBUTES, DEGREES, HQ, PARTITION, STANDARD, Subset

_LONGEST_REQUEST = 65536  # bytes


def _by_number(
    numbers: np.ndarray, values: np.ndarray, lines: np.ndarray, shown: str, subset: Subset
) -> tuple[np.ndarray, int]:
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


def _in_range(rows: TextRows, low: int, high: int, shown: str, expected: str) -> np.ndarray:
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


def _header_order(header: list[str], columns: dict[str, str], shown: str, spell: Any = str) -> list[int]:
    """Where the column of each name stands in a header, which may start with a word for the file name.

    `columns` are {what `spell` makes of a name in the header: its column}.
    """
    names = list(dict.fromkeys(columns.values()))  # in their order, each once
    given = header[1:] if len(header) == len(names) + 1 else header
    found = [columns.get(spell(name)) for name in given]
    if sorted(map(str, found)) != sorted(names):
        strange = [name for name, column in zip(given, found) if column is None or found.count(column) > 1]
        raise FormatError(
            f"{shown}: the header names {', '.join(map(repr, strange))[:60]}, expected {len(names)} names, "
            f"{names[0]} to {names[-1]}. This is another file, or an edited one. {AGAIN}"
        )
    return [found.index(name) for name in names]


def read_attributes(data: bytes, shown: str, subset: Subset) -> tuple[np.ndarray, int]:
    """Binary attributes: int8 (file numbers, 40), 1 yes, 0 no, all -1 where missing; and how many images have some.

    The release writes 1 and -1. A file that holds no -1 at all is one of the copies that write 1 and 0.
    """
    rows = split_text(data, shown, 41, "-1 or 1", bare_ok=True)
    if rows.header is None:
        raise FormatError(f"{shown}: no header with the forty attribute names, so no column can be told. {AGAIN}")
    order = _header_order(rows.header, {name: name for name in ATTRIBUTES}, shown)
    numbers = numbers_of(rows.keys, rows.lines, shown, subset)
    values = _in_range(rows, -1, 1, shown, "-1 or 1").astype(np.int8)
    zeros = values == 0
    if zeros.any() and (rows.values == -1).any():
        line = rows.lines[int(np.argmax(zeros.any(axis=1)))]
        raise FormatError(f"{shown}: line {line}: 0, in a file that also writes -1; expected -1 or 1. {AGAIN}")
    values[rows.values == -1] = 0
    return _by_number(numbers, values[:, order], rows.lines, shown, subset)


def read_degrees(data: bytes, shown: str, subset: Subset) -> tuple[np.ndarray, int]:
    """Degrees: int8 (file numbers, 5) in the order of DEGREES, all -1 where missing; and how many images have some."""
    expected = "a degree from 0 to 5"
    rows = split_text(data, shown, 6, expected, bare_ok=True)
    order = _header_order(rows.header, DEGREE_SPELLINGS, shown, spelled) if rows.header else list(range(len(DEGREES)))
    numbers = numbers_of(rows.keys, rows.lines, shown, subset)
    values = _in_range(rows, 0, 5, shown, expected).astype(np.int8)
    return _by_number(numbers, values[:, order], rows.lines, shown, subset)


def read_identity(data: bytes, shown: str, subset: Subset) -> tuple[np.ndarray, int]:
    """Identities: int32 by file number, -1 where missing; and how many images have one."""
    expected = "the number of an identity"
    rows = split_text(data, shown, 2, expected, bare_ok=True)
    numbers = numbers_of(rows.keys, rows.lines, shown, subset)
    values = _in_range(rows, 0, 1 << 30, shown, expected)
    table, count = _by_number(numbers, values, rows.lines, shown, subset)
    return table[:, 0], count


def read_mapping(data: bytes, shown: str, _: Subset = HQ) -> tuple[np.ndarray, int]:
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


def read_partition(data: bytes, shown: str, _: Subset = STANDARD) -> tuple[None, int]:
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
    return None, how_many(numbers)


def read_requests_txt(data: bytes, shown: str, subset: Subset) -> tuple[dict[str, pa.Array], int]:
    """Editing requests by file number, from the text form, {"request": Arrow texts}; and the number of entries.

    A row is a file name, white space, and the request to the end of the line.
    """
    rows, lines = lines_of(data, shown)
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

"""JSON: captions, requests. The standard library reads it, and its objects become columns."""

import contextlib
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import AGAIN, FormatError
from .texts import (
    NOTHING,
    any_text,
    brief,
    check_filled,
    how_many,
    listed,
    numbers_of,
    spelled,
    text_of,
    texts_by_number,
    told_texts,
    wrong_line,
)
from .vocabulary import DEGREES, RELEASE_NAMES, REQUEST_DIRECTIONS, REQUEST_MODES, Subset

_BLOCK = 1 << 20  # bytes that stay in the processor's cache
_PIECE = 1 << 20  # bytes that are objects at one time, which take three times as much memory
_LONGEST_ENTRY = 1 << 16  # bytes; a longer one is read with all others
# How often a JSON file that is read in one may hold each of these: several times as often as the largest official one
# does, so that what is made of the text cannot fill the memory.
_JSON_MOST = {"{": 1_000_000, "[": 1_000_000, ",": 10_000_000}
_BETWEEN_ENTRIES = re.compile(rb',[ \t\r\n]*(?="[0-9]+[.]jpg")')
_BLANKS = " \t\r\n"  # of JSON
_SURROGATE = re.compile("[\ud800-\udfff]")  # one half of a character that is made of two


def read_json(data: bytes, shown: str) -> Iterator[dict[str, Any]]:
    """The object that a JSON file holds, in pieces: dicts of some of its entries, in their order.

    A key that stands twice in one object has to say the same twice; the last one counts, which may be in another piece.
    Raises FormatError with the line or the key, DamagedFileError for another kind of file.
    """
    start = text_of(data, shown).lstrip(_BLANKS)[:20]
    if not start.startswith("{"):
        what = "a JSON list" if start.startswith("[") else f"starts with {start!r}"
        raise wrong_line(shown, 1, what, "a JSON object with file names as keys")
    told, names, inside = _keys_told(data), set[str](), 0
    try:
        for piece, objects in _pieces(data, shown):
            names.update(piece)
            inside += _keys_inside(piece, objects)
            yield piece
        if told != len(names) + inside:
            _refuse_repeated(_whole(data, shown), shown)
    except json.JSONDecodeError as error:
        raise _no_json(error, shown) from None
    except RecursionError:
        raise FormatError(f"{shown}: nested far too deeply. {AGAIN}") from None
    except ValueError:  # Python refuses numbers of so many digits
        raise FormatError(f"{shown}: a number of thousands of digits. {AGAIN}") from None


def _pieces(data: bytes, shown: str) -> Iterator[tuple[dict[str, Any], int]]:
    """(some entries of a JSON object, how many objects they hold at most), until all were given.

    The text is cut where an entry seems to begin. One does if all before it is an object by itself; else there is a
    fault, or a file name inside an entry, and the text is read in one. Raises what `json.loads` does.
    """
    start = data.index(b"{") + 1
    while True:
        cut = _BETWEEN_ENTRIES.search(data, start + _PIECE)
        text = data[start : cut.start()] + b"}" if cut else data[start:]
        piece = {}
        if len(text) <= _PIECE + _LONGEST_ENTRY:
            with contextlib.suppress(ValueError, RecursionError):
                piece = json.loads((b"{" + text).decode())
        if not piece:
            yield json.loads(_whole(data, shown)), data.count(b"{")
            return
        yield piece, text.count(b"{")
        if not cut:
            return
        start = cut.end()


def _whole(data: bytes, shown: str) -> str:
    """The text of a JSON file that is to be read in one. Raises FormatError for one that could fill the memory."""
    text = text_of(data, shown)
    for mark, most in _JSON_MOST.items():
        if text.count(mark) > most:
            raise FormatError(f"{shown}: more than {most:,} times {mark}, which is not plausible. {AGAIN}")
    return text


def _keys_told(data: bytes) -> int:
    """How many keys a JSON text seems to have, each of those that stand twice counted twice; -1 where that is unclear.

    Counted are quotes before a colon. Some more may stand in texts, and a key with white space before its colon would
    not be seen.
    """
    text, before_colons = np.frombuffer(data, np.uint8), np.zeros(256, np.int64)
    for start in range(0, len(text), _BLOCK):
        colons = start + np.flatnonzero(text[start : start + _BLOCK] == ord(":"))
        before_colons += np.bincount(text[colons - 1], minlength=256)
    return -1 if before_colons[list(map(ord, _BLANKS))].any() else int(before_colons[ord('"')])


def _keys_inside(piece: dict[str, Any], objects: int) -> int:
    """How many keys entries and the objects in them have, of which there are at most `objects`.

    Those of deeper objects, which no official file has, are not counted.
    """
    entries = [entry for entry in piece.values() if type(entry) is dict]
    keys = sum(map(len, entries))
    if len(entries) < objects:
        keys += sum([len(value) for entry in entries for value in entry.values() if type(value) is dict])
    return keys


def _refuse_repeated(text: str, shown: str) -> None:
    """Raises FormatError where a key stands twice in an object and says two things; the last one of equals serves."""
    repeated: list[tuple[dict[str, Any], str]] = []  # (object, key)

    def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            repeated.extend((found, key) for key, value in pairs if not _same(value, found[key]))
        return found

    found = json.loads(text, object_pairs_hook=each_once)
    if repeated:
        inside, key = repeated[0]
        entry = [f"key {name!r}: " for name, value in found.items() if value is inside or _holds(value, inside)]
        raise FormatError(f"{shown}: {''.join(entry[:1])}key {key!r} stands twice, with different values. {AGAIN}")


def _same(one: object, other: object) -> bool:
    """Whether two JSON values say the same; 1 and true, which are equal in Python, do not."""
    return one == other and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _holds(value: object, inside: object) -> bool:
    return isinstance(value, dict) and any(part is inside for part in value.values())


def _no_json(error: json.JSONDecodeError, shown: str) -> FormatError:
    """A JSONDecodeError as a FormatError."""
    rest = error.doc[error.pos :].strip()
    if not rest or error.msg.startswith("Unterminated string"):
        what = "the text ends in the middle of an entry: it is cut off"
    elif error.msg == "Extra data" and rest.startswith("{"):
        what = "a second JSON object: these are JSON lines, where one object with file names as keys was expected"
    else:
        what = f"{rest[:20]!r} is not JSON"
    return wrong_line(shown, error.lineno, what)


def _entries(data: bytes, shown: str, subset: Subset) -> Iterator[tuple[list[str], np.ndarray, list[Any]]]:
    """(file names, file numbers as int32, values) of the entries of a JSON file, some at a time."""
    for piece in read_json(data, shown):
        names = list(piece)
        try:
            keys = pa.array(names, pa.string())
        except ValueError:  # half a character
            keys = pa.array([name.encode("utf-8", "replace") for name in names], pa.string())
        yield names, numbers_of(keys, None, shown, subset), list(piece.values())


def _says_nothing(value: object) -> bool:
    """Whether a JSON value is one of the ways to say that an image is not labelled."""
    if isinstance(value, str):
        return re.match(NOTHING, value.strip()) is not None
    return value is None or value == {} or value != value or (type(value) is int and value == -1)


def _fields(
    names: list[str],
    values: list[Any],
    known: dict[str, str],
    unknown: dict[str, None],
    expected: str,
    shown: str,
    spell: Any = str,
) -> dict[str, list[Any]]:
    """JSON objects as columns: {column: [its value in each object, or None]}.

    Args:
        names: the key of each object, for messages.
        values: the objects, or something that says nothing, which becomes an empty one.
        known: what `spell` makes of a key -> column; "" for a key that is passed over.
        unknown: gets the keys that are not known, and has those of objects before.
        expected: what the objects are, in words.

    Raises FormatError for what is no object, for one with none of the columns but other keys, for a key that looks like
    one that is missing, and for a column under two spellings that say different things.
    """
    for row in [row for row, value in enumerate(values) if type(value) is not dict or len(value) > 100]:
        if not _says_nothing(values[row]):
            raise _wrong_value(shown, names[row], brief(values[row]), expected)
        values[row] = {}
    shapes: dict[tuple[str, ...], int] = {}  # the keys of an object -> the first row with such: a few
    for row, value in enumerate(values):
        shapes.setdefault(tuple(value), row)
    spellings: dict[str, dict[str, None]] = {column: {} for column in known.values() if column}
    for shape, row in shapes.items():
        found = {key: known.get(spell(key)) for key in shape}
        unknown |= _unknown_keys(found, known, len(unknown), names[row], expected, shown)
        for key, column in found.items():
            if column:
                spellings[column][key] = None
    columns = {}
    for column, keys in spellings.items():
        first, *others = [[value.get(key) for value in values] for key in keys] or [[None] * len(values)]
        for key, other in zip([*keys][1:], others):
            first = [_one_of(one, two, key, name, shown) for one, two, name in zip(first, other, names)]
        columns[column] = first
    return columns


def _one_of(one: object, other: object, key: str, name: str, shown: str) -> object:
    """What an object says under two spellings of a key, the second of which is `key`."""
    if one is not None and other is not None and not _same(one, other):
        raise _wrong_value(shown, name, f"{key!r} and another spelling of it differ", "one of them")
    return other if one is None else one


def _unknown_keys(
    found: dict[str, str | None], known: dict[str, str], count: int, name: str, expected: str, shown: str
) -> dict[str, None]:
    """The keys of an object that are not known, as {key: None}; `found` is {key: its column, None for none}.

    Raises FormatError where all are unknown, or where one looks like a column that is missing, which is looked for
    while few (`count`) were unknown before.
    """
    strange = {key: None for key, column in found.items() if column is None}
    missing = [spelling for spelling, column in known.items() if column not in found.values()]
    mistyped = count < 1000 and any(
        difflib.get_close_matches(spelled(key), map(spelled, missing), 1, 0.85) for key in strange
    )
    if strange and (mistyped or len(strange) == len(found)):
        raise _wrong_value(shown, name, f"an object with {listed(strange)}", expected)
    return strange


def _wrong_value(shown: str, name: str, found: str, expected: str) -> FormatError:
    return FormatError(f"{shown}: key {name!r}: {found}, expected {expected}. {AGAIN}")


def _texts(names: list[str], values: list[Any], what: str, shown: str) -> pa.Array:
    """JSON values as an Arrow array of texts, "" for what says nothing. Raises FormatError for what is no text."""
    try:
        return told_texts(pc.fill_null(pa.array(values, pa.string()), ""))
    except (TypeError, ValueError):  # at least one is neither a text nor null
        texts = ["" if type(value) is not str and _says_nothing(value) else value for value in values]
    try:
        return told_texts(pa.array(texts, pa.string()))
    except (TypeError, ValueError):
        name, text = next(pair for pair in zip(names, texts) if type(pair[1]) is not str or _SURROGATE.search(pair[1]))
        what += f" is {brief(text)}" if type(text) is not str else " holds half a character (a lone surrogate)"
        raise _wrong_value(shown, name, what, "a text or null") from None


def read_captions(data: bytes, shown: str, subset: Subset) -> tuple[dict[str, pa.Array], int]:
    """Captions by file number: {"caption": Arrow texts, "bangs": …, …}, "" for none; and the number of entries."""
    whole, each = "overall_caption", "attribute_wise_captions"
    labels, captions = {whole: whole, each: each}, {name: name for name in RELEASE_NAMES.values()}
    strange, stranger = dict[str, None](), dict[str, None]()
    rows: list[np.ndarray] = []
    texts: dict[str, list[pa.Array]] = {key: [] for key in (whole, *captions)}
    for names, some, values in _entries(data, shown, subset):
        rows.append(some)
        found = _fields(names, values, labels, strange, f"{{'{each}': {{…}}, '{whole}': '…'}}", shown)
        expected = f"a caption for each of {', '.join(captions)}"
        found |= _fields(names, found.pop(each), captions, stranger, expected, shown)
        for key, column in found.items():
            texts[key].append(_texts(names, column, key, shown))
    del data, values, found  # the columns take as much memory again
    numbers = np.concatenate(rows)
    columns = {
        column: texts_by_number(numbers, pa.concat_arrays(texts.pop(key)), subset)
        for column, key in {"caption": whole, **RELEASE_NAMES}.items()
    }
    filled = {column: any_text(texts) for column, texts in columns.items()}
    check_filled({whole: filled["caption"], each: any(filled[column] for column in DEGREES)}, strange, shown)
    if stranger:
        check_filled({name: filled[column] for column, name in RELEASE_NAMES.items()}, stranger, shown)
    return columns, how_many(numbers)


def read_requests(data: bytes, shown: str, subset: Subset) -> tuple[dict[str, pa.Array], int]:
    """Editing requests by file number, from the JSON form: {"request": Arrow texts}; and the number of entries."""
    rows, texts = [], []
    for names, some, values in _entries(data, shown, subset):
        rows.append(some)
        texts.append(_texts(names, values, "the request", shown))
    numbers = np.concatenate(rows)
    column = texts_by_number(numbers, pa.concat_arrays(texts), subset)
    check_filled({"the request": any_text(column)}, (), shown)
    return {"request": column}, how_many(numbers)


def _word_codes(words: Iterable[str]) -> dict[str | int, int]:
    """What a field of words may hold -> the index of its class."""
    words = list(words)
    return {spelling: index for spell in (str, spelled) for index, spelling in enumerate(map(spell, words))}


def _number_codes(numbers: Sequence[int]) -> dict[str | int, int]:
    """What a field of degrees may hold -> the number: itself, or its digit."""
    return {written(number): number for written in (int, str) for number in numbers}


# Column of `request_labels` -> its key in request_annotated*.json, and the code of each thing that may stand there, the
# official ones first.
REQUEST_FIELDS: dict[str, tuple[str, dict[str | int, int]]] = {
    "attribute": (
        "attribute",
        _word_codes(RELEASE_NAMES.values()) | {spelling: index for index, spelling in enumerate(DEGREES)},
    ),
    "mode": ("request_mode", _word_codes(REQUEST_MODES)),
    "direction": ("score_change_direction", _word_codes(REQUEST_DIRECTIONS)),
    "value": ("score_change_value", _number_codes(range(1, 6))),
    "target": ("target_score", _number_codes(range(0, 6))),
}


def read_request_labels(data: bytes, shown: str, subset: Subset) -> tuple[dict[str, pa.Array], int]:
    """Structured requests: {"attribute": int8 by file number, …} as in `request_labels`, with their "text" as Arrow
    texts; and the number of entries.

    Words become indices of their class; -1 is what the release leaves out or writes as null, in a direction only where
    nothing is asked for.
    """
    keys = {key: column for column, (key, _) in REQUEST_FIELDS.items()} | {"text": "text", "user_mode": ""}
    strange = dict[str, None]()
    rows: list[np.ndarray] = []
    texts: list[pa.Array] = []
    pieces: list[dict[str, np.ndarray]] = []
    for names, some, values in _entries(data, shown, subset):
        rows.append(some)
        fields = _fields(names, values, keys, strange, "{'attribute': …, 'request_mode': …, …}", shown, spelled)
        texts.append(_texts(names, fields.pop("text"), "text", shown))
        pieces.append({column: _codes(names, fields[column], *REQUEST_FIELDS[column], shown) for column in fields})
    numbers = np.concatenate(rows)
    codes = {column: np.concatenate([piece[column] for piece in pieces]) for column in REQUEST_FIELDS}
    check_filled(_filled_fields(codes, strange), strange, shown)
    asked = np.any([code >= 0 for code in codes.values()], axis=0)
    codes["direction"][asked & (codes["direction"] < 0)] = REQUEST_DIRECTIONS.index("none")
    columns = {name: np.full(subset.first + subset.images, -1, np.int8) for name in codes}
    for name, column in columns.items():
        column[numbers] = codes[name]
    by_number = {name: pa.array(column) for name, column in columns.items()}
    by_number["text"] = texts_by_number(numbers, pa.concat_arrays(texts), subset)
    return by_number, how_many(numbers)


def _filled_fields(codes: dict[str, np.ndarray], strange: object) -> dict[str, Any]:
    """{key: whether a request has something there}; where there are strange keys, of those that its modes need."""
    asks = {mode: (codes["mode"] == code).any() for code, mode in enumerate(REQUEST_MODES)}
    needed = {"attribute": True, "mode": True, "value": asks["change_definite"], "target": asks["target"]}
    needed["direction"] = asks["change_definite"] or asks["change_indefinite"]
    return {REQUEST_FIELDS[name][0]: (codes[name] >= 0).any() for name in codes if needed[name] or not strange}


def _codes(names: list[str], values: list[Any], key: str, codes: dict[str | int, int], shown: str) -> np.ndarray:
    """The codes (int8) of what stands under a key, -1 for what says nothing."""

    def code(value: Any) -> int:
        if type(value) in (str, int) and value in codes:
            return codes[value]
        if type(value) is str and spelled(value) in codes:
            return codes[spelled(value)]
        if _says_nothing(value):
            return -1
        name = next(name for name, other in zip(names, values) if other is value)
        expected = ", ".join(str(word) for word in list(codes)[: len(set(codes.values()))])
        raise _wrong_value(shown, name, f"{key} is {brief(value)}", expected)

    # Each value is looked at once, and there are a million; what else JSON has cannot be looked up.
    usual = {str, int, type(None)}
    plain = values if usual.issuperset(map(type, values)) else [v if type(v) in usual else code(v) for v in values]
    coded = {value: code(value) for value in dict.fromkeys(plain)}
    return np.array([coded[value] for value in plain], np.int8)

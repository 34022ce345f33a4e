"""A small language to select rows: `smiling >= 4 and eyeglasses > 0 and not Male`.

    condition   column OP value, or a yes/no column by itself: Wearing_Hat, mask
    OP          =  ==  !=  <  <=  >  >=  contains (texts, without regard to case)
    value       a number, the name of a class (big_smile), yes, no, missing, or a text in quotes (a quote in it twice)
    joined by   and, or, not, ( )

Columns are the degrees, the forty attributes, split, row, caption, request, request_labels.attribute and its
siblings, identity, file_name, celeba_file_name (hq) or hq_file_name (standard), and mask (hq). A missing value meets
no condition but `= missing`.
"""

import re
from difflib import get_close_matches

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from celeba_dialog import DEGREES
from celeba_dialog import REQUEST_DIRECTIONS
from celeba_dialog import REQUEST_MODES
from celeba_dialog import UsageError

_TOKEN = re.compile(
    r"""\s*(?: (?P<sign><=|>=|==|!=|<>|=|<|>) | (?P<paren>[()]) | (?P<word>[\w.+-]+)
            | (?P<text>"(?:[^"]|"")*" | '(?:[^']|'')*') )""",
    re.VERBOSE,
)
_COMPARE = {
    "=": pc.equal,
    "==": pc.equal,
    "!=": pc.not_equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
# Column -> class names, in the order of the class index.
_CLASSES = DEGREES | {
    "request_labels.attribute": tuple(DEGREES),
    "request_labels.mode": REQUEST_MODES,
    "request_labels.direction": REQUEST_DIRECTIONS,
}
_RESERVED = ("and", "or", "not", "contains")


def select(table, text):
    """Which rows of a table, as `rows.flat` makes it, an expression selects: a NumPy array of bool.

    Raises UsageError that points at the place of a mistake.
    """
    try:
        return _Expression(table, text).rows()
    except RecursionError:
        raise UsageError("where: far too many parentheses.") from None


class _Expression:
    """One pass over the text: each rule of the language is a method that returns the rows it selects so far."""

    def __init__(self, table, text):
        self.table = table
        self.text = text
        self.tokens = []  # (kind, what it says, position)
        at, end = 0, len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if not match:
                at += len(text[at:]) - len(text[at:].lstrip())
                raise self.mistake(
                    at, "a quote that is not closed" if text[at] in "\"'" else f"{text[at]!r} means nothing"
                )
            self.tokens.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            at = match.end()
        self.tokens.append(("end", "", end))
        self.tokens.reverse()  # the next one is the last

    def rows(self):
        result = self.any_of()
        kind, found, at = self.tokens[-1]
        if kind != "end":
            raise self.mistake(at, f"expected `and`, `or` or the end, found {found}")
        return np.asarray(pc.fill_null(result, False))

    def any_of(self):
        result = self.all_of()
        while self.next_is("or"):
            result = pc.or_kleene(result, self.all_of())
        return result

    def all_of(self):
        result = self.condition()
        while self.next_is("and"):
            result = pc.and_kleene(result, self.condition())
        return result

    def condition(self):
        if self.next_is("not"):
            return pc.invert(self.condition())
        if self.next_is("("):
            result = self.any_of()
            if not self.next_is(")"):
                raise self.mistake(self.tokens[-1][2], "expected `)`")
            return result
        return self.comparison()

    def next_is(self, word):
        kind, found, _ = self.tokens[-1]
        if kind in ("word", "paren") and found.lower() == word:
            self.tokens.pop()
            return True
        return False

    def comparison(self):
        kind, name, at = self.tokens.pop()
        if kind != "word" or name.lower() in _RESERVED:
            raise self.mistake(at, f"expected a column, found {name or 'the end'}")
        if name not in self.table.column_names:
            raise self.mistake(at, f"no column {name}. {self.near(name)}")
        column = self.table[name]
        if self.next_is("contains"):
            _, value, at = self.value(name, "a text")
            if not pa.types.is_string(column.type):
                raise self.mistake(at, f"{name} is no text, so nothing is contained in it")
            return pc.match_substring(column, value, ignore_case=True)
        if self.tokens[-1][0] != "sign":
            if pa.types.is_boolean(column.type):
                return column
            raise self.mistake(self.tokens[-1][2], f"expected =, !=, <, <=, >, >= or contains after {name}")
        sign = self.tokens.pop()[1]
        kind, value, at = self.value(name, self.choice(name))
        missing = pc.is_null(column) if name != "mask" else pc.invert(column)
        if kind == "word" and (value == "missing" or (value == "-1" and pa.types.is_integer(column.type))):
            if sign in ("=", "=="):
                return missing
            if sign in ("!=", "<>"):
                return pc.invert(missing)
            raise self.mistake(at, "missing is compared with = or != only")
        if sign[0] in "<>" and sign != "<>" and not pa.types.is_integer(column.type):
            raise self.mistake(at, f"{name} has no order: compare it with = or !={self.hint(name)}")
        return _COMPARE[sign](column, self.constant(name, column.type, kind, value, at))

    def value(self, name, what):
        kind, value, at = self.tokens.pop()
        if kind not in ("word", "text") or (kind == "word" and value.lower() in _RESERVED):
            raise self.mistake(at, f"expected {what} for {name}, found {value or 'the end'}")
        if kind == "text":
            value = value[1:-1].replace(value[0] * 2, value[0])
        return kind, value, at

    def constant(self, name, kind_of_column, kind, value, at):
        if pa.types.is_integer(kind_of_column):
            classes = _CLASSES.get(name, ())
            if value in classes:
                return pa.scalar(classes.index(value), kind_of_column)
            number = int(value) if re.fullmatch("[0-9]{1,9}", value) else -1
            if number < 0 or (classes and number >= len(classes)):
                raise self.mistake(at, f"{value} is no value of {name}: expected {self.choice(name)}")
            return pa.scalar(number, pa.int64())
        if pa.types.is_boolean(kind_of_column):
            known = {"yes": True, "no": False, "1": True, "0": False, "true": True, "false": False}
            if value.lower() not in known:
                raise self.mistake(at, f"{value} is no value of {name}: expected yes or no{self.hint(name)}")
            return pa.scalar(known[value.lower()])
        return pa.scalar(value, pa.string())

    def choice(self, name):
        """What may stand after a column and a comparison, in words."""
        kind = self.table[name].type
        if name in _CLASSES:
            return f"0 to {len(_CLASSES[name]) - 1} or {', '.join(_CLASSES[name])}"
        if pa.types.is_boolean(kind):
            return "yes or no"
        return "a number" if pa.types.is_integer(kind) else "a text"

    def hint(self, name):
        """For an attribute with a degree beside it, which only the capital tells from it."""
        return f" (the degree is called {name.lower()})" if name.lower() in DEGREES else ""

    def near(self, name):
        names = self.table.column_names
        close = get_close_matches(name.lower(), [known.lower() for known in names], 1)
        if close:
            return f"Did you mean {' or '.join(known for known in names if known.lower() in close)}?"
        return "There are the degrees " + ", ".join(DEGREES) + ", the forty attributes and more: see preview --help"

    def mistake(self, at, what):
        line = " ".join(self.text.split("\n"))
        return UsageError(f"where: character {at + 1}: {what}\n  {line}\n  {' ' * at}^")

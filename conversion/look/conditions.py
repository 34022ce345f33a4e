"""SQL conditions on the labels of a config, read and answered by DuckDB: `smiling >= 4 AND NOT Male`.

The columns are those of `rows.flat`; what else a condition may say stands in the help of `preview`.
"""

import json
import threading

import numpy as np

from celeba_dialog import ATTRIBUTES
from celeba_dialog import DEGREES
from celeba_dialog import REQUEST_DIRECTIONS
from celeba_dialog import REQUEST_MODES
from celeba_dialog import SPLITS
from celeba_dialog import EnvironmentFault
from celeba_dialog import UsageError

from ..machine import extras

DUCKDB = "duckdb>=1.2"
LETTERS = 10_000  # of a condition; all filters of the page together have a third of that
SECONDS = 10  # that a condition may take
SETTINGS = {
    "enable_external_access": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,  # else a Python variable is a table
    "temp_directory": "",
    "memory_limit": "2GB",
    "threads": 2,
}

# SQL does not tell Smiling from smiling, so the attribute has a name of its own in the table.
TWINS = {name: f"{name}_attribute" for name in ATTRIBUTES if name.lower() in DEGREES}
# Column -> {what may be compared with it as a text: what that is in the table}.
CLASSES = {
    column: {name: str(index) for index, name in enumerate(names)}
    for column, names in {
        **DEGREES,
        "request_attribute": tuple(DEGREES),
        "request_mode": REQUEST_MODES,
        "request_direction": REQUEST_DIRECTIONS,
    }.items()
} | {"split": {name: name for name in SPLITS}}
# Column -> what it holds, and is never NULL, where the dataset has nothing.
NOTHING = dict.fromkeys(("caption", "request", "celeba_file_name", "hq_file_name"), "") | {"mask": "false"}

# What a condition may be made of: all that sees one row alone, and takes time and memory in proportion to it. Not so
# subqueries, regular expressions, casts to arrays, repeat() and many others.
KINDS = ("COMPARISON", "CONJUNCTION", "OPERATOR", "BETWEEN", "CASE", "CONSTANT", "TYPE")
FUNCTIONS = ("contains", "starts_with", "ends_with", "lower", "upper", "length", "abs", "greatest", "least")
SIGNS = "+ - * / // % ~~ !~~ ~~* !~~* like_escape not_like_escape ilike_escape not_ilike_escape".split()
TYPES = ("BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "VARCHAR", "TEXT")


class Conditions:
    """The labels of a config, a table as `rows.flat` makes it, to be asked which rows meet a condition.

    Raises EnvironmentFault where DuckDB is not installed.
    """

    def __init__(self, labels):
        try:
            import duckdb
        except ImportError as error:
            raise extras.missing("A condition", "look", error, DUCKDB) from error
        self._duckdb = duckdb
        self._rows = len(labels)
        self._lock = threading.Lock()
        self._database = duckdb.connect(config=SETTINGS)
        table = labels.rename_columns([TWINS.get(name, name) for name in labels.column_names])
        self._database.register("given", table.append_column("Five_o_Clock_Shadow", table["5_o_Clock_Shadow"]))
        try:
            self._database.execute("CREATE TABLE labels AS FROM given")
        except duckdb.OutOfMemoryException as error:
            raise EnvironmentFault(
                f"{len(labels):,} rows of labels are too much for conditions: {_line(error)}"
            ) from None
        self._database.unregister("given")
        self._database.execute("SET lock_configuration = true")
        self._frame, _ = self._parse("true")
        self._nothing = {text: self._parse(f"caption = '{text}'")[1]["right"] for text in NOTHING.values()}

    def select(self, text):
        """Which rows meet a condition: a NumPy array of bool. Raises UsageError where it cannot be answered."""
        if len(text) > LETTERS or not "".join(text.split()).isprintable():
            raise UsageError(f"where: a condition has at most {LETTERS:,} letters, all of which can be printed.")
        with self._lock:
            timer = threading.Timer(SECONDS, self.interrupt)
            timer.start()
            try:
                frame, condition = self._parse(text)
                if frame != self._frame:
                    raise UsageError("where: expected one condition, and nothing behind it.")
                # What runs is what was looked at, written down anew, and never the text itself.
                frame["statements"][0]["node"]["where_clause"] = condition
                query = self._one("SELECT json_deserialize_sql(?)", json.dumps(frame))
                found = self._database.execute(query).fetchnumpy()["rowid"]
            except self._duckdb.InterruptException:
                raise UsageError(f"where: the condition takes more than {SECONDS} seconds.") from None
            except self._duckdb.Error as error:
                raise UsageError(f"where: {_line(error)}") from None
            except RecursionError:
                raise UsageError("where: the condition is nested too deeply.") from None
            finally:
                timer.cancel()
        chosen = np.full(self._rows, False)
        chosen[found] = True
        return chosen

    def interrupt(self):
        """Ends the condition that is being answered."""
        self._database.interrupt()

    def _one(self, query, value):
        return self._database.execute(query, [value]).fetchone()[0]

    def _parse(self, text):
        """(the statement around a condition, the condition), as DuckDB writes them in JSON."""
        answer = self._one("SELECT json_serialize_sql(?)", f"SELECT rowid FROM labels WHERE {text}")  # noqa: S608
        statement = json.loads(answer, object_hook=self._look)
        if statement["error"]:
            raise UsageError(f"where: {_line(statement['error_message'])}")
        node = statement["statements"][0]["node"]
        condition, node["where_clause"] = node.get("where_clause"), None
        return statement, condition

    def _look(self, node):
        """A part of a statement, in DuckDB's words where it is in ours; raises UsageError for what may not be there."""
        kind = node.get("class")
        if kind == "FUNCTION":
            name = node["function_name"].lower()
            if name not in FUNCTIONS and name not in SIGNS:
                raise UsageError(f"where: no {name} in a condition here: functions are {', '.join(FUNCTIONS)}.")
        elif kind == "CAST":
            name = node["cast_type"]["id"] if "cast_type" in node else node["type_expr"]["type_name"].upper()
            if name not in TYPES:
                raise UsageError(f"where: no type {name} in a condition here: types are {', '.join(TYPES)}.")
        elif kind == "COLUMN_REF":
            node["column_names"] = [_column(".".join(node["column_names"]))]
        elif kind is not None:
            if kind not in KINDS:
                raise UsageError(f"where: no {kind.lower().replace('_', ' ')} in a condition: it is about one row.")
            sides = [node[side] for side in ("left", "right", "input", "lower", "upper") if side in node]
            self._translate(node, sides + node.get("children", []))
        return node

    def _translate(self, node, parts):
        """Writes the names of classes as numbers, and IS NULL as a comparison where nothing is no NULL."""
        for column in [part["column_names"][0].lower() for part in parts if part["class"] == "COLUMN_REF"]:
            if column in NOTHING and node["type"] in ("OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL"):
                sign = "COMPARE_EQUAL" if node["type"] == "OPERATOR_IS_NULL" else "COMPARE_NOTEQUAL"
                sides = {"left": node.pop("children")[0], "right": self._nothing[NOTHING[column]]}
                node.update({"class": "COMPARISON", "type": sign, **sides})
            for part in parts if column in CLASSES else ():
                _name_as_number(column, part)


def _line(error):
    """What DuckDB says, in one line and without the place, which is in its own writing of the condition."""
    return " ".join(str(error).partition("LINE 1:")[0].split())[:400]


def _column(name):
    """The name of a column in the table."""
    if name.lower() in DEGREES and name.capitalize() in TWINS and name not in (name.lower(), name.capitalize()):
        raise UsageError(f"where: {name} is {name.lower()}, the degree, or {name.capitalize()}, the attribute?")
    if "." in name:
        raise UsageError(f"where: no column {name}: names have no dots, as in request_mode.")
    return TWINS.get(name, name)


def _name_as_number(column, node):
    """Changes a constant that names a class of a column."""
    if "literal" in node:  # from DuckDB 2 on
        constant, key, is_text = node["literal"], "text", node["literal"]["kind"] == "STRING"
    elif "value" in node:
        constant, key, is_text = node["value"], "value", node["value"]["type"]["id"] == "VARCHAR"
    else:
        return
    name = constant.get(key)
    if is_text and name in CLASSES[column]:
        constant[key] = CLASSES[column][name]
    elif is_text and name not in CLASSES[column].values():
        raise UsageError(f"where: {name!r} is no value of {column}: expected {', '.join(CLASSES[column])}.")

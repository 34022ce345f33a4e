"""SQL conditions on the labels of a config, read and answered by DuckDB: `smiling >= 4 AND NOT Male`.

The columns are those of `rows.flat`; what else a condition may say stands in the help of `preview`.
"""

import json
import threading

import numpy as np

from ..release.errors import EnvironmentFault, UsageError
from ..release.vocabulary import ATTRIBUTES, DEGREES, SPLITS
from ..runtime import extras
from .rows import REQUEST_CLASSES

DUCKDB = "duckdb>=1.2"
LETTERS = 10_000  # of a condition at most; all filters of the page together have a third of that
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

# Attribute -> its column. SQL does not tell Smiling from smiling, so attributes called like a degree get other names.
TWINS = {name: f"{name}_attribute" for name in ATTRIBUTES if name.lower() in DEGREES}
# Column -> {name of a class: the value that stands for it in the table}.
CLASSES = {
    column: {name: str(index) for index, name in enumerate(names)}
    for column, names in {
        **DEGREES,
        **{f"request_{field}": names for field, names in REQUEST_CLASSES.items()},
    }.items()
} | {"split": {name: name for name in SPLITS}}
# Column that is never NULL -> its value where the dataset has nothing.
NOTHING = dict.fromkeys(("caption", "request", "celeba_file_name", "hq_file_name"), "") | {"mask": "false"}

# What a condition may be made of: all that looks at one row alone, in time and memory that its size bounds. That leaves
# out subqueries, regular expressions, casts to arrays, repeat() and many others.
KINDS = ("COMPARISON", "CONJUNCTION", "OPERATOR", "BETWEEN", "CASE", "CONSTANT", "TYPE")
FUNCTIONS = ("contains", "starts_with", "ends_with", "lower", "upper", "length", "abs", "greatest", "least")
OPERATORS = "+ - * / // % ~~ !~~ ~~* !~~* like_escape not_like_escape ilike_escape not_ilike_escape".split()
TYPES = ("BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "VARCHAR", "TEXT")


class Conditions:
    """A DuckDB database of the labels of a config, which says which rows meet a condition.

    `labels` is a table as `rows.flat` makes it. Raises EnvironmentFault where DuckDB is not installed.
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
        table = table.append_column("Five_o_Clock_Shadow", table["5_o_Clock_Shadow"])
        try:
            self._database.from_arrow(table).create("labels")
        except duckdb.OutOfMemoryException as error:
            raise EnvironmentFault(
                f"{len(labels):,} rows of labels are too much for conditions: {_line(error)}"
            ) from None
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
                # What runs is the statement that was checked, which DuckDB turns into SQL, and not the text.
                # (json_execute_serialized_sql would run it as it is, but DuckDB 1.2 cannot interrupt that.)
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
        """Stops the condition that is being answered, if there is one."""
        self._database.interrupt()

    def _one(self, query, value):
        """The single value that a query with one parameter gives."""
        return self._database.execute(query, [value]).fetchone()[0]

    def _parse(self, text):
        """(the statement around a condition, the condition): the JSON of DuckDB's parser, checked and translated."""
        answer = self._one("SELECT json_serialize_sql(?)", f"SELECT rowid FROM labels WHERE {text}")  # noqa: S608
        statement = json.loads(answer, object_hook=self._look)
        if statement["error"]:
            raise UsageError(f"where: {_line(statement['error_message'])}")
        node = statement["statements"][0]["node"]
        condition, node["where_clause"] = node.get("where_clause"), None
        return statement, condition

    def _look(self, node):
        """Checks a node of a statement and translates its names. Raises UsageError for what may not be there."""
        kind = node.get("class")
        if kind == "FUNCTION":
            name = node["function_name"].lower()
            if name not in FUNCTIONS and name not in OPERATORS:
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
        """Replaces names of classes by their numbers, and IS NULL by a comparison for columns that are never NULL."""
        for column in [part["column_names"][0].lower() for part in parts if part["class"] == "COLUMN_REF"]:
            if column in NOTHING and node["type"] in ("OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL"):
                sign = "COMPARE_EQUAL" if node["type"] == "OPERATOR_IS_NULL" else "COMPARE_NOTEQUAL"
                sides = {"left": node.pop("children")[0], "right": self._nothing[NOTHING[column]]}
                node.update({"class": "COMPARISON", "type": sign, **sides})
            for part in parts if column in CLASSES else ():
                _name_as_number(column, part)


def _line(error):
    """DuckDB's message in one line, without the excerpt of the SQL, which is not what the person wrote."""
    return " ".join(str(error).partition("LINE 1:")[0].split())[:400]


def _column(name):
    """The name in the table of a column of a condition. Raises UsageError where it could be either of two."""
    if name.lower() in DEGREES and name.capitalize() in TWINS and name not in (name.lower(), name.capitalize()):
        raise UsageError(f"where: {name} is {name.lower()}, the degree, or {name.capitalize()}, the attribute?")
    if "." in name:
        raise UsageError(f"where: no column {name}: names have no dots, as in request_mode.")
    return TWINS.get(name, name)


def _name_as_number(column, node):
    """Replaces a constant that names a class of a column. Raises UsageError for a text that names none."""
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

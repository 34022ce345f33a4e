"""SQL conditions on the labels of a config, answered by DuckDB: `smiling >= 4 AND NOT Male`.

A condition may come from the page of `browse` and is not trusted. DuckDB is locked up by SETTINGS, but its limits do
not hold for repeat(), lpad() and casts to arrays (8 GB and 40 seconds in a trial). So a condition has only the words
below and names of columns: nothing but comparisons within one row can be said with them.
"""

import difflib
import re
import threading

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..release.errors import EnvironmentFault, UsageError
from ..release.vocabulary import ATTRIBUTES, DEGREES
from ..runtime import extras

DUCKDB = "duckdb>=1.2"
SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "python_enable_replacements": False,  # else a Python variable is a table
    "temp_directory": "",
    "memory_limit": "2GB",
    "threads": 2,
}
SECONDS = 10  # that a condition may take
LETTERS = 10_000  # of a condition at most; all filters of the page together have a third of that
WILDCARDS = 3  # in a pattern at most: DuckDB 1 tries all ways to place them, and cannot be interrupted within a row
FUNCTIONS = "lower upper length contains starts_with ends_with abs greatest least coalesce".split()
KEYWORDS = "AND OR NOT IN IS NULL TRUE FALSE BETWEEN LIKE ILIKE ESCAPE CASE WHEN THEN ELSE END".split()
# A text; a number; a word or a quoted name, and whether it is called; what may not be there. The rest are signs.
PIECE = r"""'[^']*'|[0-9]+(\.[0-9]+)?(?!\w)|(?P<word>"[^"]*"|\w+)(?P<call>\s*\()?|(?P<no>--|/\*|[^\s()=<>!,+*/%-])"""

# Attribute -> its column, where its name would not do: SQL does not tell Smiling from smiling, the degree.
RENAMED = {name: f"{name}_attribute" for name in ATTRIBUTES if name.lower() in DEGREES}
RENAMED["5_o_Clock_Shadow"] = "Five_o_Clock_Shadow"


class Conditions:
    """The labels of a config, a table of `rows.flat`, in DuckDB. Raises EnvironmentFault where DuckDB is missing."""

    def __init__(self, labels: pa.Table) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise extras.missing("A condition", "look", error, DUCKDB) from error
        self._duckdb = duckdb
        table = labels.rename_columns([RENAMED.get(name, name) for name in labels.column_names])
        self._columns = {name.lower(): name for name in table.column_names}
        self._rows = len(table)
        self._lock = threading.Lock()
        self._database = duckdb.connect(config=SETTINGS)
        try:
            self._database.from_arrow(table.append_column("position", [np.arange(len(table))])).create("labels")
        except duckdb.OutOfMemoryException as error:
            raise EnvironmentFault(f"{len(table):,} rows of labels are too much for conditions: {error}") from None
        self._database.execute("SET lock_configuration = true")
        self.interrupt = self._database.interrupt  # stops the condition that is being answered, if there is one

    def select(self, text: str) -> npt.NDArray[np.bool_]:
        """Which rows meet a condition. Raises UsageError where it cannot be answered."""
        self._check(text)
        with self._lock:
            timer = threading.Timer(SECONDS, self.interrupt)
            timer.start()
            try:
                found = self._database.execute(f"SELECT position FROM labels WHERE {text}").fetchnumpy()  # noqa: S608
            except self._duckdb.InterruptException:
                raise UsageError(f"where: the condition takes more than {SECONDS} seconds.") from None
            except self._duckdb.Error as error:
                said = " ".join(re.split(r"\n+LINE \d+:", str(error))[0].split())  # without the excerpt of the SQL
                hint = ". Classes go by name in smiling_class and so on." if "Conversion" in said else ""
                raise UsageError(f"where: {said[:400]}{hint}") from None
            finally:
                timer.cancel()
        return np.isin(np.arange(self._rows), found["position"], kind="table")

    def _check(self, text: str) -> None:
        """Raises UsageError for a condition that has a word or a sign which none may have."""
        if len(text) > LETTERS or not "".join(text.split()).isprintable():
            raise UsageError(f"where: a condition has at most {LETTERS:,} letters, all of which can be printed.")
        for piece in re.finditer(PIECE, text):
            word, wrong = piece["word"] or "", piece["no"]
            if wrong:
                what = "is not closed" if wrong in ("'", '"') else "may not be in a condition"
                raise UsageError(f"where: {wrong} {what}.")
            if piece[0].count("%") > WILDCARDS:
                raise UsageError(f"where: a pattern has at most {WILDCARDS} times %. Use several, with AND.")
            if not word or word.upper() in KEYWORDS or piece["call"] and word.lower() in FUNCTIONS:
                continue
            if piece["call"]:
                raise UsageError(f"where: no function {word} in a condition, only {', '.join(FUNCTIONS)}.")
            if (name := word.strip('"').lower()) not in self._columns:
                close = difflib.get_close_matches(name, self._columns, 1)
                hint = f"did you mean {self._columns[close[0]]}?" if close else "see preview --help."
                raise UsageError(f"where: no column {word[:100]}; {hint}")

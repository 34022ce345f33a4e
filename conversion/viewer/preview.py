"""Draw a contact sheet of some rows, or with --stats how many there are of each label, as one PNG.

A row of the sheet is an image, the mask laid over it in the official colours (configs with masks), the part masks
(hq_parts), the five degrees as meters, the caption and the editing request. The rows are spread evenly over those
that --where selects, or over all.

--where takes a condition in SQL, which DuckDB answers:

    smiling >= 4 AND eyeglasses > 0 AND NOT Male
    smiling_class IN ('smile', 'big_smile') OR caption ILIKE '%laugh%'
    request_mode_class = 'target' AND split = 'train' AND mask

The columns:
  bangs, eyeglasses, beard, smiling, age   the degree, 0 to 5
  bangs_class … age_class                  the same by name, as 'big_smile'
  Male, Young …                            the forty attributes, true or false, by CelebA's names. SQL ignores case, so
                                           three are called Bangs_attribute, Eyeglasses_attribute, Smiling_attribute;
                                           and one Five_o_Clock_Shadow, since a name cannot begin with a digit
  caption, request                         texts
  request_attribute, request_mode, request_direction, and the same with _class; request_value, request_target
  split, row                               'train' …, and the position in the split, from 0
  file_name, celeba_file_name (hq), hq_file_name (standard), identity
  mask (hq)                                whether there is one

Comparisons, + - * / %, AND, OR, NOT, IN, BETWEEN, LIKE, ILIKE, IS NULL, CASE and the functions lower, upper, length,
contains, starts_with, ends_with, abs, greatest, least and coalesce may be used. A missing label is NULL: neither
smiling > 3 nor NOT smiling > 3 finds it, smiling IS NULL does. A missing text is ''.
"""

import argparse
import os

import numpy as np
import pyarrow.compute as pc

from celeba_dialog import CONFIGS

from ..release.errors import EnvironmentFault, UsageError
from ..release.vocabulary import SPLITS
from ..runtime import files
from . import charts, rows, sheet
from .conditions import Conditions

MOST = 100  # rows of a sheet: about 30,000 pixels, which every viewer still opens


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help="a built folder, or a release")
    parser.add_argument("png", metavar="PNG", help="the picture to write")
    parser.add_argument("--config", choices=list(CONFIGS), help="which config (default: the first that OUT has)")
    parser.add_argument("--split", choices=SPLITS, help="one split only (default: all)")
    parser.add_argument("--rows", type=int, default=8, metavar="N", help="rows of the sheet (default: %(default)s)")
    parser.add_argument("--where", metavar="CONDITION", help="which rows, such as 'smiling >= 4 AND NOT Male'")
    parser.add_argument("--stats", action="store_true", help="draw how many there are of each label instead")


def run(args: argparse.Namespace) -> None:
    count = preview(args.out, args.png, args.config, args.split, args.rows, args.where, args.stats)
    files.say(f"{args.png}: {count:,} rows {'counted' if args.stats else 'drawn'}.")


def preview(
    out: str | os.PathLike[str],
    png: str | os.PathLike[str],
    config: str | None = None,
    split: str | None = None,
    count: int = 8,
    condition: str | None = None,
    stats: bool = False,
) -> int:
    """Draw a contact sheet of at most `count` rows, or with `stats` the label counts of all, into the file `png`.

    Args: see `add_arguments`. Returns how many rows the picture shows. Raises UsageError where no row is selected or
    an option fits nothing, ReleaseError where the data is at fault, EnvironmentFault where `png` cannot be written or
    DuckDB, which answers a `condition`, is missing.
    """
    if not 1 <= count <= MOST:
        raise UsageError(f"--rows {count}: a sheet has 1 to {MOST} rows.")
    png = files.local_path(png)
    _check_place(png)
    source = rows.open_rows(out)
    config = config or source.configs[0]
    if config not in source.configs:
        raise UsageError(f"{out}: has no config {config}, but {', '.join(source.configs)}.")
    labels = source.labels(config)
    chosen = np.full(len(labels), True) if condition is None else Conditions(labels).select(condition)
    if split:
        chosen &= pc.equal(labels["split"], split).to_numpy()
    found = np.flatnonzero(chosen)
    if not len(found):
        raise UsageError(f"{out}: no row of {config}{f', {split},' if split else ''} meets the condition.")
    title = f"CelebA-Dialog · {config}" + (f" · {split}" if split else "")
    meets = f" where {condition}" if condition else ""
    if stats:
        shown = found
        line = f"{len(found):,} of {len(labels):,} rows{meets}"
        group = {"names": [title], "line": line, "splits": charts.count(labels.take(found))}
        picture = charts.draw([group])
    else:
        shown = sheet.spread(found, count)
        picture = sheet.contact_sheet(source, config, shown, title, f"{len(shown):,} of {len(found):,} rows{meets}")
    try:
        with files.whole_file(png) as file:
            picture.save(file, "PNG")
    except OSError as error:
        raise EnvironmentFault(f"{png}: cannot be written: {error.strerror or error}.") from error
    return len(shown)


def _check_place(png: str) -> None:
    """Raises UsageError where no picture can be written to the path `png`."""
    folder = os.path.dirname(png)
    if not png.lower().endswith(".png"):
        raise UsageError(f"{png}: the picture is a PNG, so its name should end in .png.")
    if not os.path.isdir(folder):
        raise UsageError(f"{png}: there is no folder {folder} to put it into.")
    if os.path.lexists(png) and not os.path.isfile(png):
        raise UsageError(f"{png}: is a {files.kind(png)}, which a picture cannot replace. Give another name.")

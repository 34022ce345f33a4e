"""Label statistics as a picture, for the dataset card and for `preview --stats`, drawn with matplotlib."""

import functools
import io
import textwrap
import warnings

import numpy as np
import pyarrow.compute as pc

from ..release.errors import EnvironmentFault
from ..release.vocabulary import ATTRIBUTES, DEGREES, SPLITS
from ..runtime import extras
from .sheet import plain

MATPLOTLIB = "matplotlib>=3.8"
# Colours that the colour-blind can tell apart.
COLORS = dict(zip(SPLITS, ("#0072b2", "#e69f00", "#009e73", "#787878")))
SOFT, RULE = "#6e6e6e", "#dddddd"

DPI, WIDTH = 140, 10  # dots per inch, inches
ROW = 34 / 72  # inches in height of a label with its bars; HEAD, FOOT, HEIGHT and GAP are in such rows
HEAD, FOOT = 3.5, 2
HEIGHT = HEAD + len(ATTRIBUTES) + FOOT  # of a group: the attributes stand in one column, the degrees in the other
GAP = (len(ATTRIBUTES) - sum(map(len, DEGREES.values()))) / (len(DEGREES) - 1)  # so that both columns end level
LEFTS, BARS = (0.125, 0.635), 0.355  # where the bars of each column begin, and how wide they are: shares of the width


def statistics(groups):
    """PNG with the share and number of the images of each degree and each binary attribute, by split.

    Args: see `draw`. The same groups and library versions give the same bytes, whatever the user's settings of
    matplotlib. Raises EnvironmentFault where matplotlib is missing, too old or cannot be imported.
    """
    matplotlib, file = _matplotlib(), io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        warnings.simplefilter("ignore")  # about letters that the font lacks
        draw(groups).savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def _matplotlib():
    missing = functools.partial(extras.missing, "The picture of label statistics", "look")
    try:
        import matplotlib
    except ImportError as error:
        raise missing(error, MATPLOTLIB) from error
    except (ValueError, OSError) as error:
        raise EnvironmentFault(
            f"matplotlib cannot be imported: {error}. Mend its settings: MPLBACKEND, MPLCONFIGDIR or its matplotlibrc."
        ) from error
    if tuple(map(int, matplotlib.__version__.split(".")[:2])) < (3, 8):
        raise missing(f"matplotlib {matplotlib.__version__} is too old", MATPLOTLIB)
    return matplotlib


def draw(groups):
    """The matplotlib Figure of some groups, one below the other.

    Args:
        groups: [{"names": [config], "splits": {split: {"rows": n, "bangs": [missing, 0, …, 5], …, "attributes": [n],
            "attributes_missing": n}}}]; a group may have "line", a text to write below its names.

    Shares are of the rows that have the label; a split without any such row has no bars.
    """
    from matplotlib.figure import Figure

    figure = Figure((WIDTH, ROW * HEIGHT * len(groups)))
    for part, group in zip(figure.subfigures(len(groups), squeeze=False)[:, 0], groups):
        splits = group["splits"]
        _draw_head(part, ", ".join(group["names"]), group.get("line", ""), splits)
        top = HEAD
        for name, classes in DEGREES.items():
            labels = [f"{label.replace('_', ' ')}  {degree}" for degree, label in enumerate(classes)]
            counts = {split: told[name][1:] for split, told in splits.items()}
            missing = {split: told[name][0] for split, told in splits.items()}
            _draw_bars(_axes(part, 0, top, len(labels)), name, labels, splits, counts, missing)
            top += len(labels) + GAP
        counts = {split: told["attributes"] for split, told in splits.items()}
        missing = {split: told["attributes_missing"] for split, told in splits.items()}
        axes = _axes(part, 1, HEAD, len(ATTRIBUTES))
        _draw_bars(axes, "binary attributes", ATTRIBUTES, splits, counts, missing)
    return figure


def _draw_head(part, title, line, splits):
    from matplotlib.patches import Patch

    left = LEFTS[0] - 0.1
    part.text(left, 1 - 1 / HEIGHT, title, size=15, parse_math=False)
    lines = "\n".join(textwrap.wrap(plain(line), 90, max_lines=3, placeholder=" ..."))
    part.text(left, 1 - 1.25 / HEIGHT, lines, size=8, color=SOFT, va="top", parse_math=False)
    part.legend(
        [Patch(color=COLORS[split]) for split in splits],
        [f"{split}: {told['rows']:,} image{'s' * (told['rows'] > 1)}" for split, told in splits.items()],
        loc="center left",
        bbox_to_anchor=(left, 1 - 2.5 / HEIGHT),
        borderpad=0,
        borderaxespad=0,
        frameon=False,
        handlelength=1,
        ncols=len(splits),
    )


def _axes(part, column, top, rows):
    """Axes in one of the two columns, `top` rows below the top and `rows` high."""
    return part.add_axes((LEFTS[column], 1 - (top + rows) / HEIGHT, BARS, rows / HEIGHT))


def _draw_bars(axes, title, labels, splits, counts, missing):
    """A row per label, and in it a bar per split that has a known label."""
    known = {split: told["rows"] - missing[split] for split, told in splits.items()}
    drawn = [split for split in splits if known[split]]
    height = min(0.84 / max(1, len(drawn)), 0.4)
    for index, split in enumerate(drawn):
        places = np.arange(len(labels)) + height * (index - (len(drawn) - 1) / 2)
        shares = [count / known[split] for count in counts[split]]
        bars = axes.barh(places, shares, height * 0.92, color=COLORS[split], label=split)
        figures = [f"{_percent(share)}  {count:,}" if count else "0" for share, count in zip(shares, counts[split])]
        axes.bar_label(bars, figures, padding=3, fontsize=6)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_yticks(range(len(labels)), labels, fontsize=7.5)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xticks(np.linspace(0, 1, 5), ["0", "25%", "50%", "75%", "100%"], fontsize=7, color=SOFT)
    axes.set_xlim(0, 1.3)  # with room for the figures of a bar of 100%
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    lacking = ", ".join(f"{split} {count:,}" for split, count in missing.items() if count)
    if lacking:
        axes.set_xlabel(f"not labelled: {lacking}", loc="left", fontsize=7, color=SOFT)


def _percent(share):
    return "<0.1%" if share < 0.001 else f"{100 * share:.1f}%" if share < 0.1 else f"{share:.0%}"


def count(labels):
    """The "splits" of a group for `draw`, counted in a table as `rows.flat` makes it."""
    splits = {split: labels.filter(pc.field("split") == split) for split in SPLITS}
    return {split: {"rows": len(rows), **count_labels(rows)} for split, rows in splits.items() if len(rows)}


def count_labels(labels):
    """What there is of each label in a table as `rows.flat` makes it, in the form that `draw` takes."""
    degrees = {name: labels[name].fill_null(-1).to_numpy() for name in DEGREES}
    attributes = labels.select(ATTRIBUTES)
    return {
        **{name: np.bincount(values + 1, minlength=7).tolist() for name, values in degrees.items()},
        "attributes": [pc.sum(column, min_count=0).as_py() for column in attributes.columns],
        "attributes_missing": len(labels) - len(attributes.drop_null()),
    }

"""Label statistics as a picture, for the dataset card and for `preview --stats`.

Drawn with Pillow like the sheets: there are some 700 short texts, for each of which matplotlib takes 3 ms.
"""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from ..release.vocabulary import ATTRIBUTES, DEGREES, SPLITS
from .sheet import SOFT, Canvas

# Colours that the colour-blind can tell apart.
COLORS = dict(zip(SPLITS, ("#0072b2", "#e69f00", "#009e73", "#787878")))
TRACK = "#f1f3f6"  # behind the bars, as long as one of 100%

# All sizes are in pixels.
WIDTH, MARGIN, GUTTER = 1400, 40, 40
COLUMNS = (("bangs", "eyeglasses", "beard", "smiling"), ("age", "attributes 1 to 18"), ("attributes 19 to 40",))
COLUMN = (WIDTH - 2 * MARGIN - (len(COLUMNS) - 1) * GUTTER) // len(COLUMNS)
LABEL, BAR = 148, 150  # width of the labels, and of a bar of 100%
LINE, GAP = 12, 6  # height of a bar, and between the bars of two labels

Group = Mapping[str, Any]


class Panel(NamedTuple):
    """What is drawn of one degree, or of some of the binary attributes."""

    labels: Sequence[str]
    counts: dict[str, Sequence[int]]  # split -> how many have each label
    missing: dict[str, int]  # split -> how many rows say nothing


def statistics(groups: Sequence[Group]) -> bytes:
    """What `draw` draws, as a PNG; the same groups and library versions give the same bytes."""
    file = io.BytesIO()
    draw(groups).save(file, "PNG")
    return file.getvalue()


def draw(groups: Sequence[Group]) -> Image.Image:
    """The share and number of the images of each degree and each binary attribute, by split.

    Args:
        groups: drawn one below the other, [{"names": [config], "splits": {split: {"rows": n, "bangs": [missing, 0, …,
            5], …, "attributes": [n], "attributes_missing": n}}}]; a group may have "line", a text to write below its
            names.

    Shares are of the rows that have the label; a split without any such row has no bars.
    """
    canvas, y = Canvas(WIDTH), 0
    for group in groups:
        y = _draw_group(canvas, y + MARGIN, group)
    return canvas.cut(y + MARGIN)


def _draw_group(canvas: Canvas, y: int, group: Group) -> int:
    """One group; returns the y below it."""
    splits = group["splits"]
    canvas.text(MARGIN, y, ", ".join(group["names"]), 28)
    y += 42
    if group.get("line"):
        line = textwrap.shorten(group["line"], 400, placeholder=" ...")
        y = canvas.paragraph(MARGIN, y, line, WIDTH - 2 * MARGIN, 15, SOFT) + 6
    x = MARGIN
    for split, told in splits.items():
        canvas.box(x, y + 2, 14, 14, fill=COLORS[split])
        x = round(canvas.text(x + 22, y, f"{split}: {told['rows']:,} image{'s' * (told['rows'] > 1)}")) + 32
    ends = []
    panels = _panels(splits)
    for index, titles in enumerate(COLUMNS):
        low = y + 20
        for title in titles:
            low = _draw_panel(canvas, MARGIN + index * (COLUMN + GUTTER), low + 20, title, panels[title], splits)
        ends.append(low)
    return max(ends)


def _panels(splits: Mapping[str, Any]) -> dict[str, Panel]:
    """{title: Panel} of all that is drawn."""
    panels = {}
    for name, classes in DEGREES.items():
        counts = {split: told[name][1:] for split, told in splits.items()}
        labels = [f"{label.replace('_', ' ')} ({degree})" for degree, label in enumerate(classes)]
        panels[name] = Panel(labels, counts, {split: told[name][0] for split, told in splits.items()})
    missing = {split: told["attributes_missing"] for split, told in splits.items()}
    for first, last in ((1, 18), (19, 40)):
        counts = {split: told["attributes"][first - 1 : last] for split, told in splits.items()}
        panels[f"attributes {first} to {last}"] = Panel(ATTRIBUTES[first - 1 : last], counts, missing)
    return panels


def _draw_panel(canvas: Canvas, x: int, y: int, title: str, panel: Panel, splits: Mapping[str, Any]) -> int:
    """A row for each label, and in it a bar for each split that has a known label; returns the y below."""
    end = canvas.text(x, y, title, 17)
    lacking = ", ".join(f"{split} {count:,}" for split, count in panel.missing.items() if count)
    if lacking:
        canvas.text(end + 12, y + 4, f"not labelled: {lacking}", 12, SOFT)
    y += 28
    known = {split: told["rows"] - panel.missing[split] for split, told in splits.items()}
    drawn = [split for split in splits if known[split]]
    height = LINE * max(1, len(drawn))
    for index, label in enumerate(panel.labels):
        canvas.text(x, y + height // 2, label, 13, anchor="lm")
        canvas.box(x + LABEL, y, BAR, height, fill=TRACK)
        for line, split in enumerate(drawn):
            top, count = y + line * LINE, panel.counts[split][index]
            share = count / known[split]
            width = round(share * BAR)
            if width:
                canvas.box(x + LABEL, top + 1, width, LINE - 2, fill=COLORS[split])
            canvas.text(x + LABEL + BAR + 44, top + LINE // 2 + 1, _percent(share) if count else "0", 11, anchor="rm")
            canvas.text(x + COLUMN, top + LINE // 2 + 1, f"{count:,}", 11, SOFT, "rm")
        y += height + GAP
    return y


def _percent(share: float) -> str:
    return "<0.1%" if share < 0.001 else f"{100 * share:.1f}%" if share < 0.1 else f"{share:.0%}"


def count(labels: pa.Table) -> dict[str, dict[str, Any]]:
    """The "splits" of a group for `draw`, counted in a table as `rows.flat` makes it."""
    splits = {split: labels.filter(pc.field("split") == split) for split in SPLITS}
    return {split: {"rows": len(rows), **count_labels(rows)} for split, rows in splits.items() if len(rows)}


def count_labels(labels: pa.Table) -> dict[str, Any]:
    """What there is of each label in a table as `rows.flat` makes it, in the form that `draw` takes."""
    degrees = {name: labels[name].fill_null(-1).to_numpy() for name in DEGREES}
    attributes = labels.select(ATTRIBUTES)
    return {
        **{name: np.bincount(values + 1, minlength=7).tolist() for name, values in degrees.items()},
        "attributes": [pc.sum(column, min_count=0).as_py() for column in attributes.columns],
        "attributes_missing": len(labels) - len(attributes.drop_null()),
    }

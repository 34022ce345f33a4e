"""The picture of label statistics: that its bars are the shares, and that nothing on it is cut off or overlaps."""

import io

import numpy as np
import pytest
from PIL import Image, ImageColor

from conversion.release.vocabulary import DEGREES, SPLITS
from conversion.viewer import charts


def group(attributes, degrees, rows=8, split="train", **more):
    """A group of one split, all its degrees and all its attributes alike."""
    told = {"rows": rows, "attributes": [attributes] * 40, "attributes_missing": 0} | dict.fromkeys(DEGREES, degrees)
    return {"names": ["hq"], "splits": {split: told}} | more


def colored(groups, split="train"):
    """How many pixels have the colour of a split."""
    pixels = np.asarray(Image.open(io.BytesIO(charts.statistics(groups))).convert("RGB"))
    return int((pixels == ImageColor.getrgb(charts.COLORS[split])).all(axis=2).sum())


def test_bars_are_as_long_as_the_shares():
    split = "unlabeled"
    legend = colored([group(0, [8, 0, 0, 0, 0, 0, 0], split=split)], split)
    areas = [colored([group(count, [8, 0, 0, 0, 0, 0, 0], split=split)], split) - legend for count in (2, 8)]
    assert areas[1] == pytest.approx(4 * areas[0], rel=0.04)
    one, six = ([0, 8, 0, 0, 0, 0, 0], [2, 1, 1, 1, 1, 1, 1])  # the share is of those that have the label
    assert colored([group(0, one, split=split)], split) == colored([group(0, six, split=split)], split) > legend


def test_nothing_is_cut_off_and_nothing_overlaps(drawn):
    rows = 202_599
    told = group(rows, [0, rows, 0, 0, 0, 0, 0], rows)["splits"]["train"] | {"attributes_missing": 1}
    line = "202,599 of 202,599 rows where " + "W" * 60 + " and smiling >= 4" * 200
    wide = {"names": ["hq", "hq_512", "hq_256", "hq_parts"], "line": line, "splits": dict.fromkeys(SPLITS, told)}
    picture = Image.open(io.BytesIO(charts.statistics([wide] * 2)))
    assert picture.width == 1400 and picture.height < 2 * 1750
    assert len(drawn) > 1000
    left, top, right, bottom = np.array([box for *_, box in drawn]).T
    assert ((left >= 0) & (left < right) & (right <= picture.width)).all()
    assert ((top >= 0) & (top < bottom) & (bottom <= picture.height)).all()
    wide = np.minimum.outer(right, right) - np.maximum.outer(left, left)
    high = np.minimum.outer(bottom, bottom) - np.maximum.outer(top, top)
    overlap = np.triu((wide >= 1) & (high >= 1), 1)
    assert [(drawn[one][0], drawn[other][0]) for one, other in np.argwhere(overlap)] == []


def test_no_group_and_no_label():
    assert Image.open(io.BytesIO(charts.statistics([]))).width == 1400
    nothing = group(0, [8, 0, 0, 0, 0, 0, 0])
    nothing["splits"]["train"]["attributes_missing"] = 8
    assert Image.open(io.BytesIO(charts.statistics([nothing]))).height < 1600

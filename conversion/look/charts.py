"""The pictures of the dataset card: label statistics and the colours of the masks. No face is in them."""

import io

from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from celeba_dialog import ATTRIBUTES
from celeba_dialog import DEGREES
from celeba_dialog import MASK_COLORS
from celeba_dialog import SPLITS

WIDTH = 1600  # pixels of a picture; a browser shows it at about half the size
MARGIN = 40
INK, GREY, RULE = (34, 34, 34), (110, 110, 110), (221, 221, 221)
# Told apart by the colour-blind too.
COLORS = dict(zip(SPLITS, ((0, 114, 178), (230, 159, 0), (0, 158, 115), (120, 120, 120))))

PANEL = 280  # height of the bars of a degree
ROW = 34  # height of an attribute
GROUP = 190 + PANEL + 140 + ROW * len(ATTRIBUTES) // 2  # height of all that is told of one group


def statistics(groups):
    """PNG with a chart per group: the share of each degree and of each binary attribute, by split.

    Args:
        groups: [{"names": [config], "splits": {split: {"rows": n, "bangs": [missing, 0, …, 5], …, "attributes": [n],
            "attributes_missing": n}}}]. Shares are of the rows where the label is not missing.
    """
    picture = Image.new("RGB", (WIDTH, GROUP * len(groups) + MARGIN), "white")
    draw = ImageDraw.Draw(picture)
    for index, group in enumerate(groups):
        _draw_group(draw, MARGIN + GROUP * index, group)
    return _png(picture)


def _draw_group(draw, top, group):
    splits = group["splits"]
    _text(draw, (MARGIN, top), ", ".join(group["names"]), 34)
    left = MARGIN
    for split, counts in splits.items():
        draw.rectangle((left, top + 58, left + 22, top + 80), COLORS[split])
        text = f"{split}: {counts['rows']:,} images"
        _text(draw, (left + 32, top + 55), text, 24)
        left += 32 + 40 + int(draw.textlength(text, _font(24)))

    width = (WIDTH - 2 * MARGIN + 30) // len(DEGREES)
    for index, column in enumerate(DEGREES):
        shares = {split: _shares(counts[column][1:], sum(counts[column][1:])) for split, counts in splits.items()}
        _draw_degrees(draw, MARGIN + width * index, top + 120, width - 30, column, shares)

    known = {split: counts["rows"] - counts["attributes_missing"] for split, counts in splits.items()}
    shares = {split: _shares(counts["attributes"], known[split]) for split, counts in splits.items()}
    top += 190 + PANEL + 70
    for index, name in enumerate(ATTRIBUTES):
        column, row = divmod(index, len(ATTRIBUTES) // 2)
        left = MARGIN + column * (WIDTH // 2 - MARGIN // 2)
        _draw_attribute(draw, left, top + ROW * row, name, {split: share[index] for split, share in shares.items()})


def _draw_degrees(draw, left, top, width, column, shares):
    """Bars for the six degrees of one column, a split beside the other; the figure above them is the largest share."""
    _text(draw, (left, top), column, 26)
    floor = top + 70 + PANEL
    for quarter in range(5):
        y = floor - PANEL * quarter // 4
        draw.line((left, y, left + width, y), RULE, 1)
    step = width / 6
    for degree in range(6):
        x = left + step * degree
        bar = (step - 8) / len(SPLITS)
        for split, share in shares.items():
            start = x + 4 + bar * SPLITS.index(split)
            draw.rectangle((start, floor - PANEL * share[degree], start + bar - 1, floor), COLORS[split])
        most = max(share[degree] for share in shares.values())
        _text(draw, (x + step / 2, floor - PANEL * most - 6), _percent(most), 17, "mb", GREY)
        _text(draw, (x + step / 2, floor + 8), str(degree), 22, "mt")


def _draw_attribute(draw, left, top, name, shares):
    bars, full, height = left + 250, 400, (ROW - 8) // len(SPLITS)
    _text(draw, (bars - 12, top + ROW // 2 - 3), name, 22, "rm")
    draw.line((bars + full, top, bars + full, top + ROW), RULE, 1)
    for split, share in shares.items():
        y = top + height * SPLITS.index(split)
        draw.rectangle((bars, y, bars + full * share, y + height - 1), COLORS[split])
    most = max(shares.values())
    _text(draw, (bars + full * most + 10, top + ROW // 2 - 3), _percent(most), 18, "lm", GREY)


def legend():
    """PNG with the mask classes: index, name and colour in the palette."""
    across, height = 5, 76
    rows = -(-len(MASK_COLORS) // across)
    picture = Image.new("RGB", (WIDTH, 2 * MARGIN + height * rows - 20), "white")
    draw = ImageDraw.Draw(picture)
    for index, (name, color) in enumerate(MASK_COLORS.items()):
        x = MARGIN + (WIDTH - 2 * MARGIN) // across * (index % across)
        y = MARGIN + height * (index // across)
        draw.rectangle((x, y, x + 56, y + 56), color, GREY)
        _text(draw, (x + 72, y + 2), f"{index} {name}", 26)
        _text(draw, (x + 72, y + 34), "#{:02X}{:02X}{:02X}".format(*color), 20, fill=GREY)
    return _png(picture)


def _shares(counts, total):
    return [count / total if total else 0 for count in counts]


def _percent(share):
    return "0" if share == 0 else "<0.1%" if share < 0.001 else f"{100 * share:.1f}%" if share < 0.1 else f"{share:.0%}"


def _font(size):
    return ImageFont.load_default(size)


def _text(draw, place, text, size, anchor="la", fill=INK):
    draw.text(place, text, fill, _font(size), anchor)


def _png(picture):
    buffer = io.BytesIO()
    picture.quantize(256, Image.Quantize.FASTOCTREE).save(buffer, "PNG")
    return buffer.getvalue()

"""Contact sheets, and the legend of the masks: drawn with Pillow and its own font."""

import functools
import io
import unicodedata
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ..release.images import decode_image, opened_image
from ..release.masks import mask_indices
from ..release.vocabulary import ATTRIBUTES, DEGREES, LICENSE_NAME, MASK_COLORS, PARTS
from ..runtime import files
from . import rows

MOST_LETTERS = 4000  # drawn of a text: twenty times the longest official caption

WIDTH, MARGIN, GAP, SMALL_GAP = 1480, 48, 28, 12  # of the sheet, in pixels
TILE = 256  # side of an HQ image
METERS = 330  # width of the meters
LEGEND_COLUMNS = 7
INK, SOFT, FAINT, RULE, PAPER = "#1d2330", "#656d7c", "#c9ced7", "#e4e7ec", "#ffffff"
BAR = {"bangs": "#2f6fb0", "eyeglasses": "#7a57a8", "beard": "#8a6233", "smiling": "#d0762b", "age": "#3b8757"}
OPACITY = 0.55  # of the mask over the image

Row = dict[str, Any]  # as `source.row` gives it
Color = str | tuple[int, int, int]


def contact_sheet(
    source: "rows.BuiltRows | rows.ReleaseRows", config: str, positions: npt.NDArray[np.int64], title: str, line: str
) -> Image.Image:
    """The sheet of some rows, a Pillow image.

    Args:
        source: what `rows.open_rows` gives.
        positions: NumPy array of positions in the config, through all splits.
        title, line: texts at its head.
    """
    drawn = [source.row(config, position) for position in files.progress(positions.tolist(), desc="draw")]
    return draw_rows(drawn, title, line)


def spread(positions: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """At most `count` of some positions, evenly spread."""
    return positions[np.linspace(0, len(positions) - 1, min(count, len(positions))).astype(int)]


# --------------------------------------------------------------------------------------------------------------- text
# Pillow's own font has little more than ASCII. Letters with marks lose the marks and dashes become hyphens; for what is
# still not in the font it draws an empty box.

DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")


font = functools.cache(ImageFont.load_default)  # of a size in pixels


def plain(text: str) -> str:
    """A text on one line, as far as possible in letters that the font has."""
    letters = unicodedata.normalize("NFKD", " ".join(str(text).translate(DASHES).split()))
    return "".join(letter for letter in letters if not unicodedata.category(letter).startswith(("M", "C")))


def text_width(text: str, size: int) -> float:
    """The width of a text in pixels, with wider spaces than the font's own, which are too narrow to see."""
    words = text.split(" ")
    return sum(map(font(size).getlength, words)) + (len(words) - 1) * _space(size)


def _space(size: int) -> int:
    return round(size * 0.28)


def wrap(text: str, size: int, width: float) -> list[str]:
    """The lines of a text, none wider than `width` pixels; a word that is wider is broken."""
    lines = [""]
    for word in plain(text).split():
        if text_width(f"{lines[-1]} {word}".strip(), size) <= width:
            lines[-1] = f"{lines[-1]} {word}".strip()
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if text_width(lines[-1] + letter, size) > width:
                lines.append("")
            lines[-1] += letter
    return lines


class Canvas:
    """A picture that grows downwards as things are drawn on it. All sizes are in pixels."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.image = Image.new("RGB", (width, 1024), PAPER)

    def reach(self, height: float) -> None:
        """Makes the picture at least `height` high."""
        if height > self.image.height:
            grown = Image.new("RGB", (self.width, int(height * 1.5)), PAPER)
            grown.paste(self.image)
            self.image = grown

    def text(self, x: float, y: int, text: str, size: int = 15, color: str = INK, anchor: str = "la") -> float:
        """One line of text; returns the x where it ends."""
        self.reach(y + 2 * size)
        draw = ImageDraw.Draw(self.image)
        text = plain(text)
        x -= {"l": 0, "m": 0.5, "r": 1}[anchor[0]] * text_width(text, size)
        for word in text.split(" "):
            draw.text((x, y), word, color, font(size), "l" + anchor[1])
            x += font(size).getlength(word) + _space(size)
        return x - _space(size)

    def paragraph(self, x: float, y: int, text: str, width: float, size: int = 15, color: str = INK) -> int:
        """A wrapped text; returns the y below it."""
        for line in wrap(text, size, width):
            self.text(x, y, line, size, color)
            y += round(size * 1.45)
        return y

    def box(
        self,
        x: int,
        y: int,
        width: int,
        height: int,
        fill: Color | None = None,
        outline: Color | None = None,
        radius: int = 0,
    ) -> None:
        self.reach(y + height)
        ImageDraw.Draw(self.image).rounded_rectangle(
            (x, y, x + width - 1, y + height - 1), radius, fill=fill, outline=outline
        )

    def picture(self, x: int, y: int, image: Image.Image) -> None:
        self.reach(y + image.height)
        self.image.paste(image, (x, y))

    def cut(self, height: int) -> Image.Image:
        """The picture, cut to `height`."""
        self.reach(height)  # else Pillow adds black
        return self.image.crop((0, 0, self.width, height))


# ----------------------------------------------------------------------------------------------------------- the sheet


def draw_rows(shown: list[Row], title: str, line: str) -> Image.Image:
    """The sheet of some rows."""
    canvas, inner = Canvas(WIDTH), WIDTH - 2 * MARGIN
    canvas.text(MARGIN, MARGIN, title, 28)
    y = canvas.paragraph(MARGIN, MARGIN + 42, line, inner, 16, SOFT) + 14
    for row in shown:
        canvas.box(MARGIN, y, inner, 1, fill=RULE)
        y = _draw_row(canvas, y + GAP, row) + GAP
    if "mask" in shown[0]:
        canvas.box(MARGIN, y, inner, 1, fill=RULE)
        y = _draw_legend(canvas, y + 18)
    canvas.box(MARGIN, y, inner, 1, fill=RULE)
    canvas.text(MARGIN, y + 14, LICENSE_NAME, 13, SOFT)
    return canvas.cut(y + 18 + MARGIN)


def _draw_row(canvas: Canvas, y: int, row: Row) -> int:
    """One row of the sheet; returns the y below it."""
    image = decode_image(row["image"]["bytes"], row["image"]["path"])
    tile = image.resize((TILE, TILE), Image.Resampling.LANCZOS) if image.width == image.height else image
    tile.thumbnail((TILE, TILE))
    height = max(tile.height, 200)  # room for the meters
    canvas.picture(MARGIN, y, tile)
    x = MARGIN + tile.width + SMALL_GAP
    if "mask" in row:
        if row["mask"]:
            canvas.picture(x, y, lay_over(tile, row["mask"]))
        else:
            canvas.box(x, y, *tile.size, outline=FAINT)
            canvas.text(x + tile.width // 2, y + tile.height // 2, "no mask", 15, SOFT, "mm")
        x += tile.width + SMALL_GAP
    x += GAP - SMALL_GAP
    end = canvas.text(x, y - 4, row["file_name"], 20)
    canvas.text(end + 12, y + 1, row["split"], 15, SOFT)
    _draw_meters(canvas, x, y + 38, height - 38, row)
    x += METERS + GAP
    low = max(y + height, _draw_texts(canvas, x, y, row, canvas.width - MARGIN - x))
    return _draw_parts(canvas, low + 18, row["parts"]) if "parts" in row else low


def _draw_meters(canvas: Canvas, x: int, y: int, height: int, row: Row) -> None:
    """The five degrees, one below the other."""
    bar = 8
    step = (height - 21 - bar) / (len(DEGREES) - 1)
    for line, (name, classes) in enumerate(DEGREES.items()):
        top = y + round(line * step)
        degree = row[name]
        label = "not labelled" if degree < 0 else classes[degree].replace("_", " ")
        canvas.text(x, top, name, 15, SOFT)
        canvas.text(x + METERS, top, label, 15, SOFT if degree < 0 else INK, "ra")
        edges = [x + round(index * (METERS + 4) / 5) for index in range(6)]
        for index, (left, right) in enumerate(zip(edges[:-1], edges[1:])):
            color = None if degree < 0 else BAR[name] if index < degree else RULE
            canvas.box(left, top + 21, right - left - 4, bar, fill=color, outline=color or RULE, radius=2)


def _draw_texts(canvas: Canvas, x: int, y: int, row: Row, width: int) -> int:
    """Caption, request and attributes; returns the y below them."""
    words = rows.request_in_words(row["request_labels"]).items()
    asked = [word.replace("_", " ") if isinstance(word, str) else f"{field} {word}" for field, word in words]
    yes = [name for name, value in zip(ATTRIBUTES, row["attributes"]) if value == 1]
    attributes = ", ".join(yes) or ("not labelled" if row["attributes"][0] < 0 else "none of the forty")
    for name, text, size, color in (
        ("caption", row["caption"], 16, INK),
        ("request", row["request"], 16, INK),
        ("attributes", attributes, 14, SOFT),
    ):
        start = canvas.text(x, y - 2, name, 13, SOFT)
        if name == "request" and asked:
            y = canvas.paragraph(start + 14, y - 2, "  ·  ".join(asked), x + width - start - 14, 13, SOFT) + 1
        else:
            y += 18
        if text and len(text) > MOST_LETTERS:
            text = f"{text[:MOST_LETTERS]} ... and {len(text) - MOST_LETTERS:,} letters more"
        y = canvas.paragraph(x, y, text or "none", width, size, color if text else SOFT) + 11
    return y - 11


def _draw_parts(canvas: Canvas, y: int, parts: list[dict[str, Any]]) -> int:
    """The part masks in class order and the official colours, a frame for each that is missing; returns the y below."""
    masks = {part["part"]: part["mask"] for part in parts}
    step = (canvas.width - 2 * MARGIN + 6) / len(PARTS)
    side = int(step) - 6
    for index, name in enumerate(PARTS):
        x = MARGIN + round(index * step)
        canvas.text(x + side // 2, y + side + 4, name, 13, SOFT, "ma")
        if index in masks:
            canvas.picture(x, y, _part(masks[index], MASK_COLORS[name], side))
        else:
            canvas.box(x, y, side, side, outline=RULE)
    return y + side + 22


def legend() -> bytes:
    """PNG with the colours of the mask classes."""
    canvas, file = Canvas(WIDTH), io.BytesIO()
    canvas.cut(_draw_legend(canvas, MARGIN) + MARGIN - 18).save(file, "PNG")
    return file.getvalue()


def _draw_legend(canvas: Canvas, y: int) -> int:
    """The colours of the mask classes; returns the y below them."""
    step = (canvas.width - 2 * MARGIN) / LEGEND_COLUMNS
    for index, (name, color) in enumerate(MASK_COLORS.items()):
        x = MARGIN + round(index % LEGEND_COLUMNS * step)
        low = y + index // LEGEND_COLUMNS * 34
        canvas.box(x, low, 22, 22, fill=color, outline=FAINT)
        canvas.text(x + 32, low, f"{index}", 17, SOFT)
        canvas.text(x + 60, low, name, 17)
    return low + 40


# -------------------------------------------------------------------------------------------------------------- images


def lay_over(tile: Image.Image, mask: dict[str, Any]) -> Image.Image:
    """An image with a mask laid over it in the official colours, the background left as it is."""
    indices = mask_indices(mask["bytes"], mask["path"])
    indices = np.asarray(Image.fromarray(indices).resize(tile.size, Image.Resampling.NEAREST))
    colors = np.array(list(MASK_COLORS.values()), np.float32)[indices]
    pixels = np.asarray(tile, np.float32)
    mixed = pixels + (colors - pixels) * OPACITY
    return Image.fromarray(np.where(indices[..., None] > 0, mixed, pixels).round().astype(np.uint8))


def _part(mask: dict[str, Any], color: tuple[int, int, int], side: int) -> Image.Image:
    """A binary part mask in a colour, `side` wide. A pixel that it covers in part is drawn, so that thin parts show."""
    with opened_image(mask["bytes"], "PNG", mask["path"]) as image:
        covered = image.convert("L").resize((side, side), Image.Resampling.BOX).point(lambda value: 255 * (value > 0))
    picture = Image.new("RGB", (side, side), RULE)
    picture.paste(color, (0, 0, side, side), covered)
    return picture

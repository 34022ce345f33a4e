"""Layers of a drawing become pixels: the picture, and the mask of the same shapes."""

from collections.abc import Iterable

from PIL import Image, ImageDraw, ImageFilter

from ..release.vocabulary import MASK_CLASSES, MASK_COLORS, MASK_SIDE
from .people import Person
from .shapes import Color, Layer

View = tuple[int, int, int, int]  # left, top, right, bottom
HQ_VIEW = (-512, 0, 512, 1024)
# What a standard image shows: CelebA puts the eyes 39 of 178 pixels apart, a little below the middle.
STANDARD_VIEW = (-570, -227, 570, 1169)


def picture(person: Person, layers: Iterable[Layer], view: View, size: tuple[int, int], finer: int = 2) -> Image.Image:
    """Paint the view (left, top, right, bottom) as an RGB image of `size`, drawn `finer` times larger and reduced."""
    image = Image.new("RGB", (size[0] * finer, size[1] * finer))
    canvas = ImageDraw.Draw(image, "RGBA")
    for layer in layers:
        _put(canvas, layer, view, image.size, layer.color)
    image = image.reduce(finer)
    return image.filter(ImageFilter.GaussianBlur(size[0] / 128)) if "Blurry" in person.attributes else image


def mask(layers: Iterable[Layer]) -> Image.Image:
    """Paint the HQ view as the mask: mode P, 512x512, every pixel the index of one class."""
    image = Image.new("P", (MASK_SIDE, MASK_SIDE))
    image.putpalette([value for color in MASK_COLORS.values() for value in color])
    canvas = ImageDraw.Draw(image)
    for layer in layers:
        if layer.part:
            _put(canvas, layer, HQ_VIEW, image.size, MASK_CLASSES.index(layer.part))
    return image


def _put(canvas: ImageDraw.ImageDraw, layer: Layer, view: View, size: tuple[int, int], fill: int | Color) -> None:
    """Paint one layer of a view that fills the canvas."""
    scale = size[0] / (view[2] - view[0]), size[1] / (view[3] - view[1])
    points = [tuple(point) for point in ((layer.points - view[:2]) * scale).tolist()]
    if layer.width:
        canvas.line(points, fill, max(1, round(layer.width * scale[0])), joint="curve")
    else:
        canvas.polygon(points, fill)

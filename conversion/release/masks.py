"""Palette masks and binary part masks: what may serve, class indices, and resizing.

A mask is read as a palette PNG with the official palette, and in no other form: grey levels do not tell which of the
class orders in circulation they are in, and other palettes are those of other classes.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as PillowImage

from .errors import AGAIN, FormatError
from .images import another_kind, check_upright, in_pixels, opened_image, undecodable
from .official import FILES
from .vocabulary import MASK_CLASSES, MASK_COLORS, MASK_SIDE

_PALETTE = bytes(value for color in MASK_COLORS.values() for value in color)
_MOST_CHUNKS = 1000  # of a PNG; official masks have four
_SMALL = 3000  # bytes: an all-black mask has fewer, and an official one has more
_OFFICIAL = f"Get the official {FILES['hq_masks'].name}."

_CHUNK = struct.Struct(">L4s").unpack_from  # length and kind of a chunk
_CRC = struct.Struct(">L").unpack_from
_GREY, _RGB, _INDEXED, _GREY_ALPHA = 0, 2, 3, 4  # colour types
_MAY_TURN = (b"Raw profile type exif", b"exif", b"XML:com.adobe.xmp", b"xmp")  # texts in which Pillow looks for EXIF


class PngHeader(NamedTuple):
    """What a PNG says of itself."""

    size: tuple[int, int]  # (width, height)
    bits: int  # of a sample
    color: int  # its colour type: _GREY, _RGB, _INDEXED, or one with alpha
    palette: bytes  # red, green and blue of each colour; empty where there is none
    may_turn: bool  # whether it may hold an orientation


def png_header(data: bytes, name: str) -> PngHeader:
    """The PngHeader of a PNG, without decoding it. Raises FormatError for what is no PNG, is cut off or damaged."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise another_kind(data, "PNG", name)
    found: dict[bytes, bytes] = {}
    may_turn = False
    for kind, at, end in _png_chunks(data, name):
        if kind == b"IHDR" or kind == b"PLTE":
            if list(found) != ([] if kind == b"IHDR" else [b"IHDR"]):
                raise undecodable("PNG", name, f"{kind!r} at byte {at - 8:,}, where none is due")
            found[kind] = data[at:end]
        elif kind == b"IDAT":
            found[kind] = b""
        else:
            may_turn = may_turn or kind == b"eXIf" or data.startswith(_MAY_TURN, at)
    if len(found.get(b"IHDR", b"")) != 13 or b"IDAT" not in found:
        raise undecodable("PNG", name, "it has no header or no pixels")
    width, height, bits, color = struct.unpack_from(">LLBB", found[b"IHDR"])
    palette = found.get(b"PLTE", b"")
    if len(palette) % 3 or (color == _INDEXED and not palette):
        raise undecodable("PNG", name, f"its palette is of {len(palette)} bytes")
    return PngHeader((width, height), bits, color, palette, may_turn)


def _png_chunks(data: bytes, name: str) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its content begins, where that ends) of the chunks of a PNG, whose checksums are tested."""
    at, count, kind = 8, 0, b""
    try:
        while kind != b"IEND":
            length, kind = _CHUNK(data, at)
            end = at + 8 + length
            if (zlib.crc32(data[at + 4 : end]),) != _CRC(data, end):
                raise undecodable("PNG", name, f"the checksum of its {kind!r} at byte {at:,} does not fit")
            if (count := count + 1) > _MOST_CHUNKS:
                raise undecodable("PNG", name, f"it has more than {_MOST_CHUNKS:,} chunks")
            yield kind, at + 8, end
            at = end + 4
    except struct.error:
        raise undecodable("PNG", name, "it is cut off") from None


def _check_side(data: bytes, name: str) -> PngHeader:
    """The PngHeader of a mask or part mask. Raises FormatError for one of another size or with an orientation."""
    header = png_header(data, name)
    if header.size != (MASK_SIDE, MASK_SIDE):
        raise FormatError(
            f"{name}: {in_pixels(header.size)}, expected {in_pixels((MASK_SIDE, MASK_SIDE))}. This is no official "
            f"mask, and resizing one is not undone. {AGAIN}"
        )
    if header.may_turn:
        check_upright(data, "PNG", name)
    return header


# -------------------------------------------------------------------------------------------------------------- masks


def sized_mask(data: bytes, size: int | None, name: str) -> bytes:
    """A mask at `size` pixels square, see `resize_mask`; the same bytes where size is None.

    Raises FormatError for one that is no official mask. The pixels are looked at only where it is resized, or so small
    that it may be all black.
    """
    check_mask(data, name)
    return data if size is None else resize_mask(data, size, name)


def check_mask(data: bytes, name: str) -> None:
    """Raises FormatError for what is no palette PNG of the official size and palette, and for an all-black one."""
    header = _check_side(data, name)
    if header.color != _INDEXED or header.bits != 8 or not header.palette.startswith(_PALETTE):
        raise FormatError(f"{name}: {_what_mask(data, header, name)}")
    if len(data) < _SMALL and not mask_indices(data, name).any():
        raise FormatError(f"{name}: {_BLACK} {_OFFICIAL}")


def mask_indices(data: bytes, name: str) -> np.ndarray:
    """The class indices of a mask, uint8 (height, width). Raises FormatError for one that holds anything else."""
    with opened_image(data, "PNG", name) as image:
        if image.mode != "P":
            raise FormatError(f"{name}: a PNG of mode {image.mode}, expected a palette mask. {_OFFICIAL}")
        pixels = np.array(image)
    if pixels.size and pixels.max() >= len(MASK_CLASSES):
        raise FormatError(f"{name}: holds class {pixels.max()}, expected 0 to {len(MASK_CLASSES) - 1}. {AGAIN}")
    return pixels


_BLACK = "it is all black, as where the part masks were not found when it was made."
_GREYS = (
    "a grey PNG, expected one with the official palette. Grey levels do not tell which class they mean: the same names "
    "are in circulation in several orders, with hair as 13 or as 17."
)
# For whoever has RGB masks: exact, because no two official colours are near each other.
_TURN_BACK = """To turn it back:
  palette = PIL.Image.new("P", (1, 1)); palette.putpalette(sum(celeba_dialog.MASK_COLORS.values(), ()))
  rgb = PIL.Image.fromarray(numpy.array(PIL.Image.open(MASK).convert("RGB")){step})
  rgb.quantize(palette=palette, dither=0).save(MASK)"""


def _what_mask(data: bytes, header: PngHeader, name: str) -> str:
    """What a mask of another form is, and what to do."""
    if header.color in (_GREY, _GREY_ALPHA):
        with opened_image(data, "PNG", name) as image:
            levels = np.array(image).reshape(MASK_SIDE, MASK_SIDE, -1)[..., 0]
        return f"{_GREYS if levels.any() else _BLACK} {_OFFICIAL}"
    if header.bits != 8:
        return f"a PNG of {header.bits} bits, expected a palette PNG of 8. {_OFFICIAL}"
    if header.color == _INDEXED:
        return f"a PNG with another palette than the official one, so its numbers may mean other classes. {_OFFICIAL}"
    with opened_image(data, "PNG", name) as image:
        colors: set[Any] = {color for _, color in image.convert("RGB").getcolors(MASK_SIDE * MASK_SIDE) or ()}
    for step, how in (("", ""), ("[..., ::-1]", ", red and blue exchanged as OpenCV does")):
        if len(colors) > 1 and {color[:: -1 if step else 1] for color in colors} <= set(MASK_COLORS.values()):
            return f"the official colours saved as RGB{how}, expected a palette PNG. {_TURN_BACK.format(step=step)}"
    if colors == {(0, 0, 0)}:
        return f"{_BLACK} {_OFFICIAL}"
    return f"a PNG in colours that are not the official ones, expected one with the official palette. {_OFFICIAL}"


def encode_mask(indices: np.ndarray) -> bytes:
    """The PNG of class indices, uint8 (height, width), with the official palette."""
    image = PillowImage.fromarray(indices)
    image.putpalette(_PALETTE)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=False)
    return file.getvalue()


def resize_mask(data: bytes, side: int, name: str) -> bytes:
    """A mask of `side` pixels square by nearest neighbour, still class indices; never larger than it was."""
    indices = mask_indices(data, name)
    if max(indices.shape) <= side:
        return data
    image = PillowImage.fromarray(indices)
    return encode_mask(np.asarray(image.resize((side, side), PillowImage.Resampling.NEAREST)))


# --------------------------------------------------------------------------------------------------------- part masks


def sized_part(data: bytes, size: int | None, name: str) -> bytes:
    """A binary part mask as the dataset has it, see `resize_part`; size is None for its own, and the pixels unseen.

    Raises FormatError for one that is no official part mask.
    """
    header = _check_side(data, name)
    if (header.color, header.bits) not in ((_GREY, 1), (_GREY, 8), (_RGB, 8)):
        raise FormatError(
            f"{name}: a PNG of colour type {header.color} and {header.bits} bits, expected a binary mask in grey or "
            f"RGB. {AGAIN}"
        )
    return data if size is None else resize_part(data, size, name)


def resize_part(data: bytes, side: int, name: str) -> bytes:
    """A binary part mask of `side` pixels square by nearest neighbour, in its own mode; never larger than it was.

    Raises FormatError for one that is not black and white.
    """
    with opened_image(data, "PNG", name) as image:
        colors = image.getcolors(2)  # None for more
        values = set() if colors is None else {color for _, color in colors}
        if colors is None or not values <= {0, 255, (0, 0, 0), (255, 255, 255)}:
            found = "more than two values" if colors is None else sorted(values)
            raise FormatError(f"{name}: holds {found}, expected a binary mask of 0 and 255. {AGAIN}")
        if max(image.size) <= side:
            return data
        file = io.BytesIO()
        image.resize((side, side), PillowImage.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()

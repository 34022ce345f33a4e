"""Palette masks and binary part masks: what may serve, class indices, and resizing."""

import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage

from .errors import AGAIN, FormatError
from .images import another_kind, check_upright, in_pixels, opened_image, undecodable
from .official import FILES
from .vocabulary import MASK_CLASSES, MASK_COLORS, MASK_SIDE

_PALETTE = bytes(value for color in MASK_COLORS.values() for value in color)

# --- PNG

_CHUNK = struct.Struct(">L4s").unpack_from  # length and kind of a chunk
_CRC = struct.Struct(">L").unpack_from
_GREY, _RGB, _INDEXED = 0, 2, 3  # colour types
_MAY_TURN = (b"Raw profile type exif", b"exif", b"XML:com.adobe.xmp", b"xmp")  # texts in which Pillow looks for EXIF


class PngHeader(NamedTuple):
    """What a PNG says of itself."""

    size: tuple  # (width, height)
    bits: int  # of a sample
    color: int  # its colour type: _GREY, _RGB, _INDEXED, or one with alpha
    palette: bytes  # red, green and blue of each colour; empty where there is none
    may_turn: bool  # whether it may hold an orientation

    @property
    def is_official(self):
        """Whether the indices are the classes, as far as the palette goes."""
        return self.color == _INDEXED and _PALETTE.startswith(self.palette[: len(_PALETTE)])


def png_header(data, name):
    """The PngHeader of a PNG, without decoding it. Raises FormatError for what is no PNG, is cut off or damaged."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise another_kind(data, "PNG", name)
    found, may_turn = {}, False
    for kind, at, end in _png_chunks(data, name):
        if kind == b"IHDR" or kind == b"PLTE":
            if list(found) != ([] if kind == b"IHDR" else [b"IHDR"]):
                raise undecodable("PNG", name, f"{kind!r} at byte {at - 8:,}, where none is due")
            found[kind] = data[at:end]
        elif kind == b"IDAT":
            found[kind] = None
        else:
            may_turn = may_turn or kind == b"eXIf" or data.startswith(_MAY_TURN, at)
    if len(found.get(b"IHDR", b"")) != 13 or b"IDAT" not in found:
        raise undecodable("PNG", name, "it has no header or no pixels")
    width, height, bits, color = struct.unpack_from(">LLBB", found[b"IHDR"])
    palette = found.get(b"PLTE", b"")
    if len(palette) % 3 or (color == _INDEXED and not palette):
        raise undecodable("PNG", name, f"its palette is of {len(palette)} bytes")
    return PngHeader((width, height), bits, color, palette, may_turn)


def _png_chunks(data, name):
    """(kind, where its content begins, where that ends) of the chunks of a PNG, whose checksums are tested."""
    at, kind = 8, None
    try:
        while kind != b"IEND":
            length, kind = _CHUNK(data, at)
            end = at + 8 + length
            if (zlib.crc32(data[at + 4 : end]),) != _CRC(data, end):
                raise undecodable("PNG", name, f"the checksum of its {kind!r} at byte {at:,} does not fit")
            yield kind, at + 8, end
            at = end + 4
    except struct.error:
        raise undecodable("PNG", name, "it is cut off") from None


def _check_mask(data, name):
    """The PngHeader of a mask or part mask. Raises FormatError for one of another size or with an orientation."""
    header = png_header(data, name)
    if header.size != (MASK_SIDE, MASK_SIDE):
        raise FormatError(
            f"{name}: {in_pixels(header.size)}, expected {in_pixels((MASK_SIDE, MASK_SIDE))}. This is no official mask, "
            f"and resizing one is not undone. {AGAIN}"
        )
    if header.may_turn:
        check_upright(data, "PNG", name)
    return header


def sized_mask(data, size, name):
    """A mask as the dataset has it, see `palette_mask` and `resize_mask`; size is None for its own.

    Raises FormatError for one that is no official mask and cannot be turned back into one. In a mask that has the
    official palette, the pixels are looked at only where it is resized.
    """
    header = _check_mask(data, name)
    return palette_mask(data, name, header) if size is None else resize_mask(data, size, name)


def sized_part(data, size, name):
    """A binary part mask as the dataset has it, see `resize_part`; size is None for its own, and the pixels unseen.

    Raises FormatError for one that is no official part mask.
    """
    header = _check_mask(data, name)
    if (header.color, header.bits) not in ((_GREY, 1), (_GREY, 8), (_RGB, 8)):
        raise FormatError(
            f"{name}: a PNG of colour type {header.color} and {header.bits} bits, expected a binary mask in grey or "
            f"RGB. {AGAIN}"
        )
    return data if size is None else resize_part(data, size, name)


def palette_mask(data, name, header=None):
    """A mask as a PNG whose pixel values are the class indices: the same bytes where it is one already.

    A mask re-saved as RGB in the official colours, with another palette or as grey indices is turned back, without
    loss. Raises FormatError for any other. `header` is its PngHeader, where it is at hand.
    """
    header = header or png_header(data, name)
    if header.is_official and len(header.palette) >= len(_PALETTE) and header.bits == 8:
        return data
    indices = mask_indices(data, name)
    return data if header.is_official else encode_mask(indices)


def mask_indices(data, name):
    """The class indices of a mask, uint8 (height, width). Raises FormatError for one that holds anything else."""
    header = png_header(data, name)
    if header.bits == 16 and header.color != _GREY:  # Pillow keeps the high byte of each, which may be 0 in all
        raise FormatError(f"{name}: colours of 16 bits, expected a palette mask. {AGAIN}")
    with opened_image(data, "PNG", name) as image:
        if image.mode == "P":
            colors = len(header.palette) // 3
            _check_below(np.asarray(image), min(colors, len(MASK_CLASSES)) if header.is_official else colors, name)
            image = image if header.is_official else image.convert("RGB")
        elif image.mode == "RGBA":
            image = image.convert("RGB")
        elif image.mode in ("1", "LA"):
            image = image.convert("L")
        pixels = np.asarray(image)
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            return _classes_of_colors(pixels, name)
        pixels = pixels[..., 0]  # grey saved as RGB: of the official colours only black is grey
    elif header.color == _GREY and header.bits in (1, 2, 4):  # Pillow stretches grey of few bits to 0-255
        pixels = pixels // (255 // (2**header.bits - 1))
    _check_below(pixels, len(MASK_CLASSES), name)
    return pixels.astype(np.uint8, copy=False)  # from 16 bits


def _check_below(pixels, count, name):
    if pixels.size and pixels.max() >= count:
        raise FormatError(f"{name}: holds class {pixels.max()}, expected 0 to {count - 1}. {AGAIN}")


def _classes_of_colors(pixels, name):
    codes = pixels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    colors = np.array([(red << 16) + (green << 8) + blue for red, green, blue in MASK_COLORS.values()])
    order = np.argsort(colors)
    indices = order[np.minimum(np.searchsorted(colors[order], codes), len(colors) - 1)].astype(np.uint8)
    if (colors[indices] != codes).any():
        strange = pixels[colors[indices] != codes][0].tolist()
        raise FormatError(
            f"{name}: the colour {strange} is none of the {len(colors)} official ones. If this copy was saved with "
            f"loss, set every pixel to the nearest of them (celeba_dialog.MASK_COLORS) and save it as PNG; else "
            f"get the official {FILES['hq_masks'].name}."
        )
    return indices


def encode_mask(indices):
    """The PNG of class indices, uint8 (height, width), with the official palette."""
    image = PillowImage.fromarray(indices)
    image.putpalette(_PALETTE)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=False)
    return file.getvalue()


def resize_mask(data, side, name):
    """A mask of `side` pixels square by nearest neighbour, still class indices; never larger than it was."""
    image = PillowImage.fromarray(mask_indices(data, name))
    if max(image.size) <= side:
        return palette_mask(data, name)
    return encode_mask(np.asarray(image.resize((side, side), PillowImage.Resampling.NEAREST)))


def resize_part(data, side, name):
    """A binary part mask of `side` pixels square by nearest neighbour, in its own mode; never larger than it was.

    Raises FormatError for one that is not black and white.
    """
    with opened_image(data, "PNG", name) as image:
        colors = image.getcolors(2)  # None for more
        if colors is None or not {color for _, color in colors} <= {0, 255, (0, 0, 0), (255, 255, 255)}:
            found = "more than two values" if colors is None else sorted(color for _, color in colors)
            raise FormatError(f"{name}: holds {found}, expected a binary mask of 0 and 255. {AGAIN}")
        if max(image.size) <= side:
            return data
        file = io.BytesIO()
        image.resize((side, side), PillowImage.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()

"""JPEGs: what may serve, decoding and resizing.

Whoever reads a row (the loader, build, verify) walks the segments of its JPEG and the chunks of its PNGs: kind, whole
to the end, size, colours, palette, orientation. That takes 2 and 10 microseconds, where Pillow takes 25 and 20 to open
one. Pixels take a hundred times that, and are looked at where a row is made from them (resized configs) and by
`check --deep`: a class above 18 under the official palette, or grey in a part mask, is found there alone.
"""

import contextlib
import io
import struct
from collections.abc import Iterator, Sequence

from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from .errors import AGAIN, CelebADialogError, FormatError
from .official import FILES
from .storage import kind_of
from .vocabulary import STANDARD, Subset

MOST_SIDE = 4096  # pixels of an image: four times an HQ image
HQ_COPIES = ((512, 512), (256, 256))  # smaller copies of the HQ images, which is all that some have
_MOST_AHEAD = 1 << 18  # bytes before the pixels of a JPEG; official ones have about 600
_ORIENTATION = 0x0112  # in EXIF: 1 for upright, 2 to 8 for turned or mirrored


def undecodable(kind: str, name: str, why: object) -> FormatError:
    return FormatError(f"{name}: the {kind} cannot be decoded: {why}. {AGAIN}")


def another_kind(data: bytes, kind: str, name: str) -> FormatError:
    """The FormatError for bytes that do not start as a JPEG or PNG does."""
    what, _ = kind_of(data[:1024])
    return undecodable(kind, name, f"this is {what}, no {kind}" if what else f"it starts with {data[:8]!r}, no {kind}")


def in_pixels(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]} pixels"


@contextlib.contextmanager
def opened_image(data: bytes, kind: str, name: str) -> Iterator[PillowImage.Image]:
    """A Pillow image of some bytes. Raises FormatError for what cannot be one, before or while it is decoded."""
    try:
        with PillowImage.open(io.BytesIO(data), formats=[kind]) as image:
            if max(image.size) > MOST_SIDE:
                raise FormatError(f"{name}: {in_pixels(image.size)}, where none here has over {MOST_SIDE:,}. {AGAIN}")
            yield image
    except (CelebADialogError, MemoryError):
        raise
    except UnidentifiedImageError:  # its text is the address of an object
        raise undecodable(kind, name, f"Pillow finds no {kind} in it") from None
    except Exception as error:  # Pillow raises nearly anything on a damaged chunk
        raise undecodable(kind, name, " ".join(str(error).split()) or type(error).__name__) from None


def check_upright(data: bytes, kind: str, name: str) -> None:
    """Raises FormatError for an image with an orientation in its EXIF or XMP.

    `datasets` turns such an image when it decodes it, but not the mask that belongs to it, and other readers of the
    same bytes turn nothing. No official image has one.
    """
    with opened_image(data, kind, name) as image:
        orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation in range(2, 9):
        raise FormatError(
            f"{name}: its EXIF says to turn or mirror it (orientation {orientation}), which some readers do and others "
            f"do not, and its mask or image would no longer fit. Remove the tag, or get the official file."
        )


_SEGMENT = struct.Struct(">HH").unpack_from  # marker and length of a segment
_FRAME = struct.Struct(">BHHB").unpack_from  # bits of a sample, height, width and components
_FRAMES = {*range(0xFFC0, 0xFFD0)} - {0xFFC4, 0xFFC8, 0xFFCC}
_USUAL_FRAMES = {0xFFC0, 0xFFC1, 0xFFC2}  # baseline, extended, progressive; not lossless or arithmetic
_TABLES = {0xFFC4, 0xFFCC, 0xFFDB, 0xFFDD, 0xFFFE, *range(0xFFE0, 0xFFF0)}  # and comments, and what applications add
_JPEG_COLORS = {1: "grey", 4: "CMYK"}


def jpeg_header(data: bytes, name: str) -> tuple[tuple[int, int], bool]:
    """((width, height), whether it may hold an orientation) of a JPEG in RGB, without decoding it.

    Raises FormatError for what is no JPEG, is cut off, or is of a kind or in colours that the release does not have.
    """
    if data[:2] != b"\xff\xd8":
        raise another_kind(data, "JPEG", name)
    at, frame, may_turn = 2, None, False
    try:
        while True:
            if at > _MOST_AHEAD:
                raise undecodable("JPEG", name, f"more than {_MOST_AHEAD:,} bytes stand before its pixels")
            marker, length = _SEGMENT(data, at)
            if marker == 0xFFDA:  # the pixels follow
                break
            if marker == 0xFFFF:  # a byte of fill
                at += 1
                continue
            if marker == 0xFFE1:  # EXIF or XMP
                may_turn = True
            elif marker in _FRAMES and frame is None:
                frame = (marker, *_FRAME(data, at + 4))
            elif marker not in _TABLES:
                raise undecodable("JPEG", name, f"marker {marker:04X} at byte {at:,}")
            at += 2 + length
    except struct.error:
        raise undecodable("JPEG", name, "it is cut off") from None
    # In pixels, FF is followed by 0 or a restart marker. What follows the end does not matter.
    if not data.endswith(b"\xff\xd9") and data.find(b"\xff\xd9", at) < 0:
        raise undecodable("JPEG", name, "it is cut off")
    return _size_of_frame(frame, name), may_turn


def _size_of_frame(frame: tuple[int, ...] | None, name: str) -> tuple[int, int]:
    """(width, height) that the frame header of a JPEG tells."""
    if frame is None:
        raise undecodable("JPEG", name, "it does not say its size")
    marker, bits, height, width, components = frame
    if marker not in _USUAL_FRAMES or bits != 8:
        raise FormatError(
            f"{name}: a JPEG of a kind that few programs decode (frame {marker:04X}, {bits} bits), expected baseline "
            f"or progressive of 8 bits. {AGAIN}"
        )
    if components != 3:
        colors = _JPEG_COLORS.get(components, f"{components} colours")
        raise FormatError(f"{name}: a JPEG in {colors}, expected RGB. {AGAIN}")
    return width, height


def check_image(data: bytes, sizes: Sequence[int | None], subset: Subset, name: str) -> tuple[int, int]:
    """(width, height) of a JPEG that can serve, told from its header.

    Args:
        sizes: what is wanted of it: sides in pixels, None for the image as it is.
        subset: HQ or STANDARD.

    Raises FormatError for one of another size or kind, or with an orientation. Smaller copies of HQ images serve where
    all that is wanted is as small.
    """
    own, may_turn = jpeg_header(data, name)
    wanted = [size or subset.side[0] for size in sizes]
    small_enough = subset is not STANDARD and own in HQ_COPIES and max(wanted) <= own[0]
    if own != subset.side and not small_enough:
        raise FormatError(f"{name}: {in_pixels(own)}, expected {in_pixels(subset.side)}. {what_size(own, subset)}")
    if may_turn:
        check_upright(data, "JPEG", name)
    return own


def what_size(own: tuple[int, int], subset: Subset) -> str:
    """What an image of another size is, and what to do."""
    if subset is STANDARD:
        what = "a cropped or resized copy" if own[0] == own[1] else "likely from the uncropped CelebA (img_celeba)"
        return f"This is {what}; the rows are made from the aligned images, {FILES['standard_images'].name}."
    official = f"the official {FILES['hq_images'].name}"
    if own in HQ_COPIES:
        return f"Configs of at most {own[0]} pixels can be made from these smaller copies; the others need {official}."
    what = " This is the size of a standard image." if own == STANDARD.side else ""
    return f"Get {official}.{what}"


def sized_image(data: bytes, sizes: Sequence[int | None], subset: Subset, name: str) -> dict[int | None, bytes]:
    """{size: bytes} of a JPEG: untouched for None and for the side it has. Arguments and errors: see `check_image`."""
    own = check_image(data, sizes, subset, name)
    image: PillowImage.Image | None = None
    result: dict[int | None, bytes] = {}
    for size in sizes:
        if size is None or own == (size, size):
            result[size] = data
        else:
            image = image or decode_image(data, name)
            result[size] = resize_image(image, size)
    return result


def decode_image(data: bytes, name: str) -> PillowImage.Image:
    """The pixels of a JPEG, as a Pillow image in RGB. Raises FormatError for one that does not decode."""
    with opened_image(data, "JPEG", name) as image:
        return image.convert("RGB")


def resize_image(image: PillowImage.Image, side: int) -> bytes:
    """The JPEG, as bytes, of a Pillow image at `side` pixels square: Lanczos, quality 95, no chroma subsampling."""
    file = io.BytesIO()
    image.resize((side, side), PillowImage.Resampling.LANCZOS).save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()

"""Images, masks and part masks are what the config says, or are refused by the name of their own file.

The files are made by hand or by Pillow; what is right is told from their bytes and from Pillow's decoder.
"""

import re
import struct

import datasets
import numpy
import PIL.Image
import pytest
from pictures import ORIENTATION, lanczos, opened, pixels_of, rearranged, resized, saved, take, write
from PIL import Image
from releases import PALETTE, QUOTA, chunk, index_of, png, read

import celeba_dialog
from conversion.release.errors import FormatError
from conversion.release.finding import Release
from conversion.release.images import decode_image, sized_image
from conversion.release.masks import mask_indices, sized_mask, sized_part
from conversion.release.rows import check_first
from conversion.release.vocabulary import HQ, STANDARD


def palette_png(pixels, palette, *chunks):
    """A palette PNG of these indices; its rows are packed each after a byte for its filter, none."""
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return png(*pixels.shape[::-1], 8, 3, rows, b"".join(chunks) + chunk(b"PLTE", bytes(palette)))


def a_mask():
    """An official mask in which all nineteen classes are."""
    blocks = numpy.random.default_rng(0).permutation(numpy.arange(128 * 128) % 19).reshape(128, 128)
    pixels = blocks.repeat(4, 0).repeat(4, 1)
    return palette_png(pixels.astype(numpy.uint8), PALETTE)


FACE = saved(Image.linear_gradient("L").resize((1024, 1024)).convert("RGB"), "JPEG")
SMALL_FACE = resized(FACE, (178, 218))
MASK = a_mask()
PART = saved(Image.fromarray(numpy.uint8(pixels_of(MASK) == 1) * 255), "PNG")

# Kind -> (a sound file, what reads it as it is, what reads its pixels too).
KINDS = {
    "hq": (FACE, lambda data: sized_image(data, [None], HQ, "0.jpg")[None], decode_image),
    "standard": (SMALL_FACE, lambda data: sized_image(data, [None], STANDARD, "0.jpg")[None], decode_image),
    "mask": (MASK, lambda data: sized_mask(data, None, "0.jpg"), lambda data, name: sized_mask(data, 256, name)),
    "part": (PART, lambda data: sized_part(data, None, "0.jpg"), lambda data, name: sized_part(data, 256, name)),
}


def as_png(change):
    """A function of a picture's bytes: puts the Pillow image through another one."""
    return lambda data: saved(change(opened(data)), "PNG")


def as_jpeg(change):
    return lambda data: saved(change(opened(data)), "JPEG")


# ------------------------------------------------------------------------------------------------------------- JPEGs


def of_size(*size):
    return as_jpeg(lambda image: image.resize(size))


def segment(marker, content):
    """A function of a JPEG, which gets one more segment."""
    return lambda data: data[:2] + struct.pack(">HH", marker, len(content) + 2) + content + data[2:]


def exif(orientation):
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found.tobytes().removeprefix(b"Exif\0\0")


def with_exif(orientation):
    return segment(0xFFE1, b"Exif\0\0" + exif(orientation))


def frame_at(data):
    return data.index(b"\xff\xc0\x00\x11")


def in_frame(offset, new):
    """Other bytes in the frame header: 1 for its kind, 4 for its bits, 5 for its height, 7 for its width."""

    def make(data):
        place = frame_at(data) + offset
        return data[:place] + new + data[place + len(new) :]

    return make


def with_xmp(data):
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    return segment(0xFFE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)(data)


def thumbnail(data):
    """EXIF as a camera writes it: with a whole JPEG in it that is smaller than the picture."""
    return segment(0xFFE1, b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + resized(data, (160, 120)))(data)


def two_frames(data):
    place = frame_at(data)
    return data[:place] + data[place : place + 19].replace(struct.pack(">HH", 1024, 1024), b"\0\1\0\1") + data[place:]


HQ_512 = "Configs of at most 512 pixels can be made from these smaller copies"
NOT_1024 = "expected 1024×1024 pixels"
REFUSED = {
    "1×1": ("hq", of_size(1, 1), "1×1 pixels", NOT_1024, "official image.zip"),
    "512×512": ("hq", of_size(512, 512), "512×512 pixels", NOT_1024, HQ_512),
    "uncropped": ("standard", of_size(409, 687), "409×687 pixels", "178×218", "uncropped CelebA (img_celeba)"),
    "grey": ("hq", as_jpeg(lambda image: image.convert("L")), "a JPEG in grey, expected RGB"),
    "CMYK": ("hq", as_jpeg(lambda image: image.convert("CMYK")), "a JPEG in CMYK, expected RGB"),
    "arithmetic": ("hq", in_frame(1, b"\xc9"), "few programs decode", "frame FFC9"),
    "two frames": ("hq", two_frames, "cannot be decoded", "marker FFC0"),
    "no frame": ("hq", in_frame(1, b"\xfe"), "cannot be decoded", "does not say its size"),
    "cut in two": ("hq", lambda data: data[: len(data) // 2], "cannot be decoded: it is cut off"),
    "without its end": ("hq", lambda data: data[:-2], "cannot be decoded: it is cut off"),
    "cut with a thumbnail": ("hq", lambda data: thumbnail(data)[: -len(data) // 2], "it is cut off"),
    "64 MB of fill": ("hq", lambda data: b"\xff\xd8" + b"\xff" * (1 << 26), "262,144 bytes stand before its pixels"),
    "empty segments": ("hq", lambda data: b"\xff\xd8" + b"\xff\xe0\0\2" * (1 << 20), "stand before its pixels"),
    "a PNG": ("hq", as_png(lambda image: image), "this is a PNG, no JPEG"),
    "turned": ("hq", with_exif(6), "EXIF says to turn or mirror it (orientation 6)"),
    "turned in XMP": ("hq", with_xmp, "turn or mirror it (orientation 6)"),
}


# -------------------------------------------------------------------------------------------------------------- masks


def with_chunks(position, *pairs):
    return lambda data: rearranged(data, lambda chunks: chunks.__setitem__(slice(position, position), pairs))


def with_palette(palette, *chunks, value=None):
    """The mask's pixels under another palette, with one pixel of another value, after other chunks."""

    def make(data):
        pixels = pixels_of(data).copy()
        if value is not None:
            pixels[300, 17] = value
        return palette_png(pixels, palette, *chunks)

    return make


def without_chunk(kind):
    return lambda data: rearranged(data, lambda chunks: chunks.remove(next(c for c in chunks if c[0] == kind)))


def flipped(kind, offset):
    """One bit of a chunk, whose checksum no longer fits."""

    def make(data):
        place = data.index(kind) + 4 + offset
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return make


def of_16_bits(data):
    """RGB of 16 bits whose values are 0 to 255: their high bytes, which Pillow keeps, are all 0."""
    pixels = numpy.asarray(opened(data).convert("RGB")).astype(">u2")
    return png(512, 512, 16, 2, b"".join(b"\0" + row.tobytes() for row in pixels))


def with_pixels(change):
    """A function of a mask: what its pixels are packed into becomes the parts that a function makes of it."""

    def changed(chunks):
        chunks[-2:-1] = [[b"IDAT", part] for part in change(chunks[-2][1])]

    return lambda data: rearranged(data, changed)


def in_bgr(image):
    return Image.fromarray(numpy.array(image.convert("RGB"))[..., ::-1])


# The class order of BiSeNet-based face parsers, as the official class of each of theirs.
BISENET = numpy.uint8([0, 1, 6, 7, 4, 5, 3, 8, 9, 15, 2, 10, 11, 12, 17, 16, 18, 13, 14])


def in_bisenets_order(data):
    colors = numpy.array(PALETTE).reshape(19, 3)[BISENET]
    return palette_png(numpy.uint8(numpy.argsort(BISENET))[pixels_of(data)], colors.ravel().tolist())


OFFICIAL = PALETTE + [index for index in range(19, 256) for _ in range(3)]  # as the official masks have it
STRANGE = [value ^ 1 for value in PALETTE]
FAKE = chunk(b"tEXt", b"Comment\0PLTE" + bytes(PALETTE))
XMP = b'XML:com.adobe.xmp\0\0\0\0\0<rdf tiff:Orientation="8"/>'
NOT_512 = "expected 512×512 pixels"
GREY = ("a grey PNG", "in several orders, with hair as 13 or as 17", "official CelebAMask-HQ-mask-color-palette.zip")
BLACK = ("it is all black, as where the part masks were not found", "official CelebAMask-HQ-mask-color-palette.zip")
OTHER = ("another palette than the official one", "other classes", "official CelebAMask-HQ-mask-color-palette.zip")
# The forms in which masks are in circulation, each of which could be read as other classes.
FOREIGN = {
    "grey levels": (as_png(lambda image: Image.fromarray(numpy.uint8(image))), *GREY),
    "all black": (as_png(lambda image: Image.new("L", image.size)), *BLACK),
    "all black in RGB": (as_png(lambda image: Image.new("RGB", image.size)), *BLACK),
    "all black, palette": (lambda data: palette_png(numpy.zeros((512, 512), numpy.uint8), OFFICIAL), *BLACK),
    "BiSeNet's order": (in_bisenets_order, *OTHER),
    "grey palette": (with_palette([index for index in range(256) for _ in range(3)]), *OTHER),
    "a palette in a text": (with_palette(STRANGE, FAKE), *OTHER),
    "RGB": (as_png(lambda image: image.convert("RGB")), "the official colours saved as RGB, expected a palette PNG"),
    "BGR": (as_png(in_bgr), "saved as RGB, red and blue exchanged as OpenCV does"),
    "loss": (as_png(lambda image: opened(saved(image.convert("RGB"), "JPEG"))), "colours that are not the official"),
    "16 bits": (of_16_bits, "a PNG of 16 bits, expected a palette PNG of 8", "CelebAMask-HQ-mask-color-palette"),
}
MASKS = {
    "mask 256×256": (as_png(lambda image: image.resize((256, 256), 0)), "256×256 pixels", NOT_512),
    "a palette too late": (with_chunks(-1, [b"PLTE", bytes(STRANGE)]), "b'PLTE' at byte", "none is due"),
    "no palette": (without_chunk(b"PLTE"), "palette is of 0 bytes"),
    "no pixels": (without_chunk(b"IDAT"), "no header or no pixels"),
    "a mask cut in two": (lambda data: data[: len(data) // 2], "it is cut off"),
    "a mask without its end": (lambda data: data[:-12], "it is cut off"),
    "changed pixels": (flipped(b"IDAT", 99), "checksum of its b'IDAT'"),
    "empty chunks": (with_chunks(1, *[[b"tEXt", b""]] * 2000), "more than 1,000 chunks"),
    "a turned mask": (with_chunks(1, [b"eXIf", exif(3)]), "turn or mirror it (orientation 3)"),
    "a mask turned in XMP": (with_chunks(1, [b"iTXt", XMP]), "turn or mirror it (orientation 8)"),
}


def part(mode, *size):
    return as_png(lambda image: image.convert(mode).resize(size or (512, 512), 0))


PARTS = {
    "part 1×1": (part("L", 1, 1), "1×1 pixels", NOT_512),
    "part with alpha": (part("RGBA"), "colour type 6 and 8 bits", "expected a binary mask"),
    "part of 16 bits": (as_png(lambda image: Image.fromarray(numpy.uint16(image))), "colour type 0 and 16 bits"),
    "a turned part": (with_chunks(1, [b"eXIf", exif(3)]), "turn or mirror it (orientation 3)"),
}
REFUSED |= {name: ("mask", *case) for name, case in (FOREIGN | MASKS).items()}
REFUSED |= {name: ("part", *case) for name, case in PARTS.items()}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    kind, make, *says = REFUSED[case]
    sound, read_it, _ = KINDS[kind]
    with pytest.raises(FormatError) as caught:
        read_it(make(sound))
    message = str(caught.value)
    assert message.startswith("0.jpg: ")
    assert all(line.isprintable() for line in message.split("\n"))
    for words in says:
        assert words in message


def in_red(image):
    return Image.merge("RGB", [image, *[Image.new("L", image.size)] * 2])


# What only the pixels tell: found by `check --deep`, and where a row is made from them.
IN_THE_PIXELS = {
    "class 25": ("mask", with_palette(OFFICIAL, value=25), "holds class 25, expected 0 to 18"),
    "class 19": ("mask", with_palette(PALETTE, value=19), "holds class 19, expected 0 to 18"),
    "half the pixels": ("mask", with_pixels(lambda pixels: [pixels[: len(pixels) // 2]]), "the PNG cannot be decoded"),
    "noise": ("part", as_png(lambda image: Image.effect_noise(image.size, 90)), "holds more than two values"),
    "0 and 1": ("part", as_png(lambda image: Image.fromarray(numpy.uint8(image) // 255)), "holds [0, 1]"),
    "red": ("part", as_png(in_red), "holds [(0, 0, 0), (255, 0, 0)]"),
}


@pytest.mark.parametrize("case", IN_THE_PIXELS)
def test_refused_where_the_pixels_are_read(case):
    kind, make, says = IN_THE_PIXELS[case]
    sound, read_it, decode_it = KINDS[kind]
    data = make(sound)
    assert read_it(data) == data
    with pytest.raises(FormatError, match="^0.jpg: ") as caught:
        decode_it(data, "0.jpg")
    assert says in str(caught.value)


def test_what_does_not_decode_is_refused_by_name():
    large = in_frame(5, struct.pack(">HH", 65500, 65500))(FACE)
    for broken in (FACE[: len(FACE) // 2], FACE[:100], b"", QUOTA, large):
        with pytest.raises(FormatError, match=r"^0\.jpg: the JPEG cannot be decoded: "):
            decode_image(broken, "0.jpg")
    large = png(50_000, 50_000, 8, 3, b"", chunk(b"PLTE", bytes(PALETTE)))
    for broken in (MASK[:-40], MASK[:60], MASK.replace(b"IDAT", b"IDAX"), large):
        with pytest.raises(FormatError, match=r"^0\.png: the PNG cannot be decoded: "):
            mask_indices(broken, "0.png")


@pytest.mark.parametrize("kind, content", [(b"iCCP", b""), (b"iCCP", b"x\0\0\0"), (b"gAMA", b""), (b"zTXt", b"exif"),
                                           (b"iTXt", b"exif\0\1"), (b"eXIf", b"II*\0"), (b"pHYs", b"")])  # fmt: skip
def test_odd_chunks_end_in_an_error_of_ours_or_in_none(kind, content):
    """Pillow raises TypeError, IndexError and struct.error on some of them."""
    try:
        assert sized_mask(with_palette(PALETTE, chunk(kind, content))(MASK), 256, "0.png").startswith(b"\x89PNG")
    except FormatError as error:
        assert re.match(r"0\.png: (the PNG cannot be decoded|its EXIF says)", str(error))


@pytest.mark.parametrize("case", ["grey levels", "BiSeNet's order", "RGB"])
def test_no_row_has_a_foreign_mask(case, copy):
    """Under the official name: the first one ends the load, and any other one the reading of its row."""
    make, *says = FOREIGN[case]
    folder = copy / "CelebAMask-HQ-mask-color-palette"
    entries = take(copy, "hq_masks")
    write(folder, [(name, make(data)) for name, data in entries])
    with pytest.raises(FormatError) as caught:
        check_first(index_of(copy), None)
    assert str(caught.value).startswith(f"{folder}/{entries[0][0]}: ")
    for words in says:
        assert words in str(caught.value)
    name, data = entries[-1]
    write(folder, [*entries, (name, make(data))])
    check_first(index_of(copy), None)
    with pytest.raises(FormatError, match=f"^{folder}/{name}: "):
        read(copy, "hq")


@pytest.mark.parametrize("case", ["RGB", "BGR"])
def test_the_printed_lines_turn_a_mask_back(case, tmp_path):
    path = tmp_path / "0.png"
    path.write_bytes(FOREIGN[case][0](MASK))
    with pytest.raises(FormatError) as caught:
        sized_mask(path.read_bytes(), None, "0.png")
    lines = str(caught.value).split("To turn it back:\n")[1]
    names = {"PIL": PIL, "numpy": numpy, "celeba_dialog": celeba_dialog, "MASK": path}
    exec("\n".join(line.strip() for line in lines.split("\n")), names)  # noqa: S102
    assert numpy.array_equal(pixels_of(path.read_bytes()), pixels_of(MASK))
    assert numpy.array_equal(mask_indices(path.read_bytes(), "0.png"), pixels_of(MASK))
    assert sized_mask(path.read_bytes(), None, "0.png") == path.read_bytes()


@pytest.mark.parametrize("folder", ["CelebAMask-HQ-mask", "masks"])
def test_masks_of_another_name_are_not_read(folder, copy):
    """As CelebAMask-HQ's own scripts leave them, in whatever form."""
    write(copy / folder, take(copy, "hq_masks"))
    release = Release(copy)
    assert "hq_masks" not in release.sources
    (note,) = release.notes
    assert str(note).startswith(f"{folder}/: 24 PNGs, not read: masks are read from CelebAMask-HQ-mask-color-palette/")
    assert "other masks, such as grey ones, are not in its class order." in str(note)
    assert {row["mask"] for row in read(copy, "hq")} == {None}


# ---------------------------------------------------------------------------------------------------- what is passed on


def filled(data):
    """Bytes of fill before every marker, as the standard allows."""
    place = frame_at(data)
    return data[:2] + b"\xff\xff" + data[2:place] + b"\xff" * 5 + data[place:]


UNTOUCHED = {
    "progressive": ("hq", lambda data: saved(opened(data), "JPEG", progressive=True)),
    "a thumbnail": ("hq", thumbnail),
    "a comment like a frame": ("hq", segment(0xFFFE, b"\xff\xc0\0\x11\x08\0\1\0\1\3")),
    "fill": ("hq", filled),
    "a trailer": ("standard", lambda data: data + b"SEFT trailer of a telephone"),
    "the official palette": ("mask", with_palette(OFFICIAL)),
    "a text": ("mask", with_palette(OFFICIAL, FAKE)),
    "pixels in pieces": ("mask", with_pixels(lambda pixels: [pixels[:9], b"", pixels[9:]])),
    "a part in RGB": ("part", part("RGB")),
    "a part of one bit": ("part", part("1")),
}


@pytest.mark.parametrize("case", UNTOUCHED)
def test_passed_on_untouched(case):
    """And `datasets` makes of it what Pillow does."""
    kind, make = UNTOUCHED[case]
    sound, read_it, decode_it = KINDS[kind]
    data = make(sound)
    assert read_it(data) == data
    decode_it(data, "0.jpg")
    plain = pixels_of(data)
    assert numpy.array_equal(datasets.Image().decode_example({"bytes": data, "path": None}), plain)
    if kind == "mask":
        assert numpy.array_equal(mask_indices(data, "0.png"), plain)


@pytest.mark.parametrize("side", [1, 256, 511, 512])
def test_masks_and_parts_at_another_size(side):
    """Nearest neighbour, still of the same values; at 512 pixels the same bytes."""
    mask, part = sized_mask(MASK, side, ""), sized_part(PART, side, "")
    if side == 512:
        assert (mask, part) == (MASK, PART)
    for found, whole in ((mask, MASK), (part, PART)):
        assert opened(found).mode == opened(whole).mode
        nearest = opened(whole).resize((side, side), Image.Resampling.NEAREST)
        assert numpy.array_equal(opened(found), nearest)
    assert opened(mask).getpalette()[: len(PALETTE)] == PALETTE
    assert side != 256 or numpy.array_equal(opened(mask), pixels_of(MASK)[1::2, 1::2])


@pytest.mark.parametrize(("own", "size", "fits"), [
    (1024, 1, True), (1024, 300, True), (1024, 1024, True), (512, 512, True), (512, 300, True), (512, 513, False),
    (512, None, False), (256, 256, True), (256, 512, False), (1, 1, False), (300, 256, False), (700, 256, False),
])  # fmt: skip
def test_what_copies_of_another_size_can_make(own, size, fits):
    data = resized(FACE, (own, own))
    if not fits:
        with pytest.raises(FormatError, match=f"{own}×{own} pixels, expected 1024×1024"):
            sized_image(data, [256, size] if size else [None], HQ, "0.jpg")
        return
    found = sized_image(data, [size], HQ, "0.jpg")[size]
    assert found == (data if own == size else lanczos(data, size))


@pytest.mark.parametrize("side, other", [(512, 256), (256, 512)])
def test_configs_of_smaller_copies_under_the_official_name(side, other, copy, tmp_path):
    copies = {name: resized(data, (side, side)) for name, data in take(copy, "hq_images")}
    write(copy / "image", copies.items())
    check_first(index_of(copy), side)
    if other < side:
        check_first(index_of(copy), other)
    else:
        with pytest.raises(FormatError, match=f"Configs of at most {side} pixels can be made from these"):
            check_first(index_of(copy), other)
    builder = celeba_dialog.CelebADialog(config_name=f"hq_{side}", data_dir=str(copy), cache_dir=str(tmp_path))
    row = next(iter(builder.as_streaming_dataset(split="train").cast_column("image", datasets.Image(decode=False))))
    assert row["image"]["bytes"] == copies[row["file_name"]]

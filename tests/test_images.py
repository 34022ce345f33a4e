"""Images, masks and part masks are what the config says, or are refused by the name of their own file.

The files are made by hand or by Pillow; what is right is told from their bytes and from Pillow's decoder.
"""

import io
import shutil
import struct
import zlib

import datasets
import numpy as np
import pytest
from commands import read_splits
from doors import undecoded
from PIL import Image, ImageFilter
from releases import PALETTE, at, chunk, index_of, members, pack, png, read

import celeba_dialog
from conversion import check
from conversion.demo.command import write_release
from conversion.release.errors import FormatError
from conversion.release.finding import Release
from conversion.release.masks import mask_indices
from conversion.release.rows import read_images

pytest_plugins = ["building"]

# Role -> name of the first member in the zip, and a config that reads it.
FIRST = {
    "hq_images": ("image/0.jpg", "hq"),
    "hq_masks": ("/0.png", "hq"),
    "hq_parts": ("/00000_skin.png", "hq_parts"),
    "standard_images": ("img_align_celeba/", "standard"),
}
PAGE = b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>No.</body></html>"
ORIENTATION = 274


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A release whose images have the official sizes, and some in each split."""
    root = tmp_path_factory.mktemp("whole") / "release"
    write_release(str(root), hq=3, standard=6)
    return root


@pytest.fixture
def release(whole, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(whole, tmp_path / "release")


def change(root, role, make):
    """Puts the first member of a zip through a function of its bytes. Returns its name."""
    (name, data), *others = members(at(root, role))
    assert FIRST[role][0] in name
    pack(at(root, role), [(name, make(data)), *others])
    return name


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


# ------------------------------------------------------------------------------------------------------------- JPEGs


def resized(width, height, mode="RGB"):
    return lambda data: saved(opened(data).convert(mode).resize((width, height)), "JPEG")


def in_mode(mode):
    return lambda data: saved(opened(data).convert(mode), "JPEG")


def segment(marker, content):
    return lambda data: data[:2] + struct.pack(">HH", marker, len(content) + 2) + content + data[2:]


def frame_at(data):
    """Where the frame header is, of a JPEG that Pillow has written without metadata."""
    return data.index(b"\xff\xc0\x00\x11")


def in_frame(offset, new):
    """Other bytes in the frame header: 1 for its kind, 4 for its bits, 5 for its height, 7 for its width."""

    def make(data):
        place = frame_at(data) + offset
        return data[:place] + new + data[place + len(new) :]

    return make


def with_exif(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return lambda data: segment(0xFFE1, b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0"))(data)


def with_xmp(data):
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    return segment(0xFFE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)(data)


def thumbnail(data):
    """EXIF as a camera writes it: with a whole JPEG in it that is smaller than the picture."""
    return segment(0xFFE1, b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + resized(160, 120)(data))(data)


def cut_with_a_thumbnail(data):
    return thumbnail(data)[: -len(data) // 2]


def two_frames(data):
    place = frame_at(data)
    return data[:place] + data[place : place + 19].replace(struct.pack(">HH", 1024, 1024), b"\0\1\0\1") + data[place:]


HQ_512 = "hq_512 and hq_256 can be made from these smaller copies"
NOT_1024 = "expected 1024×1024 pixels"
JPEGS = {
    "1×1": ("hq_images", resized(1, 1), "1×1 pixels", NOT_1024, "official image.zip"),
    "178×218": ("hq_images", resized(178, 218), "178×218 pixels", NOT_1024, "the size of a standard image"),
    "512×512": ("hq_images", resized(512, 512), "512×512 pixels", NOT_1024, HQ_512),
    "256×256": ("hq_images", resized(256, 256), "256×256 pixels", NOT_1024, "hq_256 can be made", "official image.zip"),
    "1024×1023": ("hq_images", resized(1024, 1023), "1024×1023 pixels", NOT_1024),
    "no height": ("hq_images", in_frame(5, b"\0\0"), "1024×0 pixels", NOT_1024),
    "65535 wide": ("hq_images", in_frame(7, b"\xff\xff"), "65535×1024 pixels", NOT_1024),
    "uncropped": ("standard_images", resized(409, 687), "409×687 pixels", "178×218", "uncropped CelebA (img_celeba)"),
    "small standard": ("standard_images", resized(64, 64), "64×64 pixels", "178×218", "cropped or resized copy"),
    "hq as standard": ("standard_images", resized(1024, 1024), "1024×1024 pixels", "178×218"),
    "grey": ("hq_images", in_mode("L"), "a JPEG in grey, expected RGB"),
    "grey standard": ("standard_images", in_mode("L"), "a JPEG in grey, expected RGB"),
    "CMYK": ("hq_images", in_mode("CMYK"), "a JPEG in CMYK, expected RGB"),
    "arithmetic": ("hq_images", in_frame(1, b"\xc9"), "few programs decode", "frame FFC9"),
    "lossless": ("hq_images", in_frame(1, b"\xc3"), "few programs decode", "frame FFC3"),
    "12 bits": ("hq_images", in_frame(4, b"\x0c"), "few programs decode", "12 bits"),
    "two frames": ("hq_images", two_frames, "cannot be decoded", "marker FFC0"),
    "no frame": ("hq_images", in_frame(1, b"\xfe"), "cannot be decoded", "does not say its size"),
    "cut in two": ("hq_images", lambda data: data[: len(data) // 2], "cannot be decoded: it is cut off"),
    "cut standard": ("standard_images", lambda data: data[:-900], "cannot be decoded: it is cut off"),
    "without its end": ("hq_images", lambda data: data[:-2], "cannot be decoded: it is cut off"),
    "cut and filled": ("hq_images", lambda data: data[:9999].ljust(len(data), b"\0"), "it is cut off"),
    "cut in its header": ("hq_images", lambda data: data[:100], "it is cut off"),
    "cut with a thumbnail": ("hq_images", cut_with_a_thumbnail, "it is cut off"),
    "two bytes": ("hq_images", lambda data: data[:2], "it is cut off"),
    "a header in pieces": ("hq_images", lambda data: data[:20] + b"\0\0\0\0" + data[20:], "marker 0000 at byte 20"),
    "an end at once": ("hq_images", lambda data: b"\xff\xd8\xff\xd9" + data, "marker FFD9 at byte 2"),
    "a PNG": ("hq_images", lambda data: saved(opened(data), "PNG"), "this is a PNG, no JPEG"),
    "a WebP": ("hq_images", lambda data: b"RIFF\1\2\3\4WEBPVP8 ", "this is a WebP, no JPEG"),
    "a page": ("standard_images", lambda data: PAGE, "this is a web page, no JPEG"),
    "nothing": ("hq_images", lambda data: b"", "this is an empty file, no JPEG"),
    "turned": ("hq_images", with_exif(6), "EXIF says to turn or mirror it (orientation 6)"),
    "mirrored": ("standard_images", with_exif(2), "EXIF says to turn or mirror it (orientation 2)"),
    "turned in XMP": ("hq_images", with_xmp, "turn or mirror it (orientation 6)"),
}


# -------------------------------------------------------------------------------------------------------------- masks


def pixels_of(data):
    return np.asarray(opened(data))


def rows(pixels):
    """The pixels of a PNG as they are packed: each row after a byte for its filter, none."""
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def palette_png(pixels, palette, *extra):
    return png(*pixels.shape[::-1], 8, 3, rows(pixels), b"".join(extra) + chunk(b"PLTE", bytes(palette)))


def mask_with(palette, *extra, value=None):
    """The mask's pixels under another palette, with one pixel of another value, after other chunks."""

    def make(data):
        pixels = pixels_of(data).copy()
        if value is not None:
            pixels[300, 17] = value
        return palette_png(pixels, palette, *extra)

    return make


def binary(*size, palette=(0, 0, 0, 204, 0, 0)):
    """A mask of two classes."""
    pixels = np.zeros(size[::-1], np.uint8)
    pixels[size[1] // 3 :, size[0] // 3 :] = 1
    return palette_png(pixels, palette)


def rearranged(data, change):
    """The PNG with its chunks, as [kind, content] pairs, put through a function that changes their list."""
    at, chunks = 8, []
    while at < len(data):
        (length,) = struct.unpack_from(">L", data, at)
        chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + length]])
        at += 12 + length
    change(chunks)
    return data[:8] + b"".join(chunk(*pair) for pair in chunks)


def with_chunks(position, *pairs):
    return lambda data: rearranged(data, lambda chunks: chunks.__setitem__(slice(position, position), pairs))


def without_chunk(kind):
    return lambda data: rearranged(data, lambda chunks: chunks.remove(next(c for c in chunks if c[0] == kind)))


def flipped(kind, offset):
    """One bit of a chunk, whose checksum no longer fits."""

    def make(data):
        place = data.index(kind) + 4 + offset
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return make


def noisy(data):
    """As a JPEG leaves the colours."""
    return saved(opened(saved(opened(data).convert("RGB"), "JPEG", quality=90)), "PNG")


def of_16_bits(data):
    """RGB of 16 bits whose values are 0 to 255: their high bytes, which Pillow keeps, are all 0."""
    pixels = np.asarray(opened(data).convert("RGB")).astype(">u2")
    return png(512, 512, 16, 2, rows(pixels))


def turned_png(data):
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    return with_chunks(1, [b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")])(data)


def turned_xmp(data):
    return with_chunks(1, [b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<rdf tiff:Orientation="8"/>'])(data)


OFFICIAL = PALETTE + [index for index in range(19, 256) for _ in range(3)]  # as the official masks have it
STRANGE = [value ^ 1 for value in PALETTE]
FAKE = chunk(b"tEXt", b"Comment\0PLTE" + bytes(PALETTE))
NOT_512 = "expected 512×512 pixels"
MASKS = {
    "mask 1×1": (lambda data: binary(1, 1), "1×1 pixels", NOT_512),
    "mask 512×100": (lambda data: binary(512, 100, palette=OFFICIAL), "512×100 pixels", NOT_512),
    "mask 256×256": (lambda data: binary(256, 256, palette=OFFICIAL), "256×256 pixels", NOT_512),
    "mask 1024×1024": (lambda data: binary(1024, 1024, palette=OFFICIAL), "1024×1024 pixels", NOT_512),
    "mask 0×0": (lambda data: png(0, 0, 8, 3, b"", chunk(b"PLTE", bytes(OFFICIAL))), "0×0 pixels", NOT_512),
    "mask 50000×50000": (lambda data: png(50000, 50000, 8, 0, b"\0" * 999), "50000×50000 pixels", NOT_512),
    "a palette in a text": (mask_with(STRANGE, FAKE), "none of the 19 official ones", "nearest", "MASK_COLORS"),
    "two colours, pixel 5": (mask_with(PALETTE[:6], value=5), "holds class", "expected 0 to 1"),
    "another palette, pixel 60": (mask_with(PALETTE[::-1], value=60), "holds class 60, expected 0 to 18"),
    "19 colours, none for 19": (mask_with(STRANGE[:6], value=19), "expected 0 to 1"),
    "colours with loss": (noisy, "none of the 19 official ones", "set every pixel to the nearest"),
    "blurred colours": (
        lambda data: saved(opened(data).convert("RGB").filter(ImageFilter.BLUR), "PNG"),
        "none of the 19 official ones",
    ),
    "grey above 18": (lambda data: saved(Image.fromarray(pixels_of(data) * 12), "PNG"), "expected 0 to 18"),
    "16 bits": (of_16_bits, "16 bits, expected a palette mask"),
    "two palettes": (with_chunks(2, [b"PLTE", bytes(STRANGE)]), "b'PLTE' at byte", "none is due"),
    "a palette too late": (with_chunks(-1, [b"PLTE", bytes(STRANGE)]), "b'PLTE' at byte", "none is due"),
    "a palette too early": (
        lambda data: rearranged(data, lambda chunks: chunks.insert(0, chunks.pop(1))),
        "b'PLTE' at byte 8, where none is due",
    ),
    "two headers": (with_chunks(1, [b"IHDR", struct.pack(">LLBBBBB", 9, 9, 8, 3, 0, 0, 0)]), "b'IHDR'", "none is due"),
    "no palette": (without_chunk(b"PLTE"), "palette is of 0 bytes"),
    "half a colour": (mask_with(PALETTE[:-1]), "palette is of 56 bytes"),
    "no pixels": (without_chunk(b"IDAT"), "no header or no pixels"),
    "no header": (without_chunk(b"IHDR"), "b'PLTE' at byte 8, where none is due"),
    "nothing but pixels": (lambda data: data[:8] + data[data.index(b"IDAT") - 4 :], "no header or no pixels"),
    "a mask cut in two": (lambda data: data[: len(data) // 2], "it is cut off"),
    "a mask without its end": (lambda data: data[:-12], "it is cut off"),
    "a mask cut in its end": (lambda data: data[:-1], "it is cut off"),
    "a mask cut in its header": (lambda data: data[:20], "it is cut off"),
    "a changed palette": (flipped(b"PLTE", 9), "checksum of its b'PLTE'"),
    "a changed header": (flipped(b"IHDR", 7), "checksum of its b'IHDR'"),
    "changed pixels": (flipped(b"IDAT", 99), "checksum of its b'IDAT'"),
    "a JPEG as mask": (lambda data: saved(opened(data).convert("RGB"), "JPEG"), "this is a JPEG, no PNG"),
    "a page as mask": (lambda data: PAGE, "this is a web page, no PNG"),
    "no mask": (lambda data: b"", "this is an empty file, no PNG"),
    "a turned mask": (turned_png, "turn or mirror it (orientation 3)"),
    "a mask turned in XMP": (turned_xmp, "turn or mirror it (orientation 8)"),
}


# --------------------------------------------------------------------------------------------------------- part masks


def part(mode, *size, **values):
    return lambda data: saved(opened(data).convert(mode).resize(size or (512, 512), 0), "PNG")


PARTS = {
    "part 1×1": (part("L", 1, 1), "1×1 pixels", NOT_512),
    "part 256×256": (part("RGB", 256, 256), "256×256 pixels", NOT_512),
    "part with alpha": (part("RGBA"), "colour type 6 and 8 bits", "expected a binary mask"),
    "part with a palette": (part("P"), "colour type 3", "expected a binary mask"),
    "part of 16 bits": (
        lambda data: saved(Image.fromarray(pixels_of(data).astype(np.uint16)), "PNG"),
        "colour type 0 and 16 bits",
    ),
    "a part cut in two": (lambda data: data[: len(data) // 2], "it is cut off"),
    "a page as part": (lambda data: PAGE, "this is a web page, no PNG"),
    "a turned part": (turned_png, "turn or mirror it (orientation 3)"),
}

REFUSED = JPEGS | {name: ("hq_masks", *case) for name, case in MASKS.items()}
REFUSED |= {name: ("hq_parts", *case) for name, case in PARTS.items()}


def refused(case, root):
    """Changes the release; (role, zip and member as messages name them, parts of the message)."""
    role, make, *says = REFUSED[case]
    name = change(root, role, make)
    return role, f"{at(root, role)}: {name}: ", says


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_whoever_reads_rows(case, release):
    role, start, says = refused(case, release)
    with pytest.raises(FormatError) as caught:
        read(release, FIRST[role][1])
    message = str(caught.value)
    assert message.startswith(start)
    assert message.isprintable()
    for words in says:
        assert words in message


@pytest.mark.parametrize("case", REFUSED)
def test_found_by_check(case, release):
    _, start, says = refused(case, release)
    (line,) = check.examine(Release(release), deep=True)["damaged_images"]
    assert line.startswith(start)
    for words in says:
        assert words in line


def test_nothing_is_found_in_a_sound_release(whole):
    assert check.examine(Release(whole), deep=True)["damaged_images"] == []


@pytest.mark.parametrize("case", ["512×512", "uncropped", "cut in two", "mask 512×100", "a page as mask", "part 1×1"])
def test_build_refuses_it_in_one_line(case, release, commands, tmp_path):
    role, start, _ = refused(case, release)
    out = tmp_path / "celeba_dialog"
    done = commands.run("build", release, out, "--allow-incomplete", "--config", FIRST[role][1])
    assert done.status == 1
    assert start in done.text
    assert "Traceback" not in done.text
    assert not out.exists()


def half_of_the_pixels(data):
    """Cut off in the pixels, and closed properly behind them."""

    def cut(chunks):
        pixels = next(pair for pair in chunks if pair[0] == b"IDAT")
        pixels[1] = pixels[1][: len(pixels[1]) // 2]

    return rearranged(data, cut)


# What only the pixels tell: found by `check --deep`, and where a row is made from them.
PIXELS = {
    "class 25": ("hq_masks", mask_with(OFFICIAL, value=25), "holds class 25, expected 0 to 18"),
    "class 19": ("hq_masks", mask_with(PALETTE, value=19), "holds class 19, expected 0 to 18"),
    "half of the pixels": ("hq_masks", half_of_the_pixels, "the PNG cannot be decoded"),
    "grey noise": (
        "hq_parts",
        lambda data: saved(Image.effect_noise((512, 512), 90), "PNG"),
        "holds more than two values, expected a binary mask of 0 and 255",
    ),
    "0 and 1": ("hq_parts", lambda data: saved(Image.fromarray(pixels_of(data) // 255), "PNG"), "holds [0, 1]"),
    "red": (
        "hq_parts",
        lambda data: saved(Image.merge("RGB", [opened(data), *[Image.new("L", (512, 512))] * 2]), "PNG"),
        "holds [(0, 0, 0), (255, 0, 0)]",
    ),
}


@pytest.mark.parametrize("case", PIXELS)
def test_found_in_the_pixels(case, release, tmp_path):
    role, make, says = PIXELS[case]
    start = f"{at(release, role)}: {change(release, role, make)}: "
    (line,) = check.examine(Release(release), deep=True)["damaged_images"]
    assert line.startswith(start)
    assert says in line
    for size in (256, 512):
        index = index_of(release, FIRST[role][1])
        with pytest.raises(FormatError) as caught:
            read_images(index, index.table, [size])
        assert str(caught.value) == line


# ---------------------------------------------------------------------------------------------------- what is passed on


def filled(data):
    """Bytes of fill before every marker, as the standard allows."""
    place = frame_at(data)
    return data[:2] + b"\xff\xff" + data[2:place] + b"\xff" * 5 + data[place:]


def in_pieces(data):
    def cut(chunks):
        at = next(at for at, pair in enumerate(chunks) if pair[0] == b"IDAT")
        pixels = chunks[at][1]
        chunks[at : at + 1] = [[b"IDAT", pixels[:9]], [b"IDAT", b""], [b"IDAT", pixels[9:]]]

    return rearranged(data, cut)


FRAME = struct.pack(">5L2H2B", 0, 512, 512, 0, 0, 1, 9, 0, 0)  # of an animation: the whole picture, for 1/9 second
UNTOUCHED = {
    "progressive": ("hq_images", lambda data: saved(opened(data), "JPEG", progressive=True)),
    "restart markers": ("hq_images", lambda data: saved(opened(data), "JPEG", restart_marker_blocks=3)),
    "orientation 1": ("hq_images", with_exif(1)),
    "no such orientation": ("hq_images", with_exif(9)),
    "a thumbnail": ("hq_images", thumbnail),
    "a comment like a frame": ("hq_images", segment(0xFFFE, b"\xff\xc0\0\x11\x08\0\1\0\1\3")),
    "fill": ("hq_images", filled),
    "zeros behind the end": ("hq_images", lambda data: data + b"\0" * 99),
    "a trailer": ("standard_images", lambda data: data + b"SEFT trailer of a telephone"),
    "no subsampling": ("standard_images", lambda data: saved(opened(data), "JPEG", subsampling=0)),
    "the official palette": ("hq_masks", mask_with(OFFICIAL)),
    "nineteen colours": ("hq_masks", mask_with(PALETTE)),
    "a text": ("hq_masks", mask_with(OFFICIAL, FAKE)),
    "a palette of two that suffices": ("hq_masks", lambda data: binary(512, 512)),
    "transparency": ("hq_masks", with_chunks(2, [b"tRNS", b"\0"])),
    "pixels in pieces": ("hq_masks", in_pieces),
    "an animation of one": ("hq_masks", with_chunks(2, [b"acTL", struct.pack(">LL", 1, 0)], [b"fcTL", FRAME])),
    "behind the end of a mask": ("hq_masks", lambda data: data + b"trailer"),
    "a part in RGB": ("hq_parts", part("RGB")),
    "a part of one bit": ("hq_parts", part("1")),
    "a part of nothing": ("hq_parts", lambda data: saved(Image.new("L", (512, 512)), "PNG")),
}


@pytest.mark.parametrize("case", UNTOUCHED)
def test_passed_on_untouched(case, release):
    """And what a row holds is what Pillow makes of the file."""
    role, make = UNTOUCHED[case]
    change(release, role, make)
    data = members(at(release, role))[0][1]
    row = first_row(release, role)
    found = {"hq_masks": row.get("mask"), "hq_parts": (row.get("parts") or [{}])[0].get("mask")}.get(role, row["image"])
    assert found["bytes"] == data
    assert check.examine(Release(release), deep=True)["damaged_images"] == []
    plain = np.asarray(opened(data))
    assert np.array_equal(datasets.Image().decode_example(found), plain)
    if role == "hq_masks":
        assert np.array_equal(mask_indices(data, "0.png"), plain)


def first_row(root, role):
    """The row that the first member of a zip belongs to: the first of its subset in the order of the file number."""
    return min(read(root, FIRST[role][1]), key=lambda row: int(row["file_name"].removesuffix(".jpg")))


def shuffled(data):
    """The same mask under the official colours in another order, while its text holds the official palette."""
    order = np.random.default_rng(3).permutation(19)
    palette = np.array(PALETTE).reshape(19, 3)[np.argsort(order)]
    return palette_png(order.astype(np.uint8)[pixels_of(data)], palette.ravel().tolist(), FAKE)


def interlaced(data):
    """By Adam7, as its seven passes are made by hand."""
    pixels = pixels_of(data)
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    body = b"".join(rows(pixels[y::down, x::right]) for y, x, down, right in passes)
    header = struct.pack(">LLBBBBB", 512, 512, 8, 0, 0, 0, 1)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*pair) for pair in parts)


TURNED_BACK = {
    "grey levels": lambda data: saved(Image.fromarray(pixels_of(data)), "PNG"),
    "grey levels in RGB": lambda data: saved(Image.fromarray(pixels_of(data)).convert("RGB"), "PNG"),
    "grey levels in a palette": mask_with([index for index in range(256) for _ in range(3)]),
    "grey levels, interlaced": interlaced,
    "grey levels of 16 bits": lambda data: saved(Image.fromarray(pixels_of(data).astype(np.uint16)), "PNG"),
    "colours": lambda data: saved(opened(data).convert("RGB"), "PNG"),
    "colours with alpha": lambda data: saved(opened(data).convert("RGBA"), "PNG"),
    "another order, the official one in a text": shuffled,
}


@pytest.mark.parametrize("case", TURNED_BACK)
def test_masks_turned_back_into_indices(case, release):
    expected = pixels_of(members(at(release, "hq_masks"))[0][1])
    change(release, "hq_masks", TURNED_BACK[case])
    found = opened(first_row(release, "hq_masks")["mask"]["bytes"])
    assert found.mode == "P"
    assert np.array_equal(found, expected)
    assert found.getpalette()[: len(PALETTE)] == PALETTE
    assert check.examine(Release(release), deep=True)["damaged_images"] == []


def test_a_folder_of_grey_level_masks(release):
    """As CelebAMask-HQ's own preparation script leaves them: CelebAMask-HQ-mask/0.png, …"""
    folder = release / "CelebAMask-HQ-mask"
    folder.mkdir()
    expected = {}
    for name, data in members(at(release, "hq_masks")):
        name = name.rsplit("/", 1)[-1]
        expected[name] = pixels_of(data)
        Image.fromarray(expected[name]).save(folder / name)
        assert opened((folder / name).read_bytes()).mode == "L"
    at(release, "hq_masks").unlink()
    found = {row["mask"]["path"]: row["mask"]["bytes"] for row in read(release, "hq")}
    assert sorted(found) == sorted(expected)
    for name, data in found.items():
        assert opened(data).mode == "P"
        assert np.array_equal(opened(data), expected[name])
    (folder / "0.png").write_bytes(PAGE)
    with pytest.raises(FormatError, match=f"^{folder}/0.png: the PNG cannot be decoded: this is a web page"):
        read(release, "hq")


# ---------------------------------------------------------------------------------------------------------- orientation


def opened_as(config, way, root, home):
    builder = celeba_dialog.CelebADialog(config_name=config, data_dir=str(root), cache_dir=str(home))
    if way == "stream":
        return builder.as_streaming_dataset()
    builder.download_and_prepare()
    return builder.as_dataset()


@pytest.mark.parametrize("config", ["hq", "hq_512", "hq_256", "hq_parts", "standard"])
@pytest.mark.parametrize("way", ["map", "stream", "parquet"])
def test_an_orientation_is_refused_on_every_path(config, way, release, commands, tmp_path):
    role = "standard_images" if config == "standard" else "hq_images"
    start = f"{at(release, role)}: {change(release, role, with_exif(8))}: its EXIF says to turn or mirror it"
    if way == "parquet":
        done = commands.run("build", release, tmp_path / "out", "--allow-incomplete", "--config", config)
        assert done.status == 1
        assert start in done.text
        return
    with pytest.raises(Exception) as caught:  # noqa: PT011
        for dataset in opened_as(config, way, release, tmp_path / "home").values():
            list(dataset)
    error = caught.value if isinstance(caught.value, FormatError) else caught.value.__cause__  # `datasets` wraps it
    assert isinstance(error, FormatError)
    assert str(error).startswith(start)


@pytest.mark.parametrize("config", ["hq", "hq_512", "hq_256", "standard"])
def test_an_upright_image_is_the_same_on_every_path(config, release, commands, tmp_path):
    """With a tag that says upright: what `datasets` decodes is what Pillow does, turned by nobody."""
    role = "standard_images" if config == "standard" else "hq_images"
    change(release, role, with_exif(1))
    image = opened(members(at(release, role))[0][1])
    assert image.getexif()[ORIENTATION] == 1
    side = {"hq_512": 512, "hq_256": 256}.get(config)
    if side:
        small = saved(image.resize((side, side), Image.Resampling.LANCZOS), "JPEG", quality=95, subsampling=0)
        image = opened(small)
    done = commands.run("build", release, tmp_path / "out", "--allow-incomplete", "--config", config)
    assert done.status == 0, done.text
    ways = [opened_as(config, way, release, tmp_path / way) for way in ("map", "stream")]
    ways.append(datasets.load_dataset(str(tmp_path / "out"), config, cache_dir=str(tmp_path / "parquet")))
    for splits in ways:
        rows = {row["file_name"]: row["image"] for dataset in splits.values() for row in dataset}
        first = min(rows, key=lambda name: int(name.removesuffix(".jpg")))
        assert np.array_equal(rows[first], image)


# ------------------------------------------------------------------------------------------------------- smaller copies


def smaller(root, side):
    """Puts copies of `side` pixels in the place of all HQ images. Returns {file name: bytes}."""
    entries = [(name, resized(side, side)(data)) for name, data in members(at(root, "hq_images"))]
    pack(at(root, "hq_images"), entries)
    return {name.rsplit("/", 1)[-1]: data for name, data in entries}


def images_found(root, config, home):
    splits = opened_as(config, "stream", root, home)
    return {row["file_name"]: row["image"]["bytes"] for dataset in splits.values() for row in undecoded(dataset)}


def test_configs_from_copies_of_512_pixels(release, commands, tmp_path):
    copies = smaller(release, 512)
    assert images_found(release, "hq_512", tmp_path) == copies
    lanczos = {
        name: saved(opened(data).resize((256, 256), Image.Resampling.LANCZOS), "JPEG", quality=95, subsampling=0)
        for name, data in copies.items()
    }
    assert images_found(release, "hq_256", tmp_path) == lanczos
    for config in ("hq", "hq_parts"):
        with pytest.raises(FormatError, match=HQ_512):
            images_found(release, config, tmp_path)
    done = commands.run("build", release, tmp_path / "out", "--allow-incomplete")
    assert done.status == 1
    assert HQ_512 in done.text
    out = tmp_path / "celeba_dialog"
    options = ["--config", "hq_512", "--config", "hq_256"]
    done = commands.run("build", release, out, "--allow-incomplete", *options)
    assert done.status == 0, done.text
    for config, expected in (("hq_512", copies), ("hq_256", lanczos)):
        built = [row for rows in read_splits(out, config).values() for row in rows]
        assert {row["file_name"]: row["image"]["bytes"] for row in built} == expected
    done = commands.run("verify", out, release)
    assert done.status == 0, done.text


def test_configs_from_copies_of_256_pixels(release, tmp_path):
    copies = smaller(release, 256)
    assert images_found(release, "hq_256", tmp_path) == copies
    with pytest.raises(FormatError, match="256×256 pixels.* hq_256 can be made from these smaller copies"):
        images_found(release, "hq_512", tmp_path)


@pytest.mark.parametrize(("size", "fits"), [(300, True), (512, True), (513, False), (1024, False)])
def test_other_sizes_from_copies_of_512_pixels(size, fits, release, tmp_path):
    copies = smaller(release, 512)
    index = index_of(release)
    if not fits:
        with pytest.raises(FormatError, match="512×512 pixels, expected 1024×1024"):
            read_images(index, index.table, [size])
        return
    found = read_images(index, index.table, [size])[size]["image"]
    assert [opened(data).size for data in found] == [(size, size)] * 3
    names = index.table["file_name"].to_pylist()
    assert (dict(zip(names, found)) == copies) == (size == 512)


@pytest.mark.parametrize("side", [1, 300, 700])
def test_other_sizes_serve_for_nothing(side, release):
    """Whatever is wanted of them: no official image was ever so large."""
    smaller(release, side)
    index = index_of(release)
    for sizes in ([None], [256], [512, 256], [1]):
        with pytest.raises(FormatError, match=f"{side}×{side} pixels, expected 1024×1024"):
            read_images(index, index.table, sizes)


# ------------------------------------------------------------------------------------------------------ made-up images


def test_a_drawing_of_another_size_says_so(small, tmp_path):
    """It serves at the size that its comment names and at no other; without the comment at none."""
    root = shutil.copytree(small, tmp_path / "release")
    drawing = members(at(root, "hq_images"))[0][1]
    assert opened(drawing).info["comment"] == b"A made-up CelebA-Dialog image of 64x64 pixels"
    assert len(read(root, "hq")) == 9
    for make in (
        lambda data: saved(opened(data).resize((63, 63)), "JPEG", comment=opened(data).info["comment"]),
        lambda data: saved(opened(data), "JPEG", comment=""),
        lambda data: saved(opened(data), "JPEG", comment="A made-up CelebA-Dialog image of 6x6 pixels"),
    ):
        name = change(root, "hq_images", lambda data, make=make: make(drawing))
        with pytest.raises(FormatError, match=f"{name}: 6[34]×6[34] pixels, expected 1024×1024"):
            read(root, "hq")


def test_drawings_of_the_official_size_say_nothing(whole):
    for role in ("hq_images", "standard_images"):
        assert not any("comment" in opened(data).info for _, data in members(at(whole, role)))

"""`preview`: what is on the sheet, from a release and from a built folder, and what it says to mistakes."""

import io
import json
import os
import shutil
import sys
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from releases import PALETTE, at

from conversion import __main__ as command_line
from conversion.release.errors import FormatError
from conversion.release.vocabulary import ATTRIBUTES, DEGREES, MASK_COLORS, PARTS
from conversion.viewer import sheet as drawing


@pytest.fixture
def draw(tmp_path, capsys):
    """A function that runs the command: the picture, or the message where the status is not 0."""

    def draw(out, *options, status=0):
        png = tmp_path / "sheet.png"
        found = command_line.main(["preview", str(out), str(png), *map(str, options)])
        message = capsys.readouterr().err
        assert found == status, message
        if status:
            assert not png.exists()
            return message
        with Image.open(png) as picture:
            assert picture.format == "PNG"
            return picture.convert("RGB")

    return draw


def texts(drawn):
    return [text for text, *_ in drawn]


def squeeze(text):
    return "".join(text.split())


def evenly(rows, count):
    """`count` rows from the first to the last, as evenly as whole numbers allow."""
    return [rows[index * (len(rows) - 1) // (count - 1)] for index in range(count)]


@pytest.mark.parametrize("config", ["hq_parts", "standard"])
def test_release_and_built_folder_give_the_same_sheet(config, built, demo, draw):
    sheets = [draw(out, "--config", config, "--rows", 3) for out in (demo.root, built)]
    assert sheets[0].size == sheets[1].size
    assert sheets[0].tobytes() == sheets[1].tobytes()


@pytest.mark.parametrize("config", ["hq", "standard"])
def test_all_that_a_row_says_is_on_the_sheet(config, demo, draw, drawn):
    draw(demo.root, "--config", config, "--rows", 5)
    said = squeeze("".join(texts(drawn)))
    splits = {row["file_name"]: split for split, rows in demo.splits(config).items() for row in rows}
    assert (set(MASK_COLORS) <= set(texts(drawn))) == (config == "hq")  # the legend
    for row in evenly(demo.rows(config), 5):
        at = texts(drawn).index(row["file_name"])
        assert texts(drawn)[at + 1] == splits[row["file_name"]]
        for text in (row["caption"], row["request"]):
            assert squeeze(text or "none") in said
        for name, classes in DEGREES.items():
            label = classes[row[name]].replace("_", " ") if row[name] >= 0 else "not labelled"
            assert label in texts(drawn)


def test_the_mask_lies_over_the_image_in_the_official_colours(demo, draw):
    sheet = draw(demo.root, "--rows", 1)
    row = demo.rows("hq")[0]
    grey = np.asarray(sheet.convert("L"))
    left, column = np.argwhere(grey[160:, 48:] < 250)[0][1] + 48, grey[:, 60]
    top = next(y for y in range(120, 400) if (column[y : y + 20] < 254).all())
    tile = sheet.crop((left, top, left + 256, top + 256))
    image = Image.open(io.BytesIO(row["image"]["bytes"])).resize((256, 256), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(tile, int) - np.asarray(image, int)).max() <= 1
    mask = Image.open(io.BytesIO(row["mask"]["bytes"]))
    mask.putpalette(PALETTE)  # over whatever the file says
    mask = mask.resize((256, 256), Image.Resampling.NEAREST)
    blended = Image.blend(image, mask.convert("RGB"), 0.55)
    expected = Image.composite(blended, image, Image.fromarray(np.asarray(mask) > 0))
    over = sheet.crop((left + 268, top, left + 268 + 256, top + 256))
    assert np.abs(np.asarray(over, int) - np.asarray(expected, int)).max() <= 2
    assert (np.asarray(over) != np.asarray(tile)).any(axis=2).mean() > 0.2


def test_part_masks(demo, draw, drawn):
    sheet = np.asarray(draw(demo.root, "--config", "hq_parts", "--rows", 3))
    rows = evenly(demo.rows("hq_parts"), 3)
    for index, name in enumerate(PARTS):
        labels = [(x, y) for text, x, y, _ in drawn if text == name][:3]  # after these, the legend
        for row, (x, y) in zip(rows, labels):
            masks = {part["part"]: part["mask"]["bytes"] for part in row["parts"]}
            cell = sheet[y - 75 : y - 4, x - 35 : x + 36]  # 71 pixels high and wide
            colored = (cell == np.array(MASK_COLORS[name])).all(axis=2)
            assert colored.any() == (index in masks)
            if index in masks:  # as much of the cell as of the mask, and a rim
                share = np.asarray(Image.open(io.BytesIO(masks[index])).convert("L")).astype(bool).mean()
                assert share * 0.7 < colored.mean() < share + 0.2


def test_without_masks_and_texts(copy, draw, drawn):
    at(copy, "hq_masks").unlink()
    for path in (copy / "CelebA-Dialog (HQ)").glob("*/*.[tj]*"):
        path.unlink()
    draw(copy, "--rows", 2)
    assert texts(drawn).count("no mask") == 2
    assert texts(drawn).count("not labelled") == 2 * (len(DEGREES) + 1)
    assert texts(drawn).count("none") == 4


def test_where_split_and_rows_choose(demo, draw, drawn):
    draw(demo.root, "--split", "train", "--where", "smiling >= 1 AND Male", "--rows", 3)
    male = 20  # in CelebA's order
    meet = [row for row in demo.splits("hq")["train"] if row["smiling"] >= 1 and row["attributes"][male] == 1]
    assert [text for text in texts(drawn) if text.endswith(".jpg")] == [row["file_name"] for row in evenly(meet, 3)]
    assert f"3 of {len(meet)} rows where smiling >= 1 AND Male" in texts(drawn)
    drawn.clear()
    draw(demo.root, "--split", "train", "--where", "smiling >= 1 AND Male", "--stats")
    assert texts(drawn)[1:3] == [f"{len(meet)} of 24 rows where smiling >= 1 AND Male", f"train: {len(meet)} images"]
    drawn.clear()
    draw(demo.root, "--split", "test", "--rows", 100)  # more than there are
    names = [row["file_name"] for row in demo.splits("hq")["test"]]
    assert [text for text in texts(drawn) if text.endswith(".jpg")] == names


HOSTILE = "Frau Ämilie — naïve, 日本語 😀 العربية \u200b\u0000\ud800 " + "x" * 400 + " end. " + "word " * 60


def test_nothing_is_clipped_and_nothing_breaks(demo):
    long = HOSTILE * 9  # more than is drawn
    row = dict(demo.rows("hq")[1], split="validation", caption=long, request=HOSTILE[::-1], file_name="0" * 20)
    picture = np.asarray(drawing.draw_rows([row, row], "title " * 9, HOSTILE))
    white = (picture == 255).all(axis=2)
    margin = drawing.MARGIN - 2
    assert white[:, :margin].all()
    assert white[:, -margin:].all()
    assert white[:margin].all()
    assert white[-24:].all()
    assert not white[:, drawing.MARGIN : -drawing.MARGIN].all()


def test_a_part_mask_that_is_none(demo):
    row = demo.rows("hq_parts")[0] | {"split": "train"}
    row["parts"] = [{"part": 0, "mask": {"bytes": b"x", "path": "0.png"}}]
    with pytest.raises(FormatError, match="0.png: the PNG cannot be decoded: Pillow finds no PNG in it"):
        drawing.draw_rows([row], "", "")


def test_letters_that_the_font_lacks():
    assert drawing.plain("Ämilie's café – naïve\n\tﬁne\u0000") == "Amilie's cafe - naive fine"


# ----------------------------------------------------------------------------------------------------------- statistics


def shown(counts, known):
    """The figures beside the bars of a label, of which some have `counts`, split by split."""
    figures = []
    for count, all_of_them in zip(counts, known):
        share = 100 * count / all_of_them
        figures += ["0" if not count else f"{share:.{0 if share >= 10 else 1}f}%", str(count)]
    return figures


@pytest.mark.parametrize("config", ["hq", "standard"])
def test_statistics_count_every_split(config, built, demo, draw, drawn):
    picture = draw(demo.root, "--config", config, "--stats")
    said = texts(drawn)
    drawn.clear()
    assert draw(built, "--config", config, "--stats").tobytes() == picture.tobytes()
    assert texts(drawn) == said
    splits = demo.splits(config)
    for name, classes in DEGREES.items():
        labelled = [[row[name] for row in rows if row[name] >= 0] for rows in splits.values()]
        labelled = [values for values in labelled if values]
        at = said.index(name)
        assert said[at + 1] == "not labelled: unlabeled 1"
        expected = []
        for degree, label in enumerate(classes):
            expected.append(f"{label.replace('_', ' ')} ({degree})")
            expected += shown([values.count(degree) for values in labelled], map(len, labelled))
        assert said[at + 2 : at + 2 + len(expected)] == expected
    known = [[row["attributes"] for row in rows if row["attributes"][0] >= 0] for rows in splits.values()]
    for index, name in enumerate(ATTRIBUTES):
        expected = shown([sum(row[index] for row in rows) for rows in known], map(len, known))
        at = said.index(name) + 1
        assert said[at : at + len(expected)] == expected


# ------------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    "options, says",
    [
        (["--rows", 101], "1 to 100 rows"),
        (["--where", "split = 'test'", "--split", "train"], "no row of hq, train, meets the condition"),
        (["--stats", "--where", "bangs = 5 AND bangs = 0"], "no row of hq meets the condition"),
    ],
)
def test_wrong_usage(demo, draw, options, says):
    assert says in draw(demo.root, *options, status=2)


def test_without_duckdb(demo, draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    message = draw(demo.root, "--where", "smiling > 3", status=1)
    assert "duckdb" in message and '"celeba-dialog[look]"' in message
    draw(demo.root, "--rows", 1, "--split", "train")  # which needs none


def test_a_config_that_is_not_there(copy, draw):
    shutil.rmtree(copy / "CelebA-Dialog (HQ)")
    message = draw(copy, "--config", "hq", status=2)
    assert "has no config hq, but standard" in message
    draw(copy, "--rows", 1)  # takes what there is


def test_neither_release_nor_built_folder(tmp_path, draw):
    (tmp_path / "empty").mkdir()
    assert "neither a built folder (there is no manifest.json) nor a release" in draw(tmp_path / "empty", status=1)
    assert "no such folder. Give a built folder" in draw(tmp_path / "nowhere", status=1)


def test_a_picture_that_cannot_be_written_leaves_the_old_one(demo, tmp_path, capsys, monkeypatch):
    png = tmp_path / "sheet.png"
    png.write_bytes(b"old")
    monkeypatch.setattr(Image.Image, "save", mock.Mock(side_effect=OSError(28, "No space left on device")))
    assert command_line.main(["preview", str(demo.root), str(png), "--rows", "1"]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert png.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [png]


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1234\n"


def without(path, column):
    pq.write_table(pq.read_table(path).drop([column]), path)


@pytest.mark.parametrize(
    "harm, says",
    [
        (lambda shard: shard.unlink(), "not there, though the manifest names it"),
        (lambda shard: shard.write_bytes(b"PAR1"), "cannot be read"),
        (lambda shard: shutil.copy(min(shard.parent.glob("train-*")), shard), " rows, expected 3"),
        (lambda shard: without(shard, "caption"), "no column caption"),
        (lambda shard: shard.unlink() or os.mkfifo(shard), "cannot be read: is a pipe, expected a file"),
        (lambda shard: shard.write_text(POINTER), "git lfs pull"),
    ],
)
def test_a_damaged_folder(built, tmp_path, draw, harm, says):
    out = tmp_path / "celeba_dialog"
    shutil.copytree(built / "hq", out / "hq")
    manifest = json.loads((built / "manifest.json").read_text())
    manifest["configs"] = {"hq": manifest["configs"]["hq"]}
    (out / "manifest.json").write_text(json.dumps(manifest))
    harm(out / "hq" / "test-00000-of-00001.parquet")
    assert says in draw(out, status=1)

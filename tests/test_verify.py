"""`verify`: a folder as it was built passes, and every kind of difference is found and named."""

import hashlib
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import tree

from celeba_dialog import DamagedFileError
from conversion import verify
from conversion.demo.command import write_release
from conversion.look.rows import open_rows

pytest_plugins = ["building"]

CONFIGS = ["hq", "hq_256", "hq_parts", "standard"]
TRAIN = "hq/train-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def fine(small, commands, tmp_path_factory):
    """The small release, built."""
    out = tmp_path_factory.mktemp("verify") / "celeba_dialog"
    options = [f"--config={config}" for config in CONFIGS]
    done = commands.run("build", small, out, "--allow-incomplete", *options, faults=[("plain_card",)])
    assert done.status == 0, done.text
    return out


@pytest.fixture
def folder(fine, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(fine, tmp_path / "celeba_dialog")


def rewrite(folder, shard, change, rows=2):
    """Writes a shard again with `change(list of rows)`, in row groups of `rows`, and corrects the manifest."""
    path = folder / shard
    schema = pq.read_schema(path)
    table = pa.Table.from_pylist(change(pq.ParquetFile(path).read().to_pylist()), schema=schema)
    pq.write_table(table, path, row_group_size=rows)
    correct(folder, shard, rows=table.num_rows)


def correct(folder, shard, **facts):
    """Corrects size and SHA-256 of a shard in the manifest, as someone would who wants to hide a change."""
    data = (folder / shard).read_bytes()
    facts |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest = json.loads((folder / "manifest.json").read_text())
    for entry in manifest["configs"].values():
        for split in entry["splits"].values():
            for told in split["shards"]:
                if told["path"] == shard:
                    told |= facts
    (folder / "manifest.json").write_text(json.dumps(manifest))


def problems(folder, release, **options):
    return verify.verify(folder, release, workers=1, **options)[2]


def test_a_folder_as_it_was_built(fine, small, commands):
    before = tree(fine)
    done = commands.run("verify", fine, small)
    assert done.status == 0, done.text
    assert done.text == f"{fine}: 47 rows, {15 * 9 * 2 + 16 * 9 + 14 * 20} values, all as in {small}.\n"
    assert tree(fine) == before
    for workers in (1, 2):
        rows, values, found = verify.verify(str(fine), str(small), ["standard"], workers)
        assert (rows, values, found) == (20, 280, [])


# Column -> a change of it in one row, that nothing but a comparison with the release can find.
CHANGES = {
    "bangs": lambda value: value + 1,
    "age": lambda value: -1,
    "attributes": lambda value: [1 - value[0], *value[1:]],
    "caption": lambda value: value + " ",
    "attribute_captions": lambda value: value | {"beard": "A beard."},
    "request": lambda value: "",
    "request_labels": lambda value: value | {"target": (value["target"] + 1) % 6},
    "identity": lambda value: value + 1,
    "celeba_file_name": lambda value: "000001.jpg",
    "image": lambda value: value | {"bytes": value["bytes"][:-1] + b"!"},
    "mask": lambda value: value | {"bytes": value["bytes"] + b"!"},
}


@pytest.mark.parametrize("column", CHANGES)
def test_a_changed_value(column, folder, small):
    names = []

    def change(rows):
        names.append(rows[3]["file_name"])
        return [*rows[:3], rows[3] | {column: CHANGES[column](rows[3][column])}, *rows[4:]]

    rewrite(folder, TRAIN, change)
    found = problems(folder, small)
    assert len(found) == 1, found
    assert found[0].startswith(f"{TRAIN}: row group 1: row 1 ({names[0]}): column {column}: ")
    assert ", the release has " in found[0]


@pytest.mark.parametrize("change, column", [("name", "image"), ("no mask", "mask"), ("one part less", "parts")])
def test_a_changed_image_column(change, column, folder, small):
    shard = TRAIN.replace("hq/", "hq_parts/")
    changes = {
        "name": lambda row: {"image": row["image"] | {"path": "0.png"}},
        "no mask": lambda row: {"mask": None},
        "one part less": lambda row: {"parts": row["parts"][1:]},
    }
    rewrite(folder, shard, lambda rows: [rows[0] | changes[change](rows[0]), *rows[1:]])
    found = problems(folder, small)
    assert len(found) == 1
    assert f"{shard}: row group 0: row 0 " in found[0]
    assert f": column {column}: " in found[0]


@pytest.mark.parametrize("column", ["image", "mask"])
@pytest.mark.parametrize("config", ["hq", "hq_256", "standard"])
def test_a_changed_byte_of_an_image(config, column, folder, small, commands):
    """One bit of the file flips, somewhere in the bytes of an image."""
    if config == "standard" and column == "mask":
        pytest.skip("has no masks")
    shard = sorted((folder / config).glob("test-*"))[0]
    row = pq.ParquetFile(shard).read().to_pylist()[0]
    data = bytearray(shard.read_bytes())
    data[data.index(row[column]["bytes"]) + 100] ^= 4
    shard.write_bytes(data)
    done = commands.run("verify", folder, small, f"--config={config}")
    name = shard.relative_to(folder).as_posix()
    assert done.status == 1
    assert f"{name}: the file is not the one in manifest.json" in done.text
    size, file = len(row[column]["bytes"]), row[column]["path"]
    assert (
        f"{name}: row group 0: row 0 ({row['file_name']}): column {column}: {size:,} bytes named {file}, "
        f"the release has {size:,} bytes named {file}\n"
    ) in done.text
    assert done.text.endswith(f"{folder}: 2 differences. Build it again, with --force.\n")


def test_a_text_that_is_no_utf8(folder, small, commands):
    """Found by the soak: a flipped bit in a caption, which every reader of the folder meets."""
    shard = folder / TRAIN
    table = pq.ParquetFile(shard).read()
    pq.write_table(table, shard, compression="NONE", use_dictionary=False, write_statistics=False)
    caption = table["caption"].drop_null()[0].as_py().encode()
    shard.write_bytes(shard.read_bytes().replace(caption, caption[:5] + b"\xe5" + caption[6:]))
    correct(folder, TRAIN)
    done = commands.run("verify", folder, small)
    assert done.status == 1 and "Traceback" not in done.text
    assert f"{TRAIN}: cannot be read: " in done.text and "UTF8" in done.text
    for read in (lambda rows: rows.labels("hq"), lambda rows: [rows.row("hq", position) for position in range(3)]):
        with pytest.raises(DamagedFileError, match="UTF8"):
            read(open_rows(str(folder)))


def test_swapped_rows(folder, small):
    rewrite(folder, TRAIN, lambda rows: [rows[1], rows[0], *rows[2:]], rows=100)
    found = problems(folder, small)
    names = [row["file_name"] for row in pq.ParquetFile(folder / TRAIN).read().to_pylist()]
    assert found == [
        f"{TRAIN}: row group 0: row 0 ({names[1]}): column file_name: '{names[0]}', the release has '{names[1]}'",
        f"{TRAIN}: row group 0: row 1 ({names[0]}): column file_name: '{names[1]}', the release has '{names[0]}'",
    ]


def test_a_missing_column(folder, small):
    table = pq.ParquetFile(folder / TRAIN).read()
    pq.write_table(table.drop_columns(["identity"]), folder / TRAIN)
    correct(folder, TRAIN)
    found = problems(folder, small, configs=["hq"])
    assert len(found) == table.num_rows
    assert all(": column identity: None, the release has " in line for line in found)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_row_too_few_or_too_many(missing, folder, small):
    count = pq.ParquetFile(folder / TRAIN).metadata.num_rows
    rewrite(folder, TRAIN, lambda rows: rows[:-1] if missing else [*rows, rows[0]])
    found = problems(folder, small, configs=["hq"])
    told = count - 1 if missing else count + 1
    assert f"hq train: {told} rows, expected {count}, as many as the release has" in found


def test_a_manifest_that_counts_wrong(folder, small):
    rows = pq.ParquetFile(folder / TRAIN).metadata.num_rows
    correct(folder, TRAIN, rows=rows + 1)
    assert f"{TRAIN}: {rows} rows, manifest.json says {rows + 1}" in problems(folder, small)


def test_a_missing_shard(folder, small):
    (folder / TRAIN).unlink()
    assert problems(folder, small) == [f"{TRAIN}: missing, though manifest.json lists it"]


def test_a_shard_that_is_cut_off(folder, small):
    data = (folder / TRAIN).read_bytes()
    for length in (0, 3, len(data) // 2, len(data) - 1):
        (folder / TRAIN).write_bytes(data[:length])
        first, second = problems(folder, small)
        assert first.startswith(f"{TRAIN}: cannot be read: ")
        assert second == f"{TRAIN}: the file is not the one in manifest.json: its size or SHA-256 differs"
        assert "\n" not in first


def test_a_shard_that_does_not_belong(folder, small):
    shutil.copy(folder / TRAIN, folder / "hq" / "train-00001-of-00001.parquet")
    assert problems(folder, small) == ["hq/train-00001-of-00001.parquet: is not in manifest.json"]


def test_a_missing_card(folder, small):
    (folder / "README.md").unlink()
    assert problems(folder, small) == ["README.md: missing, so that the configs do not load by name"]


def test_rows_of_another_release(folder, small, commands, tmp_path):
    write_release(str(tmp_path / "release"), hq=9, standard=20, side=64, seed=5)
    done = commands.run("verify", folder, tmp_path / "release", "--config=standard")
    assert done.status == 1
    assert "standard/train-00000-of-00001.parquet: row group 0: row 0 " in done.text
    assert "differences. Build it again" in done.text
    assert "Traceback" not in done.text


def test_a_release_that_changed_in_one_place(folder, small, tmp_path):
    release = shutil.copytree(small, tmp_path / "release")
    path = release / "CelebA-Dialog (HQ)" / "text" / "request_hq.json"
    requests = json.loads(path.read_bytes())
    name = sorted(requests)[0]
    path.write_text(json.dumps(requests | {name: "Make it so."}))
    found = problems(folder, release, configs=["hq"])
    assert len(found) == 1
    assert f"({name}): column request: " in found[0]
    assert found[0].endswith(", the release has 'Make it so.'")


def test_many_differences_are_cut_short(folder, small):
    rewrite(folder, TRAIN, lambda rows: [row | {"bangs": -1, "beard": -1, "smiling": -1, "age": -1} for row in rows])
    found = problems(folder, small)
    assert len(found) == verify.MOST_LINES + 1
    assert sum("more differences" in line for line in found) == 1


def test_wrong_use(folder, small, commands, tmp_path):
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "nowhere", tmp_path / "empty", small):
        done = commands.run("verify", out, small)
        assert done.status == 2
        assert done.text.startswith(f"{out}: no built folder")
        assert done.text.count("\n") == 1
    done = commands.run("verify", folder, small, "--config=hq_512")
    assert (done.status, done.text) == (2, f"{folder}: has no config hq_512, only hq, hq_256, hq_parts, standard.\n")
    done = commands.run("verify", folder, tmp_path / "nowhere")
    assert done.status == 1
    assert "no such folder" in done.text
    assert commands.run("verify", folder, small, "--workers=0").status == 2
    for manifest in ("", "[]", "{}", '{"dataset": "celeba_dialog"}', '{"dataset": "celeba_dialog", "configs": [1]}'):
        (folder / "manifest.json").write_text(manifest)
        done = commands.run("verify", folder, small)
        assert done.status == 2
        assert "no manifest.json of ours" in done.text

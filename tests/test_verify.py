"""`verify`: a folder as it was built passes, and every kind of difference is found and named."""

import hashlib
import json
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import tree
from releases import at, change_json

from conversion import __main__ as cli
from conversion import card, verify
from conversion.parquet import command as build
from conversion.release.errors import DamagedFileError, ReleaseError, UsageError
from conversion.release.finding import Release
from conversion.release.index import index_key, indexes, keep_index, load_index, open_index
from conversion.viewer.rows import open_rows

pytest_plugins = ["building"]

CONFIGS = ["hq", "hq_256", "hq_parts", "standard"]
TRAIN = "hq/train-00000-of-00001.parquet"


@pytest.fixture(autouse=True)
def plain_pictures(monkeypatch):
    """Pictures that take no time, for `build` and `verify` alike."""
    monkeypatch.setattr(card.charts, "statistics", lambda groups: repr(groups).encode())


@pytest.fixture(scope="module")
def fine(small, tmp_path_factory):
    """The small release, built."""
    out = tmp_path_factory.mktemp("verify") / "celeba_dialog"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(card.charts, "statistics", lambda groups: repr(groups).encode())
        build.build(small, out, CONFIGS, workers=1)
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


def of_shards(folder, release, configs=("hq",)):
    """The differences in shards, without what README.md and the manifest say that no longer fits them."""
    found = problems(folder, release, configs=configs)
    return [line for line in found if not line.startswith(("README.md: ", "manifest."))]


def test_a_folder_as_it_was_built(fine, small, capsys):
    before = tree(fine)
    assert cli.main(["verify", str(fine), str(small)]) == 0
    said = f"{fine}: 47 rows, {15 * 9 * 2 + 16 * 9 + 14 * 20} values, all as in {small}.\n"
    assert capsys.readouterr().err == said
    assert tree(fine) == before
    for workers in (1, 2):
        assert verify.verify(str(fine), str(small), ["standard"], workers) == (20, 280, [])


# A column, and a change of it in one row that nothing but a comparison with the release can find.
CHANGES = [
    ("bangs", lambda value: value + 1),
    ("age", lambda value: -1),
    ("attributes", lambda value: [1 - value[0], *value[1:]]),
    ("caption", lambda value: value + " "),
    ("attribute_captions", lambda value: value | {"beard": "A beard."}),
    ("request", lambda value: ""),
    ("request_labels", lambda value: value | {"target": (value["target"] + 1) % 6}),
    ("identity", lambda value: value + 1),
    ("celeba_file_name", lambda value: "000001.jpg"),
    ("image", lambda value: value | {"bytes": value["bytes"][:-1] + b"!"}),
    ("image", lambda value: value | {"path": "0.png"}),
    ("image", lambda value: value | {"bytes": None}),
    ("mask", lambda value: value | {"bytes": value["bytes"] + b"!"}),
    ("mask", lambda value: None),
    ("parts", lambda value: value[1:]),
]


@pytest.mark.parametrize("column, change", CHANGES)
def test_a_changed_value(column, change, folder, small):
    shard = f"hq_parts/{TRAIN[3:]}"
    row = pq.ParquetFile(folder / shard).read().to_pylist()[3]
    rewrite(folder, shard, lambda rows: [*rows[:3], row | {column: change(row[column])}, *rows[4:]])
    (found,) = of_shards(folder, small, ["hq_parts"])
    assert found.startswith(f"{shard}: row group 1: row 1 ({row['file_name']}): column {column}: ")


@pytest.mark.parametrize("config, column", [("hq_256", "mask"), ("standard", "image")])
def test_a_changed_byte_of_an_image(config, column, folder, small, capsys):
    """One bit of the file flips, somewhere in the bytes of an image."""
    name = f"{config}/test-00000-of-00001.parquet"
    row = pq.ParquetFile(folder / name).read().to_pylist()[0]
    data = bytearray((folder / name).read_bytes())
    data[data.index(row[column]["bytes"]) + 100] ^= 4
    (folder / name).write_bytes(data)
    assert cli.main(["verify", str(folder), str(small), f"--config={config}"]) == 1
    said = capsys.readouterr().err
    assert f"{name}: its SHA-256 is " in said
    where = f"{name}: row group 0: row 0 ({row['file_name']}): column {column}: "
    assert f"{where}bytes: other bytes from byte 100 on ({len(row[column]['bytes']):,} in all)\n" in said
    configs = " ".join(f"--config {config}" for config in CONFIGS)
    assert said.endswith(f" differences. Build it again: celeba-dialog build {small} {folder} {configs} --force\n")


def test_a_text_that_is_no_utf8(folder, small):
    """Found by the soak: a flipped bit in a caption, which every reader of the folder meets."""
    shard = folder / TRAIN
    table = pq.ParquetFile(shard).read()
    pq.write_table(table, shard, compression="NONE", use_dictionary=False, write_statistics=False)
    caption = table["caption"].drop_null()[0].as_py().encode()
    shard.write_bytes(shard.read_bytes().replace(caption, caption[:5] + b"\xe5" + caption[6:]))
    correct(folder, TRAIN)
    (found,) = of_shards(folder, small)
    assert found.startswith(f"{TRAIN}: cannot be read: ") and "UTF8" in found
    for read in (lambda rows: rows.labels("hq"), lambda rows: [rows.row("hq", position) for position in range(3)]):
        with pytest.raises(DamagedFileError, match="UTF8"):
            read(open_rows(str(folder)))


def test_swapped_rows(folder, small):
    one, other, *_ = pq.ParquetFile(folder / TRAIN).read(["file_name"])["file_name"].to_pylist()
    rewrite(folder, TRAIN, lambda rows: [rows[1], rows[0], *rows[2:]], rows=100)
    assert of_shards(folder, small) == [
        f"{TRAIN}: row group 0: row 0 ({one}): column file_name: “{other}”, the release has “{one}”",
        f"{TRAIN}: row group 0: row 1 ({other}): column file_name: “{one}”, the release has “{other}”",
    ]


@pytest.mark.parametrize("missing", [0, 1])
def test_a_row_too_few_or_too_many(missing, folder, small):
    count = pq.ParquetFile(folder / TRAIN).metadata.num_rows
    rewrite(folder, TRAIN, lambda rows: rows[:-1] if missing else [*rows, rows[0]])
    told = count - 1 if missing else count + 1
    assert f"{TRAIN}: {told} rows, expected {count}" in of_shards(folder, small)


def test_a_shard_that_is_cut_off(folder, small):
    data = (folder / TRAIN).read_bytes()
    (folder / TRAIN).write_bytes(data[:1000])
    first, second = of_shards(folder, small)
    assert first.startswith(f"{TRAIN}: cannot be read: ")
    assert second == f"{TRAIN}: has 1,000 bytes, in manifest.json it has {len(data):,}"


def test_what_git_has_in_the_place_of_a_large_file(folder, small):
    for name in (TRAIN, "legend.png"):
        (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    pointer = "is a pointer of Git LFS, not the file itself, which comes with: git lfs pull"
    assert of_shards(folder, small) == [f"{TRAIN}: {pointer}", f"legend.png: {pointer}"]


def test_a_release_that_changed_in_one_place(folder, small, tmp_path):
    release = shutil.copytree(small, tmp_path / "release")
    name = min(json.loads(at(release, "hq_captions").read_bytes()))
    change_json(release, "hq_captions", lambda told: told[name].update(overall_caption="Make it so."))
    (found,) = of_shards(folder, release)
    assert f"({name}): column caption: " in found and found.endswith(", the release has “Make it so.”")
    told = [line for line in problems(folder, release, configs=["hq"]) if line.startswith("manifest.json: sources, ")]
    assert len(told) == 2 and ", size: " in told[1] and ", sha256: " in told[0]


def test_many_differences_are_cut_short(folder, small):
    rewrite(folder, TRAIN, lambda rows: [row | dict.fromkeys(("bangs", "beard", "smiling", "age"), -1) for row in rows])
    found = of_shards(folder, small)
    assert len(found) == verify.MOST_LINES + 1 and sum("more differences" in line for line in found) == 1


def test_wrong_use(folder, small, tmp_path):
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "nowhere", tmp_path / "empty", small):
        with pytest.raises(UsageError, match=f"{out}: no built folder"):
            verify.verify(out, small)
    with pytest.raises(UsageError, match=f"It comes first: celeba-dialog verify {folder} {small}$"):
        verify.verify(small, folder)
    with pytest.raises(UsageError, match="has no config hq_512, only hq, hq_256, hq_parts, standard."):
        verify.verify(folder, small, ["hq_512"])
    with pytest.raises(ReleaseError, match="no such folder"):
        verify.verify(folder, tmp_path / "nowhere")


def in_file(name, change):
    """A tampering of a file beside the shards, with its SHA-256 in the manifest made right."""

    def tamper(folder):
        data = change((folder / name).read_bytes())
        (folder / name).write_bytes(data)
        told = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        in_manifest(lambda manifest: manifest["files"].update({name: told}))(folder)

    return tamper


def replaced(old, new, name="README.md"):
    return in_file(name, lambda data: data.replace(old, new, 1))


def without(name):
    """A file beside the shards is removed together with its entry."""

    def tamper(folder):
        (folder / name).unlink()
        in_manifest(lambda manifest: manifest["files"].pop(name))(folder)

    return tamper


def in_manifest(change):
    def tamper(folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return tamper


def in_schema(change):
    def tamper(folder):
        table = pq.ParquetFile(folder / TRAIN).read()
        pq.write_table(change(table), folder / TRAIN)
        correct(folder, TRAIN)

    return tamper


def reverse_names(table):
    told = json.loads(table.schema.metadata[b"huggingface"])
    told["info"]["features"]["smiling"]["names"].reverse()
    return table.replace_schema_metadata({"huggingface": json.dumps(told)})


def exchange(one, other):
    """Two shards change places, and the manifest with them."""

    def tamper(folder):
        one_data, other_data = (folder / one).read_bytes(), (folder / other).read_bytes()
        for name, data in ((one, other_data), (other, one_data)):
            (folder / name).write_bytes(data)
            correct(folder, name, rows=pq.ParquetFile(folder / name).metadata.num_rows)

    return tamper


def a_link(folder):
    shutil.move(folder / TRAIN, folder.parent / "elsewhere")
    (folder / TRAIN).symlink_to(folder.parent / "elsewhere")


def another_type(table):
    at = table.column_names.index("smiling")
    return table.set_column(at, "smiling", table["smiling"].cast(pa.int32()))


def put(value, *path):
    """Another value in the manifest."""

    def change(manifest):
        for key in path[:-1]:
            manifest = manifest[key]
        manifest[path[-1]] = value

    return in_manifest(change)


a_split_less = in_manifest(lambda manifest: manifest["configs"]["hq"]["splits"].pop("unlabeled"))
OF_TRAIN = ("configs", "hq", "splits", "train")


LATER = "hq/train-00001-of-00001.parquet"
# What is done to a folder, and the beginning of the line that says so. One of each kind comes in every run.
TAMPERINGS = [
    (replaced(b"\nconfigs:\n", b"\nconfigs: []\nconfigs:\n"), "README.md: no YAML at its head: configs stands"),
    (replaced(b"must not be passed", b"may be passed"), "README.md: line "),
    (replaced(b"skin", b"hair", "id2label.json"), "id2label.json: other bytes"),
    (in_file("legend.png", lambda data: data[:-1] + b"!"), "legend.png: other bytes from byte "),
    (without("statistics.png"), "statistics.png: missing"),
    (lambda folder: shutil.copy(folder / TRAIN, folder / LATER), f"{LATER}: is a file that is not in manifest.json"),
    (put(5, *OF_TRAIN, "rows"), "manifest.json: hq, splits, train, rows: 5, expected "),
    (in_schema(another_type), f"{TRAIN}: column smiling: int32, expected int64"),
    (exchange(TRAIN, "hq/test-00000-of-00001.parquet"), f"{TRAIN}: row group 0: row 0 "),
]
MORE_TAMPERINGS = [
    (replaced(b"very_big_smile", b"no_smile"), "README.md: dataset_info in its YAML"),
    (replaced(f"- {TRAIN}".encode(), b"- hq/t*.parquet"), "README.md: configs in its YAML"),
    (replaced(b"license: other", b"license: mit"), "README.md: license in its YAML: “mit”, expected “other”"),
    (in_file("README.md", lambda data: b"# Faces"), "README.md: no YAML at its head"),
    (replaced(b"\n- config_name: hq\n", b"\n- more:\n  config_name: hq\n"), "README.md: configs in its"),
    (lambda folder: (folder / TRAIN).unlink(), f"{TRAIN}: missing, though the release has rows for it"),
    (lambda out: (out / "celeba_dialog.py").touch(), "celeba_dialog.py: does not belong there: beside it `datasets`"),
    (lambda folder: (folder / "more").mkdir(), "more: is a folder that is not in manifest.json"),
    (a_link, f"{TRAIN}: is a link"),
    (lambda folder: (folder / "README.md").unlink() or os.mkfifo(folder / "README.md"), "README.md: is a pipe"),
    (lambda folder: (folder / TRAIN).unlink() or os.mkfifo(folder / TRAIN), f"{TRAIN}: is a pipe, expected a file"),
    (put("0" * 64, "sources", 0, "sha256"), "manifest.json: sources, 0, sha256"),
    (put([], "sources"), "manifest.json: sources: "),
    (put("0" * 64, "release", "digest"), "manifest.json: release, digest"),
    (put(0, *OF_TRAIN, "labels", "captions"), "manifest.json: hq, splits, train, labels, captions: 0, expected "),
    (a_split_less, "manifest.json: hq, splits, unlabeled: nothing, expected 5 entries"),
    (in_schema(reverse_names), f"{TRAIN}: the features in its metadata"),
    (in_schema(lambda table: table.replace_schema_metadata(None)), f"{TRAIN}: the features in its metadata"),
    (in_schema(lambda rows: rows.append_column("new", rows["age"])), f"{TRAIN}: column new: int64, expected no column"),
    (in_schema(lambda table: table.drop_columns(["identity"])), f"{TRAIN}: column identity: no column, expected int32"),
    (in_schema(lambda table: table.select(table.column_names[::-1])), f"{TRAIN}: columns "),
    (exchange(TRAIN, f"hq_parts/{TRAIN[3:]}"), f"{TRAIN}: column parts: "),
]
TAMPERINGS += [pytest.param(*more, marks=pytest.mark.trials) for more in MORE_TAMPERINGS]


@pytest.mark.parametrize("tamper, says", TAMPERINGS)
def test_a_folder_that_was_tampered_with(tamper, says, folder, small):
    tamper(folder)
    found = problems(folder, small)
    assert any(line.startswith(says) for line in found), found
    assert all(line.isprintable() for line in found)


def test_a_yaml_of_other_types_where_one_config_is_compared(folder, small):
    in_file("README.md", lambda data: b"---\nconfigs: 3\ndataset_info: null\n---\n")(folder)
    found = problems(folder, small, configs=["hq"])
    assert [line.split(" in its YAML")[0] for line in found] == ["README.md: configs", "README.md: dataset_info"]
    in_file("README.md", lambda data: b"# Faces")(folder)
    (found,) = problems(folder, small, configs=["hq"])
    assert found.startswith("README.md: no YAML at its head")
    (folder / "README.md").unlink()
    assert problems(folder, small, configs=["hq"]) == ["README.md: missing, though manifest.json lists it"]


def test_pictures_that_another_version_drew(folder, small, capsys):
    """They may differ, which is said; whatever they show is no difference."""
    put("1.0", "versions", "pillow")(folder)
    in_file("legend.png", lambda data: b"drawn by another Pillow")(folder)
    assert [line for line in problems(folder, small) if line.startswith("legend.png")] == []
    assert "legend.png: made with pillow 1.0, other than here" in capsys.readouterr().err


def test_a_cached_index_is_not_trusted(folder, small):
    """One that fits the folder and not the release, planted under the right name: verify reads the files itself."""
    key = index_key(Release(small), "standard")
    table = open_index(key).table
    column = table.column_names.index("age")
    keep_index(key, table.set_column(column, "age", pa.array([5] * len(table), pa.int8())))
    indexes.clear()
    assert set(open_index(key).table["age"].to_pylist()) == {5}
    for path in (folder / "standard").glob("*.parquet"):
        rewrite(folder, f"standard/{path.name}", lambda rows: [row | {"age": 5} for row in rows])
    assert any(": column age: 5, the release has " in line for line in problems(folder, small, configs=["standard"]))
    assert set(load_index(key).table["age"].to_pylist()) != {5}

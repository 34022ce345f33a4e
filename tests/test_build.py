"""`build`: what it writes, value by value, and what it does when it is disturbed, repeated or used wrongly."""

import errno
import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import datasets
import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import ROOT, read_splits, stamps, tree
from doors import undecoded
from PIL import Image
from releases import at, unpack

import celeba_dialog
from celeba_dialog import CONFIGS
from conversion.parquet import command as build
from conversion.parquet import manifest as manifests
from conversion.parquet import shards
from conversion.release.errors import EnvironmentFault, UsageError
from conversion.release.finding import Release
from conversion.release.looking import Source
from conversion.release.rows import shard_ranges
from conversion.release.vocabulary import ATTRIBUTES, DEGREES
from conversion.report import examine
from conversion.runtime import files

pytest_plugins = ["building"]

PLAIN = ("plain_card",)


def images(row):
    """The image columns of a row, by name."""
    found = {name: row[name] for name in ("image", "mask") if row.get(name)}
    return found | {f"part {part['part']}": part["mask"] for part in row.get("parts", [])}


def work(out):
    """The working folder of a build."""
    return out.parent / f".{out.name}.building"


# --------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("config", ["hq", "standard", "hq_parts"])
def test_every_value_is_the_truth(config, built, demo, same_rows):
    truth = demo.splits(config)
    found = read_splits(built, config)
    assert sorted(found) == sorted(truth)
    for split, rows in truth.items():
        same_rows(found[split], rows, f"{config} {split}")


@pytest.mark.parametrize("side", [512, 256])
def test_resized_images_are_the_documented_ones(side, built, demo):
    truth, found = demo.splits("hq"), read_splits(built, f"hq_{side}")
    for split, rows in truth.items():
        assert len(found[split]) == len(rows)
        for row, original in zip(found[split], rows):
            image = Image.open(io.BytesIO(original["image"]["bytes"])).resize((side, side), Image.Resampling.LANCZOS)
            file = io.BytesIO()
            image.save(file, "JPEG", quality=95, subsampling=0)
            assert row["image"]["bytes"] == file.getvalue()
            indices = Image.open(io.BytesIO(original["mask"]["bytes"]))
            mask = Image.open(io.BytesIO(row["mask"]["bytes"]))
            smaller = min(side, indices.width)
            assert mask.mode == "P"
            assert np.array_equal(mask, indices.resize((smaller, smaller), Image.Resampling.NEAREST))
            for column in original.keys() - {"image", "mask", "parts"}:
                assert row[column] == original[column]
            assert row["image"]["path"] == original["image"]["path"]


@pytest.mark.parametrize("config", ["hq_256"])  # the others are held against the truth by either way
def test_the_builder_gives_the_same_bytes(config, built, demo):
    builder = celeba_dialog.CelebADialog(config_name=config, data_dir=str(demo.root))
    for split, dataset in builder.as_streaming_dataset().items():
        found = read_splits(built, config)[split]
        rows = list(undecoded(dataset))
        assert [images(row) for row in rows] == [images(row) for row in found]


# ------------------------------------------------------------------------------------------------------------ the files


def leaves(path):
    """(Parquet file, {name of a column: its metadata in the first row group})."""
    file = pq.ParquetFile(path)
    group = file.metadata.row_group(0)
    return file, {group.column(index).path_in_schema: group.column(index) for index in range(group.num_columns)}


@pytest.mark.parametrize("config", CONFIGS)
def test_parquet_files(config, built):
    for path in (built / config).iterdir():
        file, columns = leaves(path)
        assert file.metadata.num_rows > 0
        for name, column in columns.items():
            if name.endswith(".bytes"):
                assert (column.compression, column.has_dictionary_page) == ("UNCOMPRESSED", False)
            else:
                assert column.compression == "SNAPPY"
                assert column.has_column_index
            assert column.has_offset_index
        assert {name for name in columns if name.endswith(".bytes")} >= {"image.bytes"}


def test_row_groups(demo, tmp_path, monkeypatch, same_rows):
    assert 50 <= shards.ROW_GROUP["hq"] <= 200
    monkeypatch.setattr(shards, "ROW_GROUP", {"hq": 4, "standard": 5})
    monkeypatch.setattr(build.card, "render", lambda *arguments: {"README.md": b""})
    build.build(demo.root, tmp_path / "out", ["hq", "standard"], 1, allow_incomplete=True)
    for config, size in shards.ROW_GROUP.items():
        for path in (tmp_path / "out" / config).iterdir():
            metadata = pq.ParquetFile(path).metadata
            rows = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
            assert set(rows[:-1]) <= {size}
            assert 1 <= rows[-1] <= size
        for split, rows in demo.splits(config).items():
            same_rows(read_splits(tmp_path / "out", config)[split], rows, config)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_schema_tells_the_features(config, built, demo):
    expected = celeba_dialog.CelebADialog(config_name=config, data_dir=str(demo.root)).info.features
    for path in (built / config).iterdir():
        metadata = pq.read_schema(path).metadata
        assert list(metadata) == [b"huggingface"]
        told = json.loads(metadata[b"huggingface"])["info"]["features"]
        assert datasets.Features.from_dict(told) == expected
        assert '"List"' not in json.dumps(told)  # unknown before datasets 4


FULL = {
    "train": (64, 24182, 162754),
    "validation": (8, 2993, 19864),
    "test": (8, 2824, 19960),
    "unlabeled": (1, 1, 21),
}


@pytest.mark.parametrize("subset", ["hq", "standard"])
def test_the_plan_of_the_full_release(subset):
    rows = [count[1 if subset == "hq" else 2] for count in FULL.values()]
    bounds = np.cumsum([0, *rows]).tolist()
    index = SimpleNamespace(splits={split: bounds[i : i + 2] for i, split in enumerate(FULL)})
    release = SimpleNamespace(root="/release", digest=lambda roles: "0")
    configs = ["hq", "hq_256"] if subset == "hq" else ["standard"]
    jobs = shards.plan(release, {(subset, False): index}, configs)
    assert [job.first for job in jobs] == [0, *(job.last for job in jobs[:-1])]
    assert jobs[-1].last == bounds[-1]
    names = [[path for _, _, path in job.targets] for job in jobs]
    expected = [
        [f"{config}/{split}-{number:05d}-of-{count:05d}.parquet" for config in configs]
        for split, (count, *_) in FULL.items()
        for number in range(count)
    ]
    assert names == expected
    sizes = [job.last - job.first for job in jobs[:64]]
    assert max(sizes) - min(sizes) <= 1


def test_no_shard_of_a_small_split_is_empty():
    for split in FULL:
        for rows in range(1, 600):
            ranges = shard_ranges(split, 100, 100 + rows)
            assert ranges[0][0] == 100
            assert ranges[-1][1] == 100 + rows
            assert all(first < last for first, last in ranges)
            assert all(one[1] == other[0] for one, other in zip(ranges, ranges[1:]))
            assert len(ranges) <= FULL[split][0]


def test_the_manifest(built, demo):
    manifest = json.loads((built / "manifest.json").read_text())
    assert list(manifest["configs"]) == sorted(CONFIGS)
    for source in manifest["sources"]:
        data = (demo.root / source["path"]).read_bytes()
        assert (source["size"], source["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    told_of = {}
    for config, entry in manifest["configs"].items():
        truth = demo.splits("standard" if config == "standard" else "hq")
        assert sorted(entry["splits"]) == sorted(truth)
        for split, told in entry["splits"].items():
            rows = truth[split]
            assert told["rows"] == len(rows) == sum(shard["rows"] for shard in told["shards"])
            assert told["bytes"] == sum(shard["size"] for shard in told["shards"])
            assert told["memory_bytes"] == sum(shard["memory_bytes"] for shard in told["shards"])
            labels = told["labels"]
            for name in DEGREES:
                assert labels[name] == [sum(row[name] == degree for row in rows) for degree in range(-1, 6)]
            attributes = [sum(row["attributes"][i] == 1 for row in rows) for i in range(len(ATTRIBUTES))]
            assert labels["attributes"] == attributes
            assert labels["captions"] == sum(row["caption"] != "" for row in rows)
            assert labels["requests"] == sum(row["request"] != "" for row in rows)
            told_of |= {shard["path"]: shard for shard in told["shards"]}
    assert {path for path in tree(built) if path.endswith(".parquet")} == set(told_of)
    for path, shard in told_of.items():
        data = (built / path).read_bytes()
        assert (shard["size"], shard["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        table = pq.ParquetFile(built / path).read()
        assert shard["rows"] == table.num_rows
        assert shard["memory_bytes"] == pytest.approx(table.nbytes, rel=0.01)


# ---------------------------------------------------------------------------------------------------------- determinism


def test_one_worker_in_another_locale_writes_the_same_bytes(built, demo, tmp_path):
    """The command line as a user starts it, with other hashes of strings, and nothing in the cache."""
    shutil.copytree(built, tmp_path / "celeba_dialog")
    program = (
        "import sys; from conversion import __main__ as cli; cli.COMMANDS = {'build': '.parquet.command'}; "
        "sys.exit(cli.main())"
    )
    argv = ["build", str(demo.root), str(tmp_path / "celeba_dialog"), "--workers=1", "--force"]
    options = [word for config in reversed(CONFIGS) for word in ("--config", config)]
    own = {"HF_HOME": str(tmp_path / "home"), "PYTHONHASHSEED": "7", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    process = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, *argv, *options],
        cwd=ROOT,
        env=os.environ | own,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert tree(tmp_path / "celeba_dialog") == tree(built)


def test_a_second_build_changes_nothing(small, tmp_path, monkeypatch, capsys):
    """And reads neither the sources nor the shards."""
    out = tmp_path / "out"
    build.build(small, out, workers=1)
    before = stamps(out)
    assert "writing the card" in capsys.readouterr().err
    monkeypatch.setattr(shards, "write_shards", lambda *_: pytest.fail("a shard was looked at"))
    checksum = files.checksum
    monkeypatch.setattr(
        files, "checksum", lambda path: checksum(path) if path.endswith(".py") else pytest.fail(f"{path} was read")
    )
    build.build(small, out, workers=1)
    assert "nothing to do" in capsys.readouterr().err
    assert stamps(out) == before
    assert list(tmp_path.iterdir()) == [out]


# ------------------------------------------------------------------------------------------ building again, and further


def test_another_config_keeps_the_others(small, commands, tmp_path):
    out = tmp_path / "out"
    plain = {"faults": [PLAIN]}
    assert commands.run("build", small, tmp_path / "both", "--allow-incomplete", **plain).status == 0
    assert commands.run("build", small, out, "--allow-incomplete", "--config=hq", **plain).status == 0
    before = stamps(out / "hq")
    done = commands.run("build", small, out, "--allow-incomplete", "--config=standard", **plain)
    assert done.status == 0, done.text
    assert stamps(out / "hq") == before
    assert tree(out) == tree(tmp_path / "both")


@pytest.fixture
def changed(small, tmp_path):
    """A copy of the small release in which one HQ caption differs: (release, file name of the image)."""
    release = shutil.copytree(small, tmp_path / "changed")
    path = release / "CelebA-Dialog (HQ)" / "text" / "captions_hq.json"
    captions = json.loads(path.read_bytes())
    name = next(iter(captions))
    captions[name]["overall_caption"] = "Another caption."
    path.write_text(json.dumps(captions))
    return release, name


def test_a_changed_release_is_noticed(small, changed, commands, tmp_path):
    release, name = changed
    out = tmp_path / "out"
    again = tmp_path / "again"
    shutil.copytree(small, again)  # the same files in another place have other stamps: shards are built anew
    assert commands.run("build", again, out, "--allow-incomplete", faults=[PLAIN]).status == 0
    old = stamps(out)
    path = "CelebA-Dialog (HQ)/text/captions_hq.json"
    shutil.copy(release / path, again / path)
    refused = commands.run("build", again, out, "--allow-incomplete", "--config=standard")
    assert refused.status == 2
    assert "--config hq" in refused.text
    assert stamps(out) == old
    done = commands.run("build", again, out, "--allow-incomplete", faults=[PLAIN])
    assert done.status == 0, done.text
    captions = {row["file_name"]: row["caption"] for rows in read_splits(out, "hq").values() for row in rows}
    assert captions[name] == "Another caption."
    new = stamps(out)
    assert {path: new[path] for path in new if path.startswith("standard/")} == {
        path: old[path] for path in old if path.startswith("standard/")
    }


def test_force_builds_anew_and_drops_what_is_not_named(small, commands, tmp_path):
    out = tmp_path / "out"
    assert commands.run("build", small, out, "--allow-incomplete", faults=[PLAIN]).status == 0
    bytes_, old = tree(out / "standard"), stamps(out / "standard")
    options = ["--allow-incomplete", "--force", "--config=standard"]
    done = commands.run("build", small, out, *options, faults=[PLAIN])
    assert done.status == 0, done.text
    assert not (out / "hq").exists()
    assert tree(out / "standard") == bytes_
    assert not {*stamps(out / "standard").values()} & {*old.values()}


@pytest.mark.parametrize("damage", ["removed", "changed", "cut off"])
def test_a_shard_that_was_damaged_later_is_built_again(damage, small, commands, tmp_path):
    out = tmp_path / "out"
    assert commands.run("build", small, out, "--allow-incomplete", faults=[PLAIN]).status == 0
    good = tree(out)
    shard = next((out / "hq").iterdir())
    data = shard.read_bytes()
    shard.unlink()
    if damage != "removed":
        shard.write_bytes(data[: len(data) // 2] + (b"" if damage == "cut off" else b"!" + data[len(data) // 2 + 1 :]))
    if damage != "changed":  # where all of hq is to be kept, sizes are looked at, not every byte
        refused = commands.run("build", small, out, "--allow-incomplete", "--config=standard", faults=[PLAIN])
        assert refused.status == 2
        assert shard.name in refused.text
    done = commands.run("build", small, out, "--allow-incomplete", faults=[PLAIN])
    assert done.status == 0, done.text
    assert tree(out) == good


def test_a_link_to_the_folder_stays_one(small, commands, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "out")
    for _ in range(2):
        done = commands.run("build", small, tmp_path / "out", "--allow-incomplete", faults=[PLAIN])
        assert done.status == 0, done.text
    assert (tmp_path / "out").is_symlink()
    assert os.listdir(tmp_path / "disk") == ["out"]


# -------------------------------------------------------------------------------------------------------- interruptions


def test_finished_shards_are_not_built_again(small, commands, tmp_path):
    out = tmp_path / "out"
    build_it = ["build", small, out, "--allow-incomplete", "--workers=1"]
    events = commands.run(*build_it, faults=[PLAIN, ("record",)]).events
    good = tree(out)
    shutil.rmtree(out)
    done = commands.run(*build_it, faults=[PLAIN, ("strike", "SIGKILL", len(events) * 2 // 3)])
    assert done.status == -9
    finished = {path[: -len(".json")] for path in tree(work(out) / "records") if path.endswith(".json")}
    assert finished
    before = stamps(work(out) / "new")
    assert commands.run(*build_it, faults=[PLAIN]).status == 0
    after = stamps(out)
    assert {path: after[path] for path in finished} == {path: before[path] for path in finished}
    assert tree(out) == good


def test_two_builds_at_once(small, commands, tmp_path):
    out = tmp_path / "out"
    waiting, go = tmp_path / "waiting", tmp_path / "go"
    os.mkfifo(waiting)
    os.mkfifo(go)
    options = ["--allow-incomplete", "--workers=1"]
    first = commands.start("build", small, out, *options, faults=[PLAIN, ("hold", 200, str(waiting), str(go))])
    waiting.open().close()  # returns when the first is at work
    second = commands.run("build", small, out, *options)
    assert second.status == 1
    assert second.text.count("\n") == 1
    assert f"{out}: another build is writing it" in second.text
    go.open().close()
    assert first.wait().status == 0
    assert commands.run("verify", out, small).text.count("README") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["go", "out", "waiting"]


def test_a_worker_that_is_killed(small, commands, tmp_path):
    out = tmp_path / "out"
    options = ["--allow-incomplete", "--workers=2"]
    done = commands.run("build", small, out, *options, faults=[PLAIN, ("strike", "SIGKILL", 150, "worker")])
    assert done.status == 1, done.text
    assert done.text.startswith("celeba-dialog: error: A worker process died")
    assert done.text.count("\n") == 1
    assert not out.exists()
    done = commands.run("build", small, out, *options, faults=[PLAIN])
    assert done.status == 0, done.text


def test_a_zip_that_serves_several_roles_is_hashed_once(tmp_path, monkeypatch):
    path = tmp_path / "CelebAMask-HQ.zip"
    path.write_bytes(b"images and masks")
    images = Source("hq_images", str(path), 16, "")
    roles = {"hq_images": [images], "hq_masks": [images._replace(role="hq_masks")]}
    hashed, checksum = [], files.checksum
    monkeypatch.setattr(files, "checksum", lambda path, **options: hashed.append(path) or checksum(path, **options))
    release = SimpleNamespace(sources=roles, shown=os.path.basename)
    with manifests.hashed_sources(release, [("hq", False)]) as entries:
        found = entries.result()
    right = {"path": path.name, "size": 16, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert found == [{"role": role} | right for role in roles]
    assert hashed == [str(path)]


def test_an_unpacked_release(small, commands, tmp_path):
    """Folders of images in the place of zips: the same shards, and the folders in the manifest."""
    release = shutil.copytree(small, tmp_path / "release")
    for role in ("hq_images", "hq_masks", "standard_images"):
        unpack(release, role, at(release, role).parent / role)
    for source, out in ((small, "zipped"), (release, "unpacked")):
        done = commands.run("build", source, tmp_path / out, "--allow-incomplete", faults=[PLAIN])
        assert done.status == 0, done.text
    zipped, unpacked = (
        {path: digest for path, digest in tree(tmp_path / out).items() if path.endswith(".parquet")}
        for out in ("zipped", "unpacked")
    )
    assert unpacked == zipped
    sources = json.loads((tmp_path / "unpacked" / "manifest.json").read_text())["sources"]
    told = {source["role"]: source for source in sources}
    for role, count in (("hq_images", 9), ("hq_masks", 9), ("standard_images", 20)):
        assert told[role]["path"].endswith("/")
        assert told[role]["files"] == count
    assert commands.run("verify", tmp_path / "unpacked", release, faults=[PLAIN]).status == 0


# ------------------------------------------------------------------------------------------------------------ wrong use


def refused(done, status, *parts):
    """Asserts that a command failed as it should: with this exit status, and a message with these parts."""
    assert done.status == status, done.text
    assert "Traceback" not in done.text
    for part in parts:
        assert part in done.text


def test_an_out_that_is_not_ours(small, commands, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    (tmp_path / "other" / "hq").mkdir(parents=True)
    (tmp_path / "other" / "manifest.json").write_text('{"dataset": "another"}')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text('{"dataset": "celeba_dialog"}')
    (tmp_path / "empty").mkdir()
    before = tree(tmp_path)
    for name in ("file", "folder", "other", "broken"):
        done = commands.run("build", small, tmp_path / name, "--allow-incomplete")
        refused(done, 2, f"{tmp_path / name}: holds something that is no earlier build")
        assert done.text.count("\n") == 1
    refused(commands.run("build", small, small, "--allow-incomplete"), 2, "no earlier build")
    refused(commands.run("build", small, "", "--allow-incomplete"), 2, "empty")
    assert tree(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "empty", "file", "folder", "other"]
    assert commands.run("build", small, tmp_path / "empty", "--allow-incomplete", faults=[PLAIN]).status == 0


def test_a_file_of_someone_else_in_out_is_not_lost(small, commands, tmp_path):
    out = tmp_path / "out"
    assert commands.run("build", small, out, "--allow-incomplete", "--config=hq", faults=[PLAIN]).status == 0
    (out / "hq" / "notes.txt").write_text("mine")
    before = tree(tmp_path)
    refused(commands.run("build", small, out, "--allow-incomplete", "--force"), 2, "hq/notes.txt", "Move it away")
    assert tree(tmp_path) == before


def test_a_release_that_is_not_there(small, commands, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    out = tmp_path / "out"
    for name, what in (("mistyped", "no such folder"), ("file", "is a file"), ("empty", "no images below it")):
        done = commands.run("build", tmp_path / name, out, "--allow-incomplete")
        refused(done, 1, f"{tmp_path / name}: ", what)
        assert done.text.count("\n") == 1
    refused(commands.run("build", "", out), 2, "empty")
    refused(commands.run("build"), 2, "RELEASE")
    refused(commands.run("build", small), 2, "OUT")
    refused(commands.run("build", small, out, "--config=hq_1024"), 2, "hq_1024", "hq_256")
    refused(commands.run("build", small, out, "--allow-incomplete", "--workers=0"), 2, "--workers 0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


@pytest.mark.parametrize("part, other", [("hq", "standard"), ("standard", "hq")])
def test_only_one_of_the_two_parts(part, other, small, commands, tmp_path):
    for folder in small.iterdir():
        if f"({part})" in folder.name.lower():
            shutil.copytree(folder, tmp_path / "release" / folder.name)
    done = commands.run("build", tmp_path / "release", tmp_path / "out", "--allow-incomplete", faults=[PLAIN])
    assert done.status == 0, done.text
    assert f"no {other} images below it, so the config {other} is left out" in done.text
    assert done.text.endswith(f'Next, in {tmp_path}: datasets.load_dataset("out", "{part}")\n')
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == [part]
    done = commands.run("build", tmp_path / "release", tmp_path / "new", "--allow-incomplete", f"--config={other}")
    refused(done, 1, f"no {other} images below it")
    assert not (tmp_path / "new").exists()
    assert not work(tmp_path / "new").exists()


def test_an_incomplete_release_is_refused(copy, commands, tmp_path):
    (copy / "CelebA-Dialog (HQ)" / "text" / "captions_hq.json").unlink()
    done = commands.run("build", copy, tmp_path / "out")
    refused(done, 1, f"{copy}: the release is incomplete", "--allow-incomplete")
    line = "CelebA-Dialog (HQ)/text/captions_hq.json: missing, so caption and attribute_captions are empty"
    assert line in done.text
    assert " of " not in done.text  # a demo is whole by its own count
    (copy / "README.txt").unlink()
    done = commands.run("build", copy, tmp_path / "out")
    assert line in done.text
    assert "CelebA-Dialog (HQ)/image.zip: 24 of 30,000 images" in done.text
    assert "CelebA-Dialog (standard)/list_attr_celeba.txt: 90 of 202,599 rows" in done.text
    assert list(tmp_path.iterdir()) == [copy]


# ------------------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize("out", ["s3://bucket/out", "file:///tmp/out", "https://host/out", "memory://out"])
def test_an_out_at_an_address(out, small):
    with pytest.raises(UsageError, match="aws s3 sync.*rclone.*push"):
        build.build(small, out)


@pytest.mark.parametrize("name", ["a[1]", "b*", "c?"])
def test_an_out_that_datasets_would_read_as_a_pattern(name, small, tmp_path):
    (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / name)
    for out in (tmp_path / name / "celeba_dialog", tmp_path / name, tmp_path / "link" / "celeba_dialog"):
        with pytest.raises(UsageError, match="pattern.*Give a folder without"):
            build.build(small, out)
    assert not any((tmp_path / name).iterdir())


@pytest.mark.parametrize("name", ["README.md", "manifest.json", "hq/test-00000-of-00001.parquet"])
def test_a_pipe_in_out_is_not_opened(name, small, tmp_path):
    out = tmp_path / "out"
    build.build(small, out, ["hq"], workers=1)
    (out / name).unlink()
    os.mkfifo(out / name)
    for force in (False, True):
        with pytest.raises(UsageError, match="holds something that is no earlier build|a pipe, which no build wrote"):
            build.build(small, out, ["hq"], workers=1, force=force)


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOTSUP])
def test_a_disk_without_locks(error, small, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(EnvironmentFault, match="has no locks .*Give a folder on another disk"):
        build.build(small, tmp_path / "out", ["hq"], workers=1)
    assert not any(tmp_path.iterdir())


def test_a_remote_release(small, tmp_path):
    memory = fsspec.filesystem("memory")
    memory.put(str(small), "/bucket/release", recursive=True)
    build.build(small, tmp_path / "out", workers=1, allow_incomplete=True)
    build.build("memory://bucket/release", tmp_path / "other", workers=1, allow_incomplete=True)
    here, there = (examine(Release(root)) for root in (small, "memory://bucket/release"))
    assert there["splits"] == here["splits"]
    assert [line["count"] for line in there["files"]] == [line["count"] for line in here["files"]]
    one, other = (
        {path: digest for path, digest in tree(tmp_path / name).items() if path.endswith(".parquet")}
        for name in ("out", "other")
    )
    assert one == other
    one, other = (json.loads(Path(tmp_path, name, "manifest.json").read_text()) for name in ("out", "other"))
    assert [source["sha256"] for source in one["sources"]] == [source["sha256"] for source in other["sources"]]
    memory.store.clear()


def test_faces_are_in_the_card_only_where_asked_for(demo, tmp_path):
    out = tmp_path / "out"
    options = {"configs": ["hq"], "workers": 1, "allow_incomplete": True}
    build.build(demo.root, out, **options)
    assert not (out / "preview.png").exists()
    assert "preview.png" not in (out / "README.md").read_text()
    build.build(demo.root, out, with_preview=True, **options)
    with Image.open(out / "preview.png") as sheet:
        assert sheet.width > 1000
    assert "](preview.png)" in (out / "README.md").read_text()

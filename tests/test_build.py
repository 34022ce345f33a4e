"""`build`: what it writes, value by value, and what it does when it is disturbed, repeated or used wrongly."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from types import SimpleNamespace
from unittest import mock

import datasets
import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import ROOT, read_splits, stamps, tree
from PIL import Image
from releases import at, unpack

import celeba_dialog
from celeba_dialog import CONFIGS
from conversion.parquet import command as build
from conversion.parquet import manifest, shards
from conversion.release.errors import EnvironmentFault
from conversion.release.finding import Release
from conversion.release.rows import shard_ranges
from conversion.release.vocabulary import ATTRIBUTES, DEGREES
from conversion.report import examine
from conversion.runtime import files, pool
from conversion.viewer.rows import open_rows

pytest_plugins = ["building"]


def shards_of(out):
    """{path: SHA-256} of the shards of a built folder: what does not depend on where the release lies."""
    return {path: digest for path, digest in tree(out).items() if path.endswith(".parquet")}


@pytest.fixture
def plain_card(monkeypatch):
    """A card without pictures, which take most of the time of a small build."""
    monkeypatch.setattr(build.card.charts, "statistics", lambda groups: b"none")
    monkeypatch.setattr(build.card.sheet, "legend", lambda: b"none")


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


# ------------------------------------------------------------------------------------------------------------ the files


@pytest.mark.parametrize("config", CONFIGS)
def test_parquet_files(config, built, demo):
    features = celeba_dialog.CelebADialog(config_name=config, data_dir=str(demo.root)).info.features
    for path in (built / config).iterdir():
        metadata = pq.ParquetFile(path).metadata
        assert metadata.num_rows > 0
        columns = [metadata.row_group(0).column(index) for index in range(metadata.num_columns)]
        assert "image.bytes" in [column.path_in_schema for column in columns]
        for column in columns:
            if column.path_in_schema.endswith(".bytes"):
                assert (column.compression, column.has_dictionary_page) == ("UNCOMPRESSED", False)
            else:
                assert (column.compression, column.has_column_index) == ("SNAPPY", True)
            assert column.has_offset_index
        schema = pq.read_schema(path).metadata
        assert list(schema) == [b"huggingface"]
        told = json.loads(schema[b"huggingface"])["info"]["features"]
        assert datasets.Features.from_dict(told) == features
        assert '"List"' not in json.dumps(told)  # unknown before datasets 4


@pytest.mark.usefixtures("plain_card")
def test_row_groups(demo, tmp_path, monkeypatch, same_rows):
    assert 50 <= shards.ROW_GROUP["hq"] <= 200
    monkeypatch.setattr(shards, "ROW_GROUP", {"hq": 4, "standard": 5})
    build.build(demo.root, tmp_path / "out", ["hq", "standard"], 1, allow_incomplete=True)
    for config, size in shards.ROW_GROUP.items():
        for path in (tmp_path / "out" / config).iterdir():
            metadata = pq.ParquetFile(path).metadata
            rows = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
            assert set(rows[:-1]) <= {size}
            assert 1 <= rows[-1] <= size
        for split, rows in demo.splits(config).items():
            same_rows(read_splits(tmp_path / "out", config)[split], rows, config)
    seen = open_rows(str(tmp_path / "out"))
    assert [seen.row("hq", at)["file_name"] for at in range(24)] == [row["file_name"] for row in demo.rows("hq")]


@pytest.mark.parametrize("what, says", [("fork", "No worker process can be"), ("thread", "worker process died")])
def test_workers_that_do_not_start(what, says, small, tmp_path, monkeypatch):
    refuse = mock.Mock(side_effect=OSError(11, "Resource temporarily unavailable"))
    if what == "fork":
        monkeypatch.setattr(os, "fork", refuse)
    else:  # in the worker, which waits in one for the end of its parent
        monkeypatch.setattr(pool, "threading", SimpleNamespace(Thread=mock.Mock(side_effect=RuntimeError)))
    with pytest.raises(EnvironmentFault, match=says):
        build.build(small, tmp_path / "out", workers=2, allow_incomplete=True)


def test_hashing_ends_with_what_it_is_for(small, monkeypatch):
    def endless(path, progress):
        while True:
            progress(1)

    monkeypatch.setattr(files, "checksum", endless)
    with pytest.raises(InterruptedError), manifest.hashed_sources(Release(small), [("hq", False)]):
        raise InterruptedError


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
    for split, (most, *_) in FULL.items():
        for rows in range(1, 600):
            firsts, lasts = zip(*shard_ranges(split, 100, 100 + rows))
            assert firsts == (100, *lasts[:-1]) and lasts[-1] == 100 + rows
            assert all(first < last for first, last in zip(firsts, lasts))
            assert len(firsts) <= most


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
    assert {path: shard["sha256"] for path, shard in told_of.items()} == shards_of(built)
    for path, shard in told_of.items():
        table = pq.ParquetFile(built / path).read()
        assert (shard["size"], shard["rows"]) == ((built / path).stat().st_size, table.num_rows)
        assert shard["memory_bytes"] == pytest.approx(table.nbytes, rel=0.01)


def test_faces_are_in_the_card_only_where_asked_for(built, small, tmp_path):
    assert not (built / "preview.png").exists()
    assert "preview.png" not in (built / "README.md").read_text()
    out = tmp_path / "out"
    build.build(small, out, ["hq"], 1, with_preview=True)
    with Image.open(out / "preview.png") as sheet:
        assert sheet.width > 1000
    assert "](preview.png)" in (out / "README.md").read_text()


# --------------------------------------------------------------------------------------- the same release, another way


def test_one_worker_in_another_locale_writes_the_same_bytes(small, tmp_path):
    """The command line as a user starts it, with other hashes of strings, and nothing in the cache."""
    configs = ["standard", "hq_parts", "hq_256"]
    options = [f"--config={config}" for config in configs]
    own = {"HF_HOME": str(tmp_path / "home"), "PYTHONHASHSEED": "7", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    own |= {"PYTHONOPTIMIZE": "2"}  # which drops docstrings and asserts
    process = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "conversion", "build", str(small), str(tmp_path / "one"), "--workers=1", *options],
        cwd=ROOT,
        env=os.environ | own,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    build.build(small, tmp_path / "two", configs[::-1], 2)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_an_unpacked_release(small, fine, build_small, commands, tmp_path):
    """Folders of images in the place of zips: the same shards, and the folders in the manifest."""
    release, out = shutil.copytree(small, tmp_path / "release"), tmp_path / "out"
    for role in ("hq_images", "hq_masks", "standard_images"):
        unpack(release, role, at(release, role).parent / role)
    build_small(out, release=release)
    assert shards_of(out) == shards_of(fine)
    told = {source["role"]: source for source in json.loads((out / "manifest.json").read_text())["sources"]}
    for role, count in (("hq_images", 9), ("hq_masks", 9), ("standard_images", 20)):
        assert told[role]["path"].endswith("/")
        assert told[role]["files"] == count
    assert commands.run("verify", out, release, faults=[("plain_card",)]).status == 0


@pytest.mark.usefixtures("plain_card")
def test_a_remote_release(small, fine, tmp_path):
    memory = fsspec.filesystem("memory")
    memory.put(str(small), "/bucket/release", recursive=True)
    build.build("memory://bucket/release", tmp_path / "out", workers=1)
    here, there = (examine(Release(root)) for root in (small, "memory://bucket/release"))
    memory.store.clear()
    assert there["splits"] == here["splits"]
    assert [line["count"] for line in there["files"]] == [line["count"] for line in here["files"]]
    assert shards_of(tmp_path / "out") == shards_of(fine)
    one, other = (json.loads((out / "manifest.json").read_text()) for out in (fine, tmp_path / "out"))
    assert [source["sha256"] for source in one["sources"]] == [source["sha256"] for source in other["sources"]]


@pytest.mark.parametrize("part, other", [("hq", "standard"), ("standard", "hq")])
def test_only_one_of_the_two_parts(part, other, small, build_small, tmp_path):
    release, out = tmp_path / "release", tmp_path / "out"
    shutil.copytree(small, release, ignore=shutil.ignore_patterns(f"*({other})", f"*({other.upper()})"))
    done = build_small(out, release=release)
    assert f"no {other} images below it, so the config {other} is left out" in done.text
    assert done.text.endswith(f'Next, in {tmp_path}: datasets.load_dataset("out", "{part}")\n')
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [part]
    done = build_small(tmp_path / "new", f"--config={other}", release=release, status=1)
    assert f"no {other} images below it" in done.text
    at(release, f"{part}_images").unlink()
    assert f"{release}: no images below it: neither " in build_small(tmp_path / "new", release=release, status=1).text
    assert sorted(os.listdir(tmp_path)) == ["out", "release"]


# -------------------------------------------------------------------------------------------------- names and addresses


@pytest.mark.parametrize("out", ["~/my data/out", "../out", "out/"])
def test_a_home_folder_and_a_relative_path(out, small, fine, build_small, tmp_path):
    """Of RELEASE too. OUT may be a folder, if it is empty."""
    home, inside = tmp_path / "home", tmp_path / "inside"
    (home / "my data").mkdir(parents=True)
    (inside / "out").mkdir(parents=True)
    (home / "release").symlink_to(small)
    release = "~/release" if out.startswith("~") else os.path.relpath(small, inside)
    build_small(out, release=release, cwd=inside, environment={"HOME": str(home)})
    place = {"~/my data/out": home / "my data" / "out", "../out": tmp_path / "out", "out/": inside / "out"}[out]
    assert shards_of(place) == shards_of(fine)


@pytest.mark.parametrize("name", ["it's two words", '50% of "#1" & more', "$HOME; `ls` > x"])
def test_names_that_a_shell_would_read_otherwise(name, small, fine, commands, tmp_path):
    """They are read and written like any others, and what a message says to type can be typed."""
    release, out = shutil.copytree(small, tmp_path / name / "release"), tmp_path / name / "celeba_dialog"
    at(release, "hq_captions").unlink()
    (release / "README.txt").unlink()  # which says that it is a demo
    done = commands.run("build", release, out)
    assert done.status == 1
    check = shlex.split(re.search(r"celeba-dialog (check .*)\. To build", done.text)[1])
    assert check == ["check", str(release)]
    said = re.findall("celeba-dialog ((?:fetch|build) .*?)(?:, or by hand.*)?$", commands.run(*check).text, re.M)
    fetch, words = map(shlex.split, said)
    assert fetch == ["fetch", str(release)]
    assert words == ["build", str(release), "celeba_dialog", "--allow-incomplete"]
    done = commands.run(*words, cwd=tmp_path / name, faults=[("plain_card",)])
    assert done.status == 0, done.text
    assert shards_of(out).keys() == shards_of(fine).keys()
    done = commands.run("verify", out, release, faults=[("plain_card",)])
    assert done.status == 0, done.text


# ------------------------------------------------------------------------------------------ building again, and further


@pytest.mark.usefixtures("plain_card")
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


def test_another_config_keeps_the_others(fine, build_small, tmp_path):
    out = tmp_path / "out"
    build_small(out, "--config=hq")
    before = stamps(out / "hq")
    build_small(out, "--config=standard")
    assert stamps(out / "hq") == before
    assert tree(out) == tree(fine)


def test_a_changed_release_is_noticed(small, build_small, tmp_path):
    """What changed is built anew, and what was built from another state of the release is not kept beside it."""
    release, out = shutil.copytree(small, tmp_path / "release"), tmp_path / "out"
    build_small(out, release=release)
    old = stamps(out)
    path = at(release, "hq_captions")
    captions = json.loads(path.read_bytes())
    name = next(iter(captions))
    captions[name]["overall_caption"] = "Another caption."
    path.write_text(json.dumps(captions))
    refused = build_small(out, "--config=standard", release=release, status=2)
    assert "--config hq" in refused.text
    assert stamps(out) == old
    build_small(out, release=release)
    found = {row["file_name"]: row["caption"] for rows in read_splits(out, "hq").values() for row in rows}
    assert found[name] == "Another caption."
    assert {path for path, stamp in stamps(out).items() if stamp == old[path]} >= {
        path for path in old if path.startswith("standard/")
    }


def test_force_builds_anew_and_drops_what_is_not_named(fine, build_small, tmp_path):
    out = shutil.copytree(fine, tmp_path / "out")
    old = stamps(out / "standard")
    build_small(out, "--force", "--config=standard")
    assert not (out / "hq").exists()
    assert tree(out / "standard") == tree(fine / "standard")
    assert not {*stamps(out / "standard").values()} & {*old.values()}
    (tmp_path / "file").touch()  # others may read what is built as they may read any new file
    assert {path.stat().st_mode for path in out.rglob("*.*")} == {(tmp_path / "file").stat().st_mode}


def test_a_demo_does_not_replace_a_real_build(small, build_small, tmp_path):
    """As a second `make demo` would, in a clone in which the real folder was built."""
    out, real = tmp_path / "out", shutil.copytree(small, tmp_path / "real")
    (real / "README.txt").unlink()  # which says that it is a demo
    build_small(out)
    build_small(out, release=real)  # but the other way round it does
    before = tree(out)
    refused = build_small(out, status=2)
    assert "holds a build of the real release" in refused.text and "--force" in refused.text
    assert tree(out) == before
    (out / "README.md").unlink()  # which would tell a demo too
    assert "holds a build of the real release" in build_small(out, status=2).text
    build_small(out, "--force")


@pytest.mark.parametrize("damage", ["removed", "changed", "cut off"])
def test_a_shard_that_was_damaged_later_is_built_again(damage, fine, build_small, tmp_path):
    out = shutil.copytree(fine, tmp_path / "out")
    shard = next((out / "hq").iterdir())
    data = shard.read_bytes()
    shard.unlink()
    if damage != "removed":
        shard.write_bytes(data[: len(data) // 2] + (b"" if damage == "cut off" else b"!" + data[len(data) // 2 + 1 :]))
    if damage != "changed":  # where all of hq is to be kept, sizes are looked at, not every byte
        assert shard.name in build_small(out, "--config=standard", status=2).text
    build_small(out)
    assert tree(out) == tree(fine)


def test_a_link_to_the_folder_stays_one(build_small, tmp_path):
    """Whether it leads to a built folder or to none yet."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "out")
    for config in ("hq", "standard"):
        build_small(tmp_path / "out", f"--config={config}")
    assert (tmp_path / "out").is_symlink()
    assert os.listdir(tmp_path / "disk") == ["out"]


# -------------------------------------------------------------------------------------------------------- interruptions


def test_finished_shards_are_not_built_again(fine, build_small, tmp_path):
    out, options = tmp_path / "out", ["--workers=1"]
    events = build_small(out, *options, faults=[("record",)]).events
    shutil.rmtree(out)
    build_small(out, *options, faults=[("strike", "SIGKILL", len(events) * 2 // 3)], status=-9)
    finished = {path[: -len(".json")] for path in tree(work(out) / "records") if path.endswith(".json")}
    assert finished
    before = stamps(work(out) / "new")
    build_small(out, *options)
    after = stamps(out)
    assert {path: after[path] for path in finished} == {path: before[path] for path in finished}
    assert tree(out) == tree(fine)


def test_two_builds_at_once(small, fine, build_small, commands, tmp_path):
    out, waiting, go = (tmp_path / name for name in ("out", "waiting", "go"))
    os.mkfifo(waiting)
    os.mkfifo(go)
    hold = ("hold", 200, str(waiting), str(go))
    argv = ["build", small, out, "--allow-incomplete", "--workers=1"]
    first = commands.start(*argv, faults=[("plain_card",), hold])
    waiting.open().close()  # returns when the first is at work
    second = build_small(out, status=1)
    assert second.text.count("\n") == 1
    assert f"{out}: another build is writing it" in second.text
    go.open().close()
    assert first.wait().status == 0
    assert tree(out) == tree(fine)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["go", "out", "waiting"]


# ------------------------------------------------------------------------------------------------------------ wrong use


def test_an_incomplete_release_is_refused(copy, commands, tmp_path):
    at(copy, "hq_captions").unlink()
    done = commands.run("build", copy, tmp_path / "out")
    line = "CelebA-Dialog (HQ)/text/captions_hq.json: missing, so caption and attribute_captions are empty"
    assert done.status == 1, done.text
    assert f"{copy}: the release is incomplete" in done.text and "--allow-incomplete" in done.text
    assert line in done.text
    assert " of " not in done.text  # a demo is whole by its own count
    (copy / "README.txt").unlink()
    done = commands.run("build", copy, tmp_path / "out")
    assert line in done.text
    assert "CelebA-Dialog (HQ)/image.zip: 24 of 30,000 images" in done.text
    assert "CelebA-Dialog (standard)/list_attr_celeba.txt: 90 of 202,599 rows" in done.text
    assert list(tmp_path.iterdir()) == [copy]

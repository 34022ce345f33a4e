"""A manifest.json of any other form than build writes: one line that says so, from every command that reads it."""

import copy
import itertools
import json
import os
import shutil
from unittest import mock

import pytest
from commands import tree

from conversion import __main__ as cli
from conversion import card
from conversion.parquet.manifest import MANIFEST, parse_manifest, read_manifest
from conversion.release.errors import CelebADialogError, DamagedFileError, EnvironmentFault
from conversion.runtime import files
from conversion.viewer.rows import open_rows

pytest_plugins = ["building"]


@pytest.fixture(scope="module")
def told(fine):
    return json.loads((fine / MANIFEST).read_bytes())


def places(value, path=()):
    """The path of every value below a value of JSON; of a list, of its first only."""
    children = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def changed(manifest, path, change):
    """A copy of a manifest after change(container, key) of one place."""
    manifest = copy.deepcopy(manifest)
    *above, key = path
    container = manifest
    for step in above:
        container = container[step]
    change(container, key)
    return manifest


def put(value):
    return lambda container, key: container.__setitem__(key, value)


# What may stand in the place of a value, and is wrong there whatever the value was.
WRONG = {
    "removed": lambda container, key: container.pop(key),
    "null": put(None),
    "true": put(True),
    "a fraction": put(0.5),
    "not a number": put(float("nan")),
    "below zero": put(-1),
    "huge": put(10**4000),
    "a long text": put("x" * 10_000),
    "empty": put([]),
    "an empty object": put({}),
    "deep": put(json.loads("[" * 200 + "]" * 200)),
    "half a character": put("\ud800"),
    "above": put("../hq/train-00000-of-00001.parquet"),
    "absolute": put("/etc/passwd"),
    "an escape": put("\x1b[2J\n\n"),
    "another key": lambda container, key: container.update({f"../{key}": container.pop(key)}),
}
# What no reader looks into: any object, any text.
FREE = {("versions",), ("sources", 0, "path"), ("sources", 0, "role"), ("release", "incomplete", 0)}
EMPTY = {("empty", ("sources",)), ("empty", ("release", "incomplete")), ("an empty object", ("files",))}


def wrong_places(told, name):
    """The places of a manifest at which this damage makes something that build does not write."""
    for path in places(told):
        in_list = isinstance(path[-1], int)
        less = name == "removed" and (path[:-1] in {("configs",), ("files",)} or path[-2:-1] == ("splits",))
        free = any(path[: len(start)] == start for start in FREE) or "labels" in path or (name, path) in EMPTY
        if not (less or free or in_list and (name == "another key" or name == "removed" and "shards" not in path)):
            yield path


@pytest.mark.parametrize("name", WRONG)
def test_every_value_and_every_damage(name, told):
    found = 0
    for path in wrong_places(told, name):
        manifest = changed(told, path, WRONG[name])
        if manifest == told:
            continue
        with pytest.raises(DamagedFileError) as caught:
            parse_manifest(json.dumps(manifest).encode(), "here")
            pytest.fail(f"{name} at {path} was taken")
        message = str(caught.value)
        assert message.startswith("here: is not what build writes: "), path
        assert message.isprintable() and message.isascii() and len(message) < 500, (path, message)
        assert "Build the folder again" in message
        assert str(path[-1]) in message or "no shards" in message or name == "removed", (path, message)
        found += 1
    assert found > 30


def test_what_build_wrote_is_taken(told, fine):
    assert parse_manifest(json.dumps(told).encode(), "here") == told == read_manifest(fine)


# Bytes that are no JSON, or no object.
FILES = {
    "nothing": b"",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\n",
    "no JSON": b"{",
    "a list": b"[]",
    "null": b"null",
    "not UTF-8": b'{"dataset": "celeba_dialog\xff"}',
    "nested": b'{"a":' * 100_000,
    "no shards": b'{"dataset": "celeba_dialog"}',
    "another's": b'{"dataset": "chest-xrays"}',
    "a later format": b'{"dataset": "celeba_dialog", "format": 2}',
}


@pytest.fixture
def ask(small, tmp_path, capsys, monkeypatch):
    """A function that asks every command that reads a manifest: {command: (status, message)}."""
    monkeypatch.setattr(card, "render", lambda *_: {"README.md": b""})
    monkeypatch.delenv("HF_TOKEN", raising=False)

    def ask(out):
        found = {}
        for argv in (
            ["build", small, out, "--allow-incomplete", "--workers=1"],
            ["verify", out, small, "--workers=1"],
            ["preview", out, tmp_path / "sheet.png", "--rows=1"],
            ["push", out, "me/mine"],
        ):
            status = cli.main([str(word) for word in argv])
            found[argv[0]] = status, capsys.readouterr().err
        try:
            open_rows(str(out))
            found["browse"] = 0, ""
        except CelebADialogError as error:
            found["browse"] = 1, f"{error}\n"
        return found

    return ask


def refused(found, says):
    """Asserts that every command said in one line what is wrong with the manifest."""
    statuses = {command: status for command, (status, _) in found.items()}
    assert statuses == {"build": 2, "verify": 2, "preview": 1, "browse": 1, "push": 1}, found
    for command, (_, message) in found.items():
        assert message.count("\n") == 1 and says in message, (command, message)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_manifest(name, fine, ask, tmp_path):
    out = shutil.copytree(fine, tmp_path / "out")
    (out / MANIFEST).write_bytes(FILES[name])
    says = "is a pointer of Git LFS" if name == "a pointer" else "is not what build writes: "
    refused(ask(out), f"{out / MANIFEST}: {says}")
    assert (out / MANIFEST).read_bytes() == FILES[name]


def test_a_file_that_cannot_be_read(fine, monkeypatch):
    monkeypatch.setattr(files, "read", mock.Mock(side_effect=OSError(5, "Input/output error")))
    with pytest.raises(EnvironmentFault, match=f"{fine / MANIFEST}: cannot be read: Input/output error"):
        read_manifest(str(fine))


def test_a_key_that_is_there_twice(fine):
    text = (fine / MANIFEST).read_text()
    with pytest.raises(DamagedFileError, match="is not what build writes: a key is there twice"):
        parse_manifest(text.replace('"hq": {', '"hq": {}, "hq": {', 1).encode(), "here")


NO_FILE = [os.mkdir, os.mkfifo, lambda path: None]
NO_FILE += [lambda path: path.symlink_to("nowhere"), lambda path: path.symlink_to(MANIFEST)]  # itself


@pytest.mark.parametrize("make", NO_FILE)
def test_what_is_no_file(make, fine, ask, tmp_path):
    out = shutil.copytree(fine, tmp_path / "out")
    (out / MANIFEST).unlink()
    make(out / MANIFEST)
    refused(ask(out), str(out))


def test_what_is_kept_is_counted_anew(told, fine, build_small, tmp_path):
    """Of a config that is not built again only its shards are taken over, not what was told of its rows."""
    out = shutil.copytree(fine, tmp_path / "out")
    manifest = copy.deepcopy(told)
    for entry in manifest["configs"]["hq"]["splits"].values():
        entry |= {"rows": 1 << 62, "bytes": 0, "labels": {"bangs": "none"}}
    (out / MANIFEST).write_text(json.dumps(manifest))
    build_small(out, "--config=standard")
    assert json.loads((out / MANIFEST).read_bytes()) == told


def test_damaged_records_of_shards(fine, build_small, tmp_path):
    """What an interrupted build notes of its shards is not trusted either: the shards are written again."""
    total = len(build_small(tmp_path / "whole", "--workers=1", faults=[("record",)]).events)
    out = tmp_path / "out"
    build_small(out, "--workers=1", faults=[("strike", "SIGKILL", total * 2 // 3)], status=-9)
    records = sorted((tmp_path / ".out.building" / "records").rglob("*.json"))
    assert len(records) > 4
    damages = [b"", b"null", b"[" * 100_000, b'{"rows": NaN}']
    for path, damage in zip(records, itertools.cycle([None, *damages])):
        record = json.loads(path.read_bytes())
        path.write_bytes(json.dumps(record | {"rows": record["rows"] + 1}).encode() if damage is None else damage)
    build_small(out, "--workers=1")
    assert tree(out) == tree(fine)

"""Whatever happens to a command: nothing half-written loads, the same command then finishes, and its result is the
undisturbed one.

The tables say what is done to a command while it runs. Signals and faults strike at a counted event (see faults.py), so
nothing here depends on how fast the machine is.
"""

import contextlib
import errno
import functools
import hashlib
import io
import json
import os
import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import datasets
import fsspec
import pytest
from commands import Commands, read_splits, tree
from drive import holding
from fsspec.implementations.memory import MemoryFile
from hub import Hub
from making import write_release

from conversion import __main__ as cli
from conversion.release.official import FILES
from conversion.runtime.interrupts import TEXT as INTERRUPTED

pytest_plugins = ["building"]
pytestmark = pytest.mark.trials

PLAIN = ("plain_card",)


@dataclass(eq=False)
class World:
    """What all cases share."""

    commands: object
    small: Path  # the release
    fine: Path  # what is built from it
    old: Path  # what was built before, from another release

    def run(self, command, out, *, faults=(), release=None, workers=2, **options):
        folders = [release or self.small, out]
        argv = ["build", *folders, "--allow-incomplete"] if command == "build" else ["verify", *reversed(folders)]
        done = self.commands.run(*argv, f"--workers={workers}", faults=[PLAIN, *faults], **options)
        assert "Traceback" not in done.text, done.text
        return done

    @functools.cached_property
    def good(self):
        return tree(self.fine)

    @functools.cache  # noqa: B019, one World lives as long as the tests
    def events(self, command, workers, before):
        """The events of a command undisturbed, with or without an old folder before it."""
        out = self.old.parent / "events" / "out"
        shutil.rmtree(out.parent, ignore_errors=True)
        out.parent.mkdir()
        if before:
            shutil.copytree(self.fine if command == "verify" else self.old, out)
        cache = {"cache": out.parent / "cache"} if command == "verify" else {}
        done = self.run(command, out, workers=workers, faults=[("record",)], **cache)
        assert done.status == 0, done.text
        return done.events


@pytest.fixture(scope="module")
def world(commands, small, fine, build_small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_release(str(folder / "release"), hq=9, standard=20, seed=1)
    build_small(folder / "old", release=folder / "release")
    assert not {*shards(tree(folder / "old")).values()} & {*shards(tree(fine)).values()}
    return World(commands, small, fine, folder / "old")


def shards(found):
    """The shards of a tree: what is the same wherever the release lies."""
    return {path: digest for path, digest in found.items() if path.endswith(".parquet")}


def said(done):
    """What a command printed, but for the line that says how far it has come."""
    return "".join(line for line in done.text.splitlines(keepends=True) if not line.endswith("writing the card …\n"))


def unharmed(world, out, before):
    """Asserts that OUT is what it was before or the result, whole in either case."""
    found = tree(out)
    if found != world.good:
        assert found == (tree(world.old) if before else {})


def finishes(world, out, **options):
    """Asserts that the same command now gives the undisturbed result, and leaves nothing beside it."""
    done = world.run("build", out, **options)
    assert done.status == 0, done.text
    assert tree(out) == world.good
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []


# --------------------------------------------------------------------------------------------------------------- killed


def points(events):
    """Where to kill: somewhere in every stretch of the way, and twice among the last steps, where it counts."""
    rng = random.Random(len(events))  # noqa: S311
    last = len(events) - 30
    edges = range(1, last, last // 3)
    return [rng.randrange(low, high) for low, high in zip(edges, edges[1:])] + rng.sample(range(last, last + 31), 2)


@pytest.mark.parametrize("before", [False, True], ids=["new", "again"])
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_twenty_points(world, before, workers, tmp_path):
    """SIGKILL, as a cluster or the kernel sends it, to all processes of a build at once, and then again after the
    resumption has got a little further."""
    for at in points(world.events("build", workers, before)):
        out = tmp_path / str(at) / "celeba_dialog"
        shutil.copytree(world.old, out) if before else out.parent.mkdir()
        done = world.run("build", out, workers=workers, faults=[("strike", "SIGKILL", at)])
        assert done.status in (-9, 0), done.text  # two workers may take a step less than they did
        if out.exists() or not before:  # between two renames, it does not
            unharmed(world, out, before)
        if at % 2:
            world.run("build", out, workers=workers, faults=[("strike", "SIGKILL", at // 2 + 1)])
        finishes(world, out, workers=workers)


# ----------------------------------------------------------------------------------------------------------- the tables


class Case(NamedTuple):
    """A disturbance. `faults` is a function of the events of an undisturbed run."""

    name: str
    faults: object
    status: int
    says: str = ""
    workers: int = 2


def strike(name, part, whom="group"):
    return lambda events: [("strike", name, max(1, int(len(events) * part)), whom)]


def failing(error, part):
    return lambda events: [("fail", error, max(1, int(len(events) * part)))]


def failing_last(error, name, nth=1):
    return lambda events: [("fail", error, [at for at, event in enumerate(events, 1) if event == name][-nth])]


def disturbed(case, run, events):
    """Runs a command as a case says: what it printed, when it has ended as it should."""
    done = run(faults=case.faults(events))
    assert done.status == case.status, f"{case.name}: {done.text}"
    assert case.says in done.text, case.name
    assert "Traceback" not in done.text
    return said(done)


NO_SPACE = "No space left on device"
KEPT = f"{NO_SPACE}. Finished shards are kept: mend that and run the same command again."
BUILD = [  # every second of them where OUT holds an earlier build
    Case("Ctrl-C at first", strike("SIGINT", 0), 130, INTERRUPTED),
    Case("Ctrl-C in the middle", strike("SIGINT", 0.5), 130, INTERRUPTED),
    Case("Ctrl-C, one worker", strike("SIGINT", 0.5), 130, INTERRUPTED, workers=1),
    Case("Ctrl-C near the end", strike("SIGINT", 0.97), 130, INTERRUPTED),
    Case("SIGINT to the main process", strike("SIGINT", 0.4, "main"), 130, INTERRUPTED),
    Case("SIGTERM", strike("SIGTERM", 0.5), -15),
    Case("Ctrl-C under nohup", lambda events: [("nohup",), ("strike", "SIGINT", 100)], 0),
    Case("SIGKILL of the main process", strike("SIGKILL", 0.3, "main"), -9),
    Case("SIGKILL of a worker", strike("SIGKILL", 0.4, "worker"), 1, "A worker process died"),
    Case("no space in the middle", failing("ENOSPC", 0.5), 1, KEPT),
    Case("no space, one worker", failing("ENOSPC", 0.6), 1, KEPT, workers=1),
    Case("no space at the end", failing_last("ENOSPC", "os.fsync"), 1, NO_SPACE),
    Case("a mount point as OUT", failing_last("EBUSY", "os.rename", 2), 1, "If OUT is a mount point", workers=1),
    Case("no space for the rename", failing_last("ENOSPC", "os.rename"), 1, NO_SPACE),
    Case("a disk that breaks", failing("EIO", 0.6), 1, "Input/output error"),
    Case("a quota", lambda events: [("limit", "RLIMIT_FSIZE", 8192)], 1, "File too large"),
    Case("no permission to replace OUT", failing_last("EACCES", "os.rename", 2), 1, "Permission denied", workers=1),
    Case("no permission", failing("EACCES", 0), 1, "Permission denied"),
]


@pytest.mark.parametrize("case", BUILD, ids=lambda case: case.name)
def test_build(case, world, tmp_path):
    before = BUILD.index(case) % 2 == 0
    out = tmp_path / "celeba_dialog"
    if before:
        shutil.copytree(world.old, out)
    run = functools.partial(world.run, "build", out, workers=case.workers)
    lines = disturbed(case, run, world.events("build", case.workers, before)).splitlines()
    lines = [line for line in lines if not line.endswith("by itself.")]
    assert len(lines) == (1 if case.status >= 0 else 0), lines
    unharmed(world, out, before)
    finishes(world, out, workers=case.workers)


VERIFY = [
    Case("Ctrl-C", strike("SIGINT", 0.7), 130, "Interrupted."),
    Case("Ctrl-C, one worker", strike("SIGINT", 0.7), 130, "Interrupted.", workers=1),
    Case("SIGKILL while the index is written", strike("SIGKILL", 0), -9),
    Case("SIGKILL of a worker", strike("SIGKILL", 0.7, "worker"), 1, "A worker process died"),
    Case("a cache without space", failing("ENOSPC", 0), 0, "every process reads the annotations by itself"),
]


@pytest.mark.parametrize("case", VERIFY, ids=lambda case: case.name)
def test_verify(case, world, tmp_path):
    out = shutil.copytree(world.fine, tmp_path / "celeba_dialog")
    run = functools.partial(world.run, "verify", out, workers=case.workers, cache=tmp_path / "cache")
    disturbed(case, run, world.events("verify", case.workers, True))
    assert tree(out) == world.good
    done = run()
    assert (done.status, "29 rows" in done.text) == (0, True), done.text


NETWORK = [
    Case("Ctrl-C", strike("SIGINT", 0.5), 130, INTERRUPTED),
    Case("SIGTERM", strike("SIGTERM", 0.7), -15),
    *(Case(f"SIGKILL at {part}", strike("SIGKILL", part), -9) for part in (0, 0.3, 0.6, 0.95)),
]
FETCH = [*NETWORK, Case("no space", failing("ENOSPC", 0.5), 1, NO_SPACE)]


def all_of(table, run, found):
    """Runs a command as each case says, in a place of its own, and then to its end. found(name) is what is there."""
    for name in ("first", "undisturbed"):  # the first one may also write a library's own files
        done = run(name, [("record",)])
        assert done.status == 0, done.text
    for case in table:
        disturbed(case, functools.partial(run, case.name), done.events)
        found(case.name)
        again = run(case.name)
        assert again.status == 0, f"{case.name}: {again.text}"
        assert found(case.name) == found("undisturbed"), case.name


def test_fetch(world, tmp_path, monkeypatch):
    """No file has its name before it is whole."""
    contents = {role: (world.small / file.path).read_bytes() for role, file in FILES.items()}
    good = {FILES[role].path: hashlib.sha256(data).hexdigest() for role, data in contents.items()}
    with holding(contents, monkeypatch) as drive:
        sums = {role: hashlib.md5(data, usedforsecurity=False).hexdigest() for role, data in contents.items()}
        official = {role: (FILES[role].total, len(data), sums[role]) for role, data in contents.items()}

        def fetch(name, faults=()):
            own = {"faults": [("as_official", official), *faults]}
            own["environment"] = {"CELEBA_DIALOG_DRIVE": drive.address}
            return world.commands.run("fetch", tmp_path / name, "--accept-agreement", **own)

        def found(name):
            files = {path: digest for path, digest in tree(tmp_path / name).items() if "/." not in f"/{path}"}
            assert files.items() <= good.items()
            return files

        all_of(FETCH, fetch, found)


def test_push(world, tmp_path):
    """A repository holds nothing, or all that was built."""
    good = {path: (world.fine / path).read_bytes() for path in world.good}
    own = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    with Hub() as hub, Commands(tmp_path / "commands", own | {"HF_ENDPOINT": hub.endpoint}) as commands:
        token = {"HF_TOKEN": hub.token("write", owner="org")}

        def push(name, faults=()):
            return commands.run("push", world.fine, repository(name), faults=faults, environment=token)

        def repository(name):
            return f"org/{name.replace(' ', '-')}"

        def found(name):
            if repository(name) not in hub.repositories:
                return {}
            assert hub.repositories[repository(name)].private
            files = hub.files(repository(name))
            files.pop(".gitattributes", None)
            assert files in ({}, good)
            return files

        all_of(NETWORK, push, found)
        assert not hub.errors


# --------------------------------------------------------------------------------------------------------------- Ctrl-C


def interrupt_twice(process, rng, longest):
    """Sends SIGINT to a running command at some moment, and again soon after. Returns whether that ended it."""
    time.sleep(rng.uniform(0, longest))
    for _ in range(2):
        with contextlib.suppress(ProcessLookupError):  # it has ended by now
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(rng.choice([0, 0.001, 0.01, 0.1]))
    done = process.wait()
    assert done.status in (130, 0), (done.status, done.text)
    assert "Traceback" not in done.text and "Exception" not in done.text, done.text
    assert done.status == 0 or said(done).rstrip() in ("", INTERRUPTED)  # the second one may strike at the line's end
    return done.status == 130


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_twice_at_any_moment(workers, world, tmp_path):
    """It ends every time, and each goes on where the last one stopped. Where a signal strikes differs from run to run;
    what has to come of it does not."""
    rng = random.Random(workers)  # noqa: S311
    out = tmp_path / "build" / "celeba_dialog"
    argv = ["build", world.small, out, "--allow-incomplete", f"--workers={workers}"]
    begun = time.monotonic()
    world.run("build", out, workers=workers, faults=[("slow", 0.02)])
    longest = time.monotonic() - begun
    for number in range(20):
        if number % 5 == 0:
            shutil.rmtree(out.parent, ignore_errors=True)
        # Two signals may arrive as one: then it is patience that ends it.
        faults = [PLAIN, ("slow", rng.choice([0.02, 10_000])), ("patience", 0.3)]
        if not interrupt_twice(world.commands.start(*argv, faults=faults), rng, longest):
            shutil.rmtree(out.parent)
    finishes(world, out, workers=workers)


HANGS = [("slow", 10_000, True), ("patience", 0.5)]


@pytest.mark.parametrize("workers, faults", [(1, HANGS), (2, HANGS), (2, [("interrupt_that_is_lost",)])])
def test_an_interrupt_is_heard_whatever_hangs(workers, faults, world, tmp_path):
    out = tmp_path / "celeba_dialog"
    done = world.run("build", out, workers=workers, faults=faults)
    assert (done.status, said(done)) == (130, f"{INTERRUPTED}\n")
    finishes(world, out, workers=workers)


def test_spawned_workers(world, tmp_path):
    """As on macOS and Windows: the same bytes, and Ctrl-C is heard."""
    out = tmp_path / "celeba_dialog"
    finishes(world, out, faults=[("spawn",)])
    done = world.run("verify", out, faults=[("spawn",)])
    assert done.status == 0, done.text
    done = world.commands.run("check", world.small, "--deep", faults=[("spawn",)])
    assert "0 images or masks cannot be decoded" in done.text
    argv = ["build", world.small, out, "--allow-incomplete", "--workers=2"]
    rng = random.Random(0)  # noqa: S311
    for seconds in (0.5, 2, 5):
        shutil.rmtree(out, ignore_errors=True)
        interrupt_twice(world.commands.start(*argv, faults=[PLAIN, ("spawn",), ("patience", 1)]), rng, seconds)
    finishes(world, out)


# ------------------------------------------------------------------------------------------------------ failing storage


@pytest.mark.parametrize("command", ["build", "verify"])
def test_a_release_on_a_broken_disk(command, small, tmp_path, monkeypatch, capsys):
    """Every read of the release goes through a file system that fails from the n-th read on."""
    disk, release, out = fsspec.filesystem("memory"), "memory://broken/release", tmp_path / "celeba_dialog"
    disk.put(str(small), release, recursive=True)
    reads, fails = [], []

    def read(file, *size):
        reads.append(file)
        if fails and len(reads) >= fails[0]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return io.BytesIO.read(file, *size)

    def run(*at):
        reads.clear()
        fails[:] = at
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        if command == "build":
            shutil.rmtree(out, ignore_errors=True)
        argv = [release, str(out), "--allow-incomplete"] if command == "build" else [str(out), release]
        return cli.main([command, *argv, "--workers=1"]), capsys.readouterr().err

    monkeypatch.setattr(MemoryFile, "read", read, raising=False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    assert cli.main(["build", release, str(out), "--allow-incomplete"]) == 0
    good = tree(out)
    assert run()[0] == 0
    total = len(reads)
    for part in (0, 0.1, 0.3, 0.6, 0.8, 0.95):
        status, text = run(max(1, int(total * part)))
        assert status == 1, f"{part} of {total}: {text}"
        assert "broken/release" in text and "cannot be" in text and "Input/output error" in text
        assert text.count("\n") == 1, text
        assert out.exists() == (command == "verify")
    assert run()[0] == 0
    assert tree(out) == good
    disk.store.clear()


# ---------------------------------------------------------------------------------------------------------- concurrency


PREPARE = """
import hashlib
from celeba_dialog import CelebADialog
from doors import undecoded

builder = CelebADialog(config_name="hq", data_dir="{release}", cache_dir="{cache}")
builder.download_and_prepare()
rows = {{split: list(undecoded(dataset)) for split, dataset in builder.as_dataset().items()}}
print(hashlib.sha256(repr(rows).encode()).hexdigest(), sum(map(len, rows.values())))
"""


def test_ten_processes_prepare_the_same_config(world, tmp_path):
    caches = [tmp_path / "cache"] * 10 + [tmp_path / "another"]
    programs = [PREPARE.format(release=world.small, cache=cache) for cache in caches]
    started = [world.commands.start("python", program, cache=cache) for program, cache in zip(programs, caches)]
    found = [process.wait() for process in started]
    assert [done.status for done in found] == [0] * 11, found
    lines = {done.text.splitlines()[-1] for done in found}
    assert len(lines) == 1
    assert lines.pop().endswith(" 9")
    assert len(list((tmp_path / "cache" / "celeba_dialog_index").glob("*.index"))) == 1


LOAD = """
import datasets, json

splits = datasets.load_dataset({out!r}, "hq", streaming={streaming}).values()
print(json.dumps(sorted(row["caption"] for split in splits for row in split)))
"""


def captions_of(out):
    """What LOAD prints for a folder."""
    return json.dumps(sorted(row["caption"] for rows in read_splits(out, "hq").values() for row in rows))


def test_loading_while_a_build_replaces_the_folder(world, tmp_path):
    """Before, between and after its two renames there are the old rows, no folder, and the new rows."""
    out = tmp_path / "celeba_dialog"
    events = world.events("build", 1, True)
    places = [number for number, name in enumerate(events, 1) if name == "os.rename"][-2:] + [len(events)]
    waiting, go = tmp_path / "waiting", tmp_path / "go"
    for pipe in (waiting, go):
        os.mkfifo(pipe)
    found = []
    for at in places:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(world.old, out)
        hold = ("hold", at, str(waiting), str(go))
        argv = ["build", world.small, out, "--allow-incomplete", "--workers=1"]
        process = world.commands.start(*argv, faults=[PLAIN, hold])
        waiting.open().close()
        for streaming in (False, True):
            program = LOAD.format(out=str(out), streaming=streaming)
            done = world.commands.run("python", program, cache=tmp_path / f"cache {at}")
            last = done.text.splitlines()[-1]
            found.append(last if done.status == 0 else last.split(":")[0])
        go.open().close()
        assert process.wait().status == 0
    old, new = captions_of(world.old), captions_of(world.fine)
    assert found == [old, old, "FileNotFoundError", "FileNotFoundError", new, new]

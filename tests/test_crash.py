"""Whatever happens to a command: nothing half-written loads, the same command then finishes, and its result is the
undisturbed one.

The table says what is done to a command while it runs. Signals and faults strike at a counted event (see faults.py), so
nothing here depends on how fast the machine is. CELEBA_DIALOG_LONG=1 kills at every event but most of the writes, not
at twenty.
"""

import contextlib
import functools
import hashlib
import os
import random
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from commands import Commands, held, read_splits, tree
from drive import serving
from hub import Hub
from making import write_release

from conversion.fetch import registry
from conversion.release.official import FILES

pytest_plugins = ["building"]
pytestmark = pytest.mark.trials

PLAIN = ("plain_card",)
NOBODY = 65534
LONG = bool(os.environ.get("CELEBA_DIALOG_LONG"))
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@dataclass(eq=False)
class World:
    """What all cases share."""

    commands: object
    small: Path  # the release
    old: Path  # what was built before, from another release
    good: dict  # the tree of the undisturbed result

    def build(self, out, *, faults=(), release=None, workers=2, **options):
        argv = ["build", release or self.small, out, "--allow-incomplete", f"--workers={workers}"]
        return self.commands.run(*argv, faults=[PLAIN, *faults], **options)

    def verify(self, out, *, faults=(), release=None, workers=2, **options):
        argv = ["verify", out, release or self.small, f"--workers={workers}"]
        return self.commands.run(*argv, faults=[PLAIN, *faults], **options)

    @functools.cache  # noqa: B019, one World lives as long as the tests
    def events(self, command, workers, before):
        """The events of a command undisturbed, with or without an old folder before it."""
        out = self.small.parent / "events" / "out"
        shutil.rmtree(out.parent, ignore_errors=True)
        if command == "verify":
            assert self.build(out).status == 0
        elif before:
            shutil.copytree(self.old, out)
        else:
            out.parent.mkdir()
        cache = {"cache": out.parent / "cache"} if command == "verify" else {}
        done = getattr(self, command)(out, workers=workers, faults=[("record",)], **cache)
        assert done.status == 0, done.text
        return done.events


@pytest.fixture(scope="module")
def world(commands, small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_release(str(folder / "release"), hq=9, standard=20, seed=1)
    built = {}
    for name, release in (("old", folder / "release"), ("good", small)):
        done = commands.run("build", release, folder / name, "--allow-incomplete", faults=[PLAIN])
        assert done.status == 0, done.text
        built[name] = tree(folder / name)
    assert not {built["old"][path] for path in built["old"] if "parquet" in path} & {*built["good"].values()}
    return World(commands, small, folder / "old", built["good"])


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
    done = world.build(out, **options)
    assert done.status == 0, done.text
    assert tree(out) == world.good
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []


@pytest.fixture(params=[False, True], ids=["new", "again"])
def before(request):
    """Whether there is an earlier build of something else in OUT."""
    return request.param


@pytest.fixture
def out(world, tmp_path, before):
    """OUT, with an earlier build or without."""
    out = tmp_path / "build" / "celeba_dialog"
    if before:
        shutil.copytree(world.old, out)
    else:
        out.parent.mkdir()
    return out


# --------------------------------------------------------------------------------------------------------------- killed


def points(events, wanted):
    """Where to kill: somewhere in every stretch of the way, and among the last steps, where it counts."""
    total = len(events)
    if LONG:
        return [at for at, name in enumerate(events, 1) if name != "write" or at % 20 == 0]
    rng = random.Random(total)  # noqa: S311
    half = wanted // 2
    edges = [1 + i * (total - half) // half for i in range(half + 1)]
    spread = [rng.randrange(low, high) for low, high in zip(edges, edges[1:])]
    return [*spread, *sorted(rng.sample(range(total - 30, total + 1), wanted - half))]


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_twenty_points(world, out, before, workers):
    """SIGKILL, as a cluster or the kernel sends it, to all processes of a build at once, and then again after the
    resumption has got a little further: half of the points on one build after the other."""
    for at in points(world.events("build", workers, before), 5):
        done = world.build(out, workers=workers, faults=[("strike", "SIGKILL", at)])
        assert done.status in (-9, 0), done.text  # two workers may take a step less than they did
        if out.exists() or not before:  # between two renames, it does not
            unharmed(world, out, before)
        if at % 2:
            world.build(out, workers=workers, faults=[("strike", "SIGKILL", at // 2 + 1)])
        finishes(world, out, workers=workers)
        shutil.rmtree(out)
        if before:
            shutil.copytree(world.old, out)


# ------------------------------------------------------------------------------------------------------------ the table


class Case(NamedTuple):
    """A disturbance. `faults` is a function of the events of an undisturbed run."""

    name: str
    faults: object
    status: int
    says: str = ""
    workers: int = 2
    environment: dict = {}


def strike(name, part, whom="group"):
    return lambda events: [("strike", name, max(1, int(len(events) * part)), whom)]


def fault(*words):
    return lambda events: [words]


def failing(error, part):
    return lambda events: [("fail", error, max(1, int(len(events) * part)))]


def failing_last(error, name):
    return lambda events: [("fail", error, len(events) - events[::-1].index(name))]


INTERRUPTED = "Interrupted. The same command goes on where this one stopped."
BUILD = [
    Case("Ctrl-C at first", strike("SIGINT", 0), 130, INTERRUPTED),
    Case("Ctrl-C in the middle", strike("SIGINT", 0.5), 130, INTERRUPTED),
    Case("Ctrl-C, one worker", strike("SIGINT", 0.5), 130, INTERRUPTED, workers=1),
    Case("Ctrl-C near the end", strike("SIGINT", 0.97), 130, INTERRUPTED),
    Case("SIGINT to the main process", strike("SIGINT", 0.4, "main"), 130, INTERRUPTED),
    Case("SIGTERM", strike("SIGTERM", 0.5), -15),
    Case("SIGTERM to the main process", strike("SIGTERM", 0.3, "main"), -15),
    Case("SIGKILL of the main process", strike("SIGKILL", 0.3, "main"), -9),
    Case("SIGKILL of a worker", strike("SIGKILL", 0.4, "worker"), 1, "A worker process died"),
    Case("no space at first", failing("ENOSPC", 0), 1, "No space left on device"),
    Case("no space in the middle", failing("ENOSPC", 0.5), 1, "No space left on device"),
    Case("no space, one worker", failing("ENOSPC", 0.6), 1, "No space left on device", workers=1),
    Case("no space at the end", failing_last("ENOSPC", "os.fsync"), 1, "No space left on device"),
    Case("no space for the rename", failing_last("ENOSPC", "os.rename"), 1, "No space left on device"),
    Case("a disk that breaks", failing("EIO", 0.6), 1, "Input/output error"),
    Case("a quota", fault("limit", "RLIMIT_FSIZE", 8192), 1, "File too large"),
    Case("one CPU", fault("one_cpu"), 0),
    Case("a clock that runs backwards", fault("clock_backwards"), 0),
    Case("no TMPDIR", fault(*PLAIN), 0, environment={"TMPDIR": "/nowhere"}),
    Case("a TMPDIR that cannot be written", fault(*PLAIN), 0, environment={"TMPDIR": "/proc"}),
]


@pytest.mark.parametrize("case", BUILD, ids=lambda case: case.name)
def test_build(case, world, tmp_path):
    before = BUILD.index(case) % 2 == 0
    out = tmp_path / "celeba_dialog"
    if before:
        shutil.copytree(world.old, out)
    events = world.events("build", case.workers, before)
    done = world.build(out, workers=case.workers, faults=case.faults(events), environment=case.environment)
    assert done.status == case.status, done.text
    assert case.says in done.text
    assert "Traceback" not in done.text
    lines = [line for line in said(done).splitlines() if not line.endswith("by itself.")]
    assert len(lines) == (1 if case.status >= 0 else 0), done.text
    unharmed(world, out, before)
    finishes(world, out, workers=case.workers)


def interrupt_twice(process, rng, longest):
    """Sends SIGINT to a running command at some moment, and again soon after. Returns Done."""
    time.sleep(rng.uniform(0, longest))
    for _ in range(2):
        with contextlib.suppress(ProcessLookupError):  # it has ended by now
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(rng.choice([0, 0.001, 0.01, 0.1]))
    return process.wait()


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_twice_at_any_moment(workers, world, tmp_path):
    """It ends every time, and each goes on where the last one stopped. Where a signal strikes differs from run to run;
    what has to come of it does not."""
    rng = random.Random(workers)  # noqa: S311
    out = tmp_path / "build" / "celeba_dialog"
    argv = ["build", world.small, out, "--allow-incomplete", f"--workers={workers}"]
    begun = time.monotonic()
    world.build(out, workers=workers, faults=[("slow", 0.02)])
    longest = time.monotonic() - begun
    for number in range(20):
        if number % 5 == 0:
            shutil.rmtree(out.parent, ignore_errors=True)
        slow = ("slow", rng.choice([0.02, 10_000]))
        # Two signals may arrive as one: then it is patience that ends it.
        faults = [PLAIN, slow, ("patience", 0.3)]
        done = interrupt_twice(world.commands.start(*argv, faults=faults), rng, longest)
        assert done.status in (130, 0), (done.status, done.text)
        assert "Traceback" not in done.text and "Exception" not in done.text, done.text
        assert said(done).count("\n") <= 1, done.text
        assert done.status == 0 or said(done) in ("", f"{INTERRUPTED}\n")
        if done.status == 0:
            shutil.rmtree(out.parent)
    finishes(world, out, workers=workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_with_a_worker_that_is_stuck(workers, world, tmp_path):
    out = tmp_path / "celeba_dialog"
    done = world.build(out, workers=workers, faults=[("stuck",), ("patience", 0.5)])
    assert (done.status, done.text) == (130, f"{INTERRUPTED}\n")
    finishes(world, out, workers=workers)


def test_an_interrupt_is_not_lost(world, tmp_path):
    done = world.build(tmp_path / "celeba_dialog", faults=[("interrupt_that_is_lost",)])
    assert (done.status, said(done)) == (130, f"{INTERRUPTED}\n")
    finishes(world, tmp_path / "celeba_dialog")


def test_nohup(world, tmp_path):
    """Who starts a command with Ctrl-C ignored wants it to go on."""
    done = world.build(tmp_path / "celeba_dialog", faults=[("nohup",), ("strike", "SIGINT", 100)])
    assert done.status == 0, done.text
    assert tree(tmp_path / "celeba_dialog") == world.good


def test_spawned_workers(world, tmp_path):
    """As on macOS and Windows: the same bytes, and Ctrl-C is heard."""
    out = tmp_path / "celeba_dialog"
    done = world.build(out, faults=[("spawn",)])
    assert done.status == 0, done.text
    assert tree(out) == world.good
    done = world.verify(out, faults=[("spawn",)])
    assert done.status == 0, done.text
    done = world.commands.run("check", world.small, "--deep", faults=[("spawn",)])
    assert "0 images or masks cannot be decoded" in done.text
    shutil.rmtree(out)
    argv = ["build", world.small, out, "--allow-incomplete", "--workers=2"]
    rng = random.Random(0)  # noqa: S311
    for seconds in (0.5, 2, 5):
        done = interrupt_twice(world.commands.start(*argv, faults=[PLAIN, ("spawn",), ("patience", 1)]), rng, seconds)
        assert done.status in (130, 0), done
        assert done.status == 0 or said(done) in ("", f"{INTERRUPTED}\n"), done.text
        shutil.rmtree(out, ignore_errors=True)
    finishes(world, out)


VERIFY = [
    Case("Ctrl-C", strike("SIGINT", 0.7), 130, "Interrupted."),
    Case("Ctrl-C, one worker", strike("SIGINT", 0.7), 130, "Interrupted.", workers=1),
    Case("SIGTERM", strike("SIGTERM", 0.6), -15),
    Case("SIGKILL", strike("SIGKILL", 0.5), -9),
    Case("SIGKILL while the index is written", strike("SIGKILL", 0), -9),
    Case("SIGKILL of a worker", strike("SIGKILL", 0.7, "worker"), 1, "A worker process died"),
    Case("a cache without space", failing("ENOSPC", 0), 0, "every process reads the annotations by itself"),
    Case("one CPU", fault("one_cpu"), 0),
    Case("a clock that runs backwards", fault("clock_backwards"), 0),
    Case("no TMPDIR", fault(*PLAIN), 0, environment={"TMPDIR": "/nowhere"}),
]


@pytest.mark.parametrize("case", VERIFY, ids=lambda case: case.name)
def test_verify(case, world, tmp_path):
    out = tmp_path / "celeba_dialog"
    shutil.copytree(world.old.parent / "good", out)
    events = world.events("verify", case.workers, True)
    options = {"workers": case.workers, "cache": tmp_path / "cache"}
    done = world.verify(out, faults=case.faults(events), environment=case.environment, **options)
    assert done.status == case.status, done.text
    assert case.says in done.text
    assert "Traceback" not in done.text
    assert tree(out) == world.good
    done = world.verify(out, **options)
    assert done.status == 0, done.text
    assert "29 rows" in done.text


# ------------------------------------------------------------------------------------------------------- fetch and push


@pytest.fixture(scope="module")
def official(small):
    """What makes a command take the small release for the official one: a fault, and {role: bytes}."""
    contents = {role: (small / file.path).read_bytes() for role, file in FILES.items()}
    counts = {role: held(small, role) for role in FILES}
    sizes = {role: (len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()) for role, data in contents.items()}
    return ("as_official", counts, sizes), contents


@pytest.fixture(scope="module")
def drive(official):
    """A Google Drive that holds the small release."""
    _, contents = official
    with serving() as server:
        server.keys.update(registry.RESOURCE_KEYS)
        for role, file in FILES.items():
            id = registry.REMOTES[role].id or f"1-{role:_<31}"
            server.files[id] = contents[role]
            server.folders.setdefault(registry.REMOTES[role].folder, []).append((file.name, id))
        server.folders[registry.STANDARD_FOLDER].append(("Img", registry.STANDARD_IMAGE_FOLDER))
        yield server


FETCH = [
    Case("Ctrl-C", strike("SIGINT", 0.4), 130, INTERRUPTED),
    Case("SIGTERM", strike("SIGTERM", 0.6), -15),
    *(Case(f"SIGKILL at {part}", strike("SIGKILL", part), -9) for part in (0, 0.2, 0.5, 0.9)),
    Case("no space", failing("ENOSPC", 0.5), 1, "No space left on device"),
    Case("a quota", fault("limit", "RLIMIT_FSIZE", 8192), 1, "File too large"),
    Case("a clock that runs backwards", fault("clock_backwards"), 0),
    Case("a TMPDIR that cannot be written", fault("one_cpu"), 0, environment={"TMPDIR": "/proc"}),
]


def test_fetch(world, official, drive, tmp_path):
    """All of the table, one after the other on new folders."""
    fault, contents = official
    good = {FILES[role].path: hashlib.sha256(data).hexdigest() for role, data in contents.items()}

    def fetch(out, faults=(), environment=None):
        own = {"CELEBA_DIALOG_DRIVE": drive.address}
        return world.commands.run(
            "fetch", out, "--accept-agreement", faults=[fault, *faults], environment=own | (environment or {})
        )

    done = fetch(tmp_path / "undisturbed", [("record",)])
    assert done.status == 0, done.text
    assert fetched(tmp_path / "undisturbed").items() <= good.items()
    for case in FETCH:
        out = tmp_path / case.name
        disturbed = fetch(out, case.faults(done.events), case.environment)
        assert disturbed.status == case.status, f"{case.name}: {disturbed.text}"
        assert case.says in disturbed.text, case.name
        assert "Traceback" not in disturbed.text
        assert fetched(out).items() <= good.items(), case.name
        again = fetch(out)
        assert again.status == 0, f"{case.name}: {again.text}"
        assert fetched(out) == fetched(tmp_path / "undisturbed"), case.name


def fetched(out):
    """The files that a fetch has put in their places, without those it works on."""
    return {path: digest for path, digest in tree(out).items() if "/." not in f"/{path}"}


PUSH = [
    Case("Ctrl-C", strike("SIGINT", 0.5), 130, INTERRUPTED),
    Case("SIGTERM", strike("SIGTERM", 0.8), -15),
    *(Case(f"SIGKILL at {part}", strike("SIGKILL", part), -9) for part in (0, 0.3, 0.6, 0.95)),
    Case("a clock that runs backwards", fault("clock_backwards"), 0),
    Case("a TMPDIR that cannot be written", fault("one_cpu"), 0, environment={"TMPDIR": "/proc"}),
]


def test_push(world, official, tmp_path):
    """All of the table, each on a repository of its own: it holds nothing, or all that was built."""
    out = world.old.parent / "good"
    own = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    with Hub() as hub, Commands(tmp_path / "commands", own | {"HF_ENDPOINT": hub.endpoint}) as commands:
        token = {"HF_TOKEN": hub.token("write", owner="org")}
        for repository in ("org/first", "org/second"):  # the first one also writes the client's own files
            done = commands.run("push", out, repository, faults=[("record",)], environment=token)
            assert done.status == 0, done.text
        good = {path: (out / path).read_bytes() for path in tree(out)}
        for number, case in enumerate(PUSH):
            repository = f"org/repository-{number}"
            options = {"faults": case.faults(done.events), "environment": token | case.environment}
            disturbed = commands.run("push", out, repository, **options)
            assert disturbed.status == case.status, f"{case.name}: {disturbed.text}"
            assert case.says in disturbed.text, case.name
            assert "Traceback" not in disturbed.text
            if repository in hub.repositories:
                assert hub.repositories[repository].private
                assert pushed(hub, repository) in ({}, good), case.name
            again = commands.run("push", out, repository, environment=token)
            assert again.status == 0, f"{case.name}: {again.text}"
            assert pushed(hub, repository) == good, case.name
        assert not hub.errors


def pushed(hub, repository):
    return {path: data for path, data in hub.files(repository).items() if path != ".gitattributes"}


# ------------------------------------------------------------------------------------------------------ failing storage


@pytest.mark.parametrize("command", ["build", "verify"])
def test_a_release_on_a_broken_disk(command, world, tmp_path):
    """Every read of the release goes through a file system that fails from the n-th read on."""
    release = f"faulty://{world.small}"
    good = tmp_path / "good"
    done = world.build(good, release=release, faults=[("broken_disk", 0)], cache=tmp_path / "cache")
    assert done.status == 0, done.text
    out = good if command == "verify" else tmp_path / "celeba_dialog"
    run, cache = getattr(world, command), tmp_path / "other cache"
    done = run(tmp_path / "good", release=release, faults=[("broken_disk", 0)], cache=cache)
    total = len(done.events)
    for part in (0, 0.1, 0.3, 0.6, 0.8, 0.95):
        shutil.rmtree(cache, ignore_errors=True)
        at = max(1, int(total * part))
        done = run(out, release=release, faults=[("broken_disk", at)], cache=cache, workers=1 + at % 2)
        assert done.status == 1, f"{at} of {total}: {done.text}"
        assert "cannot be" in done.text
        assert "Input/output error" in done.text
        assert str(world.small) in done.text
        assert "Traceback" not in done.text
        assert done.text.count("\n") == 1, done.text
        assert command == "verify" or not out.exists()
    done = run(out, release=release, faults=[("broken_disk", 0)], cache=cache)
    assert done.status == 0, done.text
    assert tree(out) == tree(good)


@pytest.fixture
def disk(tmp_path):
    """A function that mounts a small disk, or makes it larger: disk("64k") is its path."""
    path = tmp_path / "disk"

    def mount(size):
        again = [] if path.exists() else [path.mkdir()]
        options = f"size={size}" if again else f"remount,size={size}"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        if subprocess.run(command, capture_output=True).returncode:  # noqa: S603
            pytest.skip("nothing can be mounted here")
        return path

    yield mount
    if os.path.ismount(path):
        subprocess.run(["umount", "--lazy", str(path)], check=True)  # noqa: S603, S607


@as_root
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk(workers, world, disk):
    out = disk("96k") / "celeba_dialog"
    done = world.build(out, workers=workers)
    assert done.status == 1, done.text
    assert "No space left on device. Finished shards are kept: mend that and run the same command again." in done.text
    assert done.text.count("\n") == 1
    assert not out.exists()
    disk("8m")
    finishes(world, out, workers=workers)


@as_root
def test_a_mount_point_as_out(world, disk):
    """OUT cannot be renamed there, and what is beside it lies on another disk."""
    out = disk("8m")
    done = world.build(out)
    assert done.status == 1, done.text
    assert "If OUT is a mount point, give a folder inside it." in done.text
    assert tree(out) == {}
    finishes(world, out / "celeba_dialog")


# ---------------------------------------------------------------------------------------------------------- permissions


@pytest.fixture
def nobodys(world, before):
    """A folder of the user nobody, who cannot reach those of pytest: the release, and OUT as in `out`."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        shutil.copytree(world.small, folder / "release")
        if before:
            shutil.copytree(world.old, folder / "build" / "celeba_dialog")
        for name in ("build", "cache"):
            (folder / name).mkdir(exist_ok=True)
        give_to_nobody(folder)
        yield folder


def give_to_nobody(folder):
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)


def as_nobody(world, command, folder):
    out = folder / "build" / "celeba_dialog"
    options = {"release": folder / "release", "cache": folder / "cache", "faults": [("nobody",)]}
    return getattr(world, command)(out, **options)


def shards(found):
    """The shards of a tree: what is the same wherever the release lies."""
    return {path: digest for path, digest in found.items() if path.endswith(".parquet")}


@as_root
def test_a_user_who_is_not_root(world, nobodys):
    out = nobodys / "build" / "celeba_dialog"
    done = as_nobody(world, "build", nobodys)
    assert done.status == 0, done.text
    assert shards(tree(out)) == shards(world.good)
    assert stat.S_IMODE(out.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.rglob("*.parquet")} == {0o644}
    done = as_nobody(world, "verify", nobodys)
    assert done.status == 0, done.text


@as_root
@pytest.mark.parametrize("what, before", [("parent", False), ("parent", True), ("out", True)])
def test_a_folder_that_cannot_be_written(what, before, world, nobodys):
    out = nobodys / "build" / "celeba_dialog"
    closed = out if what == "out" else out.parent
    old = tree(out)
    closed.chmod(0o555)
    done = as_nobody(world, "build", nobodys)
    assert done.status == 1, done.text
    assert "Permission denied" in done.text
    assert said(done).count("\n") == 1
    assert tree(out) == old
    closed.chmod(0o755)
    done = as_nobody(world, "build", nobodys)
    assert done.status == 0, done.text
    assert shards(tree(out)) == shards(world.good)


@as_root
@pytest.mark.parametrize("before", [False])
@pytest.mark.parametrize("command", ["build", "verify"])
@pytest.mark.parametrize("name", ["image.zip", "captions_hq.json"])
def test_a_release_that_cannot_be_read(command, name, world, nobodys):
    out, release = nobodys / "build" / "celeba_dialog", nobodys / "release"
    if command == "verify":
        shutil.copytree(world.old.parent / "good", out)
    path = next(release.rglob(name))
    path.chmod(0)
    done = as_nobody(world, command, nobodys)
    assert done.status == 1, done.text
    assert f"{path}: cannot be" in done.text
    assert "Permission denied" in done.text
    assert done.text.count("\n") == 1
    assert command == "verify" or not out.exists()


# --------------------------------------------------------------------------------------------------- names and machines


def test_a_name_that_is_no_text(world, tmp_path):
    """Bytes that are no UTF-8: refused in so many words, since `datasets` cannot pass them on."""
    out = tmp_path / os.fsdecode(b"not\xffUTF-8") / "celeba_dialog"
    done = world.build(out)
    assert done.status == 2, done.text
    assert "not valid text" in done.text
    assert done.text.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long(world, tmp_path):
    """`.NAME.building` and the temporary names are longer than NAME: what NAME allows, they may not."""
    for length in (240, 255, 300):
        out = tmp_path / ("n" * length)
        done = world.build(out)
        if done.status:
            assert done.status == 1
            assert "File name too long" in done.text
            assert done.text.count("\n") == 1
        else:
            assert tree(out) == world.good


# ---------------------------------------------------------------------------------------------------------- concurrency


PREPARE = """
import hashlib, json
import datasets
from celeba_dialog import CelebADialog
from doors import undecoded

datasets.disable_progress_bars()
builder = CelebADialog(config_name="{config}", data_dir="{release}", cache_dir="{cache}")
builder.download_and_prepare()
rows = {{split: list(undecoded(dataset)) for split, dataset in builder.as_dataset().items()}}
print(hashlib.sha256(repr(rows).encode()).hexdigest(), sum(map(len, rows.values())))
"""


def test_ten_processes_prepare_the_same_config(world, tmp_path):
    program = PREPARE.format(config="hq", release=world.small, cache=tmp_path / "cache")
    options = {"cache": tmp_path / "cache"}
    processes = [world.commands.start("python", program, **options) for _ in range(10)]
    found = [process.wait() for process in processes]
    assert [done.status for done in found] == [0] * 10, found
    alone = world.commands.run("python", program.replace("/cache", "/another"), cache=tmp_path / "another")
    lines = {done.text.splitlines()[-1] for done in [*found, alone]}
    assert len(lines) == 1
    assert lines.pop().endswith(" 9")
    assert len(list((tmp_path / "cache" / "celeba_dialog_index").glob("*.index"))) == 1


LOAD = """
import hashlib
import datasets
from doors import undecoded

datasets.disable_progress_bars()
rows = [row for split in datasets.load_dataset({out!r}, "hq", streaming={streaming}).values()
        for row in undecoded(split)]
print(hashlib.sha256(repr(sorted(row["image"]["bytes"] for row in rows)).encode()).hexdigest())
"""


def digest_of(out):
    """What LOAD prints for a folder."""
    images = sorted(row["image"]["bytes"] for rows in read_splits(out, "hq").values() for row in rows)
    return hashlib.sha256(repr(images).encode()).hexdigest()


def test_loading_while_a_build_replaces_the_folder(world, tmp_path):
    """Before, between and after its two renames there are the old rows, no folder, and the new rows."""
    out = tmp_path / "celeba_dialog"
    events = world.events("build", 2, True)
    places = [number for number, name in enumerate(events, 1) if name == "os.rename"][-2:] + [len(events)]
    waiting, go = tmp_path / "waiting", tmp_path / "go"
    for pipe in (waiting, go):
        os.mkfifo(pipe)
    found = []
    for at in places:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(world.old, out)
        hold = ("hold", at, str(waiting), str(go))
        argv = ["build", world.small, out, "--allow-incomplete", "--workers=2"]
        process = world.commands.start(*argv, faults=[("plain_card",), hold])
        waiting.open().close()
        for streaming in (False, True):
            program = LOAD.format(out=str(out), streaming=streaming)
            done = world.commands.run("python", program, cache=tmp_path / f"cache {at}")
            found.append(done.text.split()[-1] if done.status == 0 else done.text.split("\n")[-2].split(":")[0])
        go.open().close()
        assert process.wait().status == 0
    missing = "FileNotFoundError"
    old, new = digest_of(world.old), digest_of(world.old.parent / "good")
    assert found == [old, old, missing, missing, new, new]

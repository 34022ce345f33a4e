"""Commands in processes of their own, forked from one that has everything imported: 50 ms each instead of 3 s.

    done = commands.run("build", release, out)            # Done(status, text, events)
    done = commands.run("build", release, out, faults=[("strike", "SIGKILL", 17)])
    process = commands.start("build", release, out); process.wait()

`faults` are functions of faults.py, called in the new process before the command.
"""

import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import drive
import pyarrow.parquet as pq

from conversion.release.official import FILES

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 600  # seconds after which a command that hangs is killed


class Done(NamedTuple):
    """A command that has ended."""

    status: int  # negative: the signal that ended it
    text: str  # what it printed, to standard output and error
    events: list  # what it did to files, where `faults` asked for that


class Process(NamedTuple):
    """A command that runs; it leads a process group of its own."""

    pid: int
    folder: Path

    def wait(self):
        """Done, when that is so. Kills the command after TIMEOUT."""
        # The end of the file is the end of the process that held it open, and of all it has forked.
        with open(self.folder / "alive", "rb") as pipe:
            if not select.select([pipe], [], [], TIMEOUT)[0]:
                os.killpg(self.pid, signal.SIGKILL)
            pipe.read()
        status = int((self.folder / "status").read_text())
        events = self.folder / "events"
        text = (self.folder / "output").read_text(errors="backslashreplace")
        return Done(status, text, events.read_text().split("\n")[:-1] if events.exists() else [])


class Commands:
    """The process that forks. `folder` is for what it has to write, and for the cache of `datasets`; `environment` is
    for what is looked at when a module is imported."""

    def __init__(self, folder, environment=None):
        self.folder = Path(folder)
        self.environment = {"HF_HUB_OFFLINE": "1"} if environment is None else environment
        self.count = 0

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CELEBA_"))}
        self._server = subprocess.Popen(  # noqa: S603
            [sys.executable, str(ROOT / "tests" / "faults.py")],
            env=keep | {"HF_HOME": str(self.folder / "home"), "PYTHONPATH": str(ROOT)} | self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *error):
        self._server.stdin.close()
        self._server.wait()

    def forget(self):
        """Removes what the commands so far have printed, and what they keep in the cache."""
        for path in [*self.folder.glob("command-*"), self.folder / "cache"]:
            shutil.rmtree(path, ignore_errors=True)

    def run(self, *argv, **options):
        """Runs a command to its end: Done. Options are those of `start`."""
        return self.start(*argv, **options).wait()

    def start(self, *argv, faults=(), cwd=None, cache=None, environment=None):
        """Starts a command: Process. `cache` is the cache of `datasets`, by default one for all commands."""
        self.count += 1
        folder = self.folder / f"command-{self.count}"
        folder.mkdir()
        folder.chmod(0o777)
        os.mkfifo(folder / "alive")
        job = {
            "folder": str(folder),
            "argv": [str(word) for word in argv],
            "faults": faults,
            "cwd": str(cwd or folder),
            "cache": str(cache or self.folder / "cache"),
            "environment": environment or {},
        }
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        return Process(int(self._server.stdout.readline()), folder)


def held(root, role):
    """How much of what an official file holds is there, counted by other means than the readers."""
    path = FILES[role].path
    return drive.held((Path(root) / path).read_bytes(), path)


def tree(folder):
    """{path below a folder: SHA-256} of all its files, hidden ones too; {} where there is no such folder."""
    return _each_file(folder, lambda path: hashlib.sha256(path.read_bytes()).hexdigest())


def contents(folder):
    """{path below a folder: bytes} of all its files."""
    return _each_file(folder, Path.read_bytes)


def stamps(folder):
    """{path below a folder: what changes when the file is written again} of all its files."""
    return _each_file(folder, lambda path: (path.stat().st_ino, path.stat().st_mtime_ns))


def _each_file(folder, value):
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): value(path) for path in paths}


def read_splits(out, config):
    """{split: rows} of a config of a built folder, read with nothing but pyarrow."""
    splits = {}
    for path in sorted(Path(out, config).glob("*.parquet")):
        splits.setdefault(path.name.split("-")[0], []).extend(pq.ParquetFile(path).read().to_pylist())
    return splits

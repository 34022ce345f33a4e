"""The process that forks for commands.py, and the faults it knows.

Faults that strike "at an event" count what the command does to files (make, write, sync, rename, remove, lock, and open
a shard for reading), in all of its processes together; so a fault hits the same place on every machine, however slow.
"""

import atexit
import contextlib
import ctypes
import errno
import fcntl
import gc
import json
import mmap
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

from conversion.release.finding import code_digest
from conversion.release.official import CHECKSUMS, FILES, Sums

ROOT = Path(__file__).resolve().parents[1]


def serve():
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    with contextlib.suppress(ImportError):  # `fetch` alone needs it
        import gdown  # noqa: F401, all that a command imports is imported here
    import huggingface_hub
    import jinja2  # noqa: F401

    from conversion import __main__ as cli
    from conversion.runtime import pool

    code_digest()  # of the module as it was imported, even if someone saves another meanwhile
    cli.parser()
    huggingface_hub.DatasetCard  # noqa: B018, imported when looked at
    "x".encode("utf-8-sig")  # and these
    "x".encode("unicode_escape").decode("unicode_escape")
    with pool.executor(2) as executor:  # and what this needs
        list(pool.results([executor.submit(int)]))
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        job = json.loads(line)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        middle = os.fork()  # waits for the command, so that this process need not
        if middle:
            continue
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: what the command leaves behind comes here
        start_reading, start = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(start_reading, 1)
            _end(_call(job, cli))
        os.setpgid(child, child)
        os.write(sys.stdout.fileno(), f"{child}\n".encode())
        os.write(start, b".")
        alive = os.open(Path(job["folder"]) / "alive", os.O_WRONLY)  # waits until someone waits
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        _end_group(child)
        (Path(job["folder"]) / "status").write_text(str(status))
        os.close(alive)
        os._exit(0)


def _call(job, cli):
    """Does what a job says. Returns the exit status."""
    import datasets.config

    os.environ.update(job["environment"])
    datasets.config.HF_DATASETS_CACHE = Path(job["cache"])
    tempfile.tempdir = None
    os.chdir(job["cwd"])
    _become(job)
    try:
        for name, *arguments in job["faults"]:
            globals()[name](*arguments, folder=job["folder"])
        if job["argv"][0] == "python":
            exec(job["argv"][1], {"__name__": "__main__"})  # noqa: S102, a program of the tests
            return 0
        sys.argv = ["celeba-dialog", *job["argv"]]
        return cli.main()
    except SystemExit as exit:
        return exit.code
    except BaseException:
        traceback.print_exc()
        return 1


def _end(status):
    """Ends this process as Python does, but for clearing up hundreds of modules."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _become(job):
    """Lets go of what belongs to the forking process."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # as while Python starts
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(Path(job["folder"]) / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(1, 2)
    os.closerange(3, 256)


def _end_group(group):
    """Waits until no process of the group is left: workers end by themselves when their parent is gone."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)


# ----------------------------------------------------------------------------------------------------------- the faults

_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "fcntl.flock")


def _count_events(folder, on_event):
    """Calls on_event(number, name) for every event: what is about to happen to a file, counted over all processes."""
    from conversion.parquet import shards

    shared = mmap.mmap(-1, 8)  # outlives a fork, and is shared
    counter = ctypes.c_long.from_buffer(shared)
    path = Path(folder) / "lock"
    path.touch()
    here = threading.local()  # what counting itself does to files is no event

    def count(name):
        if getattr(here, "counting", False):
            return
        here.counting = True
        try:
            with open(path) as lock:  # a lock belongs to an open file, so each count opens its own
                fcntl.flock(lock, fcntl.LOCK_EX)
                counter.value += 1
                on_event(counter.value, name)
        finally:
            here.counting = False

    def hook(event, arguments):
        if event in _EVENTS:
            count(event)
        elif event == "open" and isinstance(arguments[0], str):
            if arguments[2] & (os.O_WRONLY | os.O_RDWR):
                count("open")
            elif arguments[0].endswith(".parquet"):
                count("read")

    def counted(function, name):
        def call(*arguments, **options):
            count(name)
            return function(*arguments, **options)

        return call

    sys.addaudithook(hook)
    os.fsync = counted(os.fsync, "os.fsync")
    shards.Shard.write = counted(shards.Shard.write, "write")


def record(folder):
    """Notes every event in the file `events`."""
    file = os.open(Path(folder) / "events", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    _count_events(folder, lambda number, name: os.write(file, f"{name}\n".encode()))


def strike(signal_name, at, whom="group", folder=None):
    """Sends a signal at an event: to the whole "group", as a terminal does, to the "main" process or to a "worker"."""
    main = os.getpid()
    signal_number = getattr(signal, signal_name)
    struck = mmap.mmap(-1, 1)

    def on_event(number, name):
        if number < at or struck[0] or whom == "worker" and os.getpid() == main:  # of workers, the first that comes by
            return
        struck[0] = 1
        if whom == "group":
            os.killpg(main, signal_number)
        else:
            os.kill(os.getpid() if whom == "worker" else main, signal_number)

    _count_events(folder, on_event)


def hold(at, waiting, go, folder):
    """At an event, says so by opening the named pipe `waiting`, and goes on when someone has opened `go`."""

    def on_event(number, name):
        if number == at:
            for pipe in (waiting, go):
                os.close(os.open(pipe, os.O_WRONLY))

    _count_events(folder, on_event)


def plain_card(folder):
    """A card without pictures, which take most of the time of a small build."""
    from conversion import card

    card.charts.statistics = lambda groups: b"none"
    card.sheet.legend = lambda: b"none"


def as_official(files, folder):
    """Takes a small release for the official one: {role: (how many entries, bytes, MD5)}."""
    from conversion.fetch import registry

    for role, (count, size, md5) in files.items():
        FILES[role] = FILES[role]._replace(total=count)
        registry.REMOTES[role] = registry.REMOTES[role]._replace(about=size)
        if role in CHECKSUMS:
            CHECKSUMS[role] = Sums(size, md5)
    without_pauses(folder)


def without_pauses(folder):
    """A client of Drive that tries again at once."""
    random.uniform = lambda low, high: 0
    time.sleep = lambda seconds: None


def fail(error, at, folder):
    """Whatever writes fails from the event `at` on with an OSError, by name: "ENOSPC"."""

    def on_event(number, name):
        if number >= at and name not in ("read", "os.remove", "os.rmdir", "fcntl.flock"):
            raise OSError(getattr(errno, error), os.strerror(getattr(errno, error)))

    _count_events(folder, on_event)


def limit(name, value, folder):
    """Sets a limit of the resource module: "RLIMIT_FSIZE"."""
    import resource

    resource.setrlimit(getattr(resource, name), (value, value))


def stream(number, what, folder):
    """Has standard input, output or error be "closed", a "broken pipe" or the file of a name."""
    name, mode = ("stdin", "stdout", "stderr")[number], "rww"[number]
    if what == "closed":
        os.close(number)
        setattr(sys, name, None)  # as Python does when it starts
        return
    if what == "broken pipe":
        reader, file = os.pipe()
        os.close(reader)
    else:
        file = os.open(what, os.O_RDWR)
    os.dup2(file, number)
    # Buffered as Python does it.
    setattr(sys, name, open(number, mode, buffering=1 if number == 2 else -1, closefd=False))  # noqa: SIM115


def encoding(name, folder):
    """Has standard output and error know the characters of an encoding only."""
    for file in (sys.stdout, sys.stderr):
        file.reconfigure(encoding=name, errors="strict")


def no_working_folder(folder):
    os.chdir(tempfile.mkdtemp())
    os.rmdir(os.getcwd())


def slow(seconds, interrupt=False, folder=None):
    """Has the code that writes shards take its time; `interrupt`: and the command be interrupted once then."""
    from conversion.parquet import shards

    main, struck, usual = os.getpid(), mmap.mmap(-1, 1), shards.to_parquet

    def slowly(*arguments):
        if interrupt and not struck[0]:
            struck[0] = 1  # in all processes
            os.killpg(main, signal.SIGINT)
        time.sleep(seconds)
        return usual(*arguments)

    shards.to_parquet = slowly


def interrupt_that_is_lost(folder):
    """Has Ctrl-C strike while an object goes, where Python throws errors away, and the command then go on for ever."""
    from conversion import card

    class Going:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def render(*_):
        Going()
        time.sleep(10_000)

    card.render = render


def patience(seconds, folder):
    """Has a command wait less long for its workers."""
    from conversion.runtime import pool

    pool.PATIENCE = seconds


def spawn(folder):
    """Has workers begin as new processes, as on macOS and Windows. No other fault reaches them."""
    from conversion.runtime import pool

    pool.START = "spawn"


def nohup(folder):
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def raise_in_shards(error, folder):
    """Has the code that writes shards raise an error, given as Python writes it."""
    import pyarrow

    from conversion.parquet import shards

    def fail(*_):
        raise eval(error, {"pyarrow": pyarrow})  # noqa: S307

    shards.to_parquet = fail


if __name__ == "__main__":
    serve()

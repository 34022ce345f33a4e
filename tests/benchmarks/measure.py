"""Time and memory of a task, in a process of its own."""

import multiprocessing
import os
import tempfile
import time
from typing import NamedTuple

INTERVAL = 0.1  # seconds between two looks at the memory


class Result(NamedTuple):
    rows: int
    seconds: float
    memory: int  # bytes: the peak over all processes together, a page that they share counted once

    @property
    def speed(self):
        """Rows per second."""
        return self.rows / self.seconds


def run(scratch, task, *args, home=None):
    """The Result of a task: a generator function that yields when it is set up, and then the rows it has worked on.

    Its time is that between the two. It gets the arguments and a new path below `scratch` to write to; `home` is its
    HF_HOME, for None a new one, so that nothing is cached.
    """
    with tempfile.TemporaryDirectory(prefix="run-", dir=scratch) as folder:
        os.environ["HF_HOME"] = home or os.path.join(folder, "home")
        os.sync()  # what the task before wrote is not for this one to wait for
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_child, args=(theirs, task, *args, os.path.join(folder, "out")))
        process.start()
        theirs.close()
        peak = 0
        while not ours.poll(INTERVAL):
            peak = max(peak, memory(process.pid))
        try:
            rows, seconds = ours.recv()
        except EOFError:
            raise SystemExit(f"{task.__name__} failed, see above.") from None
        finally:
            process.join()
    return Result(rows, seconds, peak)


def _child(pipe, task, *args):
    steps = task(*args)
    next(steps)
    start = time.perf_counter()
    rows = next(steps)
    pipe.send((rows, time.perf_counter() - start))


def race(scratch, repeats, **tasks):
    """{name: best Result} of some tasks, (function, *arguments) each, with the highest peak of their memory.

    They take turns, so that all of them see the same machine.
    """
    rounds = [{name: run(scratch, *task) for name, task in tasks.items()} for _ in range(repeats)]
    best = {}
    for name in tasks:
        results = [results[name] for results in rounds]
        fastest = min(results, key=lambda result: result.seconds)
        best[name] = fastest._replace(memory=max(result.memory for result in results))
    return best


def memory(pid):
    """Bytes of memory of a process and those below it: the sum of their proportional set sizes."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        children.setdefault(_number(f"/proc/{name}/status", "PPid:"), []).append(int(name))
    total, pending = 0, [pid]
    while pending:
        process = pending.pop()
        total += _number(f"/proc/{process}/smaps_rollup", "Pss:") << 10
        pending += children.get(process, [])
    return total


def _number(path, start):
    """The number in the line of a file of /proc that starts so; 0 where the process has just ended."""
    try:
        with open(path) as file:
            return next((int(line.split()[1]) for line in file if line.startswith(start)), 0)
    except OSError:
        return 0

"""Parallel work: independent jobs handed to a concurrent.futures.Executor, of this machine or of a Dask cluster.

with executor(workers) as pool:
    for result in results(submit(pool, function, jobs)): ...
"""

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from pathlib import Path

from celeba_dialog import EnvironmentFault
from celeba_dialog import UsageError
from celeba_dialog import __version__

from . import extras

PATIENCE = 60  # seconds that workers have for the job they are at, when there is no need of the others

# Forked workers share what this process has read and start at once, but the libraries of macOS do not survive a fork.
START = "fork" if "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin" else "spawn"
# Handed on to the process that clears up after one that left at once, and would say so.
NO_LEAKS = "ignore:resource_tracker:UserWarning"
MOST_ON_WINDOWS = 61  # processes that one can wait for there


@contextlib.contextmanager
def executor(workers=None, dask=None):
    """A concurrent.futures.Executor: `workers` processes, None for one per CPU, or the Dask cluster at `dask`.

    Left by an error, it drops the jobs that have not begun, and ends the workers when they have finished theirs, or
    after PATIENCE. Raises EnvironmentFault where no worker can be started or no cluster answers.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: at least one is needed.")
    if dask == "":
        raise UsageError("--dask: the address of the scheduler is empty.")
    workers = workers or _cpus()
    with _dask(dask) if dask else _thread() if workers == 1 else _processes(workers) as pool:
        yield pool


def _cpus():
    """CPUs that this process may use: on a cluster fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _thread():
    pool = concurrent.futures.ThreadPoolExecutor(1)
    try:
        yield pool
    except BaseException:
        end = threading.Thread(target=pool.shutdown, kwargs={"cancel_futures": True}, daemon=True)
        end.start()
        end.join(PATIENCE)
        raise
    pool.shutdown()


@contextlib.contextmanager
def _processes(workers):
    if START == "spawn" and NO_LEAKS not in sys.warnoptions:
        sys.warnoptions.append(NO_LEAKS)
    if sys.platform == "win32":
        workers = min(workers, MOST_ON_WINDOWS)
    others = set(multiprocessing.active_children())
    with _starting():
        pool = concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context(START), _begin_worker)
    patience = 0
    try:
        submit(pool, int, [()])  # starts the workers; where not all can be, those that were wait for work for ever
        patience = PATIENCE
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        _end(set(multiprocessing.active_children()) - others, patience)
        raise
    pool.shutdown()


@contextlib.contextmanager
def _starting():
    """Raises EnvironmentFault where no process can be started."""
    try:
        yield
    except (OSError, NotImplementedError) as error:
        raise EnvironmentFault(
            f"No worker process can be started: {getattr(error, 'strerror', None) or error}. Try with --workers 1, or "
            f"raise the limits of the machine (ulimit -a)."
        ) from error


def _end(workers, patience):
    """Waits until processes have ended; kills those that have not after `patience` seconds, or at Ctrl-C."""
    deadline = time.monotonic() + patience
    try:
        for worker in workers:
            worker.join(max(0, deadline - time.monotonic()))
    finally:
        for worker in workers:
            worker.kill()


def _begin_worker():
    """Makes a worker end when its parent is killed, instead of waiting for work for ever, but not at Ctrl-C, which goes
    to every process of a terminal: the parent lets the workers finish their jobs, and is the one to speak."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait():
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    try:
        threading.Thread(target=wait, daemon=True).start()
    except RuntimeError:  # too many threads, or too little memory: without this, Python would say so at length
        os._exit(1)


@contextlib.contextmanager
def _dask(address):
    try:
        import distributed
    except ImportError as error:
        raise extras.missing("--dask", "dask", error, "distributed") from error
    try:
        client = distributed.Client(address, timeout="20s")
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"{address}: no Dask scheduler answers there ({error}).") from error
    with client:
        pool = client.get_executor(pure=False)
        try:
            yield pool
        finally:
            pool.shutdown(wait=False)  # drops what has not begun; it knows no other way


def submit(executor, function, jobs):
    """The futures of function(*job) for each of the jobs. Raises EnvironmentFault where no process can be started."""
    with _starting(), _interrupts_held():  # a process is started when there is work for it
        return [executor.submit(function, *job) for job in jobs]


@contextlib.contextmanager
def _interrupts_held():
    """Holds Ctrl-C back, for this process until the end, for those that it starts for ever."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def results(futures):
    """What the futures return, in the order in which they are done. Raises EnvironmentFault where a worker died."""
    try:
        for future in concurrent.futures.as_completed(futures):
            yield future.result()
    except concurrent.futures.BrokenExecutor as error:
        raise EnvironmentFault(_DIED) from error
    except Exception as error:
        if type(error).__name__ == "KilledWorker":  # Dask's name for it
            raise EnvironmentFault(_DIED) from error
        if isinstance(error, ModuleNotFoundError) or "deserialization" in str(error):  # Dask's words for it
            raise EnvironmentFault(_strangers()) from error
        raise


_DIED = (
    "A worker process died: it was killed, perhaps for want of memory. What is finished is kept: run the same command "
    "again, with fewer --workers if memory was the cause."
)


def _strangers():
    """What to say where a cluster lacks this package, under the name that it has here and that its jobs bring along."""
    package = __name__.partition(".")[0]
    if package == "conversion":
        what = (
            "Start its scheduler and its workers with "
            f"PYTHONPATH={Path(__file__).resolve().parents[2]} and the same packages as here."
        )
    else:
        what = (
            f"Install celeba-dialog {__version__} for its scheduler and its workers, from the same folder or wheel as "
            "here and with the same packages, and start them again."
        )
    return f"The Dask cluster cannot import {package}. {what}"

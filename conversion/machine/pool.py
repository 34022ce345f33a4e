"""Parallel work: independent jobs handed to a concurrent.futures.Executor, of this machine or of a Dask cluster."""

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from pathlib import Path

from celeba_dialog import EnvironmentFault
from celeba_dialog import UsageError
from celeba_dialog import __version__

from . import extras


@contextlib.contextmanager
def executor(workers=None, dask=None):
    """A concurrent.futures.Executor: `workers` processes, None for one per CPU, or the Dask cluster at `dask`.

    Left by an error, it drops the jobs that have not begun. Raises EnvironmentFault where no cluster answers.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: at least one is needed.")
    if dask == "":
        raise UsageError("--dask: the address of the scheduler is empty.")
    with _dask(dask) if dask else _processes(workers or _cpus()) as pool:
        yield pool


def _cpus():
    """CPUs that this process may use: on a cluster fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _processes(workers):
    if workers == 1:
        pool = concurrent.futures.ThreadPoolExecutor(1)
    else:
        # Forked workers share what this process has read and start at once.
        start = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        pool = concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context(start), _end_with_parent)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent():
    """Makes a worker end when its parent is killed, instead of waiting for work for ever, but not at Ctrl-C, which goes
    to every process of a terminal: the parent lets the workers finish their jobs, and is the one to speak."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait():
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


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

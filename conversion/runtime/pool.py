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
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from celeba_dialog import __version__

from ..release.errors import EnvironmentFault, UsageError
from . import extras

PATIENCE = 60  # seconds that workers have to finish their jobs when the rest is called off

# Forked workers start at once and share what this process has read. On macOS, system libraries crash after a fork.
START = "fork" if "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin" else "spawn"
# For Python's resource tracker, which would warn about a process that ended at once.
NO_LEAKS = "ignore:resource_tracker:UserWarning"
MOST_ON_WINDOWS = 61  # processes that ProcessPoolExecutor can have there


def count(workers: int | None = None) -> int:
    """How many processes that is: by default one per CPU. Raises UsageError for less than one."""
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: at least one is needed.")
    if workers is None:  # this process may have fewer CPUs than the machine
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return workers


def executor(
    workers: int | None = None, dask: str | None = None, patience: float = PATIENCE
) -> AbstractContextManager[Executor]:
    """A context that gives a concurrent.futures.Executor: processes, by default one per CPU, or a Dask cluster.

    `dask` is the address of its scheduler. When the context is left by an error, jobs that have not begun are dropped,
    and processes get `patience` seconds to finish theirs. Raises UsageError for `workers` below 1 and an empty `dask`;
    entering the context raises EnvironmentFault where no worker can be started or no cluster answers.
    """
    workers = count(workers)
    if dask == "":
        raise UsageError("--dask: the address of the scheduler is empty.")
    return _dask(dask) if dask else _thread() if workers == 1 else _processes(workers, patience)


@contextlib.contextmanager
def _thread() -> Iterator[Executor]:
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
def _processes(workers: int, patience: float) -> Iterator[Executor]:
    if START == "spawn" and NO_LEAKS not in sys.warnoptions:
        sys.warnoptions.append(NO_LEAKS)
    if sys.platform == "win32":
        workers = min(workers, MOST_ON_WINDOWS)
    others = set(multiprocessing.active_children())
    with _starting():
        pool = concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context(START), _begin_worker)
    started = False
    try:
        submit(pool, int, [()])  # starts the workers; if one cannot be started, `_end` has to end the others
        started = True
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        _end(set(multiprocessing.active_children()) - others, patience if started else 0)
        raise
    pool.shutdown()


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """Raises EnvironmentFault where no process can be started."""
    try:
        yield
    except (OSError, NotImplementedError) as error:
        raise EnvironmentFault(
            f"No worker process can be started: {getattr(error, 'strerror', None) or error}. Try with --workers 1, or "
            f"raise the limits of the machine (ulimit -a)."
        ) from error


def _end(workers: Iterable[BaseProcess], patience: float) -> None:
    """Waits until processes have ended; kills those that have not after `patience` seconds, or at Ctrl-C."""
    deadline = time.monotonic() + patience
    try:
        for worker in workers:
            worker.join(max(0, deadline - time.monotonic()))
    finally:
        for worker in workers:
            worker.kill()


def _begin_worker() -> None:
    """Makes a worker ignore Ctrl-C, which its parent handles, and end when its parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    try:
        threading.Thread(target=wait, daemon=True).start()
    except RuntimeError:  # too many threads or too little memory: the parent says so, without a traceback
        os._exit(1)


@contextlib.contextmanager
def _dask(address: str) -> Iterator[Executor]:
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
            pool.shutdown(wait=False)  # drops the jobs that have not begun


def submit(executor: Executor, function: Callable, jobs: Iterable[Sequence]) -> list[Future]:
    """The futures of function(*job) for each of the jobs. Raises EnvironmentFault where no process can be started."""
    with _starting(), _interrupts_blocked():  # processes are started here
        return [executor.submit(function, *job) for job in jobs]


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Delays SIGINT to this process until the end of the block. A process that starts in it never gets one."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def results(futures: Iterable[Future]) -> Iterator[Any]:
    """Yields what the futures return, in the order in which they are done.

    Raises what a job raised, and EnvironmentFault where a worker died or a cluster lacks this package.
    """
    try:
        for future in concurrent.futures.as_completed(futures):
            yield future.result()
    except Exception as error:
        if isinstance(error, concurrent.futures.BrokenExecutor) or type(error).__name__ == "KilledWorker":  # of Dask
            raise EnvironmentFault(
                "A worker process died: it was killed, perhaps for want of memory. What is finished is kept: run the "
                "same command again, with fewer --workers if memory was the cause."
            ) from error
        if isinstance(error, ModuleNotFoundError) or "deserialization" in str(error):  # Dask's word for it
            raise EnvironmentFault(_not_installed()) from error
        raise


def _not_installed() -> str:
    """What to say where a cluster lacks this package under the name that it has here, which its jobs refer to."""
    package = __name__.partition(".")[0]
    if package == "conversion":
        folder = Path(__file__).resolve().parents[2]
        what = f"Start its scheduler and its workers with PYTHONPATH={folder} and the same packages as here."
    else:
        what = (
            f"Install celeba-dialog {__version__} for its scheduler and its workers, from the same folder or wheel as "
            "here and with the same packages, and start them again."
        )
    return f"The Dask cluster cannot import {package}. {what}"

"""Parallel work: independent jobs handed to a concurrent.futures.Executor, of this machine or of a Dask cluster."""

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import threading

from celeba_dialog import EnvironmentFault
from celeba_dialog import UsageError


@contextlib.contextmanager
def executor(workers=None, dask=None):
    """A concurrent.futures.Executor: `workers` processes, None for one per CPU, or the Dask cluster at `dask`.

    Left by an error, it drops the jobs that have not begun. Raises EnvironmentFault where no cluster answers.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: at least one is needed.")
    with _dask(dask) if dask else _processes(workers or os.cpu_count() or 1) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _processes(workers):
    if workers == 1:
        return concurrent.futures.ThreadPoolExecutor(1)
    # Forked workers share what this process has read and start at once.
    start = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    return concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context(start), _end_with_parent)


def _end_with_parent():
    """Makes a worker end when its parent is killed, instead of waiting for work for ever."""

    def wait():
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def _dask(address):
    try:
        import distributed
    except ImportError as error:
        raise EnvironmentFault("--dask needs one more package. Try: pip install distributed") from error
    try:
        client = distributed.Client(address, timeout="20s")
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"{address}: no Dask scheduler answers there ({error}).") from error
    with client, client.get_executor() as pool:
        yield pool


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
        raise


_DIED = (
    "A worker process died: it was killed, perhaps for want of memory. What is finished is kept: run the same command "
    "again, with fewer --workers if memory was the cause."
)

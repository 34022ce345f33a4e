"""Locks on files, so that no two commands write into one folder: `locked` is for `build` and for `fetch`."""

import contextlib
import os
from collections.abc import Iterator

import filelock

from ..release.errors import EnvironmentFault
from ..release.storage import NO_LOCKS, lock_refusal
from .streams import printable


@contextlib.contextmanager
def locked(path: str, busy: str) -> Iterator[None]:
    """Holds the lock file at `path` during the block; it ends with this process, whatever ends that.

    Raises EnvironmentFault, with the message `busy` where another process has it, with one that says so where the file
    system has no locks, and OSError where the file cannot be made.
    """
    lock = filelock.FileLock(path, timeout=0)
    try:
        lock.acquire()
        os.stat(path)  # missing where the one who had it has just removed it
    except (filelock.Timeout, FileNotFoundError) as error:
        lock.release()
        raise _no_locks(path, lock_refusal(path)) or EnvironmentFault(busy) from error
    except (OSError, NotImplementedError) as error:
        if fault := _no_locks(path, error):
            raise fault from error
        raise
    try:
        yield
    finally:
        lock.release()


def _no_locks(path: str, error: Exception | None) -> EnvironmentFault | None:
    """What to say where the file system has no locks, which an error tells; None where it tells something else."""
    if not isinstance(error, NotImplementedError) and getattr(error, "errno", None) not in NO_LOCKS:
        return None
    with contextlib.suppress(OSError):
        os.unlink(path)
    return EnvironmentFault(
        f"{printable(os.path.dirname(path))}: its file system has no locks ({getattr(error, 'strerror', None) or error}"
        "), without which two commands could write here at a time. Give a folder on another disk, such as a local one."
    )

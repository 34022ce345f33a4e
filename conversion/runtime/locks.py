"""Locks on files, so that no two commands write into one folder: `locked` is for `build` and for `fetch`."""

import contextlib
import errno
import os
from collections.abc import Iterator

import filelock

from ..release.errors import EnvironmentFault
from .streams import printable

# What NFS, Lustre, Weka and others answer where they keep no locks.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


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
        raise _no_locks(path, _refusal(path)) or EnvironmentFault(busy) from error
    except (OSError, NotImplementedError) as error:
        if fault := _no_locks(path, error):
            raise fault from error
        raise
    try:
        yield
    finally:
        lock.release()


def _refusal(path: str) -> Exception | None:
    """The error by which the system refuses a lock; many versions of filelock take any for another's lock."""
    with contextlib.suppress(ImportError):  # on Windows, where filelock locks in another way
        import fcntl

        try:
            with open(path, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error
    return None


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

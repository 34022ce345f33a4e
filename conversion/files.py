"""What several commands need of files and the terminal: whole files or none, checksums, progress, messages."""

import contextlib
import hashlib
import os
import sys
import tempfile

from tqdm.auto import tqdm

BLOCK = 1 << 20


def say(message):
    """A message for the person, on standard error, clear of any progress bar."""
    tqdm.write(str(message), file=sys.stderr)


def progress(iterable=None, *, total=None, desc=None, unit="rows", **options):
    """A progress bar on standard error; none where that is no terminal."""
    return tqdm(iterable, total=total, desc=desc, unit=unit, file=sys.stderr, disable=None, leave=False, **options)


def sha256(path):
    """SHA-256 of a local file, as hexadecimal digits."""
    digest = hashlib.sha256()  # hashlib.file_digest would do, but Python 3.10 lacks it
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def whole_file(path):
    """A binary file that appears at `path` whole or not at all: temporary name beside it, synced, renamed."""
    folder, name = os.path.split(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
    try:
        with open(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

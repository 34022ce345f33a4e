"""The official files that a folder was built from, by size and SHA-256."""

import concurrent.futures
import contextlib
import functools
import hashlib
import threading

import celeba_dialog
from celeba_dialog import EnvironmentFault

from ..machine import files


@contextlib.contextmanager
def hashed_sources(release, families):
    """Hashes every source of some families in a thread, while workers read the same bytes.

    Gives a Future of the manifest's entries, [{"role", "path", "size", "sha256"}], a folder's with "files", how many it
    has. The Future raises EnvironmentFault for a file that cannot be read.
    """
    roles = {role for subset, parts in families for role in celeba_dialog.roles_of(subset, parts)}
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        try:
            yield thread.submit(_entries, release, sorted(roles), stop)
        finally:
            stop.set()


def _entries(release, roles, stop):
    def check_wanted(_):
        if stop.is_set():
            raise concurrent.futures.CancelledError

    @functools.cache  # one zip may serve several roles
    def sha256(path):
        try:
            return files.checksum(path, progress=check_wanted)
        except OSError as error:
            raise EnvironmentFault(f"{path}: cannot be read: {error.strerror or repr(error)}.") from error

    found = []
    for role in roles:
        for source in release.sources.get(role, []):
            entry = {"role": role, "path": release.shown(source.path), "size": source.size}
            if source.path.endswith("/"):
                names = celeba_dialog.image_files(source)
                lines = [f"{sha256(source.path + name)}  {name}\n" for name in names]
                entry["files"] = len(names)
                entry["sha256"] = hashlib.sha256("".join(lines).encode()).hexdigest()
            else:
                entry["sha256"] = sha256(source.path)
            found.append(entry)
    return found

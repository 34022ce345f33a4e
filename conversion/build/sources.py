"""The official files that a folder was built from, by size and SHA-256."""

import concurrent.futures
import hashlib
import threading

import celeba_dialog
from celeba_dialog import EnvironmentFault

from ..machine import files


class Sources:
    """The size and SHA-256 of every source of some families, computed in a thread while workers read the same bytes.

    `result()` gives the entries of the manifest: [{"role", "path", "size", "sha256"}], with "files" for a folder.
    """

    def __init__(self, release, families):
        roles = {role for subset, parts in families for role in celeba_dialog.roles_of(subset, parts)}
        self._stop = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._future = self._pool.submit(self._hash_all, release, roles)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._stop.set()
        self._pool.shutdown()

    def result(self):
        return self._future.result()

    def _hash_all(self, release, roles):
        found = []
        for role in sorted(roles):
            for source in release.sources.get(role, []):
                entry = {"role": role, "path": release.shown(source.path), "size": source.size}
                if source.path.endswith("/"):
                    names = celeba_dialog.image_files(source)
                    lines = [f"{self._hash(source.path + name)}  {name}\n" for name in names]
                    entry["files"] = len(names)
                    entry["sha256"] = hashlib.sha256("".join(lines).encode()).hexdigest()
                else:
                    entry["sha256"] = self._hash(source.path)
                found.append(entry)
        return found

    def _hash(self, path):
        digest = hashlib.sha256()
        try:
            with files.open_file(path) as file:
                while not self._stop.is_set() and (block := file.read(files.BLOCK)):
                    digest.update(block)
        except Exception as error:  # a remote file system raises whatever it likes
            what = getattr(error, "strerror", None) or repr(error)
            raise EnvironmentFault(f"{path}: cannot be read: {what}.") from error
        return digest.hexdigest()

"""The built folder: it appears whole, beside whatever was built before, or not at all."""

import contextlib
import json
import os
import re
import shutil
from pathlib import Path

import filelock

import celeba_dialog
from celeba_dialog import family

from ..release.errors import DamagedFileError, EnvironmentFault, MissingFileError, UsageError
from ..release.finding import normal_path
from ..release.official import roles_of
from ..release.storage import is_url
from ..runtime import files
from .manifest import BESIDE_SHARDS, MANIFEST, all_shards, read_manifest, shards_of, written_paths
from .shards import storage_fault


class Folder:
    """The folder to build, and the working folder beside it.

    On disk, everything is made in `.NAME.building` beside OUT, and OUT is replaced in one rename when all is there.
    At a URL there is no such rename: shards go to their places, and the README, without which `datasets` finds no
    config, is removed before that and written last.

    `path` is that of OUT, absolute or a URL, which `remote` tells; `work` the working folder, `data` where the files of
    this build are written, `records` where there is a record of each finished shard.
    """

    def __init__(self, out):
        self.path = normal_path(out)
        self.remote = is_url(self.path)
        if self.remote:
            self.work, self.data = f"{self.path}/.building", self.path
        else:
            self._given = self.path
            self.path = os.path.realpath(self.path)  # a link stays: what it leads to is replaced
            parent, name = os.path.split(self.path)
            self.work = os.path.join(parent, f".{name}.building")
            self.data = os.path.join(self.work, "new")
        self.records = f"{self.work}/records"
        self._earlier = None  # the manifest of the earlier build, where its shards may be used again

    def _read_earlier(self):
        """The manifest of the earlier build in OUT, None where there is none.

        Raises UsageError where OUT holds anything that a build did not write: it would be removed with the folder.
        """
        try:
            manifest = read_manifest(self.path)
        except MissingFileError:
            manifest = None
        except DamagedFileError as error:
            raise self._foreign(str(error)) from None
        try:
            if manifest is None:
                names = files.names(self.path)
                if files.is_file(self.path) or (names and not (self.remote and ".building" in names)):
                    raise self._foreign()
                return None
            ours = written_paths(manifest) | set(manifest["configs"])
            for path in () if self.remote else files.tree(self.path):
                if path not in ours and os.path.basename(path) != ".DS_Store":
                    raise UsageError(
                        f"{self.path}: holds {path}, which no build wrote. Move it away: a build replaces the folder."
                    )
        except OSError as error:
            raise EnvironmentFault(f"{self.path}: cannot be read: {error.strerror or error}.") from error
        return manifest

    def _foreign(self, why=""):
        return UsageError(
            f"{self.path}: holds something that is no earlier build. Give a new or empty folder, or move that away. "
            f"{why}".rstrip()
        )

    @contextlib.contextmanager
    def claimed(self, force):
        """Holds the working folder for this build alone; with `force`, nothing of an earlier build is used.

        Raises UsageError where OUT cannot be a built folder, EnvironmentFault where another build has it.
        """
        self._refuse_place()
        self._earlier = self._read_earlier()  # before anything is written
        if self.remote:
            self._try_to_write()
            if force:
                self._earlier = None
                files.remove(self.work)
            yield
            return
        lock = self._lock()
        old = os.path.join(self.work, "old")
        try:
            if os.path.isdir(old) and not os.path.isdir(self.path):
                os.rename(old, self.path)  # a build was killed between the two renames of `publish`
            self._earlier = None if force else self._read_earlier()  # again, as another build may have ended meanwhile
            if force:
                for folder in (self.data, self.records):
                    shutil.rmtree(folder, ignore_errors=True)
            yield
        except OSError as error:
            raise storage_fault(error, self.work) from error
        finally:
            if not os.path.isdir(self.data):  # nothing was made yet, or all is done
                shutil.rmtree(self.work, ignore_errors=True)
            lock.release()
            with contextlib.suppress(OSError):
                os.rmdir(self.work)  # here because Windows removes nothing in which a lock is held

    def _refuse_place(self):
        """Raises UsageError where no folder can be made or replaced."""
        if self.remote:
            if re.match("https?:", self.path):
                raise UsageError(f"{self.path}: a web server takes no files. Give a folder, or another address.")
            return
        above = self._given
        while not os.path.lexists(above):
            above = os.path.dirname(above)
        target = os.path.realpath(above)
        if os.path.islink(above) and not os.path.exists(above):
            # OUT may be a link to a folder that is not there yet, if the one above is.
            if above != self._given or os.path.lexists(target) or not os.path.isdir(os.path.dirname(target)):
                raise UsageError(f"{self._given}: {above} is a link to {target}, which is not there.")
        elif not os.path.isdir(above) and not os.path.isfile(self._given):
            raise UsageError(f"{self._given}: {above} is no folder. Give a new or empty one.")
        if Path.cwd().is_relative_to(self.path):
            raise UsageError(
                f"{self.path}: this command runs inside that folder, which it would replace. Run it from outside: cd .."
            )

    def _try_to_write(self):
        try:
            files.make_folder(self.work)
            with files.whole_file(f"{self.work}/begun"):
                pass
            files.remove(f"{self.work}/begun")
        except OSError as error:
            raise EnvironmentFault(f"{self.path}: cannot be written: {error.strerror or error}.") from error

    def _lock(self):
        """Makes the working folder and returns its lock. Raises EnvironmentFault where another build has it."""
        lock = filelock.FileLock(os.path.join(self.work, "lock"), timeout=0)
        try:
            os.makedirs(self.work, exist_ok=True)
            lock.acquire()  # ends with this process, whatever ends it
            os.stat(lock.lock_file)  # missing where another build has just finished and removed it
        except (filelock.Timeout, FileNotFoundError) as error:
            lock.release()
            raise EnvironmentFault(
                f"{self.path}: another build is writing it. Wait until it is done, then run this command again."
            ) from error
        except (OSError, NotImplementedError) as error:  # NotImplementedError: a file system without locks
            raise storage_fault(error, self.work) from error
        return lock

    def kept(self, configs, release):
        """{config: entry of the earlier manifest} of the configs that stay as they are, being none of `configs`.

        Raises UsageError where one was built from another state of `release`, or has a shard of another size or none.
        """
        earlier = self._earlier["configs"] if self._earlier else {}
        kept = {name: entry for name, entry in earlier.items() if name not in configs}
        for name, entry in kept.items():
            for shard in shards_of(entry):
                path = f"{self.path}/{shard['path']}"
                if not files.is_file(path) or files.size(path) != shard["size"]:
                    raise UsageError(
                        f"{path}: is not as it was built, and belongs to the config {name}. Build that too, with "
                        f"--config {name}, or drop it with --force."
                    )
            if entry["release"] != release.digest(roles_of(*family(name))):
                raise UsageError(
                    f"{self.path}: holds the config {name}, built from another state of the release. Build it too, "
                    f"with --config {name}, or drop it with --force."
                )
        return kept

    def prepare(self, jobs, kept):
        """Makes the folders for `jobs`, removes what is not wanted and links shards of the earlier build."""
        wanted = {path for job in jobs for _, _, path in job.targets}
        for folder in {os.path.dirname(path) for path in wanted} | set(kept):
            files.make_folder(f"{self.data}/{folder}")
            files.make_folder(f"{self.records}/{folder}")
        wanted |= {shard["path"] for entry in kept.values() for shard in shards_of(entry)}
        if self.remote:
            self._clear_url(wanted)
        else:
            self._clear_data(wanted)
            self._take_over(wanted)

    def _clear_url(self, wanted):
        """Removes what an earlier build wrote, but for the wanted shards and the manifest, which shows whose it is."""
        for name in BESIDE_SHARDS:
            if name != MANIFEST:
                files.remove(f"{self.path}/{name}")
        for name in celeba_dialog.CONFIGS:
            for shard in files.names(f"{self.path}/{name}"):
                if f"{name}/{shard}" not in wanted:
                    files.remove(f"{self.path}/{name}/{shard}")

    def _clear_data(self, wanted):
        """Removes from the working folder what an interrupted build wrote and this one does not want."""
        needed = {self.data, *(os.path.join(self.data, os.path.dirname(path)) for path in wanted)}
        for folder, _, names in os.walk(self.data, topdown=False):
            for name in names:
                if os.path.relpath(os.path.join(folder, name), self.data).replace(os.sep, "/") not in wanted:
                    os.unlink(os.path.join(folder, name))
            if folder not in needed:
                os.rmdir(folder)

    def _take_over(self, wanted):
        """Links the wanted shards of the folder that is replaced into the working folder, with a record each."""
        for entry in self._earlier["configs"].values() if self._earlier else ():
            for shard in shards_of(entry):
                path = shard["path"]
                if path in wanted and not os.path.exists(f"{self.data}/{path}"):
                    _link(f"{self.path}/{path}", f"{self.data}/{path}")
                    with files.whole_file(f"{self.records}/{path}.json") as file:
                        file.write(json.dumps(shard | {"state": entry["digest"]}).encode())

    def publish(self, manifest, texts):
        """Writes the manifest and `texts`, {name: bytes}, the README last, and puts the new folder in place of OUT."""
        texts = {MANIFEST: (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode(), **texts}
        for name in sorted(texts, key=lambda name: name == "README.md"):
            with files.whole_file(f"{self.data}/{name}") as file:
                file.write(texts[name])
        if self.remote:
            files.remove(self.work)
            return
        if self._unchanged(texts, all_shards(manifest)):
            shutil.rmtree(self.data)  # so OUT keeps its times
            return
        old = os.path.join(self.work, "old")
        shutil.rmtree(old, ignore_errors=True)
        try:
            if os.path.isdir(self.path):
                os.rename(self.path, old)
            os.rename(self.data, self.path)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.rename(old, self.path)
            if not isinstance(error, OSError):
                raise
            raise EnvironmentFault(
                f"{self.path}: cannot be replaced: {error.strerror}. Everything is built, in {self.data}. If OUT is a "
                f"mount point, give a folder inside it."
            ) from error

    def _unchanged(self, texts, shards):
        """Whether OUT already holds these texts and the very files of these shards."""
        try:
            return all(files.read(f"{self.path}/{name}") == text for name, text in texts.items()) and all(
                os.path.samefile(f"{self.path}/{shard['path']}", f"{self.data}/{shard['path']}") for shard in shards
            )
        except OSError:
            return False


def _link(old, new):
    """Makes `new` a hard link to `old`, or a copy where the file system has no hard links."""
    try:
        os.link(old, new)
    except FileNotFoundError:
        pass  # it was removed by hand; the shard is built anew
    except OSError:
        with open(old, "rb") as source, files.whole_file(new) as file:
            shutil.copyfileobj(source, file)

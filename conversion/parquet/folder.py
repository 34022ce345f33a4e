"""The built folder: it appears whole, in the place of whatever was built before, or not at all."""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celeba_dialog import family

from ..release.errors import DamagedFileError, EnvironmentFault, MissingFileError, UsageError
from ..release.finding import Release
from ..release.official import roles_of
from ..release.storage import is_url
from ..runtime import files, locks
from .manifest import MANIFEST, all_shards, read_manifest, shards_of, written_paths
from .shards import Job, storage_fault

PATTERN = re.compile(r"[][*?]")  # what `datasets` takes for a pattern of names, wherever it stands in a path


class Folder:
    """The folder to build, and the working folder `.NAME.building` beside it.

    Everything is made in the working folder, and OUT is replaced in one rename when all is there. `path` is that of
    OUT, absolute; `data` where the files of this build are written, `records` where there is a record of each finished
    shard. `earlier` is the manifest of the earlier build whose shards may be used again, None where there is none.
    """

    def __init__(self, out: str | os.PathLike[str]) -> None:
        if is_url(os.fspath(out)):
            raise UsageError(
                f"{files.printable(out)}: is an address, and build writes folders on this machine. Build here, then "
                f"copy the folder there, with `aws s3 sync`, `rclone copy` or celeba-dialog push."
            )
        self._given = files.local_path(out)
        self.path = os.path.realpath(self._given)  # a link stays: what it leads to is replaced
        parent, name = os.path.split(self.path)
        self._work = os.path.join(parent, f".{name}.building")
        self.data = os.path.join(self._work, "new")
        self.records = os.path.join(self._work, "records")
        self.earlier: dict[str, Any] | None = None

    def _read_earlier(self) -> dict[str, Any] | None:
        """The manifest of the earlier build in OUT, None where there is none.

        Raises UsageError where OUT holds anything that a build did not write: it would be removed with the folder.
        """
        try:
            manifest = read_manifest(self.path)
        except MissingFileError:
            if os.path.isdir(self.path) and not files.tree(self.path) or not os.path.lexists(self.path):
                return None
            raise self._foreign() from None
        except DamagedFileError as error:
            raise self._foreign(str(error)) from None
        ours = written_paths(manifest) | set(manifest["configs"])
        for path, kind in files.tree(self.path).items():
            if path not in ours and os.path.basename(path) != ".DS_Store":
                raise self._not_written(files.printable(path))
            if kind not in ("file", "folder", "link"):
                raise self._not_written(f"{path}, a {kind}")
        return manifest

    def _foreign(self, why: str = "") -> UsageError:
        is_folder = os.path.isdir(self.path)
        what = "holds something that is no earlier build" if is_folder else "is a file, and no folder"
        return UsageError(f"{self.path}: {what}. Give a new or empty folder, or move that away. {why}".rstrip())

    def _not_written(self, what: str) -> UsageError:
        return UsageError(
            f"{self.path}: holds {what}, which no build wrote. Move it away: a build replaces the folder."
        )

    @contextlib.contextmanager
    def claimed(self, force: bool) -> Iterator[None]:
        """Holds the working folder for this build alone; with `force`, nothing of an earlier build is used.

        Raises UsageError where OUT cannot be a built folder, EnvironmentFault where another build has it.
        """
        self._refuse_place()
        busy = f"{self.path}: another build is writing it. Wait until it is done, then run this command again."
        try:
            self._read_earlier()  # before anything is written
            os.makedirs(self._work, exist_ok=True)
            with locks.locked(os.path.join(self._work, "lock"), busy):
                try:
                    self._begin(force)
                    yield
                finally:
                    if not os.path.isdir(self.data):  # nothing was made yet, or all is done
                        shutil.rmtree(self._work, ignore_errors=True)
        except OSError as error:
            raise storage_fault(error, self._work) from error
        finally:
            with contextlib.suppress(OSError):
                os.rmdir(self._work)  # here because Windows removes nothing in which a lock is held

    def _begin(self, force: bool) -> None:
        old = os.path.join(self._work, "old")
        if os.path.isdir(old) and not os.path.isdir(self.path):
            os.rename(old, self.path)  # a build was killed between the two renames of `publish`
        self.earlier = None if force else self._read_earlier()  # again, as another build may have ended meanwhile
        if force:
            for folder in (self.data, self.records):
                shutil.rmtree(folder, ignore_errors=True)

    def _refuse_place(self) -> None:
        """Raises UsageError where no folder can be made or replaced, or `load_dataset` would not find it."""
        if signs := sorted(set(PATTERN.findall(self._given + self.path))):
            raise UsageError(
                f"{files.printable(self.path)}: has {' and '.join(signs)} in its path, which `datasets` reads as a "
                f"pattern of names, so that load_dataset would not find what is built there, or find other files "
                f"besides. Give a folder without [ ] * ? in its name and in those above it."
            )
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

    def kept(self, configs: list[str], release: Release) -> dict[str, dict[str, Any]]:
        """{config: entry of the earlier manifest} of the configs that stay as they are, being none of `configs`.

        Raises UsageError where one was built from another state of `release`, or has a shard of another size or none.
        """
        earlier = self.earlier["configs"] if self.earlier else {}
        kept = {name: entry for name, entry in earlier.items() if name not in configs}
        for name, entry in kept.items():
            for shard in shards_of(entry):
                path = f"{self.path}/{shard['path']}"
                if not os.path.isfile(path) or os.path.getsize(path) != shard["size"]:
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

    def untouched(self, jobs: list[Job]) -> dict[str, dict[str, Any]]:
        """{path: its entry in the earlier manifest} of the shards of `jobs` that `prepare` took over unchanged.

        That is told by their sizes and times, without reading them: no shard is younger than its manifest.
        """
        states = {path: job.state for job in jobs for _, _, path in job.targets}
        found: dict[str, dict[str, Any]] = {}
        if not self.earlier:
            return found
        published = os.stat(f"{self.path}/{MANIFEST}").st_mtime_ns
        for entry in self.earlier["configs"].values():
            for shard in shards_of(entry):
                with contextlib.suppress(OSError):
                    status = os.stat(f"{self.path}/{shard['path']}")
                    linked = os.path.samestat(status, os.stat(f"{self.data}/{shard['path']}"))
                    same = linked and status.st_size == shard["size"] and status.st_mtime_ns <= published
                    if same and states.get(shard["path"]) == entry["digest"]:
                        found[shard["path"]] = shard
        return found

    def known_sources(self, digests: dict[tuple[str, bool], str]) -> list[dict[str, Any]] | None:
        """What the earlier manifest says of the release's files, None where it was built from others.

        `digests` is {family: digest of the release} of the configs built and kept.
        """
        earlier = self.earlier or {"configs": {}, "sources": None}
        then = {family(name): entry["release"] for name, entry in earlier["configs"].items()}
        return earlier["sources"] if then == digests else None

    def prepare(self, jobs: list[Job], kept: dict[str, dict[str, Any]]) -> None:
        """Makes the folders for `jobs`, removes what is not wanted and links shards of the earlier build."""
        wanted = {path for job in jobs for _, _, path in job.targets}
        for folder in {os.path.dirname(path) for path in wanted} | set(kept):
            os.makedirs(f"{self.data}/{folder}", exist_ok=True)
            os.makedirs(f"{self.records}/{folder}", exist_ok=True)
        wanted |= {shard["path"] for entry in kept.values() for shard in shards_of(entry)}
        self._clear_data(wanted)
        self._take_over(wanted)

    def _clear_data(self, wanted: set[str]) -> None:
        """Removes from the working folder what an interrupted build wrote and this one does not want."""
        needed = {self.data, *(os.path.join(self.data, os.path.dirname(path)) for path in wanted)}
        for folder, _, names in os.walk(self.data, topdown=False):
            for name in names:
                if os.path.relpath(os.path.join(folder, name), self.data).replace(os.sep, "/") not in wanted:
                    os.unlink(os.path.join(folder, name))
            if folder not in needed:
                os.rmdir(folder)

    def _take_over(self, wanted: set[str]) -> None:
        """Links the wanted shards of the folder that is replaced into the working folder, with a record each."""
        for entry in self.earlier["configs"].values() if self.earlier else ():
            for shard in shards_of(entry):
                path = shard["path"]
                if path in wanted and not os.path.exists(f"{self.data}/{path}"):
                    _link(f"{self.path}/{path}", f"{self.data}/{path}")
                    with files.whole_file(f"{self.records}/{path}.json", synced=False) as file:
                        file.write(json.dumps(shard | {"state": entry["digest"]}).encode())

    def publish(self, manifest: dict[str, Any], texts: dict[str, bytes]) -> bool:
        """Writes the manifest and `texts`, {name: bytes}, the README last, and puts the new folder in place of OUT.

        Returns whether anything was new: where all is as it was, OUT is left as it is.
        """
        texts = {MANIFEST: (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode(), **texts}
        if self._unchanged(texts, all_shards(manifest)):
            shutil.rmtree(self.data)  # so OUT keeps its times
            return False
        for name in sorted(texts, key=lambda name: name == "README.md"):
            with files.whole_file(f"{self.data}/{name}") as file:
                file.write(texts[name])
        old = os.path.join(self._work, "old")
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
        return True

    def _unchanged(self, texts: dict[str, bytes], shards: list[dict[str, Any]]) -> bool:
        """Whether OUT already holds these texts and the very files of these shards."""
        try:
            return all(files.read(f"{self.path}/{name}") == text for name, text in texts.items()) and all(
                os.path.samefile(f"{self.path}/{shard['path']}", f"{self.data}/{shard['path']}") for shard in shards
            )
        except OSError:
            return False


def _link(old: str, new: str) -> None:
    """Makes `new` a hard link to `old`, or a copy where the file system has no hard links."""
    try:
        os.link(old, new)
    except FileNotFoundError:
        pass  # it was removed by hand; the shard is built anew
    except OSError:
        with files.open_file(old) as source, files.whole_file(new) as file:
            shutil.copyfileobj(source, file)

"""What lies in a built folder, held against its manifest: for `verify` and for `push`."""

import os
import posixpath
import shlex
from collections.abc import Iterable

from celeba_dialog import CONFIGS

from ..runtime import files
from .manifest import MANIFEST, Manifest, all_shards


def misplaced(folder: str, manifest: Manifest, needed: Iterable[str]) -> list[str]:
    """A line for each thing in a built folder that does not belong there, and for each of `needed` that is missing.

    Nothing is opened. The files in which macOS keeps how it shows a folder are left alone, as `build` does.
    """
    known = {MANIFEST, "README.md", *manifest["files"], *(shard["path"] for shard in all_shards(manifest))}
    lines = []
    kinds = files.tree(folder)
    for path, kind in kinds.items():
        name, shown = posixpath.basename(path), files.printable(path)
        if path in known and kind != "file":
            lines.append(f"{shown}: is a {kind}, expected a file")
        elif name == "celeba_dialog.py":
            lines.append(f"{shown}: does not belong there: beside it `datasets` 4 and later load nothing. Remove it")
        elif path not in known and name != ".DS_Store" and not (kind == "folder" and path in manifest["configs"]):
            lines.append(f"{shown}: is a {kind} that is not in {MANIFEST}, and does not belong there. Remove it")
    return lines + [f"{path}: missing, though {MANIFEST} lists it" for path in needed if path not in kinds]


def changed(path: str, sha256: str, listed: Manifest | None) -> str:
    """How a file, which has this SHA-256, differs from its entry in the manifest, in words; "" where it does not."""
    if listed is None:
        return f"is not in {MANIFEST}"
    if listed["sha256"] == sha256 and listed["size"] == os.path.getsize(path):
        return ""
    if files.is_lfs_pointer(path):
        return files.LFS_POINTER
    if listed["size"] != os.path.getsize(path):
        return f"has {os.path.getsize(path):,} bytes, in {MANIFEST} it has {listed['size']:,}"
    return f"its SHA-256 is {sha256}, in {MANIFEST} it is {listed['sha256']}"


def build_command(release: str, folder: str, manifest: Manifest) -> str:
    """The command that builds a folder anew as its manifest says."""
    words = ["celeba-dialog", "build", release, folder]
    words += [word for name in CONFIGS if name in manifest["configs"] for word in ("--config", name)]
    words += ["--allow-incomplete"] * bool(manifest["release"]["incomplete"])
    return shlex.join([*words, *["--with-preview"] * ("preview.png" in manifest["files"]), "--force"])

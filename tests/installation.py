"""The project as others get it: the wheel, and an environment that has it and knows nothing of this clone."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What is in the repository, at its top level. Builds leave files beside their sources, so they get a copy.
TOP = (
    ".ci .gitignore CHANGELOG.md CITATION.cff CONTRIBUTING.md LICENSE MANIFEST.in Makefile README.md celeba_dialog.py "
    "conversion dataset_card pyproject.toml requirements-dev.txt requirements.txt tests tox.ini"
).split()
EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}  # so that the same files give the same bytes

# What pip asks of the build backend, in a process that could not import what the project needs.
BUILD = """
import sys
sys.modules |= dict.fromkeys(("celeba_dialog", "datasets", "filelock", "fsspec", "numpy", "PIL", "pyarrow"))
import setuptools.build_meta
getattr(setuptools.build_meta, sys.argv[1])(sys.argv[2])
"""


def copy_sources(folder):
    """A copy of what is in the repository: the path of the folder, which must not exist."""

    def ignored(path, names):
        return [name for name in names if name == "__pycache__" or (path == str(ROOT) and name not in TOP)]

    return Path(shutil.copytree(ROOT, folder, ignore=ignored))


def build_wheel(folder, how="build_wheel"):
    """The path of a wheel of `folder`/sources, a copy that it makes; with `build_editable` of one that links there."""
    out = folder / "wheel"
    out.mkdir()
    options = {"cwd": copy_sources(folder / "sources"), "env": os.environ | EPOCH}
    subprocess.run([sys.executable, "-c", BUILD, how, str(out)], check=True, capture_output=True, **options)  # noqa: S603
    (wheel,) = out.iterdir()
    return wheel


def install(wheel, folder):
    """An environment with the wheel; the other packages are those of this environment. The folder of its commands."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)  # noqa: S603
    (site,) = folder.glob("lib/python*/site-packages")
    # A .pth file names folders; those in a folder that it names are not read, such as that of an editable installation.
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return python.parent


def environment(commands, home, **more):
    """The variables of a user with these commands and this home folder, and without anything else of ours."""
    path = f"{commands}:/usr/bin:/bin"
    return {"HOME": str(home), "HF_HUB_OFFLINE": "1", "LANG": "C.UTF-8", "PATH": path, **more}


def run(commands, home, *words, cwd=None, **more):
    """Runs a command in the home folder, or in `cwd`: the process, when it is done. `more` are further variables."""
    return subprocess.run(  # noqa: S603
        [str(commands / words[0]), *map(str, words[1:])],
        cwd=cwd or home,
        env=environment(commands, home, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )

"""From `pip install` to training, as a user does it: in a folder that is not the clone.

Run by tox in clean environments, each with the wheel and what it asks for, on every Python; by plain pytest in an
environment that borrows its other packages from this one. There most are trials: test_readme.py runs the commands.
"""

import importlib.util
import json
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import clusters
import installation
import pytest
from commands import tree
from installation import ROOT
from PIL import Image

import celeba_dialog
from conversion.parquet import command as building

RELEASE, BUILT = "CelebA-Dialog", "celeba_dialog"  # in the home folder


def needs(package, extra):
    reason = f"an environment without the extra `{extra}`"
    return pytest.mark.skipif(not importlib.util.find_spec(package), reason=reason)


@pytest.fixture(scope="module")
def run(installed, home):
    """run("celeba-dialog", "check", …, VARIABLE=…): the process, when it is done; it has to end with status 0."""

    def run(*words, status=0, **more):
        done = installation.run(installed, home, *words, **more)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def release(run, home):
    """The path of a demo release that the command wrote."""
    run("celeba-dialog", "demo", RELEASE, "--hq=9", "--standard=30")
    return home / RELEASE


@pytest.fixture(scope="module")
def built(run, release, home):
    """The path of the Parquet folder that the command built."""
    run("celeba-dialog", "build", RELEASE, BUILT)
    return home / BUILT


def test_nothing_of_the_clone_is_there(run, installed):
    where = "import celeba_dialog as one, celeba_dialog_conversion as other; print(one.__file__, other.__file__)"
    for path in run("python", "-c", where).stdout.split():
        assert Path(path).is_relative_to(installed.parent)
        assert not Path(path).is_relative_to(ROOT / "conversion")
    said = run("python", "-c", "try: import conversion\nexcept Exception as error: print(repr(error))").stdout
    assert "ModuleNotFoundError" in said
    for command in (["celeba-dialog"], ["python", "-m", "celeba_dialog_conversion"]):
        assert run(*command, "--help").stdout.startswith("usage: celeba-dialog ")


@pytest.mark.trials
def test_the_clone_builds_the_same_bytes(run, built, release, home, tmp_path):
    """The card included: its texts lie elsewhere where they are installed."""
    building.build(release, tmp_path / BUILT, workers=1)
    assert tree(tmp_path / BUILT) == tree(built)
    run("celeba-dialog", "check", RELEASE)
    run("celeba-dialog", "verify", BUILT, RELEASE)
    run("celeba-dialog", "preview", BUILT, "contact-sheet.png")
    with Image.open(home / "contact-sheet.png") as picture:
        assert picture.format == "PNG"


# A worker that is spawned imports everything anew, and this file too.
SPAWN = """
import json, multiprocessing, os, sys
import celeba_dialog
from datasets import load_dataset

os.fork = None  # whoever forks fails

def names(rows):
    return os.getpid(), [row["file_name"] for row in rows]

if __name__ == "__main__":
    found = {"folder": sorted(load_dataset("celeba_dialog", "standard", split="train")["file_name"])}
    celeba_dialog.register()
    options = {"data_dir": sys.argv[1], "split": "train"}
    table = load_dataset("celeba_dialog", "standard", **options)
    stream = load_dataset("celeba_dialog", "standard", streaming=True, **options)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for kind, parts in (
            ("table", [table.shard(2, index) for index in range(2)]),
            ("stream", [stream.shard(2, index) for index in range(2)]),
        ):
            done = pool.map(names, parts, chunksize=1)
            assert os.getpid() not in dict(done)
            found[kind] = sorted(name for _, part in done for name in part)
    print(json.dumps(found))
"""


@pytest.mark.trials
def test_loaded_and_spawned(run, built, home):
    """From the built folder, and by register() in workers that are spawned."""
    (home / "spawn.py").write_text(SPAWN)
    found = json.loads(run("python", "spawn.py", RELEASE).stdout)
    assert found["table"] == found["stream"] == found["folder"]
    assert len(found["folder"]) > 10


@pytest.mark.trials
@needs("distributed", "dask")
def test_a_build_by_a_cluster(run, built, installed, tmp_path):
    """A job comes to a worker by the name of its module, which in a clone is another; some workers lack the package."""
    python, variables = installed / "python", installation.environment(installed, tmp_path)
    words = ["celeba-dialog", "build", RELEASE, tmp_path / BUILT]
    with clusters.cluster(python, tmp_path, variables, lacking=["celeba_dialog_conversion"]) as address:
        said = run(*words, f"--dask={address}", status=1).stderr
    assert "The Dask cluster cannot import celeba_dialog_conversion." in said
    assert f"Install celeba-dialog {celeba_dialog.__version__}" in said
    assert not (tmp_path / BUILT).exists()
    with clusters.cluster(python, tmp_path, variables) as address:
        run(*words, f"--dask={address}")
    assert tree(tmp_path / BUILT) == tree(built)


@needs("uvicorn", "browse")
def test_browse_goes_up_and_down(release, installed, home):
    with subprocess.Popen(  # noqa: S603
        [str(installed / "celeba-dialog"), "browse", RELEASE, "--port", "0"],
        cwd=home,
        env=installation.environment(installed, home),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = ""
        while not (address := re.search(r"http://127\.0\.0\.1:\d+\S*", said)) and (line := process.stderr.readline()):
            said += line
        assert address, said
        with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(address[0]) as answer:
            page = answer.read().decode()
        process.send_signal(signal.SIGINT)
        said += process.stderr.read()
    assert "</html>" in page
    assert "Traceback" not in said
    assert process.returncode == 0, said


# Runs a command as if some modules were not installed.
WITHOUT = """
import sys
sys.modules |= dict.fromkeys(sys.argv[1].split(","))
from celeba_dialog_conversion.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.trials
@pytest.mark.parametrize("module", ["starlette", "uvicorn"])
def test_browse_says_what_it_lacks(run, release, module):
    """As other commands do, which their own tests tell."""
    said = run("python", "-c", WITHOUT, module, "browse", RELEASE, status=1).stderr
    assert 'pip install "celeba-dialog[browse]"' in said
    assert re.search(rf'pip install .*"{module}\S*"', said)


@pytest.mark.trials
def test_no_extra_is_needed_for_most(run, release, tmp_path):
    lacking, out, png = "distributed,duckdb,gdown,starlette,torch,uvicorn", tmp_path / BUILT, tmp_path / "sheet.png"
    run("python", "-c", WITHOUT, lacking, "build", RELEASE, out, "--workers=1")
    for words in (["check", RELEASE], ["verify", out, RELEASE], ["preview", RELEASE, png, "--stats"]):
        run("python", "-c", WITHOUT, lacking, *words)

"""From `pip install` to training and publication, as a user does it: in a folder that is not the clone.

Run by tox in clean environments, each with the wheel and what it asks for, on every Python; by plain pytest in an
environment that borrows its other packages from this one. There most are trials: test_readme.py runs the commands.
"""

import importlib.util
import io
import json
import re
import shutil
import signal
import subprocess
import urllib.request
import zipfile
import zlib
from pathlib import Path

import clusters
import installation
import pytest
from commands import tree
from installation import ROOT
from PIL import Image

import celeba_dialog
from conversion.parquet import command as building
from conversion.release.official import FILES

CONFIGS = ("hq", "standard")
RELEASE, BUILT = "CelebA-Dialog", "celeba_dialog"  # in the home folder


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


@pytest.fixture(scope="module")
def truth(release):
    """{config: {name of an image: CRC-32 of its pixels}}, from the zips."""
    found = {}
    for config in CONFIGS:
        with zipfile.ZipFile(release / FILES[f"{config}_images"].path) as archive:
            images = {
                name.rpartition("/")[2]: archive.read(name) for name in archive.namelist() if name.endswith("jpg")
            }
        found[config] = {
            name: zlib.crc32(Image.open(io.BytesIO(data)).convert("RGB").tobytes()) for name, data in images.items()
        }
    return found


def test_nothing_of_the_clone_is_there(run, installed):
    where = "import celeba_dialog as one, celeba_dialog_conversion as other; print(one.__file__, other.__file__)"
    for path in run("python", "-c", where).stdout.split():
        assert Path(path).is_relative_to(installed.parent)
        assert not Path(path).is_relative_to(ROOT / "conversion")
    assert (
        "ModuleNotFoundError"
        in run("python", "-c", "try: import conversion\nexcept Exception as e: print(repr(e))").stdout
    )
    for command in (["celeba-dialog"], ["python", "-m", "celeba_dialog_conversion"]):
        assert run(*command, "--help").stdout.startswith("usage: celeba-dialog ")


@pytest.mark.trials
def test_check_verify_and_preview(run, built, home):
    run("celeba-dialog", "check", RELEASE)
    run("celeba-dialog", "verify", BUILT, RELEASE)
    run("celeba-dialog", "preview", BUILT, "contact-sheet.png")
    with Image.open(home / "contact-sheet.png") as picture:
        assert picture.format == "PNG"
    assert "Agreement" in (built / "README.md").read_text()


@pytest.mark.skipif(not importlib.util.find_spec("gdown"), reason="an environment without the extra `fetch`")
def test_fetch_shows_the_agreement(run, tmp_path):
    said = run("celeba-dialog", "fetch", tmp_path / "out", status=2).stderr
    assert (ROOT / "dataset_card" / "agreement.md").read_text() in said
    assert "Nothing was downloaded." in said


UNPACKED = """
import sys
import celeba_dialog
from datasets import load_dataset

builder = celeba_dialog.CelebADialog(config_name="hq", data_dir=sys.argv[1])
builder.download_and_prepare()
celeba_dialog.register()
one, other = builder.as_dataset(split="train"), load_dataset("celeba_dialog", "hq", data_dir=sys.argv[1], split="train")
assert one["file_name"][:] == other["file_name"][:] and one[0]["image"].size == (1024, 1024)
print(celeba_dialog.__file__, sys.modules["celeba_dialog_conversion.release.official"].__file__)
"""


def test_the_wheel_unpacked_beside_a_training_script(run, wheel, release, tmp_path):
    """By the line of the README, for where nothing can be installed."""
    (line,) = re.findall(r"`(python -m zipfile -e celeba_dialog-.*?)`", (ROOT / "README.md").read_text())
    shutil.copy(wheel, tmp_path)
    run(*line.split(), cwd=tmp_path)
    (tmp_path / "train.py").write_text(UNPACKED)
    for path in run("python", "train.py", release, cwd=tmp_path).stdout.split():
        assert Path(path).is_relative_to(tmp_path)


@pytest.mark.trials
def test_the_clone_builds_the_same_bytes(built, release, tmp_path):
    """The card included: its texts lie elsewhere where they are installed."""
    building.build(release, tmp_path / BUILT, workers=1)
    assert tree(tmp_path / BUILT) == tree(built)


LOAD = """
import json, sys, zlib
import celeba_dialog
from datasets import load_dataset

def look(**options):
    return {
        f"{config}, streaming={streaming}": {
            row["file_name"]: zlib.crc32(row["image"].convert("RGB").tobytes())
            for rows in load_dataset("celeba_dialog", config, streaming=streaming, **options).values()
            for row in rows
        }
        for config in ("hq", "standard")
        for streaming in (False, True)
    }

found = {"folder": look()}
celeba_dialog.register()
found["release"] = look(data_dir=sys.argv[1])
print(json.dumps(found))
"""


@pytest.mark.trials
def test_load_dataset(run, built, truth):
    found = json.loads(run("python", "-c", LOAD, RELEASE).stdout)
    for way in ("folder", "release"):
        for config in CONFIGS:
            for streaming in (False, True):
                assert found[way][f"{config}, streaming={streaming}"] == truth[config], (way, config, streaming)


# A worker that is spawned imports everything anew, and this file too.
SPAWN = """
import importlib.util, json, multiprocessing, os, sys
import celeba_dialog
from datasets import load_dataset

os.fork = None  # whoever forks fails

def names(rows):
    return os.getpid(), [row["file_name"] for row in rows]

if __name__ == "__main__":
    celeba_dialog.register()
    options = {"data_dir": sys.argv[1], "split": "train"}
    table = load_dataset("celeba_dialog", "standard", **options)
    stream = load_dataset("celeba_dialog", "standard", streaming=True, **options)
    found = {}
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for kind, parts in (
            ("table", [table.shard(2, index) for index in range(2)]),
            ("stream", [stream.shard(2, index) for index in range(2)]),
        ):
            done = pool.map(names, parts, chunksize=1)
            assert os.getpid() not in dict(done)
            found[kind] = sorted(name for _, part in done for name in part)
    if importlib.util.find_spec("torch"):
        from torch.utils.data import DataLoader
        for kind, rows in (("table, torch", table), ("stream, torch", stream)):
            loader = DataLoader(
                rows.select_columns(["file_name"]), batch_size=4, num_workers=2, multiprocessing_context="spawn"
            )
            found[kind] = sorted(name for batch in loader for name in batch["file_name"])
    print(json.dumps(found))
"""


@pytest.mark.trials
def test_spawned_workers(run, release, home, truth):
    (home / "spawn.py").write_text(SPAWN)
    found = json.loads(run("python", "spawn.py", RELEASE).stdout)
    with_torch = ["table, torch", "stream, torch"] if importlib.util.find_spec("torch") else []
    assert sorted(found) == sorted(["table", "stream", *with_torch])
    assert set(found["table"]) < set(truth["standard"])
    assert len(found["table"]) > 10
    assert all(names == found["table"] for names in found.values())


SPAWNED_BUILD = """
import multiprocessing, os, sys
from celeba_dialog_conversion.__main__ import main

os.fork = None  # whoever forks fails
multiprocessing.get_all_start_methods = lambda: ["spawn"]
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.trials
def test_a_build_by_spawned_workers(run, built, tmp_path):
    """On systems that cannot fork, a job comes to its worker by the name of its module, which in a clone is another."""
    (tmp_path / "build.py").write_text(SPAWNED_BUILD)
    run("python", tmp_path / "build.py", "build", RELEASE, tmp_path / BUILT, "--workers=2")
    assert tree(tmp_path / BUILT) == tree(built)


def cluster(installed, folder, *lacking):
    """The address of a Dask cluster with one worker, of the environment with the wheel, that lacks some modules."""
    environment = installation.environment(installed, folder)
    return clusters.cluster(installed / "python", folder, environment, lacking=lacking)


@pytest.mark.trials
@pytest.mark.skipif(not importlib.util.find_spec("distributed"), reason="an environment without the extra `dask`")
def test_a_build_by_a_cluster(run, built, installed, tmp_path):
    with cluster(installed, tmp_path) as address:
        run("celeba-dialog", "build", RELEASE, tmp_path / BUILT, f"--dask={address}")
    assert tree(tmp_path / BUILT) == tree(built)


@pytest.mark.trials
@pytest.mark.skipif(not importlib.util.find_spec("distributed"), reason="an environment without the extra `dask`")
def test_a_cluster_that_lacks_the_package(run, release, installed, tmp_path):
    with cluster(installed, tmp_path, "celeba_dialog_conversion") as address:
        said = run("celeba-dialog", "build", RELEASE, tmp_path / BUILT, f"--dask={address}", status=1).stderr
    assert "The Dask cluster cannot import celeba_dialog_conversion." in said
    assert f"Install celeba-dialog {celeba_dialog.__version__}" in said
    assert not (tmp_path / BUILT).exists()


@pytest.mark.skipif(not importlib.util.find_spec("uvicorn"), reason="an environment without the extra `browse`")
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
@pytest.mark.parametrize(
    ("module", "extra", "words"),
    [
        ("gdown", "fetch", ["fetch", "elsewhere", "--accept-agreement"]),
        ("distributed", "dask", ["build", RELEASE, "elsewhere", "--dask=tcp://127.0.0.1:1"]),
        ("duckdb", "look", ["preview", RELEASE, "sheet.png", "--where", "Male"]),
        ("starlette", "browse", ["browse", RELEASE]),
        ("uvicorn", "browse", ["browse", RELEASE]),
    ],
)
def test_a_command_says_what_it_lacks(run, release, module, extra, words):
    said = run("python", "-c", WITHOUT, module, *words, status=1).stderr
    assert f'pip install "celeba-dialog[{extra}]"' in said
    assert re.search(rf'pip install .*"{module}\S*"', said)


@pytest.mark.trials
def test_no_extra_is_needed_for_most(run, release, tmp_path):
    lacking = "distributed,duckdb,gdown,starlette,torch,uvicorn"
    run("python", "-c", WITHOUT, lacking, "build", RELEASE, tmp_path / BUILT, "--workers=1")
    for words in (
        ["check", RELEASE],
        ["verify", tmp_path / BUILT, RELEASE],
        ["preview", RELEASE, tmp_path / "sheet.png"],
        ["preview", RELEASE, tmp_path / "statistics.png", "--stats"],
    ):
        run("python", "-c", WITHOUT, lacking, *words)

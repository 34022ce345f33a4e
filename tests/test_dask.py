"""`build --dask`: a real scheduler and two worker processes on this machine write the same bytes as local ones."""

import os
import shutil
import sys

import clusters
import pyarrow
import pytest
from commands import ROOT, stamps, tree

from conversion.parquet import command as build
from conversion.parquet import shards
from conversion.release.errors import EnvironmentFault
from conversion.release.index import IndexKey

pytest.importorskip("distributed")
pytest_plugins = ["building"]
pytestmark = pytest.mark.trials


def serving(workers, folder, **environment):
    """The address of a scheduler with some workers, which have the packages of this environment."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return clusters.cluster(sys.executable, folder, clean | {"HF_HOME": str(folder / "home")} | environment, workers)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a scheduler with two workers."""
    with serving(2, tmp_path_factory.mktemp("cluster"), PYTHONPATH=str(ROOT)) as address:
        yield address


def test_a_cluster_writes_the_same_bytes(cluster, fine, build_small, tmp_path):
    out = tmp_path / "out"
    build_small(out, f"--dask={cluster}")
    assert tree(out) == tree(fine)
    before = stamps(out)
    build_small(out, f"--dask={cluster}")
    assert stamps(out) == before


def test_what_a_worker_raises_is_one_line(cluster, small, build_small, tmp_path):
    """An image that does not match its checksum: found by a worker, told by the command."""
    release = shutil.copytree(small, tmp_path / "release")
    path = release / "CelebA-Dialog (HQ)" / "image.zip"
    data = bytearray(path.read_bytes())
    data[data.index(b"\xff\xd8\xff") + 300] ^= 1
    path.write_bytes(data)
    done = build_small(tmp_path / "out", f"--dask={cluster}", release=release, status=1)
    assert f"{path}: " in done.text and "the zip is damaged or was changed" in done.text
    assert done.text.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_interrupted_build_goes_on_elsewhere(cluster, fine, build_small, tmp_path):
    """Interrupted on the cluster, finished here."""
    out, dask = tmp_path / "out", f"--dask={cluster}"
    events = build_small(tmp_path / "undisturbed", dask, faults=[("record",)]).events
    middle = events.index("open") + len(events) // 2
    done = build_small(out, dask, faults=[("strike", "SIGINT", middle)], status=130)
    assert done.text.endswith("Interrupted. The same command goes on where this one stopped.\n")
    build_small(out, "--workers=1")
    assert tree(out) == tree(fine)


def test_a_cluster_that_does_not_know_the_project(build_small, tmp_path):
    (tmp_path / "cluster").mkdir()
    with serving(1, tmp_path / "cluster") as address:
        done = build_small(tmp_path / "out", f"--dask={address}", status=1)
    assert "cannot import conversion" in done.text and f"PYTHONPATH={ROOT} " in done.text
    assert done.text.count("\n") == 1


def test_a_worker_with_other_libraries(tmp_path):
    key = IndexKey("/release", "hq", False, "0", "/cache")
    job = shards.Job(key, "the state of another pyarrow", 0, 1, ())
    with pytest.raises(EnvironmentFault, match=f"The worker on .*pyarrow {pyarrow.__version__}"):
        shards.write_shards(job, tmp_path, tmp_path)


@pytest.mark.parametrize("address", ["nonsense", "tcp://"])
def test_an_address_that_is_none(address, build_small, tmp_path):
    done = build_small(tmp_path / "out", f"--dask={address}", status=1)
    assert done.text.startswith(f"celeba-dialog: error: {address}: no Dask scheduler answers there")
    assert done.text.count("\n") == 1


def test_distributed_is_not_installed(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    says = 'pip install "celeba-dialog.dask.".*pip install "distributed"'
    with pytest.raises(EnvironmentFault, match=says):
        build.build(small, tmp_path / "out", dask="tcp://127.0.0.1:1")
    assert not (tmp_path / "out").exists()

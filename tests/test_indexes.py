"""Indexes read side by side: as one after the other, never an older one, and no error or death costs the others."""

import logging
import os
import signal
import time
from unittest import mock

import datasets
import pytest
from making import write_release

from conversion import indexes as side_by_side
from conversion.indexes import open_indexes, try_indexes
from conversion.release import index as index_module
from conversion.release.errors import FormatError
from conversion.release.finding import Release
from conversion.release.index import index_key, keep_index
from conversion.release.table import read_index

FAMILIES = [("hq", False), ("standard", False)]


@pytest.fixture(autouse=True)
def readers(monkeypatch, tmp_path):
    """The ids of the processes that read annotations, a line each in this file; the cache is empty, a text is large."""
    seen = tmp_path / "readers"
    seen.touch()

    def read(*arguments):
        with open(seen, "a") as file:
            file.write(f"{os.getpid()}\n")
        return read_index(*arguments)

    monkeypatch.setattr(index_module, "read_index", read)
    index_module.indexes.clear()
    monkeypatch.setattr(side_by_side, "_LARGE", 0)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return lambda: seen.read_text().split()


@pytest.fixture
def release(tmp_path):
    write_release(tmp_path / "release", hq=3, standard=6)
    return Release(tmp_path / "release")


@pytest.mark.parametrize("workers, processes", [(None, 2), (2, 2), (1, 1)])
def test_side_by_side(release, readers, monkeypatch, workers, processes):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    read = index_module.read_index

    def meet(*arguments):  # else one quick process may do the work of both
        found, patience = read(*arguments), time.monotonic() + 60
        while len(set(readers())) < processes and time.monotonic() < patience:
            time.sleep(0.01)
        return found

    monkeypatch.setattr(index_module, "read_index", meet)
    found = open_indexes(release, FAMILIES, workers=workers)
    assert len(readers()) == 2 and len(set(readers())) == processes
    assert (str(os.getpid()) in readers()) == (processes == 1)
    for family in FAMILIES:
        expected = read_index(release, *family)
        assert found[family].table.equals(expected.table) and found[family].copies is not None
        assert found[family]._replace(table=None, copies=None) == expected._replace(table=None)
    index_module.indexes.clear()
    assert open_indexes(release, FAMILIES).keys() == found.keys() and len(readers()) == 2  # from the cache


@pytest.mark.parametrize("writable", [True, False])
def test_a_fresh_one_is_never_an_older_one(release, readers, monkeypatch, writable):
    """Whatever lies in the cache, and whether it can be written or not."""
    key = index_key(release, "hq")
    os.makedirs(key.folder)
    true = read_index(release, "hq").table
    keep_index(key, true.set_column(true.column_names.index("beard"), "beard", [[5] * len(true)]))
    assert open_indexes(release, FAMILIES[:1])[FAMILIES[0]].table["beard"].to_pylist() == [5] * len(true)
    if not writable:
        monkeypatch.setattr(index_module, "keep_index", mock.Mock(side_effect=OSError("a full disk")))
    assert open_indexes(release, FAMILIES, fresh=True, workers=2)[FAMILIES[0]].table.equals(true)


def test_an_error_is_of_its_own_family(release):
    path = next(source.path for source in release.sources["standard_identity"])
    with open(path, "a") as file:
        file.write("no line\n")
    release = Release(release.root)
    found, faults = try_indexes(release, FAMILIES, workers=2)
    assert list(found) == FAMILIES[:1] and list(faults) == FAMILIES[1:]
    with pytest.raises(FormatError, match="identity_CelebA.txt: "):
        open_indexes(release, FAMILIES, workers=2)


def test_a_process_that_dies(release, readers, monkeypatch, caplog):
    """As the kernel kills one that takes too much memory: then they are read here, one after the other."""
    parent, read = os.getpid(), index_module.read_index

    def dies(*arguments):
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(*arguments)

    monkeypatch.setattr(index_module, "read_index", dies)
    with caplog.at_level(logging.WARNING):
        found = open_indexes(release, FAMILIES, workers=2)
    assert found.keys() == dict.fromkeys(FAMILIES).keys() and set(readers()) == {str(parent)} and not caplog.records

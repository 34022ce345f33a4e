"""A short, repeatable run of every fuzz target, and every case that a long one found."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz.__main__ import (
    CASES,  # noqa: E402
    at_random,  # noqa: E402
)
from tests.fuzz.targets import (
    TARGETS,  # noqa: E402
    seeds,  # noqa: E402
)

INPUTS = 250


@pytest.fixture(scope="module")
def start():
    return seeds()


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found(name, start, monkeypatch, tmp_path):
    monkeypatch.setattr("tests.fuzz.__main__.CASES", tmp_path)
    for seed in start[name]:
        TARGETS[name](seed)
    inputs, find = at_random(name, start[name], count=INPUTS)
    assert find is None
    assert inputs == INPUTS


@pytest.mark.parametrize("case", sorted(CASES.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name[:14]}")
def test_cases_that_were_found(case):
    TARGETS[case.parent.name](case.read_bytes())


def test_a_find_is_told(monkeypatch, tmp_path, start):
    """The search itself can fail: a target that does not like a byte is found out."""
    monkeypatch.setattr("tests.fuzz.__main__.CASES", tmp_path)

    def dislikes(data):
        assert b"\xff" not in data

    monkeypatch.setitem(TARGETS, "identity", dislikes)
    inputs, find = at_random("identity", start["identity"], count=2000)
    assert inputs < 2000
    assert "AssertionError" in find
    (case,) = (tmp_path / "identity").iterdir()
    assert b"\xff" in case.read_bytes()

"""A repeatable run of every fuzz target, and every case that a long one found."""

import pytest

from tests.fuzz.__main__ import CASES, at_random
from tests.fuzz.targets import TARGETS, seeds


@pytest.fixture(scope="module")
def start():
    return seeds()


INPUTS = dict.fromkeys(TARGETS, 100) | {"read_json_file": 1000, "zip_of_hq_images": 300, "jpeg": 300, "search": 20}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore::UserWarning")  # Pillow's
@pytest.mark.parametrize("times", [1, pytest.param(25, marks=pytest.mark.trials)])
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found(name, times, start, monkeypatch, tmp_path):
    inputs = INPUTS[name] * times
    monkeypatch.setattr("tests.fuzz.__main__.CASES", tmp_path)
    for seed in start[name]:
        TARGETS[name](seed)
    assert at_random(name, start[name], count=inputs, seed=times) == (inputs, None)


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

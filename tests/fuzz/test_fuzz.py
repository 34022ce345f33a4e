"""A repeatable run of every fuzz target on seeds that are changed at random, and every case that a long one found."""

import hashlib
import random
import tempfile
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS, seeds

CASES = Path(__file__).parent / "cases"
pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore::UserWarning")  # Pillow's
LONGEST = 20_000  # bytes of an input


def find(name, seeds, count, seed=0):
    """What is found among so many inputs, and where it is kept: to be moved to CASES; None where nothing is."""
    rng = random.Random(f"{name} {seed}")  # noqa: S311
    for _ in range(count):
        data = changed(rng, seeds)
        try:
            TARGETS[name](data)
        except Exception as error:
            path = Path(tempfile.gettempdir()) / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}"
            path.write_bytes(data)
            return f"{error!r}, kept in {path}"
    return None


ODD = rb"""\0 \xff \n \r \t " { } [ , : \\ -1 999999999999 None null 0x5 PK\1\2 PK\5\6 \xed\xa0\x80 \xef\xbb\xbf
\0\0\0\0 \xff\xff\xff\xff \x7f\xff\xff\xff\xff\xff\xff\xff""".split()
ODD = [b" ", *(word.decode("unicode_escape").encode("latin-1") for word in ODD)]


def changed(rng, seeds):
    """A seed with a few changes: bytes flipped, replaced, cut out, repeated, taken from another seed."""
    data = rng.choice(seeds)[:LONGEST]
    for _ in range(rng.choice((1, 1, 1, 2, 4, 32))):
        at, odd, other = rng.randrange(len(data) + 1), rng.choice(ODD), rng.choice(seeds)
        end, start = at + (1 << rng.randrange(10)), rng.randrange(len(other) + 1)
        new, up_to = rng.choice(
            [
                (bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1]), at + 1),
                (rng.randbytes(1), at + 1),
                (b"", end),
                (data[at:end] * 2, end),
                (odd, at + rng.choice((0, len(odd)))),
                (other[start : start + 64], end),
                (b"", rng.choice((at, at, at, len(data)))),
            ]
        )
        data = data[:at] + new + data[up_to:]
    return data[:LONGEST]


@pytest.fixture(scope="module")
def start():
    return seeds()


INPUTS = dict.fromkeys(TARGETS, 100) | {"read_json_file": 1000, "zip_of_hq_images": 300, "jpeg": 300, "search": 20}


@pytest.mark.parametrize("times", [1, pytest.param(25, marks=pytest.mark.trials)])
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found(name, times, start):
    for seed in start[name]:
        TARGETS[name](seed)
    assert find(name, start[name], INPUTS[name] * times, seed=times) is None


@pytest.mark.parametrize("case", sorted(CASES.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name[:14]}")
def test_cases_that_were_found(case):
    TARGETS[case.parent.name](case.read_bytes())


def test_a_find_is_told(monkeypatch, tmp_path, start):
    """The search itself can fail: a target that does not like a byte is found out."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def dislikes(data):
        assert b"\xff" not in data

    monkeypatch.setitem(TARGETS, "identity", dislikes)
    assert "AssertionError" in find("identity", start["identity"], 2000)
    (case,) = tmp_path.iterdir()
    assert b"\xff" in case.read_bytes()

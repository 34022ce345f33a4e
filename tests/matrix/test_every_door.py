"""Whatever the version of `datasets`, every door it has gives the same rows: those that the release was made from.

Run by tox in every environment of the version matrix, and by plain pytest in this one. Each door is opened by a process
of its own with an empty cache.
"""

import functools
import io

import datasets
import doors
import pytest
from hub import Hub
from PIL import Image

from celeba_dialog import features_of

RESIZED = ("hq_512", "hq_256")
# Door -> configs, where not all: `datasets` before 3.0 waits seconds for a viewer that a Hub on loopback does not have.
CONFIGS = {"fallthrough": ("hq",), "hub": ("hq", "standard")}
CASES = [(door, config) for door in doors.doors_of(datasets.__version__) for config in CONFIGS.get(door, doors.CONFIGS)]


@pytest.fixture(scope="session")
def found(data, tmp_path_factory):
    """found(door) is what `doors.rows_of` finds behind a door; each is opened once."""

    @functools.cache
    def found(door):
        configs, home = CONFIGS.get(door, doors.CONFIGS), tmp_path_factory.mktemp(door)
        if door in doors.FROM_RELEASE:
            return doors.rows_of(door, configs, home, release=data / "release")
        if door != "hub":
            return doors.rows_of(door, configs, home, cwd=data)
        built = data / "celeba_dialog"
        files = {path.relative_to(built).as_posix(): path.read_bytes() for path in built.rglob("*") if path.is_file()}
        with Hub() as hub:
            hub.create(doors.REPOSITORY, files=files)
            online = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token(), "HF_HUB_OFFLINE": "0"}
            return doors.rows_of(door, configs, home, environment=online | {"HF_HUB_DISABLE_XET": "1"})

    return found


@pytest.mark.parametrize("mode", doors.MODES)
@pytest.mark.parametrize(("door", "config"), CASES)
def test_rows_are_the_truth(found, truth, door, config, mode):
    result = found(door)[config][mode]
    assert "error" not in result, result["error"]
    assert result["features"] == str(features_of("standard" if config == "standard" else "hq", config == "hq_parts"))
    assert list(result["rows"]) == list(truth[config])
    for split, expected in truth[config].items():
        rows = result["rows"][split]
        assert len(rows) == len(expected), split
        for position, (one, other) in enumerate(zip(rows, expected)):
            assert sorted(one) == sorted(other), f"{split}, row {position}"
            for column in other:
                same_value(one[column], other[column], config in RESIZED, f"{split}, row {position}, {column}")


def same_value(one, other, resized, where):
    """Equal to the bit; a resized image by its pixels, since each version of Pillow packs them its own way."""
    if resized and isinstance(other, dict) and isinstance(other.get("bytes"), bytes):
        assert one["path"] == other["path"], where
        same = pixels(one) == pixels(other)
    else:
        same = one == other
    if not same:  # no assert: pytest would look for the difference in megabytes
        pytest.fail(f"{where}: {str(one)[:300]} instead of {str(other)[:300]}")


def pixels(image):
    with Image.open(io.BytesIO(image["bytes"])) as opened:
        return opened.mode, opened.size, opened.tobytes()

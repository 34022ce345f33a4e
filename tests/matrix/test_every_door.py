"""Whatever the version of `datasets`, every door it has gives the same rows: those that the release was made from.

Run by tox in every environment of the version matrix, and by plain pytest in this one. Each door is opened by a process
of its own with an empty cache.
"""

import functools
import io
import os

import datasets
import doors
import pytest
from hub import Hub
from PIL import Image

from celeba_dialog import features_of

RESIZED = ("hq_512", "hq_256")
# Door -> configs, where not all: `datasets` before 3.0 waits seconds for a viewer that a Hub on loopback does not have.
CONFIGS = {"fallthrough": ("hq",), "hub": ("hq", "standard")}
if "TOX_ENV_NAME" not in os.environ:  # beside test_doors.py, which has their other configs
    CONFIGS |= dict.fromkeys(("class", "register"), ("hq", "standard"))
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
def test_rows_are_the_truth(found, truth, same_rows, door, config, mode):
    """To the bit; resized images by their pixels, since each version of Pillow packs them its own way."""
    result = found(door)[config][mode]
    assert "error" not in result, result["error"]
    assert result["features"] == str(features_of("standard" if config == "standard" else "hq", config == "hq_parts"))
    assert list(result["rows"]) == list(truth[config])
    as_compared = by_pixels if config in RESIZED else list
    for split, expected in truth[config].items():
        same_rows(as_compared(result["rows"][split]), as_compared(expected), split)


def by_pixels(rows):
    return [row | {name: pixels(row[name]) for name in ("image", "mask") if row[name]} for row in rows]


def pixels(image):
    with Image.open(io.BytesIO(image["bytes"])) as opened:
        return image["path"], opened.mode, opened.size, opened.tobytes()

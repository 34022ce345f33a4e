"""What the version matrix reads.

CELEBA_DIALOG_MATRIX_DATA is a folder that prepare.py wrote; without it, one is made.
"""

import os
from pathlib import Path

import doors
import pytest


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    given = os.environ.get("CELEBA_DIALOG_MATRIX_DATA")
    if given:
        return Path(given)
    from prepare import prepare

    made = tmp_path_factory.mktemp("matrix") / "data"
    prepare(made)
    return made


@pytest.fixture(scope="session")
def truth(data):
    return doors.from_json((data / "truth.json").read_text())

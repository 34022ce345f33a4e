"""What the tests of the installed project share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def wheel(installed):
    """The path of the wheel that is installed there."""
    if package := os.environ.get("TOX_PACKAGE"):  # tox makes one too
        return Path(package)
    (path,) = installed.parents[1].glob("wheel/*.whl")
    return path

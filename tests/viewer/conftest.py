"""A built folder, for the tests of what looks at one."""

import pytest

from conversion import card
from conversion.parquet import command as build


@pytest.fixture(scope="session")
def built(demo, tmp_path_factory):
    """The demo release, built with a card without pictures: the path of the folder."""
    out = tmp_path_factory.mktemp("viewer") / "celeba_dialog"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(card.charts, "statistics", lambda _: b"")
        patch.setattr(card.sheet, "legend", lambda: b"")
        build.build(demo.root, out, ["hq", "hq_parts", "standard"], workers=1, allow_incomplete=True)
    return out

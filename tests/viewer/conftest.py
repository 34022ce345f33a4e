"""A built folder, for the tests of what looks at one."""

import pytest

from conversion import card
from conversion.parquet import command as build
from conversion.viewer.sheet import Canvas, text_width


@pytest.fixture(scope="session")
def built(demo, tmp_path_factory):
    """The demo release, built with a card without pictures: the path of the folder."""
    out = tmp_path_factory.mktemp("viewer") / "celeba_dialog"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(card.charts, "statistics", lambda _: b"")
        patch.setattr(card.sheet, "legend", lambda: b"")
        build.build(demo.root, out, ["hq", "hq_parts", "standard"], workers=1, allow_incomplete=True)
    return out


@pytest.fixture
def drawn(monkeypatch):
    """What is written on a picture: [(text, x, y, (left, top, right, bottom))], with x and y as they were given."""
    written = []
    text = Canvas.text

    def spy(canvas, x, y, words, size=15, color="black", anchor="la"):
        width = text_width(words, size)
        left = x - {"l": 0, "m": 0.5, "r": 1}[anchor[0]] * width
        top = y - size / 2 if anchor[1] == "m" else y
        written.append((words, x, y, (left, top, left + width, top + size)))
        return text(canvas, x, y, words, size, color, anchor)

    monkeypatch.setattr(Canvas, "text", spy)
    return written

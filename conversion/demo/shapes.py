"""Shapes that a face is drawn of: points, the lines and areas through them, and shades of a color."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]  # (n, 2)
Color = tuple[int, ...]  # RGB, or RGBA for a tint


class Layer(NamedTuple):
    """One shape of the drawing. `part` is its mask class; None is shading, which the mask does not know."""

    points: Points
    color: Color
    part: str | None = None
    width: float = 0  # 0 fills the outline; more draws a line of this width along the points


def path(points: ArrayLike) -> Points:
    """Points as an array, from pairs of numbers or from "x,y x,y x,y"."""
    if isinstance(points, str):
        points = [pair.split(",") for pair in points.split()]
    return np.asarray(points, float)


def columns(x: ArrayLike, y: ArrayLike) -> Points:
    """Points from their x and their y, one of which may be a number."""
    return np.column_stack(np.broadcast_arrays(x, y))


def between(x: ArrayLike, top: ArrayLike, bottom: ArrayLike) -> Points:
    """The area between two lines over the same x."""
    return np.vstack((columns(x, top), columns(x, bottom)[::-1]))


def ellipse(x: float, y: float, across: float, down: float) -> Points:
    angles = np.radians(np.linspace(0, 360, 97))
    return columns(x + across * np.cos(angles), y + down * np.sin(angles))


def curve(points: ArrayLike, closed: bool = False, steps: int = 8) -> Points:
    """A smooth line through the points (Catmull-Rom)."""
    points = path(points)
    if closed:
        before, after, last = (np.roll(points, shift, 0) for shift in (1, -1, -2))
    else:
        extended = np.vstack((2 * points[0] - points[1], points, 2 * points[-1] - points[-2]))
        before, points, after, last = extended[:-3], extended[1:-2], extended[2:-1], extended[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    line = (
        2 * points
        + (after - before) * t
        + (2 * before - 5 * points + 4 * after - last) * t**2
        + (3 * points - before - 3 * after + last) * t**3
    ) / 2
    line = line.transpose(1, 0, 2).reshape(-1, 2)
    return line if closed else np.vstack((line, after[-1]))


def blob(points: ArrayLike) -> Points:
    return curve(points, closed=True)


def mirror(points: Points) -> Points:
    return points * (-1, 1)


def symmetric(half: ArrayLike) -> Points:
    """A whole outline from its right half, given from top to bottom."""
    half = path(half)
    return np.vstack((half, mirror(half[half[:, 0] != 0])[::-1]))


def mix(color: Color, other: Color, share: float) -> Color:
    """`color` with a share of `other`."""
    return tuple(round(a + (b - a) * share) for a, b in zip(color[:3], other[:3], strict=True))


def darker(color: Color, share: float) -> Color:
    return mix(color, (40, 16, 30), share)


def lighter(color: Color, share: float) -> Color:
    return mix(color, (255, 250, 240), share)

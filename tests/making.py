"""A quick way to a made-up release: official names, sizes and texts, but faces of a few flat ellipses."""

import random
from unittest import mock

from PIL import Image

from conversion.demo import drawing, painting, shapes
from conversion.demo.command import write_release as write_demo

COARSER = 16  # times: a whole block of the JPEG has one color, which makes it small and quick

# Mask class -> middle and half axes of its ellipse, back to front.
ELLIPSES = {
    "hair": (0, 420, 330, 400),
    "neck": (0, 900, 110, 180),
    "cloth": (0, 1250, 600, 260),
    "neck_l": (0, 960, 100, 30),
    "l_ear": (270, 550, 50, 80),
    "r_ear": (-270, 550, 50, 80),
    "ear_r": (270, 660, 30, 30),
    "skin": (0, 540, 250, 320),
    "nose": (0, 580, 40, 70),
    "u_lip": (0, 700, 90, 30),
    "l_lip": (0, 740, 90, 30),
    "mouth": (0, 720, 60, 30),
    "l_eye": (125, 480, 60, 30),
    "r_eye": (-125, 480, 60, 30),
    "l_brow": (125, 400, 70, 20),
    "r_brow": (-125, 400, 70, 20),
    "eye_g": (0, 440, 200, 20),
    "hat": (0, 130, 300, 120),
}


def write_release(root, hq=24, standard=60, seed=0):
    """As `conversion.demo.command.write_release`, which draws 1024 pixels: the same files and truth, other pixels."""
    with mock.patch.object(drawing, "draw", flat), mock.patch.object(painting, "picture", coarse):
        return write_demo(str(root), hq, standard, seed)


def flat(person):
    """Layers of a face in its labels' mask classes, at a place and in colors that no other one has."""
    rng = random.Random(person.grain)  # noqa: S311
    aside, down = rng.uniform(-40, 40), rng.uniform(-40, 40)
    layers = [shapes.Layer(shapes.path("-640,-300 640,-300 640,1300 -640,1300"), tuple(rng.randbytes(3)))]
    for part, (x, y, across, high) in ELLIPSES.items():
        if is_seen(part, person):
            points = shapes.ellipse(x + aside, y + down, across, high)
            layers.append(shapes.Layer(points, person.skin if part == "skin" else tuple(rng.randbytes(3)), part))
    return layers


def is_seen(part, person):
    holds = {
        "hair": "Bald" not in person.attributes,
        "neck_l": "Wearing_Necklace" in person.attributes,
        "ear_r": "Wearing_Earrings" in person.attributes,
        "hat": "Wearing_Hat" in person.attributes,
        "mouth": person.smiling > 1,
        "l_eye": person.eyeglasses < 4,
        "r_eye": person.eyeglasses < 4,
        "eye_g": person.eyeglasses > 0,
    }
    return holds.get(part, True)


def coarse(person, layers, view, size, finer=1, paint=painting.picture):
    """The picture, painted smaller and enlarged again where it is large."""
    less = COARSER if size[0] > 512 else 1
    return paint(person, layers, view, (size[0] // less, size[1] // less), 1).resize(size, Image.Resampling.NEAREST)

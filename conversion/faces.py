"""Drawn faces: a made-up person is a list of layers, from which both the picture and its mask are painted.

Coordinates are those of an HQ image of side 1024; a layer may reach beyond it, for a standard image shows more of the
head and shoulders. A face is drawn from its labels: nothing here looks at pixels.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL import ImageDraw

from celeba_dialog import MASK_CLASSES
from celeba_dialog import MASK_COLORS
from celeba_dialog import MASK_SIDE

HQ_VIEW = (0, 0, 1024, 1024)
# What a standard image shows: CelebA puts the eyes 39 of 178 pixels apart and half way down.
STANDARD_VIEW = (-58, -227, 1082, 1169)

HAIR_COLORS = {
    "black": ((38, 32, 38), (24, 26, 36)),
    "brown": ((92, 58, 40), (120, 78, 48)),
    "blond": ((232, 196, 112), (214, 170, 86)),
    "red": ((176, 76, 44), (148, 58, 44)),
    "gray": ((168, 170, 176), (206, 208, 212)),
}
SKINS = (
    (255, 226, 206),
    (246, 208, 178),
    (236, 188, 150),
    (214, 160, 118),
    (178, 122, 82),
    (136, 88, 60),
    (96, 62, 46),
)


@dataclass
class Person:
    """What a face is drawn from: its degrees (0-5) and its looks."""

    male: bool
    bangs: int
    eyeglasses: int
    beard: int
    smiling: int
    age: int
    skin: int
    hair: str
    hat: bool
    earrings: bool
    necklace: bool
    necktie: bool


def invent(character, day, male, degrees):
    """A person with these degrees: `character` decides what stays the same from image to image, `day` the rest."""
    skin = character.randrange(len(SKINS))
    hair = "gray" if degrees["age"] == 5 else character.choice(("black", "brown", "blond", "red"))
    return Person(
        male,
        **degrees,
        skin=skin,
        hair=hair,
        hat=day.random() < 0.15,
        earrings=not male and day.random() < 0.4,
        necklace=not male and day.random() < 0.3,
        necktie=male and degrees["age"] > 1 and day.random() < 0.3,
    )


def attributes(person):
    """The names of CelebA's binary attributes that hold for this person."""
    holds = {
        "5_o_Clock_Shadow": person.beard in (1, 2),
        "Bangs": person.bangs > 0,
        "Black_Hair": person.hair == "black",
        "Blond_Hair": person.hair == "blond",
        "Brown_Hair": person.hair == "brown",
        "Eyeglasses": person.eyeglasses > 0,
        "Gray_Hair": person.hair == "gray",
        "Male": person.male,
        "Mouth_Slightly_Open": person.smiling > 1,
        "Mustache": person.beard > 1,
        "No_Beard": person.beard == 0,
        "Pale_Skin": person.skin == 0,
        "Smiling": person.smiling > 0,
        "Wearing_Earrings": person.earrings,
        "Wearing_Hat": person.hat,
        "Wearing_Necklace": person.necklace,
        "Wearing_Necktie": person.necktie,
        "Young": person.age < 3,
    }
    return {name for name, value in holds.items() if value}


class Layer(NamedTuple):
    """One shape of the drawing. `part` is its mask class; None is shading, which the mask does not know."""

    points: np.ndarray  # (n, 2)
    color: tuple  # RGB, or RGBA for a tint
    part: str | None = None
    width: float = 0  # 0 fills the outline, more draws a line of this width along it


def ellipse(x, y, across, down):
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return np.column_stack((x + across * np.cos(angles), y + down * np.sin(angles)))


def box(left, top, right, bottom):
    return np.array(((left, top), (right, top), (right, bottom), (left, bottom)), float)


def draw(person):
    """The layers of a person, back to front."""
    skin, hair = SKINS[person.skin], HAIR_COLORS[person.hair][0]
    layers = [
        Layer(box(-100, -300, 1124, 1300), (150, 200, 210)),
        Layer(ellipse(512, 400, 330, 360), hair, "hair"),
        Layer(box(400, 780, 624, 1100), skin, "neck"),
        Layer(ellipse(512, 1240, 500, 260), (90, 90, 160), "cloth"),
        Layer(ellipse(260, 540, 40, 70), skin, "r_ear"),
        Layer(ellipse(764, 540, 40, 70), skin, "l_ear"),
        Layer(ellipse(512, 530, 250, 340), skin, "skin"),
    ]
    if person.beard:
        layers.append(Layer(ellipse(512, 800, 150, 40 + 30 * person.beard), (*hair, 90 + 30 * person.beard), "skin"))
    for x, side in ((387, "r"), (637, "l")):
        layers.append(Layer(box(x - 60, 400, x + 60, 416), hair, f"{side}_brow"))
        layers.append(Layer(ellipse(x, 480, 45, 26), (255, 255, 255), f"{side}_eye"))
        layers.append(Layer(ellipse(x, 480, 20, 20), (60, 40, 30)))
    layers.append(Layer(ellipse(512, 610, 36, 40), tuple(int(c * 0.9) for c in skin), "nose"))
    layers.append(Layer(ellipse(512, 735, 80, 22), (190, 80, 80), "u_lip"))
    layers.append(Layer(ellipse(512, 750, 70, 22), (200, 90, 90), "l_lip"))
    if person.smiling > 1:
        layers.append(Layer(ellipse(512, 742, 60, 6 * person.smiling), (255, 255, 255), "mouth"))
    if person.eyeglasses:
        for x in (387, 637):
            tint = (20, 20, 20) if person.eyeglasses > 3 else (255, 255, 255, 60)
            layers.append(Layer(ellipse(x, 480, 90, 70), tint, "eye_g"))
            layers.append(
                Layer(ellipse(x, 480, 90, 70), (40, 40, 40), "eye_g", (3, 8, 20, 6, 24)[person.eyeglasses - 1])
            )
    if person.bangs:
        layers.append(Layer(box(300, 180, 724, 230 + 35 * person.bangs), hair, "hair"))
    if person.hat:
        layers.append(Layer(box(200, 20, 824, 200), (200, 60, 60), "hat"))
    if person.necklace:
        layers.append(Layer(ellipse(512, 930, 100, 60)[:25], (230, 190, 60), "neck_l", 12))
    if person.necktie:
        layers.append(Layer(box(490, 980, 534, 1250), (160, 30, 40), "cloth"))
    if person.earrings:
        layers.append(Layer(ellipse(258, 630, 14, 24), (230, 190, 60), "ear_r"))
        layers.append(Layer(ellipse(766, 630, 14, 24), (230, 190, 60), "ear_r"))
    return layers


def picture(layers, view, size, finer=2):
    """Paint the view (left, top, right, bottom) as an RGB image of `size`, drawn `finer` times larger and reduced."""
    image = Image.new("RGB", (size[0] * finer, size[1] * finer))
    canvas = ImageDraw.Draw(image, "RGBA")
    for layer in layers:
        _put(canvas, layer, view, image.size, layer.color)
    return image.reduce(finer)


def mask(layers):
    """Paint the HQ view as the mask: mode P, 512x512, pixel values are class indices, every pixel of one class."""
    image = Image.new("P", (MASK_SIDE, MASK_SIDE))
    image.putpalette([value for color in MASK_COLORS.values() for value in color])
    canvas = ImageDraw.Draw(image)
    canvas.fontmode = "1"
    for layer in layers:
        if layer.part:
            _put(canvas, layer, HQ_VIEW, image.size, MASK_CLASSES.index(layer.part))
    return image


def _put(canvas, layer, view, size, fill):
    scale = size[0] / (view[2] - view[0]), size[1] / (view[3] - view[1])
    points = [tuple(point) for point in ((layer.points - view[:2]) * scale).tolist()]
    if layer.width:
        canvas.line(points, fill, max(1, round(layer.width * scale[0])), joint="curve")
    else:
        canvas.polygon(points, fill)

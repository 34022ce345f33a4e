"""Drawn faces: a made-up person becomes layers of flat shapes, and both the picture and its mask are painted from them.

Coordinates are pixels of an HQ image of side 1024, x counted from the axis of the face; the drawing goes on beyond
it, for a standard image shows more of head and shoulders. Right and left are the person's own, as in the masks of the
release: `r_eye` is on the left of the picture.
"""

import random
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFilter

from celeba_dialog import MASK_CLASSES
from celeba_dialog import MASK_COLORS
from celeba_dialog import MASK_SIDE

HQ_VIEW = (-512, 0, 512, 1024)  # left, top, right, bottom
# What a standard image shows: CelebA puts the eyes 39 of 178 pixels apart, a little below the middle.
STANDARD_VIEW = (-570, -227, 570, 1169)

EYES, BROWS, HAIRLINE = 480, 402, 235  # heights; the forehead is what lies between brows and hairline
APART = 125  # from the axis to the middle of an eye

HAIRS = {
    "black": ((42, 36, 44), (30, 32, 44), (52, 40, 38)),
    "brown": ((96, 60, 42), (126, 82, 54), (78, 50, 40)),
    "blond": ((236, 200, 118), (220, 178, 94), (244, 218, 154)),
    "red": ((186, 84, 48), (158, 64, 48), (206, 108, 56)),
    "gray": ((172, 174, 182), (206, 208, 214), (228, 228, 230)),
}
OVER_EARS = ("bob", "long", "wavy")  # styles of hair
GOLD, SILVER, PEARL = (230, 182, 62), (204, 208, 216), (250, 244, 232)

# ------------------------------------------------------------------------------------------------------------- shapes


class Layer(NamedTuple):
    """One shape of the drawing. `part` is its mask class; None is shading, which the mask does not know."""

    points: np.ndarray  # (n, 2)
    color: tuple  # RGB, or RGBA for a tint
    part: str | None = None
    width: float = 0  # 0 fills the outline; more draws a line of this width along the points


def path(text):
    """Points from "x,y x,y x,y"."""
    return np.array([pair.split(",") for pair in text.split()], float)


def columns(x, y):
    return np.column_stack(np.broadcast_arrays(x, y))


def between(x, top, bottom):
    """The area between two lines over the same x."""
    return np.vstack((columns(x, top), columns(x, bottom)[::-1]))


def ellipse(x, y, across, down, start=0, end=360):
    angles = np.radians(np.linspace(start, end, 49))
    return columns(x + across * np.cos(angles), y + down * np.sin(angles))


def curve(points, closed=False, steps=8):
    """A smooth line through the points (Catmull-Rom), given as an array or as the text of a path."""
    points = path(points) if isinstance(points, str) else np.asarray(points, float)
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


def blob(points):
    return curve(points, closed=True)


def mirror(points):
    return points * (-1, 1)


def symmetric(half):
    """A whole outline from its right half, given from top to bottom."""
    half = path(half) if isinstance(half, str) else np.asarray(half, float)
    return np.vstack((half, mirror(half[half[:, 0] != 0])[::-1]))


def mix(color, other, share):
    """`color` with a share of `other`."""
    return tuple(round(a + (b - a) * share) for a, b in zip(color[:3], other[:3], strict=True))


def darker(color, share):
    return mix(color, (40, 16, 30), share)


def lighter(color, share):
    return mix(color, (255, 250, 240), share)


# ------------------------------------------------------------------------------------------------------------ drawing


def draw(person):
    """The layers of a person, back to front."""
    return _Drawing(person).layers


class _Drawing:
    def __init__(self, person):
        self.person, self.layers = person, []
        self.rng = random.Random(person.grain)  # noqa: S311
        age = person.age
        self.skin = person.skin
        self.shade = darker(self.skin, 0.22)
        self.hair = HAIRS["gray" if person.gray else person.natural_hair][person.tone]
        if age == 4 and not person.gray:
            self.hair = mix(self.hair, (190, 190, 196), 0.3)
        self.skull = np.array((person.wide * (1.05 if age == 0 else 1), 1))  # scales what depends on the head's width
        self.mouth = (688, 710, 714, 716, 718, 720)[age]
        self.nose_end = (628, 626, 627, 628, 630, 634)[age]
        self.chin = (798, 842, 852, 856, 858, 862)[age] + (0, 0, 0, 0, 6, 20)[person.smiling]  # an open mouth lowers it
        self.background()
        self.back_hair()
        self.body()
        self.head()
        self.wrinkles()
        self.beard()
        self.nose()
        self.lips()
        self.eyes_and_glasses()
        self.front_hair()
        self.hat()
        self.jewelry()

    def add(self, points, color, part=None, width=0):
        points = path(points) if isinstance(points, str) else points
        self.layers.append(Layer(points, color, part, width))

    def pair(self, points, color, part=None, width=0):
        """A shape on the right of the picture and its mirror image; of an ear, eye or brow each side is a class."""
        points = path(points) if isinstance(points, str) else points
        for side, half in (("l", points), ("r", mirror(points))):
            self.add(half, color, f"{side}_{part}" if part in ("ear", "eye", "brow") else part, width)

    def hairline(self, x):
        """The height at which the forehead begins, at a distance from the axis."""
        return HAIRLINE + 0.0016 * (x / self.skull[0]) ** 2

    def outline(self):
        """The outline of the face: round for a child, a little heavier at the jaw with age."""
        age, chin = self.person.age, self.chin
        square = 13 if self.person.male and age else 0
        jaw = (238, 206, 210, 214, 218, 222)[age] + square
        low = (164, 118, 126, 132, 138, 142)[age] + square
        top = path("0,148 120,160 205,226 242,340 248,480 240,590")
        half = np.vstack((top, ((jaw, chin - 165), (low, chin - 50), (56, chin - 4), (0, chin))))
        return blob(symmetric(half * self.skull))

    # ............................................................................................ behind and below

    def background(self):
        base, rng = self.person.backdrop, self.rng
        light, dark = lighter(base, 0.35), darker(base, 0.1)
        self.add("-640,-300 640,-300 640,1300 -640,1300", base)
        match self.person.pattern:
            case "halo":
                self.add(ellipse(0, 470, 560, 560), light)
                self.add(ellipse(0, 470, 450, 450), lighter(base, 0.6))
            case "dots":
                for row in range(12):
                    for x in range(-550, 650, 130):
                        self.add(ellipse(x + 65 * (row % 2), -240 + 130 * row, 18, 18), light)
            case "stripes":
                for x in range(-2000, 700, 150):
                    self.add(f"{x},1300 {x + 75},1300 {x + 1675},-300 {x + 1600},-300", light)
            case "hills":
                self.add(ellipse(rng.choice((-400, 400)), 120, 110, 110), (255, 236, 170))
                self.add(ellipse(-390, 1250, 620, 520), (150, 186, 130))
                self.add(ellipse(430, 1300, 640, 500), (128, 168, 118))
            case "window":
                left = rng.choice((-570, 110))
                window = path("0,-120 460,-120 460,620 0,620")
                self.add(window + (left, 0), (250, 246, 236))
                for x in (30, 245):
                    for y in (-90, 270):
                        self.add(path("0,0 185,0 185,320 0,320") + (left + x, y), (170, 208, 236))
            case "leaves":
                for _ in range(26):
                    x, y, size = rng.uniform(-590, 590), rng.uniform(-240, 1150), rng.uniform(50, 95)
                    lean = rng.uniform(-0.8, 0.8)
                    turn = np.array(((np.cos(lean), np.sin(lean)), (-np.sin(lean), np.cos(lean))))
                    self.add(blob("0,-1 0.4,0 0,1 -0.4,0") * size @ turn + (x, y), rng.choice((light, dark)))

    def back_hair(self):
        dark = darker(self.hair, 0.22)
        match self.person.style:
            case "bob":
                half = path("0,70 210,110 305,280 318,500 330,720 285,835 120,850 0,850")
            case "long":
                half = path("0,70 210,110 305,290 322,560 335,850 360,1120 250,1210 0,1210")
            case "wavy":
                half = path("0,60 220,105 320,290 300,430 368,580 318,740 400,900 340,1040 400,1180 200,1230 0,1230")
            case "afro":
                for angle in np.radians(np.arange(130, 411, 17)):
                    self.add(ellipse(330 * np.cos(angle), 330 + 330 * np.sin(angle), 105, 105), dark, "hair")
                self.add(ellipse(0, 330, 350, 340), dark, "hair")
                return
            case "pigtails":
                self.pair(blob("288,330 388,380 438,560 393,760 348,620 283,420"), dark, "hair")
                self.pair(ellipse(294, 372, 30, 40), self.person.accent)
                return
            case "bun":
                self.add(ellipse(0, 40, 135, 120), dark, "hair")
                self.add(ellipse(-25, 20, 95, 70), self.hair)
                return
            case _:
                return
        self.add(blob(symmetric(half * self.skull)), dark, "hair")

    def body(self):
        person, child = self.person, self.person.age == 0
        neck = (76 if child else 126 if person.male else 94) * self.skull[0]
        broad = 0.72 if child else 1.08 if person.male else 0.92
        half = ((0, 700), (neck, 700), (neck, 860), (neck + 22, 925), (neck + 110, 985), (neck + 90, 1090), (0, 1120))
        self.add(blob(symmetric(half)), self.skin, "neck")
        shadow = self.outline() + (0, 46)
        shadow[:, 0] = np.clip(shadow[:, 0], -neck, neck)
        self.add(shadow[shadow[:, 1] > 700], (*darker(self.skin, 0.5), 90))

        # The garment: shoulders with a neckline cut out.
        high = 912 if person.garment == "hood" else 934
        low = {"v": 1110, "shirt": 985, "hood": 985}.get(person.garment, 1000)
        reach = neck + (44 if person.garment == "v" else 20)
        shoulder = path("250,985 420,1030 540,1100 600,1310") * (broad, 1)
        right = curve(np.vstack(((reach, high), shoulder)))
        across = np.linspace(-1, 1, 25)
        depth = 1 - np.abs(across) ** (1 if person.garment == "v" else 2)
        neckline = columns(reach * across, high + (low - high) * depth)
        self.add(np.vstack((right, mirror(right)[::-1], neckline)), person.cloth, "cloth")

        edge = darker(person.cloth, 0.25)
        accent = person.accent if person.accent != person.cloth else lighter(person.cloth, 0.6)
        if person.garment == "stripes":
            surface = np.vstack((mirror(right)[::-1], neckline, right))
            x = np.linspace(-600 * broad, 600 * broad, 120)
            cloth = np.interp(x, surface[:, 0], surface[:, 1])
            for y in range(960, 1300, 90):
                self.add(between(x, np.maximum(y, cloth), np.maximum(y + 40, cloth)), accent)
        if person.necktie:
            self.add("-30,980 30,980 18,1030 50,1300 -50,1300 -18,1030", accent, "cloth")
            self.add("-36,948 36,948 20,1022 -20,1022", darker(accent, 0.2), "cloth")
        if person.garment == "shirt":
            collar = np.array(((neck + 4, 885), (reach + 70, 945), (88, 1050), (12, 968)))
            self.pair(collar, lighter(person.cloth, 0.45), "cloth")
            self.pair(np.vstack((collar, collar[:1])), edge, None, 5)
        elif person.garment == "hood":
            hood = ((neck - 4, 880), (neck + 90, 915), (neck + 110, 990), (30, 1060), (10, 1000))
            self.pair(blob(hood), mix(person.cloth, edge, 0.4), "cloth")
            self.pair("60,1040 66,1150", lighter(person.cloth, 0.7), None, 9)
        else:
            self.add(neckline, edge, "cloth", 16)

    # ........................................................................................................ the face

    def head(self):
        person = self.person
        ear = blob("236,490 274,470 294,510 278,590 252,622 234,600") * self.skull
        self.pair(ear, mix(self.skin, self.shade, 0.35), "ear")
        self.pair((ear - ear.mean(0)) * (0.45, 0.55) + ear.mean(0), self.shade)
        outline = self.outline()
        self.add(outline, self.skin, "skin")
        right = outline[outline[:, 0] >= 0]
        right = right[np.argsort(right[:, 1])]
        self.add(np.vstack((right, right[::-1] * (0.86, 1))), (*self.shade, 70))
        lift = 10 if person.smiling > 2 else 0
        self.pair(ellipse(150 * self.skull[0], 622 - lift, 58, 42), (230, 96, 96, 84 if person.rosy else 34))
        if person.freckles:
            for _ in range(26):
                x, y = self.rng.uniform(50, 190), self.rng.uniform(560, 630)
                self.add(ellipse(x * self.rng.choice((-1, 1)), y, 5, 5), (*darker(self.skin, 0.45), 120))

    def wrinkles(self):
        """Age that shows: from the thirties a hint, then folds, eye bags, crow's feet and lines on the forehead."""
        age = self.person.age
        line, width = (*darker(self.skin, 0.55), (0, 0, 84, 112, 136, 158)[age]), (0, 0, 4, 6, 7, 7)[age]
        folds = []
        if age > 1:  # from the nose to the mouth
            low = self.mouth + (0, 0, -40, -8, 14, 26)[age]
            folds.append(((72, self.nose_end - 20), (112, self.nose_end + 30), (128, low)))
        if age > 2:  # under the eyes
            folds.append(path("80,532 125,546 172,530"))
        if age > 3:  # beside the eyes, and the jowls
            folds += [((196, EYES + rise * 0.6), (214, EYES + rise), (228, EYES + rise * 1.5)) for rise in (-16, 6, 28)]
            folds.append(((140, self.mouth + 30), (148, self.mouth + 62)))
        if age > 4:  # more under the eyes, and between the brows
            folds += [path("88,550 125,563 164,549"), path("20,408 14,436")]
        for fold in folds:
            self.pair(curve(fold) * self.skull, line, None, width)
        for index in range((0, 0, 0, 1, 2, 3)[age]):  # across the forehead
            y, reach = 292 + 32 * index + 16 * (age == 3), 120 - 10 * abs(1 - index)
            fold = ((-reach, y + 6), (-reach / 2, y - 4), (0, y + 3), (reach / 2, y - 4), (reach, y + 6))
            self.add(curve(fold) * self.skull, line, None, width)
        if self.person.wide > 1.05 and age > 2:
            self.add(curve(((-80, self.chin - 6), (0, self.chin + 26), (80, self.chin - 6))), line, None, width)

    def nose(self):
        person, end = self.person, self.nose_end
        size = person.nose * (0.72 if person.age == 0 else 1)
        tip = (40 if person.pointy else 54) * size
        half = [(0, 490), (15, 502), (20 * size, end - 80), (tip, end - 36), (tip, end - 8), (26 * size, end + 2)]
        half.append((0, end + (14 if person.pointy else 6)))
        self.add(blob(symmetric(half)), mix(self.skin, self.shade, 0.22), "nose")
        self.add(ellipse(-4, end - 36, 15 * size, 13 * size), (*lighter(self.skin, 0.5), 130))
        self.pair(ellipse(24 * size, end - 8, 11 * size, 6), darker(self.skin, 0.5))

    def lips(self):
        """The smile by degree: none, closed (1), some teeth (2), a row of teeth (3), parted (4), wide open (5)."""
        person, degree, child = self.person, self.person.smiling, self.person.age == 0
        reach = (74, 92, 96, 118, 126, 124)[degree] * (0.8 if child else 1) * self.skull[0]
        rise = (-5, 20, 18, 28, 30, 26)[degree]
        gap = (0, 0, 24, 44, 74, 126)[degree] * (0.72 if child else 1)
        full = person.lips * (0.7 if child else 0.85 if person.age == 5 else 1)
        u = np.linspace(-1, 1, 61)
        x, arch = reach * u, np.sqrt(1 - u**2)
        top = self.mouth + rise * (0.5 - u**2) - gap * 0.18  # of the opening
        opening = np.clip(1 - (u / 0.62) ** 2, 0, 1) ** 0.5 if degree == 2 else arch
        bottom = top + gap * opening
        natural = mix(self.skin, (184, 62, 66), 0.48)
        lip = mix(natural, (200, 24, 52), 0.75) if person.makeup else natural
        cupid = 1 - 0.22 * np.exp(-((u / 0.16) ** 2))
        self.add(between(x, top - 20 * full * arch**0.8 * cupid, top), lip, "u_lip")
        self.add(between(x, bottom, bottom + 25 * full * arch**1.2), lighter(lip, 0.12), "l_lip")
        if gap:
            self.add(between(x, top, bottom), (88, 22, 34), "mouth")
            teeth = top + (0, 0, gap, gap, gap * 0.52, gap * 0.3)[degree] * (0.6 + 0.4 * arch)
            teeth = np.maximum(np.minimum(teeth, bottom - (2 if degree < 4 else 0)), top)
            self.add(between(x, top, teeth), (250, 250, 246))
            for index in range(8, 53, 8 if degree > 2 else 7):
                if teeth[index] - top[index] > 10:
                    gum, tip = top[index] + 3, teeth[index] - 3
                    self.add(columns(x[index], (gum, tip)), (214, 212, 210), None, 3)
            if degree == 5:
                tongue = np.maximum(bottom - 50 * arch**3 + 30 * u**2, teeth)
                inside = np.abs(u) < 0.72
                self.add(between(x, np.minimum(tongue, bottom), bottom)[np.tile(inside, 2)], (222, 96, 102))
        else:
            self.add(columns(x, top), darker(lip, 0.55), None, 6)
        if degree:
            dimple = ((reach + 12, top[0] - 16), (reach + 20, top[0]), (reach + 12, top[0] + 16))
            self.pair(curve(dimple), (*darker(self.skin, 0.5), 120), None, 5)

    def beard(self):
        """By degree: a shadow (1), stubble (2), a short full beard or goatee (3), long and combed (4), wild (5)."""
        degree, chin, wide = self.person.beard, self.chin, self.skull[0]
        if not degree:
            return
        color = darker(self.hair, 0.12)
        if max(abs(a - b) for a, b in zip(color, self.skin, strict=True)) < 60:  # a beard as light as the skin
            color = darker(color, 0.35)
        jaw = self.outline()
        jaw = jaw[(jaw[:, 0] >= 0) & (jaw[:, 1] > 560)]
        jaw = jaw[np.argsort(jaw[:, 1])]
        upper = [(0, self.nose_end + 20), (66, self.nose_end + 24), (122 * wide, self.mouth - 34)]
        if self.person.goatee:
            jaw = curve(((104 * wide, self.mouth - 40), (112 * wide, self.mouth + 40), (84, chin), (0, chin + 44)))
            upper[-1] = (104 * wide, self.mouth - 40)
        else:
            down = np.clip((jaw[:, 1] - 560) / (chin - 560), 0, 1)
            jaw[:, 1] += (0, 0, 0, 16, 118, 150)[degree] * down**2
            jaw[:, 0] += (0, 0, 0, 8, 4, 62)[degree] * np.sin(np.pi * down**0.8) * (jaw[:, 0] > 1)
            jaw[:, 0] *= 1 - 0.12 * down if degree == 4 else 1
            upper += [(176 * wide, self.mouth - 62), (214 * wide, 600), (jaw[0, 0] - 4, 540)]
        upper = curve(upper)
        if degree == 5:
            jaw[::2] += columns(20 * np.sign(jaw[::2, 0]), 30)
        shape = symmetric(np.vstack((upper, jaw)))
        if degree < 3:
            self.add(shape, (*mix(color, (70, 74, 92), 0.5), (0, 62, 104)[degree]), "skin")
            order = np.argsort(upper[:, 0])
            for _ in range((0, 150, 620)[degree]):
                y = self.rng.uniform(self.nose_end + 24, chin - 8)
                x = self.rng.uniform(0, np.interp(y, jaw[:, 1], jaw[:, 0]) - 8)
                if y > np.interp(x, upper[order, 0], upper[order, 1]) + 4:
                    hair = ((x, y), (x + self.rng.uniform(-3, 3), y + (0, 5, 12)[degree]))
                    tone = (*darker(color, 0.3), (0, 120, 190)[degree])
                    self.add(np.array(hair) * (self.rng.choice((-1, 1)), 1), tone, None, 4)
            return
        self.add(shape, color, "skin")
        bottom = jaw[:, 1].max()
        for _ in range((0, 0, 0, 26, 34, 80)[degree]):
            x, start = self.rng.uniform(-0.85, 0.85), self.rng.uniform(self.mouth + 40, chin + 10)
            end = min(start + (0, 0, 0, 30, 110, 120)[degree], bottom - 24)
            reach, tip = 0.88 * np.interp((start, end), jaw[:, 1], jaw[:, 0])
            sway = self.rng.uniform(-26, 26) if degree == 5 else 0
            strand = curve(((x * reach, start), (x * (reach + tip) / 2 + sway, (start + end) / 2), (x * tip, end)))
            self.add(strand, self.rng.choice((lighter(color, 0.2), darker(color, 0.3))), None, 5)

    # ........................................................................................................ the eyes

    def eyes_and_glasses(self):
        """Lenses that one sees through lie behind the eyes, all else of the glasses before them."""
        degree, frame = self.person.eyeglasses, self.person.frame
        lens = self.lens()
        if degree in (1, 2, 3):
            self.pair(lens, (226, 240, 252, 46), "eye_g")
        self.eyes()
        self.brows()
        if not degree:
            return
        width = (0, 4, 10, 25, 7, 27)[degree]
        frame = (150, 152, 160) if degree == 1 else frame
        self.add(curve("-42,472 0,454 42,472"), frame, "eye_g", max(width, 7))
        self.pair(np.array(((APART + 90, 468), (250 * self.skull[0], 458))), frame, "eye_g", max(width, 7))
        if degree in (4, 5):
            self.pair(lens, mix((34, 34, 42), frame, 0.15), "eye_g")
        self.pair(np.vstack((lens, lens[1:3])), frame, "eye_g", width)
        for middle in (-APART - 20, APART - 20):
            for offset, thick in ((0, 12), (24, 5)):
                glare = path("-18,506 22,450") + (middle + offset, 0)
                self.add(glare, (255, 255, 255, 90 if degree < 4 else 60), None, thick)

    def lens(self):
        u = np.radians(np.linspace(0, 360, 49))
        x, y = np.cos(u), np.sin(u)
        match self.person.lens:
            case "square":
                x, y = np.sign(x) * np.abs(x) ** 0.45, np.sign(y) * np.abs(y) ** 0.45 * 0.84
            case "drop":
                x, y = x * (1 + 0.08 * y), y * np.where(y < 0, 0.78, 1.05)
        return columns(APART + 4 + 92 * x, EYES + 8 + 74 * y)

    def eyes(self):
        person = self.person
        high = (39, 33, 29, 28, 26, 23)[person.age] * (0.6 if person.narrow else 1)
        low = high * (0.85 if person.smiling < 3 else 0.62)
        u = np.linspace(-1, 1, 31)
        x = APART + (64 if person.age == 0 else 60) * u
        upper, lower = EYES - high * (1 - np.abs(u) ** 2.2) - 4 * u, EYES + low * (1 - u**2) - 4 * u
        lashes = (56, 34, 38)
        if person.makeup:
            self.pair(between(x, upper - 22 * (1 - u**2) - 4, upper), (*person.accent, 150))
        self.pair(between(x, upper, lower), (252, 252, 250), "eye")
        for radius, color in ((27, person.iris), (13, (18, 14, 18))):
            disc = ellipse(APART - 2, EYES - 2, *[radius * (1.2 if person.age == 0 else 1)] * 2)
            disc[:, 1] = np.clip(disc[:, 1], np.interp(disc[:, 0], x, upper), np.interp(disc[:, 0], x, lower))
            self.pair(disc, color)
        for middle in (-APART, APART):  # light comes from one side
            self.add(ellipse(middle - 9, EYES - 10, 7, 7), (255, 255, 255))
        self.pair(columns(x, upper), lashes, None, 11 if person.makeup else 8)
        self.pair(columns(x, lower)[4:-4], (*self.shade, 200), None, 4)
        if not person.male:
            flick = ((x[-1] - 6, upper[-1]), (x[-1] + 16, upper[-1] - 15), (x[-1] - 12, upper[-4]))
            self.pair(np.array(flick), lashes)

    def brows(self):
        person = self.person
        thick = (7, 10, 11, 11, 11, 10)[person.age] * (1.7 if person.bushy else 1.25 if person.male else 0.85)
        u = np.linspace(0, 1, 17)
        y = BROWS + 32 - (24 if person.arched else 12) * np.sin(np.pi * (0.1 + 0.9 * u)) - 6 * u
        y -= 6 if person.smiling > 3 else 0
        half = thick * (1 - 0.65 * u**2) * np.clip(6 * u + 0.55, 0, 1)
        color = darker(self.hair, 0.25 if person.gray else 0.45)
        self.pair(between(APART + 70 * (2 * u - 1), y - half, y + half), color, "brow")

    # ........................................................................................................ the hair

    def front_hair(self):
        person, style = self.person, self.person.style
        if style == "bald":
            self.add(ellipse(-70, 205, 60, 22), (*lighter(self.skin, 0.6), 110))
            return
        top = max({"buzz": 118, "short": 84, "curly": 70, "afro": 60}.get(style, 78), 90 if person.hat else 0)
        out = {"buzz": 258, "short": 276, "curly": 286}.get(style, 292)
        low = {"bob": 730, "long": 900, "wavy": 860, "buzz": 440, "afro": 470}.get(style, 500)
        outer = [(0, top), (140, top + 22), (out - 50, 190), (out, 320), (out - 6, 430)]
        if style in OVER_EARS:
            flare = 36 if style == "wavy" else 16
            outer += [(out + 8, 560), (out + flare, low - 120), (out - 10, low)]
            inner = [(236, low - 110), (218, 620), (240, 520), (240, 420)]
        else:
            outer += [(262, low)]
            inner = [(246, low - 30), (240, 420)]
        crown = curve(np.vstack((mirror(np.array(outer))[:0:-1], outer)))
        x = np.linspace(228, 0, 13)
        edge = self.hairline(x * self.skull[0])
        if person.receding:
            edge = edge - 26 - 46 * np.exp(-(((x - 130) / 60) ** 2))
        elif not person.bangs:
            edge = edge + 5 * np.sin(x / 14)
        forehead = symmetric(np.vstack((inner, columns(x, edge))))
        if style in ("curly", "afro"):
            for angle in np.radians(np.arange(172, 369, 14)):
                x, y = 268 * self.skull[0] * np.cos(angle), 300 + 205 * np.sin(angle)
                self.add(ellipse(x, y, 52, 52), self.hair, "hair")
        if style == "quiff" and not person.hat:
            lean = 1 if person.parting >= 0 else -1
            quiff = blob("-190,170 -150,40 0,-6 150,14 215,96 120,160 0,200") * (lean, 1)
            self.add(quiff * self.skull, self.hair, "hair")
        self.add(np.vstack((crown, forehead)) * self.skull, self.hair, "hair")
        if style in ("curly", "afro"):
            self.curls()
        elif style != "buzz":
            self.strands(top, out)
        if person.age in (3, 4) and not person.gray:
            for x in (240, 247, 254, 261):
                gray = (*lighter(self.hair, 0.6), 100 if person.age == 3 else 170)
                self.pair(np.array(((x + 6, 300), (x, 430 - abs(x - 247)))) * self.skull, gray, None, 3)
        if person.bangs:
            self.fringe()
        if style == "braids":
            for step in range(8):
                tone = self.hair if step % 2 else darker(self.hair, 0.15)
                self.pair(ellipse(285 * self.skull[0] + 12 * (step % 2), 500 + 66 * step, 44, 50), tone, "hair")
            self.pair(ellipse(290 * self.skull[0], 1020, 34, 22), person.accent)

    def curls(self):
        for _ in range(60):
            angle, far = self.rng.uniform(3.3, 6.1), self.rng.uniform(0.82, 1.05)
            x, y = 250 * far * np.cos(angle), 330 + 190 * far * np.sin(angle)
            if y < self.hairline(x) - 30:
                self.add(ellipse(x, y, 16, 16, 20, 250), darker(self.hair, 0.25), None, 5)

    def strands(self, top, out):
        """Lines along the combed hair, from the parting outwards."""
        parting = self.person.parting * 90
        for reach in (-235, -180, -110, 110, 180, 235):
            end = self.hairline(reach) + (30 if abs(reach) > 200 else -14)
            strand = curve(((parting, top + 24), ((parting + reach) / 2 + reach * 0.22, top + 62), (reach, end)))
            room = (out - 14) * np.sqrt(np.clip(1 - ((330 - strand[:, 1]) / (330 - top)) ** 2, 0, 1))
            strand[:, 0] = np.clip(strand[:, 0], -room, room)
            tone = (*lighter(self.hair, 0.35), 120) if reach % 20 else (*darker(self.hair, 0.3), 150)
            self.add(strand * self.skull, tone, None, 6)
        if not self.person.bangs and not self.person.hat:
            line = np.array(((parting, top + 10), (parting * 0.8, self.hairline(0) - 6)))
            self.add(line * self.skull, darker(self.hair, 0.4), None, 6)

    def fringe(self):
        """Bangs: locks that hang from the hairline over a fifth of the forehead per degree."""
        degree = self.person.bangs
        edges = np.linspace(-236, 236, 12) * self.skull[0]
        u = np.linspace(-1, 1, 9)
        tones = (lighter(self.hair, 0.09), darker(self.hair, 0.09))
        for lock, (left, right) in enumerate(zip(edges, edges[1:], strict=False)):
            x = np.linspace(left - 8, right + 8, 9)
            begin = self.hairline(x)
            end = begin + (BROWS - begin) * degree / 5 + self.rng.uniform(-2, 2)
            end += (7 + 2 * degree) * (0.32 - np.abs(u) ** 2.4)  # the tip of the lock
            self.add(between(x, begin - 60, end), tones[lock % 2], "hair")

    # ............................................................................................ hats and jewelry

    def hat(self):
        """Hats end at the hairline, so that they hide nothing of the forehead."""
        color, skull = self.person.accent, self.skull
        dark = darker(color, 0.25)
        x = np.linspace(-296, 296, 41)
        rim = self.hairline(x * skull[0]) + 2
        dome = np.sqrt(1 - np.abs(np.linspace(-1, 1, 41)) ** 4)
        match self.person.hat:
            case "beanie":
                self.add(ellipse(0, -20, 70, 66), lighter(color, 0.5), "hat")
                self.add(between(x, rim, rim[0] - (rim[0] - 10) * dome) * skull, color, "hat")
                self.add(between(x, rim, rim - 84) * skull, dark, "hat")
                for index in range(2, 40, 3):
                    self.add(columns(x[index], (rim[index] - 6, rim[index] - 76)) * skull, color, None, 8)
            case "cap":
                self.add(between(x, rim, rim[0] - (rim[0] - 20) * dome) * skull, color, "hat")
                self.add(ellipse(0, 22, 18, 12), dark, "hat")
                self.add(ellipse(0, 110, 46, 40), lighter(color, 0.7))
                peak = curve("-250,250 -150,190 0,168 150,190 250,250 130,226 0,236 -130,226")
                self.add(peak * skull, dark, "hat")
            case "sun":
                straw = (236, 206, 140)
                self.add(blob("-236,190 -226,40 -120,-60 120,-60 226,40 236,190 0,200") * skull, straw, "hat")
                self.add(blob("-242,150 0,96 242,150 240,100 0,46 -240,100") * skull, color, "hat")
                brim = blob("-470,250 -250,130 0,100 250,130 470,250 262,312 130,254 0,237 -130,254 -262,312")
                self.add(brim * skull, darker(straw, 0.12), "hat")
            case "bowler":
                felt = darker(color, 0.45)
                self.add(blob("-258,200 -244,30 -130,-60 130,-60 244,30 258,200 0,220") * skull, felt, "hat")
                self.add(blob("-258,196 0,146 258,196 256,140 0,92 -256,140") * skull, lighter(color, 0.4), "hat")
                brim = blob(
                    "-372,236 -300,236 -150,196 0,184 150,196 300,236 372,236 300,312 150,264 0,237 -150,264 -300,312"
                )
                self.add(brim * skull, darker(felt, 0.3), "hat")
            case "beret":
                self.add("-20,-14 -8,-64 10,-60 0,-10", dark, "hat")
                crown = blob("-290,300 -390,160 -250,10 50,-30 310,60 350,190 290,300 150,240 0,222 -150,240")
                self.add(crown * skull, color, "hat")
                self.add(between(x, rim, rim - 40) * skull, dark, "hat")

    def jewelry(self):
        person, wide = self.person, self.skull[0]
        metal = GOLD if person.tone else SILVER
        x, y = 264 * wide, 622
        match person.earrings:
            case "studs":
                self.pair(ellipse(x, y, 17, 17), metal, "ear_r")
                self.pair(ellipse(x - 4, y - 5, 6, 6), lighter(metal, 0.8))
            case "hoops":
                self.pair(ellipse(x, y + 44, 40, 46), metal, "ear_r", 11)
            case "drops":
                self.pair(ellipse(x, y, 10, 10), metal, "ear_r")
                self.pair(columns(x, (y, y + 40)), metal, "ear_r", 6)
                self.pair(blob("0,34 22,78 0,100 -22,78") + (x, y), person.accent, "ear_r")
        u = np.linspace(-1, 1, 25)
        chain = columns(((76 if person.age == 0 else 94) * wide + 14) * u, 912 + 86 * (1 - u**2))
        match person.necklace:
            case "chain":
                self.add(chain, metal, "neck_l", 11)
            case "pearls":
                for bead in chain:
                    self.add(ellipse(*bead, 13, 13), PEARL, "neck_l")
                    self.add(ellipse(*bead, 13, 13), darker(PEARL, 0.2), None, 2)
            case "pendant":
                self.add(chain, metal, "neck_l", 6)
                self.add(ellipse(0, 1002, 24, 28), person.accent, "neck_l")
                self.add(ellipse(0, 1002, 24, 28), metal, "neck_l", 6)


# ------------------------------------------------------------------------------------------------------------ painting


def picture(person, layers, view, size, finer=2):
    """Paint the view (left, top, right, bottom) as an RGB image of `size`, drawn `finer` times larger and reduced."""
    image = Image.new("RGB", (size[0] * finer, size[1] * finer))
    canvas = ImageDraw.Draw(image, "RGBA")
    for layer in layers:
        _put(canvas, layer, view, image.size, layer.color)
    image = image.reduce(finer)
    return image.filter(ImageFilter.GaussianBlur(size[0] / 100)) if person.blurry else image


def mask(layers):
    """Paint the HQ view as the mask: mode P, 512x512, every pixel the index of one class."""
    image = Image.new("P", (MASK_SIDE, MASK_SIDE))
    image.putpalette([value for color in MASK_COLORS.values() for value in color])
    canvas = ImageDraw.Draw(image)
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

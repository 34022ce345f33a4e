"""Drawn faces: a made-up person becomes layers of flat shapes, from which picture and mask are painted.

Coordinates are pixels of an HQ image of side 1024, x counted from the axis of the face, y from the top. The drawing
goes on beyond the HQ image, because a standard image shows more of head and shoulders. Right and left are the
person's own, as in the masks of the release: `r_eye` is on the left of the picture.
"""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .people import Person
from .shapes import (
    Color,
    Layer,
    Points,
    between,
    blob,
    columns,
    curve,
    darker,
    ellipse,
    lighter,
    mirror,
    mix,
    path,
    symmetric,
)

EYES, BROWS, HAIRLINE = 480, 402, 235  # heights; the forehead is what lies between brows and hairline
APART = 125  # from the axis to the middle of an eye

GRAY_HAIR, GOLD = (206, 208, 214), (230, 182, 62)
RIMLESS = (150, 152, 160)  # what holds glasses together that have no rim

Curve = NDArray[np.float64]  # (n,): one coordinate of a line


def draw(person: Person) -> list[Layer]:
    """The layers of a person, back to front."""
    return _Drawing(person).layers


class _Drawing:
    """The layers of one person. Each method below adds what it is named for, on top of what is there."""

    def __init__(self, person: Person) -> None:
        self.person, self.has = person, person.attributes
        self.layers: list[Layer] = []
        self.rng = random.Random(person.grain)  # noqa: S311
        age = person.age
        self.skin, self.shade = person.skin, darker(person.skin, 0.22)
        self.hair = GRAY_HAIR if age == 5 else mix(person.hair, GRAY_HAIR, 0.3 if age == 4 else 0)
        self.wide = 1.09 if "Chubby" in self.has else 0.96 if "Oval_Face" in self.has else 1
        if age == 0:
            self.wide *= 1.05
        self.skull = np.array((self.wide, 1))  # scales what depends on the head's width
        self.mouth = (688, 710, 714, 716, 718, 720)[age]
        self.nose_end = (628, 626, 627, 628, 630, 634)[age]
        self.chin = (798, 842, 852, 856, 858, 862)[age] + (0, 0, 0, 0, 6, 20)[person.smiling]  # an open mouth lowers it
        self.outline = self.face_outline()
        self.backdrop()
        self.long_hair()
        self.neck_and_cloth()
        self.necklace()
        self.ears()
        self.face()
        self.wrinkles()
        self.beard()
        self.nose()
        self.lips()
        self.eyes_and_glasses()
        self.front_hair()
        self.bangs()
        self.hat()

    def add(self, points: ArrayLike, color: Color, part: str | None = None, width: float = 0) -> None:
        self.layers.append(Layer(path(points), color, part, width))

    def pair(self, points: ArrayLike, color: Color, part: str | None = None, width: float = 0) -> None:
        """A shape on the right of the picture and its mirror image; of an ear, eye or brow each side is a class."""
        right = path(points)
        for side, half in (("l", right), ("r", mirror(right))):
            self.add(half, color, f"{side}_{part}" if part in ("ear", "eye", "brow") else part, width)

    def hairline(self, x: Curve) -> Curve:
        """The height at which the forehead begins, at a distance from the axis."""
        return HAIRLINE + 0.0016 * (x / self.wide) ** 2

    # ............................................................................................ behind and below

    def backdrop(self) -> None:
        self.add("-640,-300 640,-300 640,1300 -640,1300", self.person.backdrop)
        self.add(ellipse(0, 470, 500, 500), lighter(self.person.backdrop, 0.4))

    def long_hair(self) -> None:
        """Women's hair falls behind ears and shoulders, in waves or straight."""
        if self.person.male:
            return
        low = self.rng.choice((800, 950, 1150))
        sides = columns(316, np.linspace(400, low, 9))
        sides[1::2, 0] += 40 if "Wavy_Hair" in self.has else 0
        half = np.vstack((path("0,84 150,104 250,190 298,290"), sides, ((140, low + 40), (0, low + 40))))
        self.add(blob(symmetric(half * self.skull)), darker(self.hair, 0.22), "hair")

    def neck_and_cloth(self) -> None:
        person, child = self.person, self.person.age == 0
        neck = (76 if child else 126 if person.male else 94) * self.wide
        half = ((0, 700), (neck, 700), (neck, 860), (neck + 20, 930), (neck + 60, 985), (neck + 60, 1090), (0, 1120))
        self.add(blob(symmetric(half)), self.skin, "neck")
        shadow = self.outline + (0, 46)
        shadow[:, 0] = np.clip(shadow[:, 0], -neck, neck)
        self.add(shadow[shadow[:, 1] > 700], (*darker(self.skin, 0.5), 90))
        shoulder = path("250,985 420,1030 540,1100 600,1310") * (0.72 if child else 1.08 if person.male else 0.92, 1)
        right = curve(np.vstack(((neck + 20, 934), shoulder)))
        across = np.linspace(-1, 1, 25)
        neckline = columns((neck + 20) * across, 1000 - 66 * across**2)
        self.add(np.vstack((right, mirror(right)[::-1], neckline)), person.cloth, "cloth")
        self.add(neckline, darker(person.cloth, 0.25), "cloth", 16)
        if "Wearing_Necktie" in self.has:
            collar = np.array(((neck + 4, 885), (neck + 90, 945), (88, 1050), (12, 968)))
            self.add("-30,980 30,980 18,1030 50,1300 -50,1300 -18,1030", person.accent, "cloth")
            self.add("-36,948 36,948 20,1022 -20,1022", darker(person.accent, 0.2), "cloth")
            self.pair(collar, lighter(person.cloth, 0.45), "cloth")
            self.pair(np.vstack((collar, collar[:1])), darker(person.cloth, 0.25), None, 5)

    def necklace(self) -> None:
        if "Wearing_Necklace" in self.has:
            u = np.linspace(-1, 1, 25)
            chain = columns((76 if self.person.age == 0 else 94) * self.wide * u, 895 + 72 * (1 - u**2))
            self.add(chain, GOLD, "neck_l", 14)

    # ........................................................................................................ the face

    def ears(self) -> None:
        ear = blob("236,490 274,470 294,510 278,590 252,622 234,600") * self.skull
        self.pair(ear, mix(self.skin, self.shade, 0.35), "ear")
        self.pair((ear - ear.mean(0)) * (0.45, 0.55) + ear.mean(0), self.shade)
        if "Wearing_Earrings" in self.has:
            self.pair(ellipse(264 * self.wide, 666, 40, 46), GOLD, "ear_r", 12)

    def face_outline(self) -> Points:
        """Round for a child, a little heavier at the jaw with age."""
        age, chin = self.person.age, self.chin
        square = 13 if self.person.male and age else 0
        jaw = (238, 206, 210, 214, 218, 222)[age] + square
        low = (164, 118, 126, 132, 138, 142)[age] + square
        top = path("0,148 120,160 205,226 242,340 248,480 240,590")
        half = np.vstack((top, ((jaw, chin - 165), (low, chin - 50), (56, chin - 4), (0, chin))))
        return blob(symmetric(half * self.skull))

    def face(self) -> None:
        self.add(self.outline, self.skin, "skin")
        right = self.outline[self.outline[:, 0] >= 0]
        right = right[np.argsort(right[:, 1])]
        self.add(np.vstack((right, right[::-1] * (0.86, 1))), (*self.shade, 70))  # light comes from the left
        cheek = ellipse(150 * self.wide, 612 if self.person.smiling > 2 else 622, 58, 42)
        self.pair(cheek, (230, 96, 96, 90 if "Rosy_Cheeks" in self.has else 26))

    def wrinkles(self) -> None:
        """Age that shows: from the thirties a hint, then folds, eye bags, crow's feet and lines on the forehead."""
        age = self.person.age
        line, width = darker(self.skin, (0, 0, 0.18, 0.25, 0.3, 0.35)[age]), (0, 0, 4, 6, 7, 7)[age]
        folds: list[ArrayLike] = []
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
            wave = ((-reach, y + 6), (-reach / 2, y - 4), (0, y + 3), (reach / 2, y - 4), (reach, y + 6))
            self.add(curve(wave) * self.skull, line, None, width)
        if "Double_Chin" in self.has:
            self.add(curve(((-80, self.chin - 6), (0, self.chin + 26), (80, self.chin - 6))), line, None, width)

    def nose(self) -> None:
        end, size = self.nose_end, (1.25 if "Big_Nose" in self.has else 1) * (0.72 if self.person.age == 0 else 1)
        pointy = "Pointy_Nose" in self.has
        tip = (40 if pointy else 54) * size
        half = [(0, 490), (15, 502), (20 * size, end - 80), (tip, end - 36), (tip, end - 8), (26 * size, end + 2)]
        half.append((0, end + (14 if pointy else 6)))
        self.add(blob(symmetric(half)), mix(self.skin, self.shade, 0.22), "nose")
        self.add(ellipse(-4, end - 36, 15 * size, 13 * size), (*lighter(self.skin, 0.5), 130))
        self.pair(ellipse(24 * size, end - 8, 11 * size, 6), darker(self.skin, 0.5))

    def lips(self) -> None:
        """The smile by degree: none, closed (1), some teeth (2), a row of teeth (3), parted (4), wide open (5)."""
        degree, child = self.person.smiling, self.person.age == 0
        reach = (74, 92, 96, 118, 126, 124)[degree] * (0.8 if child else 1) * self.wide
        rise = (-5, 20, 18, 28, 30, 26)[degree]
        gap = (0, 0, 24, 44, 74, 126)[degree] * (0.72 if child else 1)
        full = (1.35 if "Big_Lips" in self.has else 0.95) * (0.7 if child else 1)
        u = np.linspace(-1, 1, 61)
        x, arch = reach * u, np.sqrt(1 - u**2)
        top = self.mouth + rise * (0.5 - u**2) - gap * 0.18  # of the opening
        bottom = top + gap * (np.clip(1 - (u / 0.62) ** 2, 0, 1) ** 0.5 if degree == 2 else arch)
        lip = mix(self.skin, (184, 62, 66), 0.48)
        lip = mix(lip, (200, 24, 52), 0.75) if "Wearing_Lipstick" in self.has else lip
        cupid = 1 - 0.22 * np.exp(-((u / 0.16) ** 2))
        self.add(between(x, top - 20 * full * arch**0.8 * cupid, top), lip, "u_lip")
        self.add(between(x, bottom, bottom + 25 * full * arch**1.2), lighter(lip, 0.12), "l_lip")
        if degree < 2:
            self.add(columns(x, top), darker(lip, 0.55), None, 6)
        else:
            self.add(between(x, top, bottom), (88, 22, 34), "mouth")
            self.teeth(x, top, bottom, gap * (0, 0, 1, 1, 0.52, 0.3)[degree] * (0.6 + 0.4 * arch))

    def teeth(self, x: Curve, top: Curve, bottom: Curve, length: Curve) -> None:
        """The upper teeth, of a length for each x of the opening of the mouth."""
        teeth = np.maximum(np.minimum(top + length, bottom - (2 if self.person.smiling < 4 else 0)), top)
        self.add(between(x, top, teeth), (250, 250, 246))
        for index in range(9, 53, 7):
            if teeth[index] - top[index] > 10:
                self.add(columns(x[index], (top[index] + 3, teeth[index] - 3)), (214, 212, 210), None, 3)

    # ....................................................................................................... the beard

    def beard(self) -> None:
        """By degree: a shadow (1), stubble (2), a short full beard or goatee (3), long and combed (4), wild (5)."""
        degree = self.person.beard
        if not degree:
            return
        color = darker(self.hair, 0.12)
        if max(abs(a - b) for a, b in zip(color, self.skin, strict=True)) < 60:  # too near the skin
            color = darker(color, 0.7)
        upper, lower = self.goatee() if "Goatee" in self.has else self.full_beard()
        tint = (*mix(color, (50, 54, 72), 0.7), 80 if degree == 1 else 110) if degree < 3 else color
        self.add(symmetric(np.vstack((upper, lower[::-1]))), tint, "skin")
        colors = (darker(color, 0.3), lighter(color, 0.2))
        self.hairs_of_beard(upper, lower, colors[:1] if degree < 3 else colors)

    def hairs_of_beard(self, upper: Points, lower: Points, colors: Sequence[Color]) -> None:
        """Some hairs that hang down between the edges of the beard, in a wild one to all sides."""
        degree = self.person.beard
        length = (0, 0, 0.08, 0.2, 0.4, 0.4)[degree]  # as a share of the way from edge to edge
        sway = 26 if degree == 5 else 0
        for _ in range((0, 0, 700, 40, 60, 120)[degree]):
            place, side = self.rng.random(), self.rng.choice((-1, 1))
            top, tip = (edge[int(place * len(edge))] for edge in (upper, lower))
            root = top + (tip - top) * self.rng.uniform(0.05, 0.95 - length)
            end = root + (tip - top) * length + (self.rng.uniform(-sway, sway), 0)
            self.add(np.array((root, end)) * (side, 1), self.rng.choice(colors), None, 4)

    def goatee(self) -> tuple[Points, Points]:
        """The upper and the lower edge of the right half, both from the axis outwards."""
        side, mouth = 104 * self.wide, self.mouth
        upper = ((0, self.nose_end + 20), (66, self.nose_end + 24), (side, mouth - 40))
        lower = ((0, self.chin + 44), (84, self.chin), (side + 8, mouth + 40), (side, mouth - 40))
        return curve(upper), curve(lower)

    def full_beard(self) -> tuple[Points, Points]:
        """The same edges: along the jaw, and below it by degree."""
        degree, wide = self.person.beard, self.wide
        lower = self.outline[(self.outline[:, 0] >= 0) & (self.outline[:, 1] > 560)]
        lower = lower[np.argsort(-lower[:, 1])]
        down = np.clip((lower[:, 1] - 560) / (self.chin - 560), 0, 1)
        lower[:, 1] += (0, 0, 0, 16, 118, 150)[degree] * down**2
        lower[:, 0] += (0, 0, 0, 8, 0, 62)[degree] * np.sin(np.pi * down**0.8) * (lower[:, 0] > 1)
        upper = [(0, self.nose_end + 20), (66, self.nose_end + 24), (122 * wide, self.mouth - 34)]
        upper += [(176 * wide, self.mouth - 62), (214 * wide, 600), (lower[-1, 0] - 4, 540)]
        if degree == 5:  # ends in tufts
            lower[::2] += columns(20 * np.sign(lower[::2, 0]), 30)
        return curve(upper), lower

    # ........................................................................................................ the eyes

    def eyes_and_glasses(self) -> None:
        """Lenses that one sees through lie behind the eyes, all else of the glasses before them."""
        degree = self.person.eyeglasses
        u = np.radians(np.linspace(0, 360, 49))
        x, y = (np.sign(side) * np.abs(side) ** 0.7 for side in (np.cos(u), np.sin(u)))  # a little square
        lens = columns(APART + 4 + 92 * x, EYES + 8 + 68 * y)
        if degree in (1, 2, 3):
            self.pair(lens, (226, 240, 252, 46), "eye_g")
        self.eyes()
        self.brows()
        if not degree:
            return
        width, frame = (0, 4, 10, 25, 7, 27)[degree], self.person.frame if degree > 1 else RIMLESS
        self.add(curve("-42,472 0,454 42,472"), frame, "eye_g", max(width, 7))
        self.pair(((APART + 90, 468), (250 * self.wide, 458)), frame, "eye_g", max(width, 7))
        if degree in (4, 5):
            self.pair(lens, mix((34, 34, 42), frame, 0.15), "eye_g")
        self.pair(np.vstack((lens, lens[1:3])), frame, "eye_g", width)
        for middle in (-APART - 20, APART - 20):
            self.add(path("-18,506 22,450") + (middle, 0), (255, 255, 255, 75), None, 12)

    def eyes(self) -> None:
        person, child = self.person, self.person.age == 0
        high = (39, 33, 29, 28, 26, 23)[person.age] * (0.6 if "Narrow_Eyes" in self.has else 1)
        low = high * (0.85 if person.smiling < 3 else 0.62)
        u = np.linspace(-1, 1, 31)
        x = APART + (64 if child else 60) * u
        upper, lower = EYES - high * (1 - np.abs(u) ** 2.2) - 4 * u, EYES + low * (1 - u**2) - 4 * u
        makeup, lashes = "Heavy_Makeup" in self.has, (56, 34, 38)
        if makeup:
            self.pair(between(x, upper - 22 * (1 - u**2) - 4, upper), (*person.accent, 150))
        self.pair(between(x, upper, lower), (252, 252, 250), "eye")
        for radius, color in ((27, person.iris), (13, (18, 14, 18))):
            disc = ellipse(APART - 2, EYES - 2, *[radius * (1.2 if child else 1)] * 2)
            disc[:, 1] = np.clip(disc[:, 1], np.interp(disc[:, 0], x, upper), np.interp(disc[:, 0], x, lower))
            self.pair(disc, color)
        for middle in (-APART, APART):
            self.add(ellipse(middle - 9, EYES - 10, 7, 7), (255, 255, 255))
        self.pair(columns(x, upper), lashes, None, 11 if makeup else 8)
        if not person.male:
            self.pair(((x[-1] - 6, upper[-1]), (x[-1] + 16, upper[-1] - 15), (x[-1] - 12, upper[-4])), lashes)

    def brows(self) -> None:
        thick = 10 * (1.7 if "Bushy_Eyebrows" in self.has else 1.15 if self.person.male else 0.85)
        u = np.linspace(0, 1, 17)
        y = BROWS + 32 - (24 if "Arched_Eyebrows" in self.has else 12) * np.sin(np.pi * (0.1 + 0.9 * u)) - 6 * u
        half = thick * (1 - 0.65 * u**2) * np.clip(6 * u + 0.55, 0, 1)
        self.pair(between(APART + 70 * (2 * u - 1), y - half, y + half), darker(self.hair, 0.4), "brow")

    # ........................................................................................................ the hair

    def front_hair(self) -> None:
        if "Bald" in self.has:
            self.add(ellipse(-70, 205, 60, 22), (*lighter(self.skin, 0.6), 110))
            return
        right = path("0,90 140,110 232,190 280,320 276,430 258,500")
        crown = curve(np.vstack((mirror(right)[:0:-1], right)))
        x = np.linspace(228, 0, 13)
        edge = self.hairline(x * self.wide)
        if "Receding_Hairline" in self.has:
            edge = edge - 26 - 46 * np.exp(-(((x - 130) / 60) ** 2))
        forehead = symmetric(np.vstack((path("246,470 240,420"), columns(x, edge))))
        if "Wavy_Hair" in self.has and "Wearing_Hat" not in self.has:
            for angle in np.radians(np.arange(172, 369, 14)):
                self.add(ellipse(256 * self.wide * np.cos(angle), 310 + 205 * np.sin(angle), 50, 50), self.hair, "hair")
        self.add(np.vstack((crown, forehead)) * self.skull, self.hair, "hair")
        parting = 90 * self.rng.choice((-1, 0, 1))
        for reach in (-165, -100, 100, 165):  # lines along the combed hair
            end = np.interp(abs(reach), x[::-1], edge[::-1]) - 14
            line = curve(((parting, 114), ((parting + reach) / 2 + reach * 0.15, 140), (reach, end)))
            self.add(line * self.skull, darker(self.hair, 0.2), None, 6)

    def bangs(self) -> None:
        """Locks that hang from the hairline over a fifth of the forehead per degree."""
        degree = self.person.bangs
        if not degree:
            return
        edges = np.linspace(-236, 236, 12) * self.wide
        u = np.linspace(-1, 1, 9)
        tones = (lighter(self.hair, 0.09), darker(self.hair, 0.09))
        for lock, (left, right) in enumerate(zip(edges, edges[1:], strict=False)):
            x = np.linspace(left - 8, right + 8, 9)
            begin = self.hairline(x)
            end = begin + (BROWS - begin) * degree / 5 + self.rng.uniform(-2, 2)
            end += (7 + 2 * degree) * (0.32 - np.abs(u) ** 2.4)  # the tip of the lock
            self.add(between(x, begin - 60, end), tones[lock % 2], "hair")

    def hat(self) -> None:
        """A woollen hat that ends at the hairline, so that it hides nothing of the forehead."""
        if "Wearing_Hat" not in self.has:
            return
        color = self.person.accent
        x = np.linspace(-296, 296, 41)
        rim = self.hairline(x * self.wide) + 2
        dome = np.sqrt(1 - np.abs(np.linspace(-1, 1, 41)) ** 4)
        self.add(ellipse(0, -20, 70, 66), lighter(color, 0.5), "hat")
        self.add(between(x, rim, rim[0] - (rim[0] - 10) * dome) * self.skull, color, "hat")
        self.add(between(x, rim, rim - 84) * self.skull, darker(color, 0.25), "hat")
        for index in range(2, 40, 3):
            self.add(columns(x[index], (rim[index] - 6, rim[index] - 76)) * self.skull, color, None, 8)

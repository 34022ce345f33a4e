"""Drawn faces: a made-up person becomes layers of flat shapes, and both the picture and its mask are painted from them.

Coordinates are those of an HQ image of side 1024; the drawing goes on beyond it, for a standard image shows more of
head and shoulders. Half shapes are given as (distance from the middle of the face, height) and mirrored. Right and
left are the person's own, as in the masks of the release: `r_eye` is on the left of the picture.
"""

import random
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFilter

from celeba_dialog import MASK_CLASSES
from celeba_dialog import MASK_COLORS
from celeba_dialog import MASK_SIDE

HQ_VIEW = (0, 0, 1024, 1024)
# What a standard image shows: CelebA puts the eyes 39 of 178 pixels apart, a little below the middle.
STANDARD_VIEW = (-58, -227, 1082, 1169)

MIDDLE, EYES, BROWS, HAIRLINE = 512, 480, 402, 235  # where things are: x of the axis, heights of the others
APART = 125  # from the axis to the middle of an eye

SKINS = (
    (255, 228, 210),
    (250, 212, 184),
    (240, 194, 158),
    (222, 168, 126),
    (190, 134, 94),
    (150, 100, 70),
    (108, 72, 54),
)
HAIRS = {
    "black": ((42, 36, 44), (30, 32, 44), (52, 40, 38)),
    "brown": ((96, 60, 42), (126, 82, 54), (78, 50, 40)),
    "blond": ((236, 200, 118), (220, 178, 94), (244, 218, 154)),
    "red": ((186, 84, 48), (158, 64, 48), (206, 108, 56)),
    "gray": ((172, 174, 182), (206, 208, 214), (228, 228, 230)),
}
IRISES = ((74, 48, 34), (96, 68, 40), (62, 104, 92), (58, 104, 152), (88, 120, 70), (40, 34, 36))
CLOTHES = ((64, 92, 150), (190, 74, 70), (66, 128, 108), (232, 176, 70), (120, 86, 146), (60, 64, 78), (226, 222, 212))
BACKGROUNDS = ((178, 214, 222), (246, 214, 170), (200, 220, 184), (232, 196, 200), (206, 200, 230), (240, 230, 206))
FRAMES = ((32, 30, 34), (112, 66, 38), (150, 36, 44), (34, 58, 110))
METALS = ((190, 150, 70), (120, 122, 130), (60, 60, 66))
GOLD, SILVER, PEARL = (230, 182, 62), (204, 208, 216), (250, 244, 232)

SHORT_STYLES = ("short", "buzz", "quiff", "curly")
LONG_STYLES = ("bob", "long", "wavy", "bun", "pigtails", "braids", "afro")
UNDER_HATS = ("short", "buzz", "bob", "long", "wavy", "braids")
WAVY_STYLES = ("wavy", "curly", "afro")
STRAIGHT_STYLES = ("bob", "long", "short", "bun", "pigtails")
OVER_EARS = ("bob", "long", "wavy")
HATS = ("beanie", "cap", "sun", "bowler", "beret")
GARMENTS = ("round", "stripes", "v", "hood", "shirt")
PATTERNS = ("plain", "halo", "dots", "stripes", "hills", "window", "leaves")


@dataclass
class Person:
    """All that a face is drawn from: its degrees (0-5) and its looks."""

    male: bool
    bangs: int
    eyeglasses: int
    beard: int
    smiling: int
    age: int
    # what a person keeps
    skin: tuple
    natural_hair: str
    tone: int  # which of the tones of a hair colour
    iris: tuple
    wide: float  # width of the face, 1 is usual
    nose: float  # size of the nose, 1 is usual
    pointy: bool  # the nose
    lips: float  # fullness, 1 is usual
    narrow: bool  # the eyes
    arched: bool  # the brows
    bushy: bool  # the brows
    freckles: bool
    attractive: bool  # a label of CelebA that a drawing cannot show: tossed up
    # what changes
    style: str  # of the hair
    parting: float  # -1 left, 0 middle, 1 right
    receding: bool
    gray: bool
    goatee: bool
    makeup: bool
    rosy: bool
    hat: str | None
    earrings: str | None
    necklace: str | None
    necktie: bool
    garment: str
    cloth: tuple
    accent: tuple
    lens: str
    frame: tuple
    pattern: str
    backdrop: tuple
    blurry: bool
    grain: int  # seeds the small irregularities of the drawing


def invent(character, day, male, degrees, blurry=False):
    """A person with these degrees: the random generator `character` decides what someone keeps, `day` the rest."""
    age = degrees["age"]
    child, adult = age == 0, age > 1
    keeps = {
        "skin": character.choice(SKINS),
        "natural_hair": character.choice(("black", "black", "brown", "brown", "blond", "red")),
        "tone": character.randrange(3),
        "iris": character.choice(IRISES),
        "wide": character.uniform(0.95, 1.05) + (0.06 if character.random() < 0.2 else 0),
        "nose": character.choice((0.85, 1, 1, 1.25)),
        "pointy": character.random() < 0.3,
        "lips": character.choice((0.8, 1, 1, 1.35)),
        "narrow": character.random() < 0.2,
        "arched": character.random() < 0.4,
        "bushy": character.random() < (0.4 if male else 0.1),
        "freckles": character.random() < 0.25,
        "attractive": character.random() < 0.5,
    }
    styles = SHORT_STYLES if male else LONG_STYLES
    if male and age > 2 and not degrees["bangs"] and day.random() < 0.4:
        styles = ("bald",)
    hat = day.choice(HATS) if day.random() < 0.17 else None
    if hat:
        styles = [style for style in styles if style in (*UNDER_HATS, "bald")]
    makeup = not male and not child and day.random() < 0.5
    necktie = male and adult and degrees["beard"] < 4 and day.random() < 0.35
    necklace = day.choice(("chain", "pearls", "pendant")) if not male and day.random() < 0.4 else None
    return Person(
        male,
        **degrees,
        **keeps,
        style=day.choice(styles),
        parting=day.choice((-1, 0, 1)),
        receding=male and age > 2 and not degrees["bangs"] and day.random() < 0.4,
        gray=age == 5 or (age == 4 and day.random() < 0.5),
        goatee=degrees["beard"] == 3 and day.random() < 0.4,
        makeup=makeup,
        rosy=day.random() < (0.5 if child or not male else 0.1),
        hat=hat,
        earrings=day.choice(("studs", "hoops", "drops")) if not male and day.random() < 0.45 else None,
        necklace=necklace,
        necktie=necktie,
        garment="shirt" if necktie else "v" if necklace else day.choice(GARMENTS),
        cloth=day.choice(CLOTHES),
        accent=day.choice(CLOTHES),
        lens=day.choice(("round", "square", "drop")),
        frame=day.choice(METALS if degrees["eyeglasses"] in (2, 4) else FRAMES),
        pattern=day.choice(PATTERNS),
        backdrop=day.choice(BACKGROUNDS),
        blurry=blurry,
        grain=day.randrange(1 << 30),
    )


def attributes(person):
    """The names of CelebA's binary attributes that hold for a person: the drawn ones, and the degrees as yes or no."""
    hair = None if person.style == "bald" else "gray" if person.gray else person.natural_hair
    full = person.beard > 2 and not person.goatee
    holds = {
        "5_o_Clock_Shadow": person.beard in (1, 2),
        "Arched_Eyebrows": person.arched,
        "Attractive": person.attractive,
        "Bags_Under_Eyes": person.age > 2,
        "Bald": person.style == "bald",
        "Bangs": person.bangs > 0,
        "Big_Lips": person.lips > 1,
        "Big_Nose": person.nose > 1,
        "Black_Hair": hair == "black",
        "Blond_Hair": hair == "blond",
        "Blurry": person.blurry,
        "Brown_Hair": hair == "brown",
        "Bushy_Eyebrows": person.bushy,
        "Chubby": person.wide > 1.05,
        "Double_Chin": person.wide > 1.05 and person.age > 2,
        "Eyeglasses": person.eyeglasses > 0,
        "Goatee": person.goatee,
        "Gray_Hair": hair == "gray",
        "Heavy_Makeup": person.makeup,
        "High_Cheekbones": person.smiling > 2,
        "Male": person.male,
        "Mouth_Slightly_Open": person.smiling > 1,
        "Mustache": person.beard > 1,
        "Narrow_Eyes": person.narrow,
        "No_Beard": person.beard == 0,
        "Oval_Face": person.wide < 1,
        "Pale_Skin": person.skin == SKINS[0],
        "Pointy_Nose": person.pointy,
        "Receding_Hairline": person.receding and person.style != "bald",
        "Rosy_Cheeks": person.rosy,
        "Sideburns": full,
        "Smiling": person.smiling > 0,
        "Straight_Hair": person.style in STRAIGHT_STYLES,
        "Wavy_Hair": person.style in WAVY_STYLES,
        "Wearing_Earrings": person.earrings is not None,
        "Wearing_Hat": person.hat is not None,
        "Wearing_Lipstick": person.makeup,
        "Wearing_Necklace": person.necklace is not None,
        "Wearing_Necktie": person.necktie,
        "Young": person.age < 3,
    }
    return {name for name, value in holds.items() if value}


# ------------------------------------------------------------------------------------------------------------- shapes


class Layer(NamedTuple):
    """One shape of the drawing. `part` is its mask class; None is shading, which the mask does not know."""

    points: np.ndarray  # (n, 2)
    color: tuple  # RGB, or RGBA for a tint
    part: str | None = None
    width: float = 0  # 0 fills the outline; more draws a line of this width along the points


def ellipse(x, y, across, down, start=0, end=360):
    angles = np.radians(np.linspace(start, end, 49))
    return np.column_stack((x + across * np.cos(angles), y + down * np.sin(angles)))


def polygon(*points):
    return np.array(points, float)


def curve(points, closed=False, steps=8):
    """A smooth line through the points (Catmull-Rom)."""
    points = np.asarray(points, float)
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


def symmetric(half):
    """A closed outline from its right half: (distance from the axis, height), from top to bottom."""
    half = np.asarray(half, float)
    right = half + (MIDDLE, 0)
    left = half[::-1] * (-1, 1) + (MIDDLE, 0)
    return np.vstack((right, left))


def mix(color, other, share):
    """`color` with a share of `other`."""
    return tuple(round(a + (b - a) * share) for a, b in zip(color[:3], other[:3], strict=True))


def darker(color, share):
    return mix(color, (40, 16, 30), share)


def lighter(color, share):
    return mix(color, (255, 250, 240), share)


def both(points):
    """A shape on the right half of the picture and its mirror image: (side, points) with the person's l and r."""
    return (("l", points), ("r", points * (-1, 1) + (2 * MIDDLE, 0)))


# ------------------------------------------------------------------------------------------------------------- drawing


def draw(person):
    """The layers of a person, back to front."""
    return _Drawing(person).layers


class _Drawing:
    def __init__(self, person):
        self.person, self.layers = person, []
        self.rng = random.Random(person.grain)  # noqa: S311
        self.skin = person.skin
        self.shade = darker(self.skin, 0.22)
        tones = HAIRS["gray" if person.gray else person.natural_hair]
        self.hair = tones[person.tone]
        if person.age == 4 and not person.gray:
            self.hair = mix(self.hair, (190, 190, 196), 0.3)
        self.wide = person.wide * (1.03 if person.age == 0 else 1)
        self.chin = (818, 842, 852, 856, 858, 862)[person.age]
        self.mouth = self.chin - (118, 132, 138, 140, 140, 142)[person.age]
        self.nose_end = self.mouth - (76, 84, 88, 88, 88, 86)[person.age]
        for part in (
            self.background,
            self.back_hair,
            self.body,
            self.head,
            self.wrinkles,
            self.beard,
            self.nose,
            self.mouth_and_lips,
            self.glasses,
            self.front_hair,
            self.hat,
            self.jewelry,
        ):
            part()

    def add(self, points, color, part=None, width=0):
        self.layers.append(Layer(points, color, part, width))

    def hairline(self, away):
        """Height of the hairline at a distance from the axis: where the forehead begins."""
        return HAIRLINE + 0.0016 * (away / self.wide) ** 2

    # ............................................................................................ behind and below

    def background(self):
        base, rng = self.person.backdrop, self.rng
        light, dark = lighter(base, 0.35), darker(base, 0.1)
        self.add(polygon((-100, -300), (1124, -300), (1124, 1300), (-100, 1300)), base)
        match self.person.pattern:
            case "halo":
                self.add(ellipse(MIDDLE, 470, 560, 560), light)
                self.add(ellipse(MIDDLE, 470, 450, 450), lighter(base, 0.6))
            case "dots":
                for row in range(12):
                    for column in range(10):
                        self.add(ellipse(-40 + 130 * column + 65 * (row % 2), -240 + 130 * row, 18, 18), light)
            case "stripes":
                for x in range(-1500, 1200, 150):
                    self.add(polygon((x, 1300), (x + 75, 1300), (x + 1675, -300), (x + 1600, -300)), light)
            case "hills":
                self.add(ellipse(rng.choice((110, 910)), 120, 110, 110), (255, 236, 170))
                self.add(ellipse(120, 1250, 620, 520), (150, 186, 130))
                self.add(ellipse(940, 1300, 640, 500), (128, 168, 118))
            case "window":
                left = rng.choice((-60, 620))
                self.add(polygon((left, -120), (left + 460, -120), (left + 460, 620), (left, 620)), (250, 246, 236))
                for x in (left + 30, left + 245):
                    for y in (-90, 270):
                        self.add(polygon((x, y), (x + 185, y), (x + 185, y + 320), (x, y + 320)), (170, 208, 236))
            case "leaves":
                for _ in range(26):
                    x, y, size = rng.uniform(-80, 1100), rng.uniform(-240, 1150), rng.uniform(50, 95)
                    lean = rng.uniform(-0.8, 0.8)
                    leaf = curve([(0, -size), (size * 0.4, 0), (0, size), (-size * 0.4, 0)], closed=True)
                    leaf = leaf @ np.array(((np.cos(lean), np.sin(lean)), (-np.sin(lean), np.cos(lean))))
                    self.add(leaf + (x, y), rng.choice((light, dark)))

    def back_hair(self):
        wide, dark = self.wide, darker(self.hair, 0.22)
        match self.person.style:
            case "bob":
                half = [(0, 70), (210, 110), (305, 280), (318, 500), (330, 720), (285, 835), (120, 850), (0, 850)]
            case "long":
                half = [(0, 70), (210, 110), (305, 290), (322, 560), (335, 850), (360, 1120), (250, 1210), (0, 1210)]
            case "wavy":
                half = [(0, 60), (220, 105), (320, 290), (300, 430), (368, 580), (318, 740), (400, 900), (340, 1040)]
                half += [(400, 1180), (200, 1230), (0, 1230)]
            case "afro":
                bumps = np.radians(np.arange(130, 411, 17))
                for angle in bumps:
                    x, y = MIDDLE + 330 * wide * np.cos(angle), 330 + 330 * np.sin(angle)
                    self.add(ellipse(x, y, 105, 105), dark, "hair")
                self.add(ellipse(MIDDLE, 330, 350 * wide, 340), dark, "hair")
                return
            case "pigtails":
                for _, tail in both(
                    curve([(800, 330), (900, 380), (950, 560), (905, 760), (860, 620), (795, 420)], closed=True)
                ):
                    self.add(tail, dark, "hair")
                for _, tie in both(ellipse(806, 372, 30, 40)):
                    self.add(tie, self.person.accent)
                return
            case "bun":
                self.add(ellipse(MIDDLE, 40, 135, 120), dark, "hair")
                self.add(ellipse(MIDDLE - 25, 20, 95, 70), self.hair)
                return
            case _:
                return
        half = np.array(half, float) * (wide, 1)
        self.add(curve(symmetric(half), closed=True), dark, "hair")

    def body(self):
        person, child = self.person, self.person.age == 0
        neck = (80 if child else 126 if person.male else 94) * self.wide
        broad = 0.74 if child else 1.08 if person.male else 0.92
        self.add(
            curve(
                symmetric(
                    [
                        (0, 700),
                        (neck, 700),
                        (neck, 860),
                        (neck + 22, 925),
                        (neck + 110, 985),
                        (neck + 90, 1090),
                        (0, 1120),
                    ]
                ),
                closed=True,
            ),
            self.skin,
            "neck",
        )
        shadow = self.outline() + (0, 46)
        shadow[:, 0] = np.clip(shadow[:, 0], MIDDLE - neck, MIDDLE + neck)
        self.add(shadow[shadow[:, 1] > 700], (*darker(self.skin, 0.5), 90))

        dip = {"v": 1110, "shirt": 1010, "hood": 985}.get(person.garment, 1000)
        inner = neck + (44 if person.garment == "v" else 20)
        high = 912 if person.garment == "hood" else 934
        shoulder = [(250 * broad, 985), (420 * broad, 1030), (540 * broad, 1100), (600 * broad, 1310)]
        half = [(inner, high), *shoulder]
        right = curve(half) + (MIDDLE, 0)
        left = right[::-1] * (-1, 1) + (2 * MIDDLE, 0)
        power = 1 if person.garment == "v" else 2
        across = np.linspace(-1, 1, 25)
        neckline = np.column_stack((MIDDLE + inner * across, high + (dip - high) * (1 - np.abs(across) ** power)))
        cloth = np.vstack((right, left, neckline))
        self.add(cloth, person.cloth, "cloth")
        edge = darker(person.cloth, 0.25)
        if person.garment == "stripes":
            stripe = person.accent if person.accent != person.cloth else lighter(person.cloth, 0.6)
            top = np.vstack((left, neckline, right))
            top = top[np.argsort(top[:, 0], kind="stable")]
            for y in range(960, 1300, 90):
                x = np.linspace(left[:, 0].min(), right[:, 0].max(), 90)
                surface = np.interp(x, top[:, 0], top[:, 1])
                band = np.vstack(
                    (
                        np.column_stack((x, np.maximum(y, surface))),
                        np.column_stack((x, np.maximum(y + 40, surface)))[::-1],
                    )
                )
                self.add(band, stripe)
        if person.garment == "shirt":
            for _, collar in both(
                polygon((MIDDLE + neck + 4, 900), (MIDDLE + inner + 70, 965), (MIDDLE + 90, 1075), (MIDDLE + 14, 1000))
            ):
                self.add(collar, lighter(person.cloth, 0.45), "cloth")
                self.add(collar, edge, None, 5)
        elif person.garment == "hood":
            for _, side in both(
                curve(
                    [
                        (MIDDLE + neck - 4, 880),
                        (MIDDLE + neck + 90, 915),
                        (MIDDLE + neck + 110, 990),
                        (MIDDLE + 30, 1060),
                        (MIDDLE + 10, 1000),
                    ],
                    closed=True,
                )
            ):
                self.add(side, mix(person.cloth, edge, 0.4), "cloth")
            for _, cord in both(polygon((MIDDLE + 60, 1040), (MIDDLE + 66, 1150))):
                self.add(cord, lighter(person.cloth, 0.7), None, 9)
        else:
            self.add(neckline, edge, "cloth", 16)
        if person.necktie:
            tie = person.accent if person.accent != person.cloth else darker(person.cloth, 0.5)
            self.add(
                polygon((482, 1000), (542, 1000), (530, 1050), (560, 1300), (464, 1300), (494, 1050)), tie, "cloth"
            )
            self.add(polygon((478, 985), (546, 985), (532, 1046), (492, 1046)), darker(tie, 0.2), "cloth")

    # ....................................................................................................... the head

    def outline(self):
        """The outline of the face. Children are round, the old a little heavier at the jaw."""
        age, chin = self.person.age, self.chin
        jaw = (228, 206, 210, 214, 218, 222)[age] + (12 if self.person.male and age else 0)
        low = (150, 118, 126, 132, 138, 142)[age] + (14 if self.person.male and age else 0)
        half = [
            (0, 148),
            (120, 160),
            (205, 226),
            (242, 340),
            (248, 480),
            (238, 590),
            (jaw, chin - 170),
            (low, chin - 50),
            (56, chin - 4),
            (0, chin),
        ]
        half = np.array(half, float) * (self.wide, 1)
        return curve(np.vstack((symmetric(half)[:10], symmetric(half)[11:-1])), closed=True)

    def head(self):
        person = self.person
        for side, ear in both(
            curve([(748, 490), (786, 470), (806, 510), (790, 590), (764, 622), (746, 600)], closed=True)
        ):
            ear = (ear - (MIDDLE, 0)) * (self.wide, 1) + (MIDDLE, 0)
            self.add(ear, mix(self.skin, self.shade, 0.35), f"{side}_ear")
            inner = (ear - ear.mean(0)) * (0.45, 0.55) + ear.mean(0)
            self.add(inner, self.shade)
        outline = self.outline()
        self.add(outline, self.skin, "skin")
        right = outline[outline[:, 0] >= MIDDLE]
        right = right[np.argsort(right[:, 1])]
        inward = (right - (MIDDLE, 0)) * (0.86, 1) + (MIDDLE, 0)
        self.add(np.vstack((right, inward[::-1])), (*self.shade, 70))
        blush = (230, 96, 96, 84 if person.rosy else 34)
        lift = 10 if person.smiling > 2 else 0
        for _, cheek in both(ellipse(MIDDLE + 150 * self.wide, 620 - lift, 58, 42)):
            self.add(cheek, blush)
        if person.freckles:
            for _ in range(26):
                x, y = self.rng.uniform(-190, 190), self.rng.uniform(560, 630)
                if abs(x) > 50:
                    self.add(ellipse(MIDDLE + x, y, 5, 5), (*darker(self.skin, 0.45), 120))

    def wrinkles(self):
        """Age that shows: from the thirties a hint, then folds, eye bags, crow's feet and lines on the forehead."""
        age, width = self.person.age, self.wide
        line = (*darker(self.skin, 0.55), (0, 0, 70, 110, 150, 185)[age])
        thick = (0, 0, 5, 6, 7, 8)[age]
        strokes = []
        if age > 1:  # from the nose to the mouth
            low = self.mouth + (-40, -10, 14, 26)[age - 2]
            strokes.append([(72, self.nose_end - 20), (112, self.nose_end + 30), (128, low)])
        if age > 2:  # under the eyes
            strokes.append([(80, EYES + 52), (125, EYES + 66), (172, EYES + 50)])
        if age > 3:  # beside the eyes, and jowls
            for rise in (-16, 6, 28):
                strokes.append([(196, EYES + rise * 0.6), (214, EYES + rise), (228, EYES + rise * 1.5)])
            strokes.append([(140, self.mouth + 30), (148, self.mouth + 62)])
        if age > 4:
            strokes.append([(86, EYES + 70), (125, EYES + 84), (166, EYES + 70)])
            strokes.append([(150, 620), (176, 650), (186, 700)])
            strokes.append([(20, BROWS + 6), (14, BROWS + 34)])
        for stroke in strokes:
            for _, points in both(curve(stroke) * (width, 1) + (MIDDLE, 0)):
                self.add(points, line, None, thick)
        for index in range((0, 0, 0, 1, 2, 3)[age]):  # across the forehead
            y, reach = 290 + 32 * index + 16 * (age == 3), 120 - 10 * abs(1 - index)
            bend = curve([(-reach, y + 6), (-reach / 2, y - 4), (0, y + 3), (reach / 2, y - 4), (reach, y + 6)])
            self.add(bend * (width, 1) + (MIDDLE, 0), line, None, thick)
        if self.person.wide > 1.05 and age > 2:
            fold = curve([(-80, self.chin - 6), (0, self.chin + 26), (80, self.chin - 6)]) + (MIDDLE, 0)
            self.add(fold, line, None, thick)

    def eyes(self):
        person = self.person
        across = 60 if person.age else 62
        high = (36, 32, 29, 28, 26, 23)[person.age] * (0.6 if person.narrow else 1)
        low = high * (0.85 if person.smiling < 3 else 0.62)
        u = np.linspace(-1, 1, 31)
        upper = EYES - high * (1 - np.abs(u) ** 2.2) - 4 * u
        lower = EYES + low * (1 - u**2) - 4 * u
        x = MIDDLE + APART + across * u
        lashes = darker((70, 50, 44), 0.5)
        for side in "lr":
            turn = (lambda p: p) if side == "l" else (lambda p: p * (-1, 1) + (2 * MIDDLE, 0))
            top, bottom = np.column_stack((x, upper)), np.column_stack((x, lower))
            if person.makeup:
                lid = np.column_stack((x, upper - 22 * (1 - u**2) - 4))
                self.add(turn(np.vstack((lid, top[::-1]))), (*person.accent, 150))
            self.add(turn(np.vstack((top, bottom[::-1]))), (252, 252, 250), f"{side}_eye")
            for radius, color in ((27, person.iris), (13, (18, 14, 18))):
                radius *= 1.12 if person.age == 0 else 1
                disc = ellipse(MIDDLE + APART - 2, EYES - 2, radius, radius)
                disc[:, 1] = np.clip(disc[:, 1], np.interp(disc[:, 0], x, upper), np.interp(disc[:, 0], x, lower))
                self.add(turn(disc), color)
            glint = ellipse(MIDDLE + (APART - 10 if side == "l" else -APART - 6), EYES - 10, 7, 7)
            self.add(glint, (255, 255, 255))
            self.add(turn(top), lashes, None, 11 if person.makeup else 8)
            self.add(turn(bottom[4:-4]), (*self.shade, 200), None, 4)
            if not person.male:
                flick = polygon((x[-1] - 6, upper[-1]), (x[-1] + 16, upper[-1] - 15), (x[-1] - 12, upper[-4]))
                self.add(turn(flick), lashes)

    def brows(self):
        person = self.person
        thick = (8, 10, 11, 11, 11, 10)[person.age] * (1.7 if person.bushy else 1.25 if person.male else 0.85)
        peak = 30 if person.arched else 14
        lift = -6 if person.smiling > 3 else 0
        u = np.linspace(0, 1, 17)
        x = MIDDLE + APART + 70 * (2 * u - 1)
        y = BROWS + 28 - peak * np.sin(np.pi * np.clip(u * 0.9 + 0.1, 0, 1)) - 6 * u + lift
        half = thick * (1 - 0.65 * u**2) * np.clip(6 * u + 0.55, 0, 1)
        shape = np.vstack((np.column_stack((x, y - half)), np.column_stack((x, y + half))[::-1]))
        color = darker(self.hair, 0.45) if not person.gray else darker(self.hair, 0.25)
        for side, brow in both(shape):
            self.add(brow, color, f"{side}_brow")

    def nose(self):
        person, end = self.person, self.nose_end
        size = person.nose * (0.78 if person.age == 0 else 1)
        tip = 40 if person.pointy else 54
        half = [
            (0, EYES + 10),
            (15, EYES + 22),
            (20 * size, end - 80),
            (tip * size, end - 36),
            (tip * size, end - 8),
            (26 * size, end + 2),
            (0, end + (14 if person.pointy else 6)),
        ]
        shape = curve(symmetric(half), closed=True)
        self.add(shape, mix(self.skin, self.shade, 0.22), "nose")
        self.add(ellipse(MIDDLE - 4, end - 36, 15 * size, 13 * size), (*lighter(self.skin, 0.5), 130))
        for _, nostril in both(ellipse(MIDDLE + 24 * size, end - 8, 11 * size, 6)):
            self.add(nostril, darker(self.skin, 0.5))

    def mouth_and_lips(self):
        """The smile by degree: closed, some teeth, a row of teeth, parted, wide open."""
        person, degree = self.person, self.person.smiling
        half_width = (74, 92, 96, 118, 126, 124)[degree] * (0.82 if person.age == 0 else 1) * self.wide
        rise = (-5, 20, 18, 28, 30, 26)[degree]
        gap = (0, 0, 24, 44, 74, 138)[degree] * (0.85 if person.age == 0 else 1)
        full = person.lips * (0.75 if person.age == 0 else 0.85 if person.age == 5 else 1)
        u = np.linspace(-1, 1, 61)
        x = MIDDLE + half_width * u
        line = self.mouth + rise * (0.5 - u**2) - gap * 0.18
        arch = np.sqrt(np.clip(1 - u**2, 0, 1))
        inner_top = line
        reach = np.clip(1 - (u / 0.62) ** 2, 0, 1) ** 0.5 if degree == 2 else arch
        inner_bottom = line + gap * reach
        cupid = 1 - 0.22 * np.exp(-((u / 0.16) ** 2))
        outer_top = line - 20 * full * arch**0.8 * cupid
        outer_bottom = np.maximum(inner_bottom, line) + 25 * full * arch**1.2
        natural = mix(self.skin, (184, 62, 66), 0.48)
        lip = mix(natural, (200, 24, 52), 0.75) if person.makeup else natural

        def area(top, bottom):
            return np.vstack((np.column_stack((x, top)), np.column_stack((x, bottom))[::-1]))

        self.add(area(outer_top, line), lip, "u_lip")
        self.add(area(inner_bottom, outer_bottom), lighter(lip, 0.12), "l_lip")
        if not gap:
            ends = 3 if degree else 0
            seam = np.column_stack((x, line))
            self.add(seam, darker(lip, 0.55), None, 6)
            for end in (seam[0], seam[-1]) if ends else ():
                self.add(ellipse(*end, 7, 5), darker(lip, 0.45))
        else:
            self.add(area(inner_top, inner_bottom), (88, 22, 34), "mouth")
            teeth = (0, 0, gap, gap, gap * 0.52, gap * 0.3)[degree]
            teeth_bottom = np.minimum(inner_bottom - (2 if degree < 4 else 0), line + teeth * (0.6 + 0.4 * arch))
            self.add(area(inner_top, np.maximum(teeth_bottom, inner_top)), (250, 250, 246))
            if degree == 5:
                floor = np.maximum(inner_bottom - 52 * arch**3, line + teeth)
                inside = np.abs(u) < 0.72
                tongue = np.vstack(
                    (
                        np.column_stack((x, np.minimum(floor + 30 * u**2, inner_bottom)))[inside],
                        np.column_stack((x, inner_bottom))[inside][::-1],
                    )
                )
                self.add(tongue, (222, 96, 102))
            for place in np.arange(-0.75, 0.76, 0.25):
                if degree > 2 or abs(place) < 0.4:
                    index = int(round((place + 1) * 30))
                    if teeth_bottom[index] - inner_top[index] > 10:
                        tooth = polygon((x[index], inner_top[index] + 3), (x[index], teeth_bottom[index] - 3))
                        self.add(tooth, (214, 212, 210), None, 3)
        if degree:
            for _, dimple in both(
                curve(
                    [
                        (MIDDLE + half_width + 12, line[-1] - 16),
                        (MIDDLE + half_width + 20, line[-1]),
                        (MIDDLE + half_width + 12, line[-1] + 16),
                    ]
                )
            ):
                self.add(dimple, (*darker(self.skin, 0.5), 120), None, 5)

    # .......................................................................................................... beard

    def beard(self):
        """From a shadow (1) over stubble (2) and a short full beard (3) to a long combed (4) and a wild one (5)."""
        degree, person = self.person.beard, self.person
        if not degree:
            return
        outline = self.outline()
        color = darker(self.hair, 0.12)
        chin, wide = self.chin, self.wide
        jaw = outline[outline[:, 1] > 560]
        right = jaw[jaw[:, 0] >= MIDDLE]
        right = right[np.argsort(right[:, 1])] - (MIDDLE, 0)
        if person.goatee:
            right = curve([(104 * wide, self.mouth - 40), (112 * wide, self.mouth + 40), (84, chin), (0, chin + 44)])
            inner = curve([(0, self.nose_end + 22), (60, self.nose_end + 26), (104 * wide, self.mouth - 40)])
        else:
            grow = (0, 0, 0.0, 16, 118, 150)[degree]
            spread = (0, 0, 0, 8, 4, 62)[degree]
            down = np.clip((right[:, 1] - 560) / (chin - 560), 0, 1)
            right[:, 1] += grow * down**2
            right[:, 0] += spread * np.sin(np.pi * np.clip(down, 0, 1) ** 0.8) * (right[:, 0] > 1)
            if degree == 4:
                right[:, 0] *= 1 - 0.12 * down
            side = right[0]
            inner = curve(
                [
                    (0, self.nose_end + 20),
                    (66, self.nose_end + 24),
                    (122 * wide, self.mouth - 34),
                    (176 * wide, self.mouth - 62),
                    (214 * wide, 600),
                    (side[0] - 4, 540),
                ]
            )
        if degree == 5:
            tips = right.copy()
            tips[::2] += np.column_stack((np.sign(tips[::2, 0]) * 20, np.full(len(tips[::2]), 30)))
            right = tips
        half = np.vstack((inner, right))
        shape = np.vstack((half, half[::-1] * (-1, 1))) + (MIDDLE, 0)
        if degree < 3:
            self.add(shape, (*mix(color, (70, 74, 92), 0.5), (0, 62, 104)[degree]), "skin")
            inside = self.rng
            for _ in range((0, 110, 420)[degree]):
                y = inside.uniform(self.nose_end + 24, chin - 8)
                reach = np.interp(y, right[:, 1], right[:, 0])
                closest = (
                    np.interp(y, *zip(*sorted((b, a) for a, b in inner), strict=True)) if y < self.mouth - 40 else 0
                )
                x = inside.uniform(min(closest * 0.2, reach), reach - 8) * inside.choice((-1, 1))
                if abs(x) > np.interp(y, [self.nose_end + 24, self.mouth - 34], [70, 122]) and y < self.mouth - 60:
                    continue
                length = (0, 5, 12)[degree]
                hair = polygon((MIDDLE + x, y), (MIDDLE + x + inside.uniform(-3, 3), y + length))
                self.add(hair, (*darker(color, 0.3), (0, 120, 190)[degree]), None, 4)
            return
        self.add(shape, color, "skin")
        bottom = right[:, 1].max()
        for _ in range((0, 0, 0, 26, 34, 80)[degree]):
            x = self.rng.uniform(-0.85, 0.85)
            start = self.rng.uniform(self.mouth + 40, chin + 10)
            reach = np.interp(start, right[:, 1], right[:, 0]) * 0.9
            end = min(start + (0, 0, 0, 30, 110, 120)[degree], bottom - 24)
            sway = 0 if degree < 5 else self.rng.uniform(-26, 26)
            tip = np.interp(end, right[:, 1], right[:, 0]) * 0.88
            strand = curve([(x * reach, start), (x * (reach + tip) / 2 + sway, (start + end) / 2), (x * tip, end)])
            tone = self.rng.choice((lighter(color, 0.2), darker(color, 0.3)))
            self.add(strand + (MIDDLE, 0), tone, None, 5)

    # ........................................................................................................ glasses

    def lens_outline(self):
        u = np.radians(np.linspace(0, 360, 49))
        across, down = 92, 74
        match self.person.lens:
            case "square":
                power = 0.45
                x = np.sign(np.cos(u)) * np.abs(np.cos(u)) ** power
                y = np.sign(np.sin(u)) * np.abs(np.sin(u)) ** power
                down = 62
            case "drop":
                x, y = np.cos(u) * (1 + 0.08 * np.sin(u)), np.sin(u) ** 1
                y = np.where(y < 0, y * 0.78, y * 1.05)
            case _:
                x, y = np.cos(u), np.sin(u)
        return np.column_stack((MIDDLE + APART + 4 + across * x, EYES + 8 + down * y))

    def glasses(self):
        """Eyes and brows, with the glasses by degree behind (lenses that one looks through) and before them."""
        degree, person = self.person.eyeglasses, self.person
        lens = self.lens_outline()
        if 0 < degree < 4:
            for _, glass in both(lens):
                self.add(glass, (226, 240, 252, 46), "eye_g")
        self.eyes()
        self.brows()
        if not degree:
            return
        width = (0, 4, 10, 25, 7, 27)[degree]
        frame = (150, 152, 160) if degree == 1 else person.frame
        bridge = curve([(MIDDLE - 42, EYES - 8), (MIDDLE, EYES - 26), (MIDDLE + 42, EYES - 8)])
        self.add(bridge, frame, "eye_g", max(width, 7))
        arm = polygon((MIDDLE + APART + 90, EYES - 12), (MIDDLE + 250 * self.wide, EYES - 22))
        for _, points in both(arm):
            self.add(points, frame, "eye_g", max(width, 7))
        for _, glass in both(lens):
            if degree > 3:
                self.add(glass, mix((34, 34, 42), frame, 0.15), "eye_g")
            self.add(np.vstack((glass, glass[1:3])), frame, "eye_g", width)
        for middle in (MIDDLE - APART - 20, MIDDLE + APART - 20):
            for offset, thick in ((0, 12), (24, 5)):
                glare = polygon((middle - 18 + offset, EYES + 26), (middle + 22 + offset, EYES - 30))
                self.add(glare, (255, 255, 255, 90 if degree < 4 else 60), None, thick)

    # ....................................................................................................... the hair

    def front_hair(self):
        person, wide = self.person, self.wide
        if person.style == "bald":
            self.add(ellipse(MIDDLE - 70, 205, 60, 22), (*lighter(self.skin, 0.6), 110))
            return
        low = {"bob": 730, "long": 900, "wavy": 860, "buzz": 440, "afro": 470}.get(person.style, 500)
        top = {"buzz": 118, "short": 84, "quiff": 78, "curly": 70, "afro": 60}.get(person.style, 78)
        out = {"buzz": 258, "short": 276, "curly": 286}.get(person.style, 292)
        if person.hat:
            top = max(top, 90)
        outer = [(0, top), (150, top + 26), (out - 50, 190), (out, 320), (out - 6, 430)]
        if person.style in OVER_EARS:
            flare = 36 if person.style == "wavy" else 16
            outer += [(out + 8, 560), (out + flare, low - 120), (out - 10, low)]
            inner = [(236, low - 110), (218, 620), (240, 520), (240, 420)]
        else:
            outer += [(262, low)]
            inner = [(246, low - 30), (240, 420)]
        away = np.linspace(228, 0, 13)
        raised = self.hairline(away * wide)
        if person.receding:
            raised = raised - 26 - 46 * np.exp(-(((away - 130) / 60) ** 2))
        elif not person.bangs:
            raised = raised + 5 * np.sin(away / 14)
        edge = np.column_stack((away, raised))
        half = np.vstack((curve(outer), inner, edge)) * (wide, 1)
        cap = np.vstack((half + (MIDDLE, 0), half[::-1] * (-1, 1) + (MIDDLE, 0)))
        if person.style in ("curly", "afro"):
            for angle in np.radians(np.arange(172, 369, 14)):
                x, y = MIDDLE + 268 * wide * np.cos(angle), 300 + 205 * np.sin(angle)
                self.add(ellipse(x, y, 52, 52), self.hair, "hair")
        if person.style == "quiff" and not person.hat:
            lean = 1 if person.parting >= 0 else -1
            quiff = np.array([(-190, 170), (-150, 40), (0, -6), (150, 14), (215, 96), (120, 160), (0, 200)], float)
            self.add(curve(quiff * (lean * wide, 1), closed=True) + (MIDDLE, 0), self.hair, "hair")
        self.add(cap, self.hair, "hair")
        self.strands(top)
        if person.age == 4 and not person.gray:
            for _, temple in both(polygon((232, 330), (262, 330), (256, 450), (238, 450)) * (wide, 1) + (MIDDLE, 0)):
                self.add(temple, (*lighter(self.hair, 0.6), 150))
        if person.bangs:
            self.fringe()
        if person.style == "braids":
            for step in range(8):
                for _, knot in both(ellipse(MIDDLE + 285 * wide + 12 * (step % 2), 500 + 66 * step, 44, 50)):
                    self.add(knot, self.hair if step % 2 else darker(self.hair, 0.15), "hair")
            for _, tie in both(ellipse(MIDDLE + 290 * wide, 1020, 34, 22)):
                self.add(tie, person.accent)

    def strands(self, top):
        """Lines along the combed hair, from the parting outwards."""
        wide, part = self.wide, self.person.parting * 90
        if self.person.style in ("curly", "afro"):
            for _ in range(60):
                angle, far = self.rng.uniform(3.3, 6.1), self.rng.uniform(0.82, 1.05)
                x, y = 250 * wide * far * np.cos(angle), 330 + 190 * far * np.sin(angle)
                if y < self.hairline(x) - 30:
                    self.add(ellipse(MIDDLE + x, y, 16, 16, 20, 250), darker(self.hair, 0.25), None, 5)
            return
        if self.person.style == "buzz":
            return
        for reach in (-235, -180, -110, 110, 180, 235):
            tone = (*lighter(self.hair, 0.35), 120) if reach % 20 else (*darker(self.hair, 0.3), 150)
            end = self.hairline(reach * wide) + (30 if abs(reach) > 200 else -14)
            strand = curve([(part, top + 24), ((part + reach) / 2 + reach * 0.22, top + 62), (reach, end)])
            self.add(strand * (wide, 1) + (MIDDLE, 0), tone, None, 6)
        if not self.person.bangs and not self.person.hat:
            self.add(
                polygon((part, top + 10), (part * 0.8, self.hairline(0) - 6)) * (wide, 1) + (MIDDLE, 0),
                darker(self.hair, 0.4),
                None,
                6,
            )

    def fringe(self):
        """Bangs: locks from the hairline down, over a fifth of the forehead per degree."""
        degree, wide, rng = self.person.bangs, self.wide, self.rng
        reach, locks = 236 * wide, 11
        edges = np.linspace(-reach, reach, locks + 1)
        tones = (lighter(self.hair, 0.09), darker(self.hair, 0.09))
        for lock in range(locks):
            left, right = edges[lock] - 8, edges[lock + 1] + 8
            x = np.linspace(left, right, 9)
            begin = self.hairline(x)
            tip = np.clip(1 - np.abs(np.linspace(-1, 1, 9)) ** 2.4, 0, 1)
            wave = 7 + 2 * degree
            end = begin + (BROWS - begin) * degree / 5 + wave * (tip - 0.68) + rng.uniform(-2, 2)
            shape = np.vstack((np.column_stack((x, begin - 60)), np.column_stack((x, end))[::-1]))
            self.add(shape + (MIDDLE, 0), tones[lock % 2], "hair")

    # ............................................................................................ hats and jewelry

    def hat(self):
        kind, wide = self.person.hat, self.wide
        if not kind:
            return
        color, dark = self.person.accent, darker(self.person.accent, 0.25)
        away = np.linspace(-300, 300, 41) * wide
        rim = np.column_stack((MIDDLE + away, self.hairline(away) + 2))

        def dome(top, reach, shoulder=0.5):
            u = np.linspace(-1, 1, 41)
            rise = (1 - np.abs(u) ** (2 / shoulder)) ** 0.5
            foot = rim[np.abs(rim[:, 0] - MIDDLE) <= reach * wide + 1]
            low = foot[0, 1]
            crown = np.column_stack((MIDDLE + reach * wide * u, low - (low - top) * rise))
            return np.vstack((foot, crown[::-1]))

        def band(high, reach):
            foot = rim[np.abs(rim[:, 0] - MIDDLE) <= reach * wide + 1]
            return np.vstack((foot, foot[::-1] - (0, high)))

        match kind:
            case "beanie":
                self.add(ellipse(MIDDLE, -20, 70, 66), lighter(color, 0.5), "hat")
                self.add(dome(10, 296), color, "hat")
                self.add(band(84, 300), dark, "hat")
                for x in range(-270, 271, 45):
                    y = self.hairline(x * wide)
                    self.add(polygon((MIDDLE + x * wide, y - 6), (MIDDLE + x * wide, y - 76)), color, None, 8)
            case "cap":
                self.add(dome(20, 292), color, "hat")
                self.add(ellipse(MIDDLE, 22, 18, 12), dark, "hat")
                peak = curve(
                    [(-250, 250), (-150, 190), (0, 168), (150, 190), (250, 250), (130, 226), (0, 236), (-130, 226)]
                )
                self.add(peak * (wide, 1) + (MIDDLE, 0), dark, "hat")
                self.add(ellipse(MIDDLE, 110, 46, 40), lighter(color, 0.7), None)
            case "sun":
                straw = (236, 206, 140)
                brim = curve(
                    [(-470, 250), (-250, 120), (0, 90), (250, 120), (470, 250), (250, 292), (0, 238), (-250, 292)],
                    closed=True,
                )
                self.add(dome(-60, 250, 0.7), straw, "hat")
                self.add(brim * (wide, 1) + (MIDDLE, 0), darker(straw, 0.12), "hat")
                ribbon = curve([(-244, 150), (0, 96), (244, 150), (244, 104), (0, 46), (-244, 104)], closed=True)
                self.add(ribbon * (wide, 1) + (MIDDLE, 0), color, "hat")
            case "bowler":
                felt = darker(color, 0.45)
                self.add(dome(-40, 262, 0.6), felt, "hat")
                brim = curve(
                    [(-360, 210), (-200, 236), (0, 180), (200, 236), (360, 210), (230, 300), (0, 240), (-230, 300)],
                    closed=True,
                )
                self.add(brim * (wide, 1) + (MIDDLE, 0), darker(felt, 0.3), "hat")
                ribbon = curve([(-252, 200), (0, 150), (252, 200), (252, 150), (0, 100), (-252, 150)], closed=True)
                self.add(ribbon * (wide, 1) + (MIDDLE, 0), lighter(color, 0.4), "hat")
            case "beret":
                top = curve(
                    [(-310, 230), (-380, 130), (-240, 10), (60, -20), (300, 70), (330, 180), (300, 260), (0, 200)],
                    closed=True,
                )
                self.add(top * (wide, 1) + (MIDDLE, 0), color, "hat")
                self.add(polygon((MIDDLE - 20, -4), (MIDDLE - 10, -50)), dark, "hat", 18)
                self.add(band(40, 290), dark, "hat")

    def jewelry(self):
        person, wide = self.person, self.wide
        metal = GOLD if person.tone else SILVER
        for _, lobe in both(polygon((MIDDLE + 264 * wide, 622))):
            x, y = lobe[0]
            match person.earrings:
                case "studs":
                    self.add(ellipse(x, y, 17, 17), metal, "ear_r")
                    self.add(ellipse(x - 4, y - 5, 6, 6), lighter(metal, 0.8))
                case "hoops":
                    self.add(ellipse(x, y + 44, 40, 46), metal, "ear_r", 11)
                case "drops":
                    self.add(ellipse(x, y, 10, 10), metal, "ear_r")
                    self.add(polygon((x, y), (x, y + 40)), metal, "ear_r", 6)
                    drop = curve([(x, y + 34), (x + 22, y + 78), (x, y + 100), (x - 22, y + 78)], closed=True)
                    self.add(drop, person.accent, "ear_r")
        neck = (80 if person.age == 0 else 94) * wide
        u = np.linspace(-1, 1, 25)
        chain = np.column_stack((MIDDLE + (neck + 14) * u, 912 + 86 * (1 - u**2)))
        match person.necklace:
            case "chain":
                self.add(chain, metal, "neck_l", 11)
            case "pearls":
                for x, y in chain:
                    self.add(ellipse(x, y, 13, 13), PEARL, "neck_l")
                    self.add(ellipse(x, y, 13, 13), darker(PEARL, 0.2), None, 2)
            case "pendant":
                self.add(chain, metal, "neck_l", 6)
                self.add(ellipse(MIDDLE, 1002, 24, 28), person.accent, "neck_l")
                self.add(ellipse(MIDDLE, 1002, 24, 28), metal, "neck_l", 6)


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

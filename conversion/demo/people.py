"""Who is in a demo: its cast of made-up people, their degrees, looks and binary attributes."""

import random
from dataclasses import dataclass
from typing import NamedTuple

from celeba_dialog import HQ
from celeba_dialog import PARTITION
from celeba_dialog import PARTITION_ENDS
from celeba_dialog import RELEASE_NAMES

COLUMNS = tuple(RELEASE_NAMES)  # of the degrees
IDENTITIES = 10177
UNLABELED_HQ, UNLABELED_STANDARD = 5380, 39459  # one image in two sizes, without labels, captions and requests

SKINS = (
    (255, 228, 210),
    (250, 212, 184),
    (240, 194, 158),
    (222, 168, 126),
    (190, 134, 94),
    (150, 100, 70),
    (108, 72, 54),
)
IRISES = ((74, 48, 34), (96, 68, 40), (62, 104, 92), (58, 104, 152), (88, 120, 70), (40, 34, 36))
CLOTHES = ((64, 92, 150), (190, 74, 70), (66, 128, 108), (232, 176, 70), (120, 86, 146), (60, 64, 78), (226, 222, 212))
BACKGROUNDS = ((178, 214, 222), (246, 214, 170), (200, 220, 184), (232, 196, 200), (206, 200, 230), (240, 230, 206))
FRAMES = ((32, 30, 34), (112, 66, 38), (150, 36, 44), (34, 58, 110))
DARK_METALS, LIGHT_METALS = ((70, 70, 78), (150, 104, 40)), ((236, 196, 96), (214, 218, 226))
SHORT_STYLES = ("short", "buzz", "quiff", "curly")
LONG_STYLES = ("bob", "long", "wavy", "bun", "pigtails", "braids", "afro")
UNDER_HATS = ("short", "buzz", "bob", "long", "wavy", "braids")
WAVY_STYLES = ("wavy", "curly", "afro")
STRAIGHT_STYLES = ("bob", "long", "short", "bun", "pigtails")
HATS = ("beanie", "cap", "sun", "bowler", "beret")
GARMENTS = ("round", "stripes", "v", "hood", "shirt")
PATTERNS = ("plain", "halo", "dots", "stripes", "hills", "window", "leaves")


# ------------------------------------------------------------------------------------------------------------ people


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
    child = age == 0
    keeps = _features(character, male)
    styles = SHORT_STYLES if male else LONG_STYLES
    if male and age > 2 and not degrees["bangs"] and day.random() < 0.4:
        styles = ("bald",)
    hat = day.choice(HATS) if day.random() < 0.2 else None
    if hat:
        styles = [style for style in styles if style in (*UNDER_HATS, "bald")]
    metals = DARK_METALS if sum(keeps["skin"]) > 450 else LIGHT_METALS  # a thin frame needs the contrast
    makeup = not male and not child and day.random() < 0.5
    necktie = male and age > 1 and degrees["beard"] < 4 and day.random() < 0.35
    necklace = day.choice(("chain", "pearls", "pendant")) if not male and day.random() < 0.4 else None
    return Person(
        male,
        **degrees,
        **keeps,
        style=day.choice(styles),
        parting=day.choice((-1, 0, 1)),
        receding=male and age > 2 and not degrees["bangs"] and day.random() < 0.4,
        gray=age == 5 or (age == 4 and day.random() < 0.4),
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
        frame=day.choice(metals if degrees["eyeglasses"] in (2, 4) else FRAMES),
        pattern=day.choice(PATTERNS),
        backdrop=day.choice(BACKGROUNDS),
        blurry=blurry,
        grain=day.randrange(1 << 30),
    )


def _features(character, male):
    """What someone keeps from picture to picture."""
    return {
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


def attributes(person):
    """The names of CelebA's binary attributes that hold for a person: the drawn ones, and the degrees as yes or no."""
    hair = None if person.style == "bald" else "gray" if person.gray else person.natural_hair
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
        "Sideburns": person.beard > 2 and not person.goatee,
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


# ---------------------------------------------------------------------------------------------------------- the cast


class Member(NamedTuple):
    """One image of the demo: where it stands in the release and who is drawn in it."""

    split: str  # of CelebA's partition
    number: int  # of the CelebA image
    hq_number: int | None
    in_standard: bool
    identity: int
    labeled: bool
    person: Person


def cast(hq, standard, seed):
    """The members of a demo of `hq` HQ and `standard` standard images, HQ first."""
    rng = generator(seed, "cast")
    hq_splits = _hq_splits(hq, rng)
    shown_in_both, others = _standard_images(hq_splits, standard)
    places = [*hq_splits.items(), *((None, split) for split in others)]  # HQ number or None, split
    numbers = _standard_numbers(len(places), rng)
    identities = rng.sample(range(1, IDENTITIES + 1), len(places))
    latest, sex, dealer, members = {}, {}, Dealer(rng), []
    for hq_number, split in places:
        labeled = hq_number != UNLABELED_HQ
        number = numbers[split].pop() if labeled else UNLABELED_STANDARD
        identity = identities.pop()
        if split in latest and rng.random() < 0.2:  # someone seen before, in the same split
            identity = latest[split]
        latest[split] = identity
        male = sex.setdefault(identity, len(sex) % 2 == 0)
        degrees = dealer.degrees(male) if labeled else dict.fromkeys(COLUMNS, 0) | {"age": 1}
        character, day = generator(seed, "identity", identity), generator(seed, "image", number)
        person = invent(character, day, male, degrees, blurry=not labeled)
        in_standard = hq_number is None or hq_number in shown_in_both
        members.append(Member(split, number, hq_number, in_standard, identity, labeled, person))
    return members


def generator(*key):
    """A random generator of its own for each purpose, so that one more draw here changes nothing there."""
    return random.Random(" ".join(map(str, key)))  # noqa: S311


def _hq_splits(count, rng):
    """{HQ number: split}: numbers spread over the official ones, 0 among them, and 5380 as soon as there are two."""
    edges = [i * HQ.images // count for i in range(count + 1)]
    numbers = [rng.randrange(low, high) for low, high in zip(edges, edges[1:], strict=False)]
    numbers[0] = 0
    if count > 1:
        numbers[max(1, UNLABELED_HQ * count // HQ.images)] = UNLABELED_HQ
    labeled = [number for number in numbers if number != UNLABELED_HQ]
    splits = [split for split, share in _shares(len(labeled)).items() for _ in range(share)]
    rng.shuffle(splits)
    found = dict(zip(labeled, splits, strict=True)) | {UNLABELED_HQ: "train"}  # where its CelebA image is
    return {number: found[number] for number in numbers}


def _shares(count):
    """How many of `count` images go to each part: about 80/10/10, from three images on none empty."""
    few = max(1, round(count / 9)) if count > 2 else 0
    return {"train": count - 2 * few, "validation": few, "test": few}


def _standard_images(hq_splits, count):
    """The standard images: numbers of the HQ images that are among them, and the splits of all others."""
    # The unlabeled image has a standard one too, unless that is the only one: a file without any label is refused.
    unlabeled = UNLABELED_HQ in hq_splits and count > 1
    room, chosen = _shares(count - unlabeled), set()
    room["train"] += unlabeled
    for number in sorted(hq_splits, key=lambda number: (number == UNLABELED_HQ) == (count == 1)):
        if room[hq_splits[number]]:
            room[hq_splits[number]] -= 1
            chosen.add(number)
    for number in hq_splits:  # a split may have had too little room where the whole has enough
        if len(chosen) < count:
            chosen.add(number)
    left, others = count - len(chosen), []
    for split in reversed(PARTITION):
        share = left if split == "train" else min(left, room[split])
        others += [split] * share
        left -= share
    return chosen, others


def _standard_numbers(count, rng):
    """{split: `count` numbers of labeled standard images in it}."""
    starts = (1, *(end + 1 for end in PARTITION_ENDS))
    return {
        split: rng.sample([number for number in range(start, end + 1) if number != UNLABELED_STANDARD], count)
        for split, start, end in zip(PARTITION, starts, PARTITION_ENDS, strict=False)
    }


class Dealer:
    """Deals degrees from shuffled decks, so that a few people show them all."""

    DECKS = {
        "bangs": (0, 0, 1, 2, 3, 4, 5),
        "eyeglasses": (0, 0, 0, 0, 0, 1, 2, 3, 4, 5),
        "beard": (0, 1, 2, 3, 4, 5),
        "smiling": (0, 1, 2, 3, 4, 5),
        "age": (0, 1, 1, 2, 3, 4, 5),
    }

    def __init__(self, rng):
        self.rng = rng
        self.left = {column: [] for column in self.DECKS}

    def degrees(self, male):
        """{column: degree} of one more person."""
        degrees = {column: self._next(column) for column in ("bangs", "eyeglasses", "smiling", "age")}
        degrees["beard"] = self._next("beard") if male and degrees["age"] > 0 else 0
        return {column: degrees[column] for column in COLUMNS}

    def _next(self, column):
        if not self.left[column]:
            self.left[column] = self.rng.sample(self.DECKS[column], len(self.DECKS[column]))
        return self.left[column].pop()

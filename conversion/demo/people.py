"""Who is in a demo: its cast of made-up people, their degrees, binary attributes and looks."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..release.vocabulary import HQ, PARTITION, PARTITION_ENDS, RELEASE_NAMES
from .shapes import Color

COLUMNS = tuple(RELEASE_NAMES)  # of the degrees
IDENTITIES = 10177
UNLABELED_HQ, UNLABELED_STANDARD = 5380, 39459  # one image in two sizes, without labels, captions and requests

# ------------------------------------------------------------------------------------------------------------ people

PALE, *SKINS = (255, 228, 210), (246, 206, 176), (228, 176, 136), (190, 134, 94), (160, 108, 76), (94, 60, 46)
HAIRS = {"Black_Hair": (42, 36, 44), "Brown_Hair": (124, 78, 50), "Blond_Hair": (236, 200, 118)}
IRISES = ((74, 48, 34), (62, 104, 92), (58, 104, 152), (88, 120, 70))
CLOTHES = ((64, 92, 150), (190, 74, 70), (66, 128, 108), (232, 176, 70), (120, 86, 146), (60, 64, 78))
FRAMES = ((32, 30, 34), (176, 36, 48), (34, 58, 110))  # of glasses
BACKDROPS = ((178, 214, 222), (246, 214, 170), (200, 220, 184), (232, 196, 200), (206, 200, 230))

# Attribute -> its chance for a woman and for a man. The first ones someone keeps from picture to picture.
LASTING = {
    "Arched_Eyebrows": (0.5, 0.2),
    "Attractive": (0.5, 0.5),  # tossed up: no drawing shows it
    "Big_Lips": (0.3, 0.2),
    "Big_Nose": (0.15, 0.3),
    "Bushy_Eyebrows": (0.1, 0.4),
    "Chubby": (0.2, 0.2),
    "Narrow_Eyes": (0.2, 0.2),
    "Oval_Face": (0.5, 0.3),
    "Pale_Skin": (0.15, 0.15),
    "Pointy_Nose": (0.3, 0.3),
}
PASSING = {
    "Bald": (0, 0.4),
    "Goatee": (0, 0.4),
    "Heavy_Makeup": (0.5, 0),
    "Receding_Hairline": (0, 0.5),
    "Rosy_Cheeks": (0.5, 0.1),
    "Wavy_Hair": (0.4, 0.4),
    "Wearing_Earrings": (0.5, 0),
    "Wearing_Hat": (0.15, 0.15),
    "Wearing_Necklace": (0.4, 0),
    "Wearing_Necktie": (0, 0.4),
}


@dataclass
class Person:
    """All that a face is drawn from. Degrees go from 0 to 5, colors are RGB."""

    bangs: int
    eyeglasses: int
    beard: int
    smiling: int
    age: int
    attributes: set[str]  # the names of CelebA's binary attributes that hold
    skin: Color
    iris: Color
    hair: Color  # before it is gray
    cloth: Color
    accent: Color  # of hat, necktie and makeup
    frame: Color  # of glasses
    backdrop: Color
    grain: int  # seeds the small irregularities of the drawing

    @property
    def male(self) -> bool:
        return "Male" in self.attributes


def invent(
    character: random.Random, day: random.Random, male: bool, degrees: dict[str, int], blurry: bool = False
) -> Person:
    """A person with these degrees: the random generator `character` decides what someone keeps, `day` the rest."""
    chances = [(character, LASTING), (day, PASSING)]
    tossed = {name for rng, table in chances for name, chance in table.items() if rng.random() < chance[male]}
    color = character.choice(list(HAIRS))
    attributes = tossed - _ruled_out(tossed, **degrees) | _shown_by_degrees(**degrees)
    if male:
        attributes.add("Male")
    if blurry:
        attributes.add("Blurry")
    if "Heavy_Makeup" in attributes:
        attributes.add("Wearing_Lipstick")
    if "Chubby" in attributes and degrees["age"] > 2:
        attributes.add("Double_Chin")
    if "Goatee" in attributes:
        attributes.remove("Sideburns")
    if "Bald" not in attributes:
        attributes.add("Gray_Hair" if degrees["age"] == 5 else color)
        if "Wavy_Hair" not in attributes:
            attributes.add("Straight_Hair")
    skin = character.choice(SKINS)
    cloth, accent = day.sample(CLOTHES, 2)
    return Person(
        **degrees,
        attributes=attributes,
        skin=PALE if "Pale_Skin" in attributes else skin,
        iris=character.choice(IRISES),
        hair=HAIRS[color],
        cloth=cloth,
        accent=accent,
        frame=day.choice(FRAMES),
        backdrop=day.choice(BACKDROPS),
        grain=day.randrange(1 << 30),
    )


def _shown_by_degrees(bangs: int, eyeglasses: int, beard: int, smiling: int, age: int) -> set[str]:
    """The attributes that hold because of the degrees."""
    holds = {
        "5_o_Clock_Shadow": beard in (1, 2),
        "Bags_Under_Eyes": age > 2,
        "Bangs": bangs > 0,
        "Eyeglasses": eyeglasses > 0,
        "High_Cheekbones": smiling > 2,
        "Mouth_Slightly_Open": smiling > 1,
        "Mustache": beard > 1,
        "No_Beard": beard == 0,
        "Sideburns": beard > 2,
        "Smiling": smiling > 0,
        "Young": age < 3,
    }
    return {name for name, value in holds.items() if value}


def _ruled_out(attributes: set[str], bangs: int, beard: int, age: int, **_: int) -> set[str]:
    """The attributes that cannot hold with these degrees, or together with others of `attributes`."""
    bald = "Bald" in attributes and age > 2 and not bangs
    rules = {
        "Bald": not bald,
        "Goatee": beard != 3,
        "Heavy_Makeup": age == 0,
        "Oval_Face": "Chubby" in attributes,
        "Receding_Hairline": bald or age < 3 or bangs > 0,
        "Wavy_Hair": bald,
        "Wearing_Necktie": age < 2 or beard > 3,  # a long beard hides it
    }
    return {name for name, value in rules.items() if value}


# ---------------------------------------------------------------------------------------------------------- the cast

# Splits as they are dealt, over and over: three labeled images are in all of them, many are parted about 80/10/10.
SPLITS = ("train", "validation", "test", *["train"] * 6)

# Degrees as they are dealt, shuffled, so that a few people show them all.
DEGREES = {
    "bangs": (0, 0, 1, 2, 3, 4, 5),
    "eyeglasses": (0, 0, 0, 0, 0, 1, 2, 3, 4, 5),
    "beard": (0, 1, 2, 3, 4, 5),
    "smiling": (0, 1, 2, 3, 4, 5),
    "age": (0, 1, 1, 2, 3, 4, 5),
}


class Member(NamedTuple):
    """One image of the demo: where it stands in the release and who is drawn in it."""

    split: str  # of CelebA's partition
    number: int  # of the CelebA image
    hq_number: int | None
    in_standard: bool
    identity: int
    labeled: bool
    person: Person


def cast(hq: int, standard: int, seed: int) -> list[Member]:
    """The members of a demo of `hq` HQ and `standard` standard images. The first ones are in both.

    From two HQ images on, the second member is the unlabeled image: a demo of one image has labels.
    """
    rng = generator(seed, "cast")
    count = max(hq, standard)
    hq_numbers, numbers = _hq_numbers(hq, rng), _labeled_numbers(count, rng)
    identities = rng.sample(range(1, IDENTITIES + 1), count)
    splits = itertools.cycle(SPLITS)
    decks = {column: _dealt(deck, rng) for column, deck in DEGREES.items()}
    latest: dict[str, int] = {}  # split -> identity
    sex: dict[int, bool] = {}  # identity -> whether male
    members = []
    for index in range(count):
        hq_number = hq_numbers[index] if index < hq else None
        labeled = hq_number != UNLABELED_HQ
        split = next(splits) if labeled else "train"
        number = numbers[split].pop() if labeled else UNLABELED_STANDARD
        identity = latest[split] if split in latest and rng.random() < 0.2 else identities.pop()
        latest[split] = identity
        male = sex.setdefault(identity, len(sex) % 2 == 0)
        degrees = dict.fromkeys(COLUMNS, 0) | {"age": 1}
        if labeled:
            degrees |= {column: next(decks[column]) for column in COLUMNS if column != "beard"}
            if male and degrees["age"] > 0:
                degrees["beard"] = next(decks["beard"])
        character, day = generator(seed, "identity", identity), generator(seed, "image", number)
        person = invent(character, day, male, degrees, blurry=not labeled)
        members.append(Member(split, number, hq_number, index < standard, identity, labeled, person))
    return members


def generator(*key: object) -> random.Random:
    """A random generator of its own for each purpose, so that one more draw here changes nothing there."""
    return random.Random(" ".join(map(str, key)))  # noqa: S311


def _hq_numbers(count: int, rng: random.Random) -> list[int]:
    """`count` HQ file numbers: 0, the unlabeled one, then any."""
    first = (0, UNLABELED_HQ)
    others = [number for number in range(HQ.images) if number not in first]
    return [*first, *rng.sample(others, max(0, count - 2))][:count]


def _labeled_numbers(count: int, rng: random.Random) -> dict[str, list[int]]:
    """{split: `count` file numbers of labeled standard images in it}."""
    starts = (0, *PARTITION_ENDS)
    return {
        split: rng.sample([number for number in range(start + 1, end + 1) if number != UNLABELED_STANDARD], count)
        for split, start, end in zip(PARTITION, starts, PARTITION_ENDS, strict=False)
    }


def _dealt(deck: Sequence[int], rng: random.Random) -> Iterator[int]:
    """The cards of a deck, shuffled, without end."""
    while True:
        yield from rng.sample(deck, len(deck))

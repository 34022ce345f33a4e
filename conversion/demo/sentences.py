"""What is said of the people of a demo: captions, and requests to edit their faces."""

from random import Random
from typing import Any

from ..release.vocabulary import REQUEST_MODES
from .people import COLUMNS, Person

# Column -> for each degree, ways to say it: what a face "has", and for age what it "is".
PHRASES = {
    "bangs": (
        ("no bangs, so that the whole forehead shows", "a forehead with no fringe in front of it"),
        ("a very short fringe that leaves most of the forehead free", "tiny bangs just below the hairline"),
        ("fairly short bangs over the upper forehead", "a fringe that hides less than half of the forehead"),
        ("bangs that cover a good half of the forehead", "a medium fringe past the middle of the forehead"),
        ("rather long bangs that leave a strip of forehead", "a long fringe that ends a little above the brows"),
        ("long bangs right down to the brows", "a full fringe that hides the whole forehead"),
    ),
    "eyeglasses": (
        ("no glasses", "nothing in front of the eyes"),
        ("rimless glasses", "glasses with hardly any rim"),
        ("glasses with a slim frame", "thin-framed glasses"),
        ("glasses with a thick frame", "heavy-framed glasses"),
        ("sunglasses with a thin frame", "slim sunglasses"),
        ("sunglasses with a thick frame", "chunky sunglasses"),
    ),
    "beard": (
        ("no beard", "a smooth chin"),
        ("a freshly shaved chin with a faint shadow", "the bare shadow of a beard"),
        ("short stubble", "a few days of stubble"),
        ("a beard of medium length", "a beard that has grown for some weeks"),
        ("a long and tidy beard", "a long, neatly combed beard"),
        ("a long bushy beard", "a long, wild beard"),
    ),
    "smiling": (
        ("no smile", "a serious mouth"),
        ("a small smile with closed lips", "a gentle smile that shows no teeth"),
        ("a small smile that shows a few teeth", "a slight smile with a bit of teeth"),
        ("a smile with a whole row of teeth", "a clear smile that shows all the upper teeth"),
        ("a big smile with slightly parted teeth", "a broad smile with the mouth a little open"),
        ("a huge smile with the mouth wide open", "a laughing, wide open mouth"),
    ),
    "age": (
        ("under fifteen", "not yet fifteen"),
        ("between fifteen and thirty", "over fifteen but under thirty"),
        ("between thirty and forty", "over thirty but not yet forty"),
        ("between forty and fifty", "middle-aged"),
        ("between fifty and sixty", "over fifty but not yet sixty"),
        ("over sixty", "older than sixty"),
    ),
}
# Column -> what to ask for to raise its degree, and to lower it.
CHANGES = {
    "bangs": ("make the bangs longer", "make the bangs shorter"),
    "eyeglasses": ("go for heavier glasses", "go for lighter glasses"),
    "beard": ("let the beard grow", "trim the beard"),
    "smiling": ("make the smile bigger", "make the smile smaller"),
    "age": ("make the face older", "make the face younger"),
}
STEPS = ("one step", "two steps", "three steps", "four steps", "five steps")
OPENINGS = ("Please {}.", "Could you {}?", "I would like you to {}.", "Now {}.", "It would be nice if you could {}.")
OVERALL = (
    "This {noun} is {age} and has {first}. {Subject} has {rest}.",
    "The picture shows a {noun} with {first}. {Subject} is {age} and has {rest}.",
    "A {noun} with {rest}. {Subject} is {age} and has {first}.",
)


def captions(person: Person, rng: Random) -> tuple[str, dict[str, str | None]]:
    """The overall caption, and {column: caption}, in which a caption may be None, "" or missing, as in the release."""
    noun = ("boy" if person.male else "girl") if person.age == 0 else ("man" if person.male else "woman")
    subject = "He" if person.male else "She"

    def say(column: str) -> str:
        return rng.choice(PHRASES[column][getattr(person, column)])

    each: dict[str, str | None] = {}
    for column in COLUMNS:
        verb = "is" if column == "age" else "has"
        each[column] = f"{rng.choice((subject, f'This {noun}', f'The {noun}'))} {verb} {say(column)}."
    parts = [say(column) for column in ("bangs", "eyeglasses", "smiling")]
    if _may_have_beard(person):
        parts.append(say("beard"))
    rng.shuffle(parts)
    first, rest = parts[0], ", ".join(parts[1:-1]) + " and " + parts[-1]
    overall = rng.choice(OVERALL).format(noun=noun, age=say("age"), first=first, rest=rest, Subject=subject)
    if not person.male:
        each["beard"] = rng.choice((None, None, "", each["beard"]))
    if rng.random() < 0.12:
        del each[rng.choice(COLUMNS)]
    return overall, each


def request(person: Person, rng: Random) -> tuple[str, dict[str, Any]]:
    """One editing request: the sentence, and what it asks for, with None for what it does not say.

    Asked for are `mode`, `attribute`, `direction` ("positive", "negative"), `value` (steps) and `target` (a degree).
    """
    column = rng.choice([column for column in COLUMNS if column != "beard" or _may_have_beard(person)])
    mode = rng.choice(REQUEST_MODES)
    degree = getattr(person, column)
    wanted = rng.choice([other for other in range(6) if other != degree])
    asked: dict[str, Any] = {"mode": mode, "attribute": column, "direction": None, "value": None, "target": None}
    if mode == "target":
        asked["target"] = wanted
        goal = rng.choice(PHRASES[column][wanted])
        deed = f"make this face look {goal}" if column == "age" else f"give this face {goal}"
    else:
        more, less = CHANGES[column]
        asked["direction"], deed = ("positive", more) if wanted > degree else ("negative", less)
        if mode == "change_definite":
            asked["value"] = abs(wanted - degree)
            deed += " by " + STEPS[asked["value"] - 1]
    return rng.choice(OPENINGS).format(deed), asked


def _may_have_beard(person: Person) -> bool:
    return person.male and person.age > 0

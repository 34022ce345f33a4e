"""python -m tests.fuzz --seconds N [--target NAME]: look for bytes that a reader neither takes nor refuses.

Seeds are changed at random. What is found is kept in tests/fuzz/cases/TARGET, where the tests run it again for ever.
"""

import argparse
import hashlib
import random
import sys
import time
from pathlib import Path

CASES = Path(__file__).parent / "cases"
LONGEST = 20_000  # bytes of an input


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10, metavar="N", help="per target (default: %(default)s)")
    parser.add_argument("--target", action="append", metavar="NAME", help="one of them only; may be repeated")
    args = parser.parse_args()
    from tests.fuzz.targets import TARGETS, seeds

    strange = set(args.target or ()) - set(TARGETS)
    if strange:
        parser.error(f"{', '.join(strange)}: the targets are {', '.join(TARGETS)}")
    start, failed = seeds(), []
    for name in args.target or TARGETS:
        inputs, find = at_random(name, start[name], args.seconds)
        print(f"{name}: {inputs:,} inputs, {find or 'nothing found'}", flush=True)
        failed += [name] if find else []
    return 1 if failed else 0


def at_random(name, seeds, seconds=None, count=None, seed=0):
    """(inputs tried, what was found or None): changed seeds, for so many seconds or so many inputs."""
    from tests.fuzz.targets import TARGETS

    rng = random.Random(f"{name} {seed}")  # noqa: S311
    end = time.monotonic() + seconds if seconds else None
    inputs = 0
    while inputs != count and (end is None or time.monotonic() < end):
        data = changed(rng, seeds)
        inputs += 1
        try:
            TARGETS[name](data)
        except Exception as error:
            path = CASES / name / f"crash-{hashlib.sha256(data).hexdigest()[:16]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            return inputs, f"{error!r}, kept in {path}"
    return inputs, None


ODD = rb"""\0 \xff \n \r \t " { } [ , : \\ -1 999999999999 None null 0x5 PK\1\2 PK\5\6 \xed\xa0\x80 \xef\xbb\xbf
\0\0\0\0 \xff\xff\xff\xff \x7f\xff\xff\xff\xff\xff\xff\xff""".split()
ODD = [b" ", *(word.decode("unicode_escape").encode("latin-1") for word in ODD)]


def changed(rng, seeds):
    """A seed with a few changes: bytes flipped, replaced, cut out, repeated, taken from another seed."""
    data = bytearray(rng.choice(seeds)[:LONGEST])
    for _ in range(rng.choice((1, 1, 1, 2, 4, 32))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + (1 << rng.randrange(10)))
        what = rng.randrange(7)
        if what == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1 and at < len(data):
            data[at] = rng.randrange(256)
        elif what == 2:
            del data[at:end]
        elif what == 3:
            data[at:at] = data[at:end]
        elif what == 4:
            odd = rng.choice(ODD)
            data[at : at + rng.choice((0, len(odd)))] = odd
        elif what == 5:
            other = rng.choice(seeds)
            start = rng.randrange(len(other) + 1)
            data[at:end] = other[start : start + 64]
        elif rng.randrange(8) == 0:
            del data[at:]
    return bytes(data[:LONGEST])


if __name__ == "__main__":
    sys.exit(main())

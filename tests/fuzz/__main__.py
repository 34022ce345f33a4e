"""python -m tests.fuzz --seconds N [--target NAME]: look for bytes that a reader neither takes nor refuses.

With atheris installed, its coverage guides the search; without, seeds are changed at random. What is found is kept in
tests/fuzz/cases/TARGET, where the tests run it again for ever.
"""

import argparse
import hashlib
import random
import re
import subprocess
import sys
import tempfile
import time
from importlib import util
from pathlib import Path

CASES = Path(__file__).parent / "cases"
LONGEST = 20_000  # bytes of an input


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10, metavar="N", help="per target (default: %(default)s)")
    parser.add_argument("--target", action="append", metavar="NAME", help="one of them only; may be repeated")
    parser.add_argument("--inside-atheris", metavar="CORPUS", help=argparse.SUPPRESS)
    args, further = parser.parse_known_args()
    if args.inside_atheris:
        return guided(args.target[0], args.inside_atheris, further)
    from tests.fuzz.targets import TARGETS, seeds

    strange = set(args.target or ()) - set(TARGETS)
    if strange or further:
        parser.error(f"{', '.join([*strange, *further])}: the targets are {', '.join(TARGETS)}")
    start, failed = seeds(), []
    for name in args.target or TARGETS:
        search = in_atheris if util.find_spec("atheris") else at_random
        inputs, find = search(name, start[name], args.seconds)
        print(f"{name}: {inputs:,} inputs, {find or 'nothing found'}", flush=True)
        failed += [name] if find else []
    return 1 if failed else 0


def in_atheris(name, seeds, seconds):
    """(inputs tried, what was found or None), in a process of its own, because atheris ends the one that it runs in."""
    folder = CASES / name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            (Path(corpus) / str(number)).write_bytes(seed[:LONGEST])
        limits = [f"-max_total_time={int(seconds)}", f"-max_len={LONGEST}", "-timeout=60", "-rss_limit_mb=3000"]
        command = [sys.executable, "-m", "tests.fuzz", "--target", name, "--inside-atheris", corpus]
        done = subprocess.run(  # noqa: S603
            [*command, *limits, f"-artifact_prefix={folder}/"], capture_output=True, text=True, errors="replace"
        )
    counts = re.findall(r"^#([0-9]+)\s|Done ([0-9]+) runs", done.stderr, re.M)
    inputs = max([int(one or other) for one, other in counts], default=0)
    if done.returncode == 0:
        if not any(folder.iterdir()):
            folder.rmdir()
        return inputs, None
    print(done.stdout[-3000:], done.stderr[-1000:], file=sys.stderr)
    return inputs, f"a find, kept in {folder}"


def guided(name, corpus, options):
    import atheris

    with atheris.instrument_imports(include=["celeba_dialog"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *options, corpus], TARGETS[name])
    atheris.Fuzz()


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

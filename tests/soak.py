"""Build, interrupt, resume, verify, stream and damage random releases for a given time, and compare with the truth.

    python -m tests.soak --minutes 60 [--seed N]

Every release is another: its size, its split into images, its faces and sentences. The first difference ends the run
with exit status 1, and the seed that it is repeated with.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]
_home = tempfile.TemporaryDirectory(prefix="celeba-dialog-soak-")
os.environ["HF_HOME"] = _home.name

import datasets  # noqa: E402
from commands import Commands, read_splits, tree  # noqa: E402
from conftest import Demo  # noqa: E402
from doors import undecoded  # noqa: E402
from making import write_release  # noqa: E402

from celeba_dialog import CONFIGS, CelebADialog  # noqa: E402

COUNTS = dict.fromkeys("releases builds kills verifies damages rows".split(), 0)


class Difference(Exception):
    """Something was not as it should be."""


def expect(good, what):
    if not good:
        raise Difference(what)


def go_round(seed, folder, commands):
    """One release, from its making to its end."""
    rng = random.Random(seed)  # noqa: S311
    root, out = folder / "release", folder / "celeba_dialog"
    for path in (root, out):
        shutil.rmtree(path, ignore_errors=True)
    demo = Demo(root, write_release(str(root), rng.randint(1, 40), rng.randint(1, 150), seed))
    COUNTS["releases"] += 1
    configs = rng.sample(list(CONFIGS), rng.randint(1, len(CONFIGS)))
    for some in (configs[:1], configs):  # a config, and then some more
        build(rng, root, out, some, commands)
    for config in configs:
        compare(read_splits(out, config), demo, config, "Parquet")
        stream = CelebADialog(config_name=config, data_dir=str(root)).as_streaming_dataset()
        compare({split: list(undecoded(data)) for split, data in stream.items()}, demo, config, "stream")
    verify(rng, root, out, commands)


def build(rng, root, out, configs, commands):
    argv = ["build", root, out, "--allow-incomplete", f"--workers={rng.randint(1, 3)}"]
    argv += [f"--config={config}" for config in configs]
    for _ in range(rng.randint(0, 2)):
        signal = rng.choice(("SIGKILL", "SIGTERM", "SIGINT"))
        strike = ("strike", signal, int(10 ** rng.uniform(0, 3.5)), rng.choice(("group", "main")))
        before = tree(out)
        done = commands.run(*argv, faults=[strike])
        COUNTS["kills"] += done.status != 0
        expect("Traceback" not in done.text, done.text)
        if done.status and tree(out) not in (before, {}):
            expect(commands.run("verify", out, root).status == 0, "an interrupted build left half of OUT")
    done = commands.run(*argv)
    COUNTS["builds"] += 1
    expect(done.status == 0, done.text)
    expect(not list(out.parent.glob(f".{out.name}*")), "the working folder is still there")


def verify(rng, root, out, commands):
    done = commands.run("verify", out, root, f"--workers={rng.randint(1, 3)}")
    COUNTS["verifies"] += 1
    expect(done.status == 0, done.text)
    shard = rng.choice(sorted(out.rglob("*.parquet")))
    good = shard.read_bytes()
    at = rng.randrange(len(good))
    shard.write_bytes(good[:at] + bytes([good[at] ^ (1 << rng.randrange(8))]) + good[at + 1 :])
    done = commands.run("verify", out, root)
    COUNTS["damages"] += 1
    expect(done.status == 1 and shard.name in done.text, f"byte {at} of {shard} changed unseen: {done.text}")
    expect("Traceback" not in done.text, done.text)
    shard.write_bytes(good)


def compare(found, demo, config, where):
    """Every value of every row; the images of resized configs have no truth but that they are images."""
    truth = demo.splits(config)
    expect(sorted(found) == sorted(truth), f"{where} {config}: splits {sorted(found)}, not {sorted(truth)}")
    unknown = {"image", "mask"} if "image_size" in CONFIGS[config] else set()
    for split, rows in truth.items():
        expect(len(found[split]) == len(rows), f"{where} {config} {split}: {len(found[split])} rows")
        for row, expected in zip(found[split], rows):
            expect(row.keys() == expected.keys(), f"{where} {config} {split}: columns {sorted(row)}")
            for name in expected.keys() - unknown:
                expect(row[name] == expected[name], f"{where} {config} {split} {row['file_name']}: {name}")
        COUNTS["rows"] += len(rows)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="the first release (default: another one each time)")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1 << 30)
    end = time.monotonic() + 60 * args.minutes
    folder = Path(_home.name)
    with Commands(folder / "commands") as commands:
        while time.monotonic() < end:
            try:
                go_round(seed, folder, commands)
            except Difference as difference:
                print(f"--seed {seed}: {difference}", file=sys.stderr)
                return 1
            seed += 1
            commands.forget()
            print(", ".join(f"{count:,} {what}" for what, count in COUNTS.items()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

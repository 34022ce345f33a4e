"""python -m tests.benchmarks: how fast and how large, beside other ways to do the same, on a made-up release.

Everything in a line is measured in one run, in turns. A ratio is our speed by that of the other. A target missed is no
failure. What is not installed is left out, with a line:
pip install webdataset torchvision, and pip install --no-deps mosaicml-streaming brotli python-snappy cramjam zstd
"""

import argparse
import contextlib
import importlib.util
import os
import tempfile

import datasets
import pyarrow

from conversion.parquet import command as build
from tests.benchmarks import tasks
from tests.benchmarks.measure import race, run
from tests.benchmarks.release import release

CACHE = ".cache/benchmarks"

# What a user could take instead -> the module it needs, and what it does not give.
OTHERS = {
    "WebDataset ShardWriter": ("webdataset", "annotations, features, splits, access to a row"),
    "MDSWriter": ("streaming", "annotations, features, splits"),
    "imagefolder with metadata.jsonl, to_parquet": (
        "datasets",
        "masks, requests, attributes, identities, splits, names of classes, streaming from the zip",
    ),
    "torchvision CelebA, unpacked": (
        "torchvision",
        "captions, requests, degrees, HQ, masks, streaming, reading from the zip",
    ),
}


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="1 is 30,000 HQ and 202,599 standard images")
    parser.add_argument("--repeats", type=int, default=3, help="rounds, of which the best counts (default: 3)")
    parser.add_argument("--only", action="append", choices=list(GROUPS), help="some lines of the table")
    parser.add_argument("--scratch", default=CACHE, help="folder to write to, on the disk to measure with")
    args = parser.parse_args()
    os.makedirs(args.scratch, exist_ok=True)
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"  # in the processes that run the tasks
    datasets.disable_progress_bars()
    print(
        f"Scale {args.scale:g}, best of {args.repeats}, {os.cpu_count()} CPUs, pyarrow {pyarrow.__version__}, "
        f"datasets {datasets.__version__}\n\n"
        "| what | against | ratio | target | what the other does not give |\n|---|---|---|---|---|"
    )
    for name in args.only or GROUPS:
        GROUPS[name](args.scale, args.scratch, args.repeats)


def line(what, against, ratio, target, lacks=""):
    print(f"| {what} | {against} | {ratio} | {target} | {lacks} |", flush=True)


def compare(what, ours, against, theirs, target):
    lacks = OTHERS.get(against, ("", ""))[1]
    line(f"{what}: {shown(ours)}", f"{against}: {shown(theirs)}", f"{ours.speed / theirs.speed:.2f}", target, lacks)


def installed(what):
    """Whether one of OTHERS can be tried here; says so where not."""
    module, lacks = OTHERS[what]
    there = importlib.util.find_spec(module) is not None
    if not there:
        line("", what, "", f"not tried: {module} is not installed", lacks)
    return there


def shown(result):
    speed = f"{result.speed:,.0f} rows/s" if result.rows > 1 else f"{result.seconds:.2f} s"
    return f"{speed}, {result.memory / 1e6:,.0f} MB"


def build_hq(scale, scratch, repeats):
    two = {"plain copy loop, synced as the build is": ("≥ 0.9", tasks.copy_hq, True)}
    two["plain copy loop"] = ("", tasks.copy_hq, False)
    one = {"download_and_prepare of our builder": ("≥ 1.5", tasks.download_and_prepare, "hq")}
    others = {"WebDataset ShardWriter": tasks.webdataset_hq, "MDSWriter": tasks.mds_hq}
    one |= {what: ("≥ 1.0", task) for what, task in others.items() if installed(what)}
    one["imagefolder with metadata.jsonl, to_parquet"] = ("≥ 1.0", tasks.imagefolder, "hq")
    race_builds("hq", two, one, scale, scratch, repeats)


def build_standard(scale, scratch, repeats):
    two = {"plain read of zip and JSON, nothing written": ("", tasks.read_standard)}
    one = {"download_and_prepare of our builder": ("≥ 4", tasks.download_and_prepare, "standard")}
    one["imagefolder with metadata.jsonl, to_parquet"] = ("≥ 4", tasks.imagefolder, "standard")
    race_builds("standard", two, one, scale, scratch, repeats)


def race_builds(config, two, one, scale, scratch, repeats):
    """Builds with two workers and with one, each against others: {what: (target, task, what it takes besides)}."""
    root = str(release(scale, CACHE))
    two["the least work, 2 processes: CRC, hashes, write and sync"] = ("", tasks.least_work, config, 2)
    groups = {"2 workers": (2, two), "1 worker": (1, one)}
    runs = {}
    for ours, (workers, others) in groups.items():
        runs[ours] = (tasks.build_folder, root, [config], workers)
        runs |= {what: (task, root, *arguments) for what, (_, task, *arguments) in others.items()}
    results = race(scratch, repeats, **runs)
    for ours, (_, others) in groups.items():
        for what, (target, *_) in others.items():
            compare(f"build {config}, {ours}", results[ours], what, results[what], target)


@contextlib.contextmanager
def built(scale, scratch, configs=None):
    """(release, folder built from it, its rows), for a while."""
    root = str(release(scale, CACHE))
    with tempfile.TemporaryDirectory(prefix="built-", dir=scratch) as folder:
        folder = os.path.join(folder, "celeba_dialog")
        yield root, folder, tasks.rows_of(build.build(root, folder, configs, allow_incomplete=True))


def stream(scale, scratch, repeats):
    with built(scale, scratch) as (root, folder, _):
        for config, target in (("hq", "≥ 0.9"), ("standard", "≥ 0.6")):
            ours, theirs = (tasks.stream_release, root, config), (tasks.stream_parquet, folder, config)
            results = race(scratch, repeats, release=ours, parquet=theirs)
            what, against = f"stream {config} from the release, decode off", "from the built Parquet"
            compare(what, results["release"], against, results["parquet"], target)


def training(scale, scratch, repeats):
    with built(min(scale, 0.1), scratch, ["hq", "hq_256"]) as (_, folder, _):
        small, large = ((tasks.training_images, folder, config, 256, 1000) for config in ("hq_256", "hq"))
        results = race(scratch, repeats, small=small, large=large)
    what = "decoded training images of 256 pixels from hq_256"
    compare(what, results["small"], "hq, resized in the loop", results["large"], "≥ 8")


FILTERS = [
    "smiling >= 4 AND eyeglasses > 0",
    "Male AND NOT Young AND beard >= 3",
    "caption ILIKE '%smile%'",
    "contains(lower(caption), 'glasses') AND request = '' AND age >= 2 AND Wearing_Hat",
    "split = 'test'",
]


def browse(scale, scratch, repeats):
    with built(scale, scratch, ["standard"]) as (_, folder, rows):
        for pictures, what in ((False, "filters"), (True, "filters, with the 60 images of the gallery")):
            asked = {query: (tasks.browse, folder, "standard", [query], pictures) for query in FILTERS}
            results = race(scratch, repeats, **asked)
            slowest = max(results, key=lambda query: results[query].seconds)
            target = "" if pictures else "≤ 0.5 s"
            what = f"browse {rows:,} rows: the slowest of {len(FILTERS)} {what}"
            line(what, slowest, f"{results[slowest].seconds:.2f} s", target)


def first_row(scale, scratch, repeats):
    root = str(release(scale, CACHE))
    cold, warm = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(dir=scratch) as home:
            cold.append(run(scratch, tasks.first_row, root, "standard", home=home))
            warm.append(run(scratch, tasks.first_row, root, "standard", home=home))
    what = "first row of standard from the release"
    best = min(cold, key=lambda result: result.seconds)
    line(f"{what}, nothing cached", "", f"{best.seconds:.2f} s, {best.memory / 1e6:,.0f} MB", "≤ 4.5 s, 700 MB")
    line(f"{what}, a further process", "", f"{min(result.seconds for result in warm):.2f} s", "≤ 0.5 s")


def commands(scale, scratch, repeats):
    """Whole commands, their start included; what the first one reads of the texts, the others find in the cache."""
    root = release(scale, CACHE)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        home, out = os.path.join(folder, "home"), os.path.join(folder, "celeba_dialog")
        for what, target, words in (
            ("check, nothing cached", "", ["check", root]),
            ("build of hq and standard, 2 workers", "", ["build", root, out, "--workers=2", "--allow-incomplete"]),
            ("check, the index in the cache", "≤ 4 s", ["check", root]),
            ("build, all done", "≤ 3 s", ["build", root, out, "--workers=2", "--allow-incomplete"]),
            ("verify, 2 workers", "≤ 12 s", ["verify", out, root, "--workers=2"]),
        ):
            result = run(scratch, tasks.command, *words, home=home)
            line(what, "", f"{result.seconds:.2f} s, {result.memory / 1e6:,.0f} MB", target)


def torchvision(scale, scratch, repeats):
    other = "torchvision CelebA, unpacked"
    if not installed(other):
        return
    with built(scale, scratch, ["standard"]) as (root, folder, _), tempfile.TemporaryDirectory(dir=scratch) as unpacked:
        tasks.torchvision_folder(root, unpacked)
        with tempfile.TemporaryDirectory(dir=scratch) as home:
            run(scratch, tasks.first_row, root, "standard", home=home)  # makes the index
            results = race(
                scratch,
                repeats,
                ours=(tasks.first_row, root, "standard"),
                theirs=(tasks.torchvision_first_row, unpacked),
                release=(tasks.stream_loader, root, 2),
                parquet=(tasks.parquet_loader, folder, 2),
                loader=(tasks.torchvision_loader, unpacked, 2),
            )
            again = run(scratch, tasks.first_row, root, "standard", home=home)
    compare("first row of standard, nothing cached", results["ours"], other, results["theirs"], "")
    compare("first row of standard, a further process", again, other, results["theirs"], "")
    what = "DataLoader, 2 workers, batches of 64, standard from the"
    compare(f"{what} zip", results["release"], other, results["loader"], "")
    compare(f"{what} Parquet folder", results["parquet"], other, results["loader"], "")


def memory(scale, scratch, repeats):
    for part in (scale / 10, scale):
        root = str(release(part, CACHE))
        result = run(scratch, tasks.build_folder, root, ["hq", "standard"], 2)
        what = f"peak memory of a build of hq and standard, 2 workers, {result.rows:,} rows"
        line(what, "", f"{result.memory / 1e6:,.0f} MB", "≤ 1.2 GB, flat")
    with tempfile.TemporaryDirectory(dir=scratch) as home:
        run(scratch, tasks.first_row, root, "standard", home=home)
        for start in ("fork", "spawn"):
            both = (tasks.load_workers, root, "standard"), (tasks.load_numbers,)
            ours, nothing = (_of_a_worker(scratch, task, start, home) for task in both)
            what = f"memory that a further DataLoader worker adds, standard, {start}"
            line(what, f"by one that reads numbers only: {nothing / 1e6:,.0f} MB", f"{ours / 1e6:,.0f} MB", "≤ 200 MB")


def _of_a_worker(scratch, task, start, home):
    """Bytes that the second of two workers adds."""
    one, two = (run(scratch, *task, workers, start, 20_000, home=home).memory for workers in (1, 2))
    return two - one


GROUPS = {
    "hq": build_hq,
    "standard": build_standard,
    "stream": stream,
    "first-row": first_row,
    "commands": commands,
    "torchvision": torchvision,
    "training": training,
    "memory": memory,
    "browse": browse,
}

if __name__ == "__main__":
    main()

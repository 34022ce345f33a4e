"""Every way into the dataset, opened alike, so that tests compare the rows that come out of each.

In this process: `open_door("class", "hq", "map", release=RELEASE)`. As a user's program would, in a process of its
own with an empty cache, the rows of several configs at once: `rows_of("class", ["hq"], home, release=RELEASE)`.
"""

import base64
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "celeba_dialog.py"
CONFIGS = ("hq", "hq_512", "hq_256", "hq_parts", "standard")
MODES = ("map", "stream")

# `fallthrough` is register() without a release, which leaves the name to the Parquet folder.
DOORS = ("script", "class", "register", "parquet", "fallthrough", "hub")
FROM_RELEASE = ("script", "class", "register")  # the others read the folder celeba_dialog/ of the working directory
REPOSITORY = "org/celeba_dialog"  # but for `hub`, which reads this one from $HF_ENDPOINT


def doors_of(version):
    """The doors that a version of `datasets` has: loading scripts ended with 4.0."""
    return DOORS if int(version.split(".")[0]) < 4 else DOORS[1:]


def open_door(door, config, mode, release=None):
    """All splits of a config, as `load_dataset` returns them: {split: Dataset}, or IterableDataset for "stream"."""
    import datasets

    streaming = mode == "stream"
    if door == "class":
        import celeba_dialog

        builder = celeba_dialog.CelebADialog(config_name=config, data_dir=release)
        if streaming:
            return builder.as_streaming_dataset()
        builder.download_and_prepare()
        return builder.as_dataset()
    if door == "script":
        return datasets.load_dataset(str(SCRIPT), config, data_dir=release, streaming=streaming, trust_remote_code=True)
    if door in ("register", "fallthrough"):
        import celeba_dialog

        celeba_dialog.register()
    name = REPOSITORY if door == "hub" else "celeba_dialog"
    options = {"data_dir": release} if door in FROM_RELEASE else {}
    return datasets.load_dataset(name, config, streaming=streaming, **options)


def streamed(root, config, cache, **options):
    """All splits of a config of a release, as the class streams them."""
    import celeba_dialog

    options |= {"data_dir": str(root), "cache_dir": str(cache)}
    return celeba_dialog.CelebADialog(config_name=config, **options).as_streaming_dataset()


def undecoded(dataset):
    """The dataset with its images as {"bytes", "path"}, at any depth."""
    plain = {name: _undecoded(feature) for name, feature in dataset.features.items()}
    for name in [name for name in plain if plain[name] != dataset.features[name]]:
        dataset = dataset.cast_column(name, plain[name])
    return dataset


def _undecoded(feature):
    import datasets

    if isinstance(feature, datasets.Image):
        return datasets.Image(decode=False)
    if isinstance(feature, dict):
        return {name: _undecoded(part) for name, part in feature.items()}
    if isinstance(feature, list):
        return [_undecoded(part) for part in feature]
    if hasattr(feature, "feature"):  # Sequence before 4.0, List from then on
        return type(feature)(_undecoded(feature.feature), length=feature.length)
    return feature


def to_json(value):
    """JSON with bytes in it."""
    return json.dumps(value, default=lambda data: {"base64": base64.b64encode(data).decode()})


def from_json(text):
    """What `to_json` was given."""
    return json.loads(text, object_hook=lambda found: base64.b64decode(found["base64"]) if "base64" in found else found)


def rows_of(door, configs, home, *, release=None, cwd=None, environment=None):
    """What a new process with the empty cache `home` finds behind a door.

    Returns {config: {mode: {"features": str, "rows": {split: [row]}}}}, images undecoded, or {"error": traceback} where
    that config and mode failed. `cwd` is the working directory, by default `home`; `environment` has further variables.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CELEBA_DIALOG_"))}
    own = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.run(  # noqa: S603
        [sys.executable, __file__, door, str(release), *configs],
        cwd=cwd or home,
        env=clean | own | (environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if process.returncode:
        raise RuntimeError(f"{door}: exit status {process.returncode}\n{process.stderr}")
    return from_json(process.stdout)


def _found(door, config, mode, release):
    try:
        splits = open_door(door, config, mode, release)
        (features,) = {str(dataset.features) for dataset in splits.values()}
        return {"features": features, "rows": {split: list(undecoded(dataset)) for split, dataset in splits.items()}}
    except Exception:
        return {"error": traceback.format_exc()}


def _main(door, release, *configs):
    return {config: {mode: _found(door, config, mode, release) for mode in MODES} for config in configs}


if __name__ == "__main__":
    output = os.fdopen(os.dup(1), "w")  # what else is printed, by whichever library, goes to standard error
    os.dup2(2, 1)
    output.write(to_json(_main(*sys.argv[1:])))
    output.close()

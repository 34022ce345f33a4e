"""The manifest of a built folder: what was built from what. Everything that is known of its form stands here."""

import hashlib
import json

import numpy as np
import pyarrow.compute as pc

import celeba_dialog
from celeba_dialog import CONFIGS

from .shards import versions

MANIFEST = "manifest.json"
# All else that a folder may hold.
BESIDE_SHARDS = ("README.md", MANIFEST, "id2label.json", "statistics.png", "legend.png", "preview.png")


def family(name):
    """(subset, parts) of a config: configs of one family have the same rows and are built from one index."""
    options = CONFIGS[name]
    return options.get("subset", "hq"), options.get("parts", False)


def make_manifest(jobs, records, indexes, kept, sources, incomplete):
    """The manifest: the same for the same release, options and library versions, whoever did the work."""
    built = {}
    for job in jobs:
        for name, size, path in job.targets:
            subset, parts = family(name)
            entry = {"subset": subset, "image_size": size, "parts": parts, "release": job.release, "digest": job.state}
            config = built.setdefault(name, entry | {"splits": {}})
            split = path.split("/")[1].split("-")[0]
            shards = config["splits"].setdefault(split, {"shards": []})["shards"]
            shards.append({key: value for key, value in records[path].items() if key != "state"})
    for name, config in built.items():
        index = indexes[family(name)]
        for split, entry in config["splits"].items():
            first, last = index.splits[split]
            entry["rows"] = sum(shard["rows"] for shard in entry["shards"])
            entry["bytes"] = sum(shard["size"] for shard in entry["shards"])
            entry["memory_bytes"] = sum(shard["memory_bytes"] for shard in entry["shards"])
            entry["labels"] = label_counts(index.table.slice(first, last - first))
    content = json.dumps([(source["role"], source["sha256"]) for source in sources])
    return {
        "format": 1,
        "dataset": "celeba_dialog",
        "release": {"digest": hashlib.sha256(content.encode()).hexdigest(), "incomplete": incomplete},
        "sources": sources,
        "configs": {name: built.get(name) or kept[name] for name in CONFIGS if name in built or name in kept},
        "versions": versions(),
    }


def label_counts(rows):
    """What the card tells of the labels of some rows of an index: how many rows there are of each degree, and so on."""
    counts = {
        name: np.bincount(np.asarray(rows[name]) + 1, minlength=7).tolist() for name in celeba_dialog.DEGREES
    }  # the first is -1: missing
    attributes = rows["attributes"].combine_chunks().flatten().to_numpy().reshape(rows.num_rows, -1)
    counts["attributes"] = (attributes == 1).sum(axis=0).tolist()
    counts["attributes_missing"] = int((attributes == -1).any(axis=1).sum())
    counts["captions"] = pc.sum(pc.not_equal(rows["caption"], "")).as_py()
    counts["requests"] = pc.sum(pc.not_equal(rows["request"], "")).as_py()
    if "mask" in rows.column_names:
        counts["masks"] = rows.num_rows - rows["mask"].null_count
    return counts


def shards_of(entry):
    """All shards of a config's entry in the manifest: [{"path", "rows", "size", "sha256", "memory_bytes"}]."""
    return [shard for split in entry["splits"].values() for shard in split["shards"]]


def content_digest(entry):
    """SHA-256 over the paths and SHA-256 of a config's shards, as hexadecimal digits."""
    lines = [f"{shard['sha256']}  {shard['path']}\n" for shard in shards_of(entry)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()

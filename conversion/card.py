"""The dataset card: README.md of the built folder and its pictures, made from the manifest.

What the card says stands in dataset_card/; here it gets its facts. The YAML at its head is what `datasets` and the Hub
read: which files belong to which config and split, their features and sizes.
"""

import json
import re
import textwrap

import yaml  # which huggingface_hub brings

from celeba_dialog import CONFIGS, features_of

from .parquet import schema
from .parquet.manifest import content_digest
from .release.errors import EnvironmentFault
from .release.official import FILES
from .release.vocabulary import (
    AGREEMENT_URL,
    ATTRIBUTES,
    DEGREE_MEANINGS,
    DEGREES,
    HOMEPAGE,
    HQ,
    MASK_CLASSES,
    MASK_COLORS,
    MASK_SIDE,
    PARTITION,
    PARTITION_ENDS,
    RELEASE_NAMES,
    SPLITS,
    STANDARD,
    SUBSETS,
)
from .runtime import files
from .viewer import charts, sheet

# The Hub's ids of the tasks that the authors of the images, labels and captions name: category -> ids below it.
TASKS = {
    "image-classification": ("multi-class-image-classification", "multi-label-image-classification"),
    "image-to-image": (),
    "image-to-text": ("image-captioning",),
    "text-to-image": (),
}
MASK_TASKS = {"image-segmentation": ("semantic-segmentation",)}  # and those of the authors of the masks
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))  # images


def render(manifest, example, with_preview=False):
    """The card of a built folder and the files that it shows, {name: bytes}; the same for the same arguments.

    Args:
        manifest: as `make_manifest` gives it, in any order.
        example: one row, a dict of columns; a short string in the place of each image.
        with_preview: whether the folder also has `preview.png`, a contact sheet.

    There is no statistics.png without matplotlib, and no legend.png and id2label.json where no config has masks. Raises
    EnvironmentFault where Jinja2 is missing.
    """
    try:
        import jinja2  # noqa: F401, DatasetCard needs it
        from huggingface_hub import DatasetCard, DatasetCardData
    except ImportError as error:
        raise EnvironmentFault(f"The dataset card needs Jinja2 ({error}). Try: pip install jinja2") from error
    manifest = _in_order(manifest)
    beside = {}
    try:
        beside["statistics.png"] = charts.statistics(_groups(manifest))
    except EnvironmentFault as fault:
        files.say(f"The card has no statistics.png: {fault}")
    if _has_masks(manifest):
        beside["legend.png"] = sheet.legend()
        beside["id2label.json"] = (json.dumps(dict(enumerate(MASK_CLASSES)), indent=1) + "\n").encode()
    card = DatasetCard.from_template(
        DatasetCardData(**_metadata(manifest)),
        template_path=files.DATASET_CARD / "card.md.jinja",
        with_preview=with_preview,
        with_statistics="statistics.png" in beside,
        **_facts(manifest, example),
    )
    return {"README.md": f"{card}\n".encode(errors="replace"), **beside}


def head(manifest):
    """The YAML at the head of a folder's README.md, as `read_head` gives it."""
    from huggingface_hub import DatasetCardData

    return yaml.safe_load(DatasetCardData(**_metadata(_in_order(manifest))).to_yaml())


def read_head(data):
    """The YAML at the head of a card, a dict; `data` are its bytes. Raises ValueError where there is none."""
    match = re.match("---\n(.*?)\n---\n", data.decode(), re.DOTALL)
    try:
        found = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    if not isinstance(found, dict):
        raise ValueError("it does not begin with one between two lines of ---")
    return found


def _in_order(manifest):
    """The manifest with its configs and their splits in the usual order. Where it was read, they are sorted by name."""
    configs = {name: manifest["configs"][name] for name in CONFIGS if name in manifest["configs"]}
    for name, config in configs.items():
        splits = {split: config["splits"][split] for split in SPLITS if split in config["splits"]}
        configs[name] = config | {"splits": splits}
    return manifest | {"configs": configs}


# ----------------------------------------------------------------------------------------------------------------- YAML


def _metadata(manifest):
    """The YAML as a dict: what `datasets` and the Hub read."""
    configs = manifest["configs"]
    tasks = TASKS | (MASK_TASKS if _has_masks(manifest) else {})
    images = {config["subset"]: _rows(config) for config in configs.values()}  # all configs of a subset have the same
    return {
        "pretty_name": "CelebA-Dialog",
        "license": "other",
        "license_name": "celeba-dialog-agreement",  # the Hub wants an id here
        "license_link": AGREEMENT_URL,
        "language": ["en"],
        "size_categories": [next(name for end, name in SIZES if sum(images.values()) < end)],
        "task_categories": list(tasks),
        "task_ids": [id for ids in tasks.values() for id in ids],
        "source_datasets": ["extended|other-celeba"]
        + (["extended|other-celeba-hq", "extended|other-celebamask-hq"] if "hq" in images else []),
        "tags": ["faces", "face-attributes", "fine-grained-attributes", "face-editing", "face-parsing", "captions"],
        "configs": [_config(name, config, manifest) for name, config in configs.items()],
        "dataset_info": [_info(name, config) for name, config in configs.items()],
        "extra_gated_prompt": _text("agreement.md"),
    }


def _config(name, config, manifest):
    return {
        "config_name": name,
        "version": manifest["versions"]["celeba_dialog"],
        # `datasets` caches rows under a hash of `configs` and `dataset_info`, not of the shards: without this digest
        # it would serve the old rows after a rebuild.
        "description": f"content {content_digest(config)}",
        "data_files": [{"split": split, "path": f"{name}/{split}-*.parquet"} for split in config["splits"]],
    } | ({"default": True} if name == "hq" else {})


def _info(name, config):
    splits = config["splits"]
    return {
        "config_name": name,
        "features": schema.portable_yaml(features_of(config["subset"], config["parts"])),
        "splits": [
            {"name": split, "num_bytes": entry["memory_bytes"], "num_examples": entry["rows"]}
            for split, entry in splits.items()
        ],
        "download_size": sum(entry["bytes"] for entry in splits.values()),
        "dataset_size": sum(entry["memory_bytes"] for entry in splits.values()),
    }


# ---------------------------------------------------------------------------------------------------------------- facts


def _facts(manifest, example):
    """The variables of the template."""
    configs = manifest["configs"]
    main = "hq" if "hq" in configs else next(iter(configs))
    columns = {}  # column -> feature, those of all configs
    for config in configs.values():
        columns |= schema.portable_json(features_of(config["subset"], config["parts"]))["info"]["features"]
    return {
        "configs": [_shown_config(name, config) for name, config in configs.items()],
        "main": main,  # the config and split of the recipes
        "main_split": next(iter(configs[main]["splits"])),
        "subsets": [subset for subset in SUBSETS.values() if any(c["subset"] == subset.name for c in configs.values())],
        "columns": {name: _type(feature) for name, feature in columns.items()},
        "example": _shown_row(example, columns),
        "groups": _groups(manifest),
        "splits": SPLITS,
        "parts": list(zip(PARTITION, (1, *(end + 1 for end in PARTITION_ENDS)), PARTITION_ENDS)),
        "degrees": DEGREES,
        "degree_meanings": DEGREE_MEANINGS,
        "release_names": RELEASE_NAMES,
        "attributes": ATTRIBUTES,
        "mask_colors": MASK_COLORS,
        "mask_side": MASK_SIDE,
        "has_masks": _has_masks(manifest),
        "hq": HQ,
        "standard": STANDARD,
        "incomplete": manifest["release"]["incomplete"],
        "sources": [
            source | {"what": FILES[role].what}
            for role in FILES
            for source in manifest["sources"]
            if source["role"] == role
        ],
        "versions": dict(sorted(manifest["versions"].items())),
        "homepage": HOMEPAGE,
        "agreement": _text("agreement.md"),
        "citations": _text("citations.bib"),
        "size": lambda size: f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB",
        "share": lambda part, whole: f"{100 * part / whole:.1f}%" if whole else "-",
    }


def _text(name):
    return (files.DATASET_CARD / name).read_text(encoding="utf-8").strip()


def _has_masks(manifest):
    return any(config["subset"] == "hq" for config in manifest["configs"].values())


def _rows(config):
    return sum(split["rows"] for split in config["splits"].values())


def _shown_config(name, config):
    subset, side = SUBSETS[config["subset"]], config["image_size"]
    width, height = (side, side) if side else subset.side
    masks = "none"
    if subset is HQ:
        masks = f"palette, {min(width, MASK_SIDE)}×{min(width, MASK_SIDE)}" + (", and parts" if config["parts"] else "")
    return {
        "name": name,
        "image": f"{width}×{height}, " + ("resized" if side else "as released"),
        "masks": masks,
        "rows": _rows(config),
        "bytes": sum(split["bytes"] for split in config["splits"].values()),
        "content": content_digest(config),
    }


def _groups(manifest):
    """The label statistics, once for all configs that have the same: [{"names": [config], "splits": {…}}].

    The form of "splits" is that of `charts.draw`.
    """
    groups = {}
    for name, config in manifest["configs"].items():
        splits = {split: {"rows": entry["rows"]} | entry["labels"] for split, entry in config["splits"].items()}
        groups.setdefault(json.dumps(splits, sort_keys=True), {"names": [], "splits": splits})["names"].append(name)
    return list(groups.values())


def _type(feature):
    """A feature in words, as a cell of a Markdown table."""
    if isinstance(feature, list):
        return f"list of a struct of<br>{_fields(feature[0])}"
    kind = feature.get("_type")
    if kind is None:
        return f"struct of<br>{_fields(feature)}"
    if kind == "Sequence":
        return f"`Sequence` of {feature['length']} × {_type(feature['feature'])}"
    if kind == "ClassLabel":
        return "`ClassLabel`: " + ", ".join(f"{index} `{name}`" for index, name in enumerate(feature["names"]))
    return f"`{feature.get('dtype', kind)}`"


def _fields(struct):
    return "<br>".join(f"`{name}` {_type(feature)}" for name, feature in struct.items())


def _shown_row(example, columns):
    """A row as text: a line per value, with the names of the classes beside their numbers."""
    lines = []
    for name, feature in columns.items():
        if name not in example:
            continue
        value = example[name]
        if name == "attributes":
            has = [attribute for attribute, yes in zip(ATTRIBUTES, value) if yes == 1]
            lines += [f"{name}:", *_wrapped(", ".join(map(str, value)), "  ", "  ")]
            lines += _wrapped(f"yes for {', '.join(has) or 'none'}", "  # ", "  # ")
        elif isinstance(feature, dict) and "_type" not in feature:
            lines.append(f"{name}:")
            for field, kind in feature.items():
                lines += _wrapped(f"{field}: {_shown_value(value[field], kind)}", "  ", "    ")
        else:
            lines += _wrapped(f"{name}: {_shown_value(value, feature)}", "", "  ")
    return "\n".join(lines)


def _shown_value(value, feature):
    if value == -1:
        return "-1  # missing"
    if value is None or isinstance(feature, list) or feature["_type"] == "Image":
        return str(value)
    if feature["_type"] == "ClassLabel":
        return f"{value}  # {feature['names'][value]}"
    return json.dumps(value, ensure_ascii=False)


def _wrapped(text, first, rest):
    return textwrap.wrap(text, 90, initial_indent=first, subsequent_indent=rest)

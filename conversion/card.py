"""The dataset card: README.md of the built folder and its pictures, made from the manifest.

What the card says stands in dataset_card/; here it gets its facts. The YAML at its head is what `datasets` and the Hub
read: which files belong to which config and split, and the features of their columns.
"""

import contextlib
import io
import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import yaml  # which huggingface_hub brings

from celeba_dialog import CONFIGS, family, features_of

from .indexes import Family
from .parquet import schema
from .parquet.manifest import Manifest, content_digest, shards_of
from .release.errors import EnvironmentFault
from .release.finding import Release
from .release.official import FILES, UNLABELED_NUMBERS
from .release.rows import examples, read_images
from .release.table import Index
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
from .viewer.rows import ReleaseRows

# The Hub's ids of the tasks that the authors of the images, labels and captions name: category -> ids below it.
TASKS = {
    "image-classification": ("multi-class-image-classification", "multi-label-image-classification"),
    "image-to-image": (),
    "image-to-text": ("image-captioning",),
    "text-to-image": (),
}
MASK_TASKS = {"image-segmentation": ("semantic-segmentation",)}  # and those of the authors of the masks
PREVIEW_ROWS = 4  # of the contact sheet in the card
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))  # images


def beside_shards(
    manifest: Manifest, release: Release, indexes: Mapping[Family, Index], with_preview: bool = False
) -> dict[str, bytes]:
    """All that lies beside the shards of a built folder but for the manifest, {name: bytes}.

    Args:
        manifest: as `make_manifest` gives it.
        release, indexes: what the folder is built from; `indexes` has the families of the manifest's configs.
        with_preview: whether the card shows faces of the dataset, in preview.png.

    Raises EnvironmentFault where Jinja2 is missing.
    """
    beside = render(manifest, _example(indexes, manifest), with_preview, bool(release.demo))
    return beside | ({"preview.png": _preview(release)} if with_preview else {})


def _preview(release: Release) -> bytes:
    """A contact sheet of the release as a PNG."""
    source = ReleaseRows(release)
    config = source.configs[0]
    positions = sheet.spread(np.arange(len(source.labels(config))), PREVIEW_ROWS)
    file = io.BytesIO()
    sheet.contact_sheet(source, config, positions, f"CelebA-Dialog · {config}", "").save(file, "PNG")
    return file.getvalue()


DEMO = "**This is a demo, not CelebA-Dialog.**"  # what the card of a made-up release begins with


def is_of_demo(path: str) -> bool:
    """Whether the card of a built folder says that it is of a made-up release."""
    with contextlib.suppress(OSError):
        return DEMO.encode() in files.read(f"{path}/README.md")
    return False


def _example(indexes: Mapping[Family, Index], manifest: Manifest) -> dict[str, Any]:
    """The first row of the first config, with a few words in the place of each image."""
    config = next(iter(_in_order(manifest)["configs"]))
    index, size = indexes[family(config)], CONFIGS[config].get("image_size")
    rows = index.table.slice(0, 1)
    row = next(examples(rows, read_images(index, rows, [size])[size]))
    for name in ("image", "mask"):
        if row.get(name):
            row[name] = f"<{len(row[name]['bytes']):,} bytes of {'JPEG' if name == 'image' else 'PNG'}>"
    row.pop("parts", None)
    return row


def render(
    manifest: Manifest, example: Mapping[str, Any], with_preview: bool = False, demo: bool = False
) -> dict[str, bytes]:
    """The card of a built folder and what it shows, {name: bytes}; the same for the same arguments.

    Args:
        manifest: as `make_manifest` gives it, in any order.
        example: one row, a dict of columns; a short string in the place of each image.
        with_preview: whether the folder also has preview.png, a contact sheet.
        demo: whether the release is a made-up one.

    There is no legend.png and no id2label.json where no config has masks. Raises EnvironmentFault where Jinja2 is
    missing.
    """
    try:
        import jinja2
    except ImportError as error:
        raise EnvironmentFault(f"The dataset card needs Jinja2 ({error}). Try: pip install jinja2") from error
    manifest = _in_order(manifest)
    beside = {"statistics.png": charts.statistics(_groups(manifest))}
    if _has_masks(manifest):
        beside["legend.png"] = sheet.legend()
        beside["id2label.json"] = (json.dumps(dict(enumerate(MASK_CLASSES)), indent=1) + "\n").encode()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701, this is Markdown
    card = environment.from_string(_text("card.md.jinja")).render(
        card_data=_yaml(manifest),
        with_preview=with_preview,
        demo=DEMO if demo else "",
        **_facts(manifest, example),
    )
    return {"README.md": f"{card}\n".encode(errors="replace"), **beside}


def _yaml(manifest: Manifest) -> str:
    from huggingface_hub import DatasetCardData

    return DatasetCardData(**_metadata(manifest)).to_yaml()


def head(manifest: Manifest) -> dict[str, Any]:
    """The YAML at the head of a folder's README.md, as `read_head` gives it."""
    return yaml.safe_load(_yaml(_in_order(manifest)))


class _OneOfEach(yaml.SafeLoader):
    """Refuses a key that stands twice, where YAML's own loader takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"{key} stands there twice")
        return super().construct_mapping(node, deep)


def read_head(data: bytes) -> tuple[dict[str, Any], str]:
    """A card as (the YAML at its head, the text below it). Raises ValueError where it has no YAML of one meaning."""
    text = data.decode()
    match = re.match("---\n(.*?)\n---\n", text, re.DOTALL)
    try:
        found = yaml.load(match[1], _OneOfEach) if match else None  # noqa: S506, it is a safe one
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    if not match or not isinstance(found, dict):
        raise ValueError("it does not begin with one between two lines of ---")
    return found, text[match.end() :]


def _in_order(manifest: Manifest) -> Manifest:
    """The manifest with its configs and their splits in the usual order. Where it was read, they are sorted by name."""
    configs = {name: manifest["configs"][name] for name in CONFIGS if name in manifest["configs"]}
    for name, config in configs.items():
        splits = {split: config["splits"][split] for split in SPLITS if split in config["splits"]}
        configs[name] = config | {"splits": splits}
    return manifest | {"configs": configs}


# ----------------------------------------------------------------------------------------------------------------- YAML


def _metadata(manifest: Manifest) -> dict[str, Any]:
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


def _config(name: str, config: Manifest, manifest: Manifest) -> dict[str, Any]:
    return {
        "config_name": name,
        "version": manifest["versions"]["celeba_dialog"],
        # `datasets` caches rows under a hash of `configs` and `dataset_info`, not of the shards: without this digest
        # it would serve the old rows after a rebuild.
        "description": f"content {content_digest(config)}",
        # By name, and not by a pattern, so that `datasets` says which one is missing.
        "data_files": [
            {"split": split, "path": [shard["path"] for shard in entry["shards"]]}
            for split, entry in config["splits"].items()
        ],
    } | ({"default": True} if name == "hq" else {})


def _info(name: str, config: Manifest) -> dict[str, Any]:
    # No sizes of the splits: `datasets` holds the rows against them that pass `filters`, too, and refuses those. The
    # manifest has them.
    shards = shards_of(config)
    return {
        "config_name": name,
        "features": schema.portable_yaml(features_of(config["subset"], config["parts"])),
        "download_size": sum(shard["size"] for shard in shards),
        "dataset_size": sum(shard["memory_bytes"] for shard in shards),
    }


# ---------------------------------------------------------------------------------------------------------------- facts


def _facts(manifest: Manifest, example: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of the template."""
    configs = manifest["configs"]
    main = "hq" if "hq" in configs else next(iter(configs))
    columns: dict[str, Any] = {}  # column -> feature, those of all configs
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
        "unlabeled": UNLABELED_NUMBERS,
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


def _text(name: str) -> str:
    return (files.DATASET_CARD / name).read_text(encoding="utf-8").strip()


def _has_masks(manifest: Manifest) -> bool:
    return any(config["subset"] == "hq" for config in manifest["configs"].values())


def _rows(config: Manifest) -> int:
    return sum(split["rows"] for split in config["splits"].values())


def _shown_config(name: str, config: Manifest) -> dict[str, Any]:
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


def _groups(manifest: Manifest) -> list[dict[str, Any]]:
    """The label statistics, once for all configs that have the same: [{"names": [config], "splits": {…}}].

    The form of "splits" is that of `charts.draw`.
    """
    groups: dict[str, dict[str, Any]] = {}
    for name, config in manifest["configs"].items():
        splits = {split: {"rows": entry["rows"]} | entry["labels"] for split, entry in config["splits"].items()}
        groups.setdefault(json.dumps(splits, sort_keys=True), {"names": [], "splits": splits})["names"].append(name)
    return list(groups.values())


def _type(feature: Any) -> str:
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


def _fields(struct: Mapping[str, Any]) -> str:
    return "<br>".join(f"`{name}` {_type(feature)}" for name, feature in struct.items())


def _shown_row(example: Mapping[str, Any], columns: Mapping[str, Any]) -> str:
    """A row as text: a line per value, with the names of the classes beside their numbers."""
    lines: list[str] = []
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


def _shown_value(value: Any, feature: Any) -> str:
    if value == -1:
        return "-1  # missing"
    if value is None or isinstance(feature, list) or feature["_type"] == "Image":
        return str(value)
    if feature["_type"] == "ClassLabel":
        return f"{value}  # {feature['names'][value]}"
    return json.dumps(value, ensure_ascii=False)


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, 90, initial_indent=first, subsequent_indent=rest)

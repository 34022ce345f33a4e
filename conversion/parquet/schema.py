"""The columns' features in the forms that every version of `datasets` from 2.19 on reads.

What `datasets` 4 and later write by themselves says `List`, which earlier versions do not know. Two forms are read by
all of them as the same thing: `Sequence` for a list of numbers, and a plain list of one struct for a list of structs.
"""

from typing import Any

import datasets
import pyarrow as pa


def validated(table: pa.Table) -> pa.Table:
    """The same table. Raises ArrowInvalid where it is inconsistent, or a text is no UTF-8, as in a damaged file."""
    table.validate(full=True)
    return table


def portable_json(features: datasets.Features) -> dict[str, Any]:
    """`datasets.Features` as the JSON value that a Parquet file keeps under the schema metadata key `huggingface`."""
    return {"info": {"features": _portable(features.to_dict())}}


def portable_yaml(features: datasets.Features) -> list[dict[str, Any]]:
    """`datasets.Features` as the list that stands under `dataset_info: features:` in the YAML of a dataset card."""
    return _yaml(_portable(features.to_dict()))["struct"]


def _portable(node: Any) -> Any:
    if isinstance(node, list):
        return [_portable(node[0])]
    if "_type" not in node:
        return {name: _portable(child) for name, child in node.items()}
    if node["_type"] in ("List", "Sequence"):
        item = _portable(node["feature"])
        return node | {"feature": item, "_type": "Sequence"} if "_type" in item else [item]
    return node


def _yaml(node: Any) -> dict[str, Any]:
    if isinstance(node, list):
        return {"list": _yaml(node[0])["struct"]}
    kind = node.get("_type")
    if kind is None:
        return {"struct": [{"name": name} | _yaml(child) for name, child in node.items()]}
    if kind == "Sequence":
        length = {"length": node["length"]} if "length" in node else {}
        return {"sequence": _yaml(node["feature"])["dtype"]} | length
    if kind == "ClassLabel":  # the Hub wants the indices as strings
        return {"dtype": {"class_label": {"names": {str(index): name for index, name in enumerate(node["names"])}}}}
    return {"dtype": {"Value": node.get("dtype"), "Image": "image"}[kind]}

"""Some of the rows, handed on to a script that takes only the name of a dataset.

    python filtered.py
    python text_to_image.py --dataset_name smiling --caption_column caption

`save_to_disk` writes what only `load_from_disk` reads; Parquet is read by `load_dataset`, and so by every such script.
`Dataset.push_to_hub` publishes to everybody unless it is told private=True, and the agreement forbids that: hand the
folder on within your organisation.
"""

from pathlib import Path

from datasets import load_dataset

train = load_dataset("celeba_dialog", "hq", split="train")
smiling = train.filter(lambda degree: degree >= 3, input_columns="smiling")
Path("smiling").mkdir(exist_ok=True)
smiling.to_parquet("smiling/train.parquet")  # load_dataset("smiling"), or --dataset_name smiling
print(f"{len(smiling)} of {len(train)} rows in smiling/train.parquet")

"""Grey label masks, for what does not read a palette image as its class indices: OpenCV, tf.io, Daft and others.

    python grey_masks.py

reads the built folder celeba_dialog/ of the working directory and writes grey/train.parquet, where the masks are grey
PNGs: the value of a pixel is the class, 0 to 18. With `input_columns` the images stay as they are, byte for byte.
"""

from pathlib import Path

import numpy as np
from datasets import load_dataset
from PIL import Image


def grey(mask):
    """An image without mask keeps none. An image that was not read from a file is stored as PNG."""
    return {"mask": mask and Image.fromarray(np.array(mask))}


train = load_dataset("celeba_dialog", "hq_256", split="train")
train = train.map(grey, input_columns="mask", features=train.features)
Path("grey").mkdir(exist_ok=True)
train.to_parquet("grey/train.parquet")  # load_dataset("grey")
print(f"{len(train)} rows in grey/train.parquet")

"""Segmentation: SegFormer on images and masks that are cropped and flipped together.

    python segmentation.py

reads the built folder celeba_dialog/ of the working directory. Take `hq_512` or `hq_256`, where image and mask have the
same size. In `hq` an image has 1024 pixels a side and its mask 512, so that one crop does not fit both.
"""

import json

import numpy as np
import tiny
import torch
from datasets import load_dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

# In a mirrored face the left eye is a right one: eyes, brows and ears change places, the lower lip l_lip does not.
MIRRORED = torch.tensor([0, 1, 2, 3, 5, 4, 7, 6, 9, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18], dtype=torch.uint8)

crop = v2.RandomResizedCrop(256, scale=(0.5, 1))  # a Mask is resized by nearest neighbour


def mirror(image, mask):
    """Image and mask seen in a mirror, the classes of left and right exchanged."""
    image, mask = v2.functional.horizontal_flip(image), v2.functional.horizontal_flip(mask)
    return image, tv_tensors.Mask(MIRRORED[mask.long()])


def augment(image, mask):
    """The same random crop and flip of a Pillow image and its mask: (3, 256, 256) and (1, 256, 256), uint8."""
    image, mask = crop(tv_tensors.Image(image.convert("RGB")), tv_tensors.Mask(np.array(mask)[None]))
    return mirror(image, mask) if torch.rand(()) < 0.5 else (image, mask)


def main(epochs=2):
    """Trains, and prints what was seen."""
    with open("celeba_dialog/id2label.json") as file:
        id2label = {int(index): name for index, name in json.load(file).items()}
    model, processor = tiny.segformer(id2label)
    train = load_dataset("celeba_dialog", "hq_512", split="train").select_columns(["image", "mask", "file_name"])

    def prepare(rows):
        pairs = [augment(image, mask) for image, mask in zip(rows["image"], rows["mask"])]
        images, masks = zip(*pairs)
        batch = processor(images, [mask[0] for mask in masks], return_tensors="pt")
        return {"pixel_values": batch["pixel_values"], "labels": batch["labels"], "file_name": rows["file_name"]}

    loader = torch.utils.data.DataLoader(train.with_transform(prepare), batch_size=4, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        seen, losses, classes = [], [], set()
        for batch in loader:
            loss = model(pixel_values=batch["pixel_values"], labels=batch["labels"]).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            seen += batch["file_name"]
            losses.append(loss.item())
            classes.update(batch["labels"].unique().tolist())
        print(f"epoch {epoch}: {len(seen)} rows, {len(set(seen))} different, loss {sum(losses) / len(losses):.3f}")
        print("classes:", *(id2label[index] for index in sorted(classes)))


if __name__ == "__main__":
    main()

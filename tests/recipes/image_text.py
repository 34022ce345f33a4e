"""Image and text: a CLIP trained on the caption, or on the caption of one attribute, of each image.

    python image_text.py

reads the built folder celeba_dialog/ of the working directory.
"""

import random

import tiny
import torch
from datasets import load_dataset


def texts_of(row):
    """The caption and those of single attributes, as far as there are any: that of the beard is often missing."""
    return [text for text in (row["caption"], *row["attribute_captions"].values()) if text]


def main(epochs=2):
    """Trains, and prints what was seen."""
    train = load_dataset("celeba_dialog", "hq_256", split="train")
    train = train.select_columns(["image", "caption", "attribute_captions", "file_name"])
    model, processor = tiny.clip(text for row in train.remove_columns("image") for text in texts_of(row))

    def collate(rows):
        images = [row["image"].convert("RGB") for row in rows]
        texts = [random.choice(texts_of(row)) for row in rows]  # noqa: S311
        batch = processor(text=texts, images=images, padding=True, truncation=True, return_tensors="pt")
        return batch, texts, [row["file_name"] for row in rows]

    loader = torch.utils.data.DataLoader(train, batch_size=8, shuffle=True, collate_fn=collate)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        seen, losses, read = [], [], set()
        for batch, texts, names in loader:
            loss = model(**batch, return_loss=True).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            seen += names
            losses.append(loss.item())
            read.update(texts)
        print(f"epoch {epoch}: {len(seen)} rows, {len(set(seen))} different, loss {sum(losses) / len(losses):.3f}")
        print(f"{len(read)} texts, such as: {min(read)}")


if __name__ == "__main__":
    main()

"""Classification with transformers' Trainer: a degree, its classes kept in proportion, and the forty attributes.

    python classification.py

reads the built folder celeba_dialog/ of the working directory: `standard`, which has the most labels.
"""

import tempfile

import numpy as np
import tiny
import torch
from datasets import ClassLabel, Dataset, Features, concatenate_datasets, load_dataset
from transformers import Trainer, TrainingArguments

from celeba_dialog import ATTRIBUTES


def with_attribute(dataset, name):
    """The dataset with one of the forty attributes as a column. `cast_column` would do too, and copy all images."""
    values = [row[ATTRIBUTES.index(name)] for row in dataset["attributes"][:]]
    column = Dataset.from_dict({name: values}, Features({name: ClassLabel(names=["no", "yes"])}))
    return concatenate_datasets([dataset, column], axis=1)


def prepared(dataset, processor, label):
    """The rows as `Trainer` takes them, made when they are read. `label` makes labels of a batch of rows."""

    def prepare(rows):
        images = [image.convert("RGB") for image in rows["image"]]
        return {"pixel_values": processor(images, return_tensors="pt")["pixel_values"], "labels": label(rows)}

    return dataset.with_transform(prepare)


def train(model, rows, test, metrics):
    """Trains for two epochs and returns, in words, how it went on `test`."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=2,
            per_device_train_batch_size=8,
            learning_rate=1e-3,
            remove_unused_columns=False,  # `prepare` needs the columns that the model does not know
            save_strategy="no",
            report_to="none",
        )
        trainer = Trainer(model, arguments, train_dataset=rows, eval_dataset=test, compute_metrics=metrics)
        done = trainer.train()
        accuracy = trainer.evaluate()["eval_accuracy"]
    return f"{len(rows)} rows, {done.global_step} steps, loss {done.training_loss:.3f}, accuracy {accuracy:.2f}"


def degree(dataset):
    """The degree of the smile, one of six classes."""
    names = dataset.features["smiling"].names
    model, processor = tiny.vit(names, "single_label_classification")
    splits = dataset.train_test_split(test_size=0.25, stratify_by_column="smiling", seed=0)
    rows, test = (prepared(splits[name], processor, lambda rows: rows["smiling"]) for name in ("train", "test"))
    return train(model, rows, test, lambda found: {"accuracy": np.mean(found[0].argmax(1) == found[1])})


def attributes(dataset):
    """The forty attributes, each with a probability of its own."""
    model, processor = tiny.vit(ATTRIBUTES, "multi_label_classification")
    splits = with_attribute(dataset, "Male").train_test_split(test_size=0.25, stratify_by_column="Male", seed=0)

    def label(rows):
        return torch.tensor(rows["attributes"], dtype=torch.float32)  # 0 and 1; the loss is a binary cross entropy

    rows, test = (prepared(splits[name], processor, label) for name in ("train", "test"))
    return train(model, rows, test, lambda found: {"accuracy": np.mean((found[0] > 0) == found[1])})


if __name__ == "__main__":
    annotated = load_dataset("celeba_dialog", "standard", split="train")
    for task in (degree, attributes):
        print(f"{task.__name__}: {task(annotated)}")

"""Dialogue: each request to edit a face, with the face, as a conversation for TRL's SFTTrainer.

    python dialogue.py

reads the built folder celeba_dialog/ of the working directory. The user's side is the request, as it is. The release
has no answers, so the assistant's side is made from the labels: what the face shows now, and what it is to show.
"""

import tempfile

import tiny
import torch
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

from celeba_dialog import DEGREE_MEANINGS


def wanted(request, degree):
    """The degree that a request asks for, of a face that now has `degree`. `request` has names in place of labels."""
    if request["mode"] == "target":
        return request["target"]
    steps = 1 if request["mode"] == "change_indefinite" else request["value"]  # "longer" says no number: one step
    return min(max(degree + (steps if request["direction"] == "positive" else -steps), 0), 5)


def answer(request, degree):
    """What an assistant says to it, in the words that there are for degrees: a class name, thin_frame, is no prose."""
    meanings = DEGREE_MEANINGS[request["attribute"]]
    now, then = meanings[degree], meanings[wanted(request, degree)]
    return f"That is so already: {now}." if now == then else f"I see: {now}. I will change that to: {then}."


def conversations(dataset):
    """The rows as SFTTrainer takes them: an image, the user's side as `prompt` and the assistant's as `completion`."""
    labels = dataset.features["request_labels"]

    def conversation(row):
        request = dict(row["request_labels"])
        for name in ("attribute", "mode", "direction"):
            request[name] = labels[name].int2str(request[name])
        return {
            "prompt": [{"role": "user", "content": row["request"]}],
            "completion": [{"role": "assistant", "content": answer(request, row[request["attribute"]])}],
        }

    kept = ["image", "file_name"]  # the JPEGs are copied as they are: nothing here looks at row["image"]
    return dataset.map(conversation, remove_columns=[name for name in dataset.column_names if name not in kept])


def main(epochs=2):
    """Trains, and prints what came of it."""
    train = conversations(load_dataset("celeba_dialog", "hq_256", split="train"))
    turns = [turn["content"] for row in train.remove_columns("image") for turn in row["prompt"] + row["completion"]]
    model, processor = tiny.llava(turns)
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=4,
            learning_rate=1e-3,
            bf16=torch.cuda.is_available(),
            max_length=None,  # an image is many tokens, and must not be cut
            save_strategy="no",
            report_to="none",
        )
        trainer = SFTTrainer(model, arguments, train_dataset=train, processing_class=processor)
        done = trainer.train()
    print(f"{len(train)} conversations, {done.global_step} steps, loss {done.training_loss:.3f}")
    print(f"user: {train[0]['prompt'][0]['content']}")
    print(f"assistant: {train[0]['completion'][0]['content']}")


if __name__ == "__main__":
    main()

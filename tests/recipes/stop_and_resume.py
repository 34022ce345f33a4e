"""Streaming: a job that stops in the middle of an epoch and goes on there, in one process or in several.

    python stop_and_resume.py
    accelerate launch --multi_gpu --num_processes 2 stop_and_resume.py  # without GPUs: set ACCELERATE_USE_CPU=1

reads the built folder celeba_dialog/ of the working directory, as it would read a repository on the Hub. Each process
and each worker has files of its own: a full train split has 64, so that 2, 4 or 8 processes get as many each.
"""

import contextlib
import io

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import load_dataset
from datasets.distributed import split_dataset_by_node
from torch.distributed.algorithms.join import Join
from torchdata.stateful_dataloader import StatefulDataLoader

accelerator = Accelerator()
rank, world = accelerator.process_index, accelerator.num_processes


def open_loader(epoch):
    """The batches of an epoch for this process. Only the files are shuffled: their rows are in no order that matters.

    What waits in a shuffle buffer is not part of the state of a loader. With a larger `buffer_size`, rows are lost or
    come twice when a job goes on; with more input shards, `datasets` 5.2 cannot go on where there are two workers.
    """
    stream = load_dataset("celeba_dialog", "standard", split="train", streaming=True)
    stream = stream.shuffle(seed=0, buffer_size=1, max_buffer_input_shards=1)
    stream.set_epoch(epoch)
    stream = split_dataset_by_node(stream, rank=rank, world_size=world)
    stream = stream.select_columns(["image", "smiling", "file_name"]).with_format("torch")
    return StatefulDataLoader(stream, batch_size=4, num_workers=2)


def together(model):
    """Inside, a process that runs out of batches waits for the others, which may have one more."""
    return Join([model]) if world > 1 else contextlib.nullcontext()


def train(loader, model, optimizer, batches=None):
    """Trains on the rest of the epoch, or on so many batches, and returns the names of the images."""
    seen = []
    with together(model):
        for number, batch in enumerate(loader, 1):
            images, degrees = (batch[name].to(accelerator.device) for name in ("image", "smiling"))
            loss = torch.nn.functional.cross_entropy(model(images / 255), degrees)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            seen += batch["file_name"]
            if number == batches:
                break
    assert torch.isfinite(loss)
    return seen


def main(epochs=2, stop_after=2):
    """Trains, stopping once in each epoch, and prints what all processes saw."""
    model = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 6))
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters()))  # the loader is split already
    for epoch in range(epochs):
        loader, checkpoint = open_loader(epoch), io.BytesIO()  # in your training a file, one for each process
        before = train(loader, model, optimizer, stop_after)
        torch.save(loader.state_dict(), checkpoint)

        loader = open_loader(epoch)
        loader.load_state_dict(torch.load(io.BytesIO(checkpoint.getvalue()), weights_only=False))
        after = train(loader, model, optimizer)
        before, after = gather_object(before), gather_object(after)
        accelerator.print(
            f"epoch {epoch}: {len(before)} rows, then {len(after)}, {len({*before, *after})} different, "
            f"by {world} processes"
        )


if __name__ == "__main__":
    main()

"""Text to image: image and caption as the training scripts of diffusers take them.

    python text_to_image.py --dataset_name celeba_dialog --dataset_config_name hq_512 --caption_column caption

The options and the way of a row are those of diffusers' `train_text_to_image.py`; that script takes the same command
line. --dataset_name is the built folder in the working directory, a repository, or a folder that filtered.py wrote.
"""

import argparse

import tiny
import torch
from datasets import load_dataset
from torchvision.transforms import v2

parser = argparse.ArgumentParser()
parser.add_argument("--dataset_name", default="celeba_dialog")
parser.add_argument("--dataset_config_name")
parser.add_argument("--image_column", default="image")
parser.add_argument("--caption_column", default="caption")
parser.add_argument("--resolution", type=int, default=64)
parser.add_argument("--train_batch_size", type=int, default=4)
parser.add_argument("--num_train_epochs", type=int, default=2)
args = parser.parse_args()

train = load_dataset(args.dataset_name, args.dataset_config_name)["train"]
tokenizer, text_encoder, vae, unet, scheduler = tiny.stable_diffusion(train[args.caption_column])
to_pixels = v2.Compose(
    [
        v2.ToImage(),
        v2.Resize(args.resolution),
        v2.CenterCrop(args.resolution),  # no flip: captions and masks know left from right
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5], [0.5]),
    ]
)


def tokenize(captions):
    """Token ids of texts; where there are several of an image, as in a column of lists, of the first."""
    captions = [caption if isinstance(caption, str) else caption[0] for caption in captions]
    return tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids


def prepare(rows):
    """Called with the rows of each batch, when they are read."""
    return {
        "pixel_values": [to_pixels(image.convert("RGB")) for image in rows[args.image_column]],
        "input_ids": tokenize(rows[args.caption_column]),
        "file_name": rows["file_name"],
    }


loader = torch.utils.data.DataLoader(train.with_transform(prepare), batch_size=args.train_batch_size, shuffle=True)
optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-3)
for epoch in range(args.num_train_epochs):
    seen, losses = [], []
    for batch in loader:
        with torch.no_grad():
            latents = vae.encode(batch["pixel_values"]).latent_dist.sample() * vae.config.scaling_factor
            words = text_encoder(batch["input_ids"]).last_hidden_state
        noise = torch.randn_like(latents)
        times = torch.randint(0, scheduler.config.num_train_timesteps, (len(latents),))
        guess = unet(scheduler.add_noise(latents, noise, times), times, words).sample
        loss = torch.nn.functional.mse_loss(guess, noise)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seen += batch["file_name"]
        losses.append(loss.item())
    print(f"epoch {epoch}: {len(seen)} rows, {len(set(seen))} different, loss {sum(losses) / len(losses):.3f}")

"""Classification with timm, whose reader takes the name of a folder, and a column as the target.

    python timm_reader.py

reads one config of the built folder celeba_dialog/ of the working directory. The same names are those of timm's own
script: `train.py --dataset hfds/celeba_dialog/hq_256 --target-key smiling --num-classes 6`.
"""

import timm
import torch

dataset = timm.data.create_dataset("hfds/celeba_dialog/hq_256", root=None, split="train", target_key="smiling")
loader = timm.data.create_loader(
    dataset,
    input_size=(3, 64, 64),
    batch_size=4,
    is_training=True,  # shuffles, and leaves out a last batch that is not full
    hflip=0.5,
    use_prefetcher=False,
    num_workers=0,
)
model = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=1, num_classes=6)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
print("classes:", *dataset.reader.class_to_idx)
for epoch in range(2):
    losses, rows = [], 0
    for images, degrees in loader:
        loss = torch.nn.functional.cross_entropy(model(images), degrees)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        rows += len(degrees)
    print(f"epoch {epoch}: {rows} of {len(dataset)} rows, loss {sum(losses) / len(losses):.3f}")

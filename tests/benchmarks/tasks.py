"""What is measured: generator functions for `measure.run`. The last argument is the folder to write to."""

import concurrent.futures
import hashlib
import http.client
import importlib.util
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import types
import urllib.parse
import zipfile
import zlib

import datasets
from PIL import Image

import celeba_dialog
from conversion.parquet import command as build
from conversion.release.finding import Release
from conversion.release.index import index_key, open_index
from conversion.release.official import FILES, image_roles
from conversion.runtime import files
from conversion.viewer import browse as browsing

JSON_ROLES = ("standard_captions", "standard_requests", "standard_request_labels")


def _path(release, role):
    return os.path.join(release, FILES[role].path)


def build_folder(release, configs, workers, out):
    """Our build, with an empty cache: it reads the annotations too."""
    yield
    yield rows_of(build.build(release, out, configs, workers, allow_incomplete=True))


def rows_of(manifest):
    """How many rows a built folder has, of all configs."""
    return sum(split["rows"] for entry in manifest["configs"].values() for split in entry["splits"].values())


def command(*words):
    """A command in a process of its own, its start included. The last word is the path that measure.run gives."""
    yield
    line = [sys.executable, "-m", "conversion", *map(str, words[:-1])]
    done = subprocess.run(line, capture_output=True, text=True)  # noqa: S603
    if done.returncode and words[0] != "check":  # which says how much of the official release is not there
        raise RuntimeError(done.stderr)
    yield 1


def download_and_prepare(release, config, out):
    """What `datasets` makes of our builder, with an empty cache."""
    yield
    builder = celeba_dialog.CelebADialog(config_name=config, data_dir=release, cache_dir=out)
    builder.download_and_prepare(os.path.join(out, "parquet"), file_format="parquet")
    yield sum(split.num_examples for split in builder.info.splits.values())


def hq_members(release):
    """(file number, image bytes, mask bytes) of every HQ image, through the standard library."""
    images = zipfile.ZipFile(_path(release, "hq_images"))
    masks = zipfile.ZipFile(_path(release, "hq_masks"))
    with images, masks:
        for image, mask in zip(images.infolist(), masks.infolist()):
            yield os.path.basename(image.filename).split(".")[0], images.read(image), masks.read(mask)


def copy_hq(release, synced, out):
    """A plain loop that copies every member into one file; with `synced` that file is on the disk in the end."""
    yield
    rows = 0
    with open(out, "wb") as file:
        for _, image, mask in hq_members(release):
            file.write(image)
            file.write(mask)
            rows += 1
        if synced:
            os.fsync(file.fileno())
    yield rows


def least_work(release, subset, workers, out):
    """What no build can leave out, in blocks as if there were no rows: each byte of the zips is read, has its CRC and
    hash taken and is written and synced by one of `workers` processes, and the zips are hashed once more as a whole."""
    zips = [_path(release, role) for role in image_roles(subset, parts=False).values()]
    rows = len(zipfile.ZipFile(zips[0]).infolist())
    os.mkdir(out)
    yield
    with concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        futures = [pool.submit(_copy_part, path, out, part, workers) for path in zips for part in range(workers)]
        for path in zips:
            files.checksum(path)
        for future in futures:
            future.result()
    yield rows


def _copy_part(path, out, part, parts):
    size = os.path.getsize(path)
    start, end = size * part // parts, size * (part + 1) // parts
    digest = hashlib.sha256()
    with open(path, "rb") as source, open(f"{out}/{os.path.basename(path)}.{part}", "wb") as file:
        source.seek(start)
        while block := source.read(min(files.BLOCK, end - source.tell())):
            zlib.crc32(block)
            digest.update(block)
            file.write(block)
        os.fsync(file.fileno())


def read_standard(release, out):
    """A plain read of every member and of the JSON files, which writes nothing."""
    yield
    for role in JSON_ROLES:
        with open(_path(release, role), encoding="utf-8") as file:
            json.load(file)
    with zipfile.ZipFile(_path(release, "standard_images")) as images:
        rows = sum(1 for member in images.infolist() if images.read(member))
    yield rows


def webdataset_hq(release, out):
    """WebDataset's ShardWriter on the members, without annotations."""
    from webdataset import ShardWriter

    os.mkdir(out)
    yield
    rows = 0
    with ShardWriter(f"{out}/%05d.tar", maxcount=400, verbose=0) as writer:
        for key, image, mask in hq_members(release):
            writer.write({"__key__": key, "jpg": image, "png": mask})
            rows += 1
    yield rows


def mds_hq(release, out):
    """MosaicML's MDSWriter on the members, without annotations."""
    # Of the package only the writer: the rest wants transformers, torchvision and the clients of five clouds.
    folder = importlib.util.find_spec("streaming").submodule_search_locations[0]
    for name in ("streaming", "streaming.base"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [os.path.join(os.path.dirname(folder), *name.split("."))]
    from streaming.base.format.mds import MDSWriter

    yield
    rows = 0
    with MDSWriter(out=out, columns={"jpg": "bytes", "png": "bytes"}) as writer:
        for _, image, mask in hq_members(release):
            writer.write({"jpg": image, "png": mask})
            rows += 1
    yield rows


def imagefolder(release, subset, out):
    """The `imagefolder` of `datasets`, then to_parquet: images unpacked, captions and degrees in a metadata.jsonl."""
    yield
    folder = os.path.join(out, "images")
    with zipfile.ZipFile(_path(release, f"{subset}_images")) as images:
        images.extractall(folder)
        names = {os.path.basename(name): name for name in images.namelist()}
    with open(_path(release, f"{subset}_captions"), encoding="utf-8") as file:
        captions = json.load(file)
    with open(_path(release, f"{subset}_labels"), encoding="utf-8") as file:
        columns, *degrees = (line.split() for line in file)
    with open(os.path.join(folder, "metadata.jsonl"), "w", encoding="utf-8") as file:
        for name, *row in degrees:
            row = dict(zip(columns[1:], map(int, row)), file_name=names[name], text=captions[name]["overall_caption"])
            file.write(json.dumps(row) + "\n")
    dataset = datasets.load_dataset("imagefolder", data_dir=folder, split="train", cache_dir=os.path.join(out, "cache"))
    dataset.to_parquet(os.path.join(out, "train.parquet"))
    yield len(dataset)


def torchvision_folder(release, folder):
    """The standard images as torchvision's CelebA needs them. It reads boxes and landmarks too, so there are some."""
    folder = os.path.join(folder, "celeba")
    os.makedirs(folder)
    with zipfile.ZipFile(_path(release, "standard_images")) as images:
        images.extractall(folder)
        names = [os.path.basename(name) for name in images.namelist()]
    for role in ("standard_attributes", "standard_identity", "partition"):
        shutil.copy(_path(release, role), folder)
    for name, values in (("bbox", 4), ("landmarks_align", 10)):
        lines = [str(len(names)), " ".join(f"column_{value}" for value in range(values))]
        lines += [f"{image}{' 1' * values}" for image in names]
        with open(os.path.join(folder, f"list_{name}_celeba.txt"), "w") as file:
            file.write("\n".join(lines) + "\n")


def _torchvision(folder):
    from torchvision.datasets import CelebA
    from torchvision.transforms import PILToTensor

    CelebA._check_integrity = lambda self: True  # these are not the official files
    return CelebA(folder, split="train", transform=PILToTensor())


def torchvision_first_row(folder, out):
    """The first row of train from torchvision's CelebA, unpacked before."""
    import torchvision.datasets  # noqa: F401

    yield
    _torchvision(folder)[0]
    yield 1


def torchvision_loader(folder, workers, out):
    """Images of train as tensors in batches, by torchvision's CelebA, unpacked before."""
    yield from _batches(_torchvision(folder), workers, 0)


def stream_loader(release, workers, out):
    """The same from the zip, by our builder."""
    builder = celeba_dialog.CelebADialog(config_name="standard", data_dir=release)
    stream = builder.as_streaming_dataset("train").select_columns(["image", "attributes"]).with_format("torch")
    yield from _batches(stream, workers, "image")


def parquet_loader(folder, workers, out):
    """The same from the built folder, prepared by `datasets`."""
    dataset = datasets.load_dataset(folder, "standard", split="train").select_columns(["image", "attributes"])
    yield from _batches(dataset.with_format("torch"), workers, "image")


def _batches(dataset, workers, images):
    import torch

    loader = torch.utils.data.DataLoader(dataset, batch_size=64, num_workers=workers, multiprocessing_context="fork")
    yield
    yield sum(len(batch[images]) for batch in loader)


def _import_all():
    """Makes `datasets` import what it imports with the first stream: torch, where that is installed."""
    datasets.Dataset.from_dict({"a": [1]}).to_iterable_dataset()


def stream_release(release, config, out):
    """Train from the release, images undecoded, the annotations read before."""
    open_index(index_key(Release(release), *celeba_dialog.family(config)))
    _import_all()
    yield
    builder = celeba_dialog.CelebADialog(config_name=config, data_dir=release)
    yield sum(1 for _ in builder.as_streaming_dataset("train").decode(False))


def stream_parquet(folder, config, out):
    """Train from the built folder, images undecoded."""
    _import_all()
    yield
    yield sum(1 for _ in datasets.load_dataset(folder, config, split="train", streaming=True).decode(False))


def first_row(release, config, out):
    """The first row of train from the release."""
    _import_all()
    yield
    builder = celeba_dialog.CelebADialog(config_name=config, data_dir=release)
    next(iter(builder.as_streaming_dataset("train")))
    yield 1


def training_images(folder, config, side, rows, out):
    """Images of train as RGB pixels of `side` pixels square, from the built folder."""
    dataset = datasets.load_dataset(folder, config, split="train", streaming=True).select_columns("image").take(rows)
    yield
    count = 0
    for row in dataset:
        image = row["image"].convert("RGB")
        if image.size != (side, side):
            image = image.resize((side, side), Image.Resampling.LANCZOS)
        count += 1
    yield count


def browse(folder, config, queries, pictures, out):
    """Answers of the local page, through HTTP, one after the other; with `pictures` those of the gallery too."""
    with browsing.serve(folder, port=0) as server:
        thread = threading.Thread(target=server.run, daemon=True)  # ends with this process, which nobody asks again
        thread.start()
        address = urllib.parse.urlsplit(server.address)
        connection = http.client.HTTPConnection(address.netloc)
        connection.request("GET", f"/?{address.query}")
        response = connection.getresponse()
        response.read()
        cookie = {"Cookie": response.headers["Set-Cookie"].partition(";")[0]}

        def answer(path, **query):
            connection.request("GET", f"/{path}?{urllib.parse.urlencode({'config': config, **query})}", headers=cookie)
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise RuntimeError(content)
            return content

        answer("search")
        yield
        for query in queries:
            rows = json.loads(answer("search", where=query))["rows"]
            for row in rows if pictures else ():
                answer("thumbnail", position=row["position"])
        yield len(queries)


def load_workers(release, config, workers, start, rows, out):
    """Rows of train from the release through a DataLoader."""
    builder = celeba_dialog.CelebADialog(config_name=config, data_dir=release)
    yield from _load(builder.as_streaming_dataset("train"), workers, start, rows)


def load_numbers(workers, start, rows, out):
    """Rows of nothing but a number through a DataLoader: what a worker costs before it holds any data."""
    dataset = datasets.Dataset.from_dict({"a": range(rows)}).to_iterable_dataset(num_shards=workers)
    yield from _load(dataset, workers, start, rows)


def _load(dataset, workers, start, rows):
    import torch

    options = dict(num_workers=workers, multiprocessing_context=start, collate_fn=_same)
    loader = torch.utils.data.DataLoader(dataset, batch_size=None, **options)
    yield
    yield sum(1 for row, _ in zip(loader, range(rows)))


def _same(row):
    return row

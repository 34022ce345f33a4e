"""An unpacked release on a slow mount: before the first row, no image is asked for its status more than once."""

import collections
import os
import zipfile

from making import write_release

from celeba_dialog import CelebADialog
from conversion.release.official import FILES


class Counting:
    """An entry of a folder whose `stat` is counted."""

    def __init__(self, entry, seen):
        self.entry, self.seen = entry, seen

    def __getattr__(self, name):
        return getattr(self.entry, name)

    def stat(self, **options):
        self.seen[self.entry.path] += 1
        return self.entry.stat(**options)


def counting(call, seen):
    def counted(path, *more, **options):
        if not isinstance(path, int):
            seen[os.fspath(path)] += 1
        return call(path, *more, **options)

    return counted


def test_at_most_one_stat_of_an_image(tmp_path, monkeypatch):
    root = tmp_path / "release"
    write_release(root, hq=3, standard=9)
    path = root / FILES["standard_images"].path
    with zipfile.ZipFile(path) as images:
        images.extractall(path.parent)
    path.unlink()
    seen = collections.Counter()
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda *folder: [Counting(entry, seen) for entry in scan(*folder)])
    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, counting(getattr(os, name), seen))
    builder = CelebADialog(config_name="standard", data_dir=root, cache_dir=tmp_path / "cache")
    row = next(iter(builder.as_streaming_dataset("train")))
    images = {os.path.basename(path): count for path, count in seen.items() if "/img_align_celeba/" in str(path)}
    assert len(images) == 9 and row["file_name"] in images and set(images.values()) == {1}

"""python tests/matrix/prepare.py DATA: what every environment of the version matrix reads, made once for all of them.

DATA/release           a demo release
DATA/truth.json        its rows, known from the making of the release: {config: {split: [row]}}
DATA/celeba_dialog     the Parquet folder built from it
DATA/celeba_dialog.py  beside it as in a checkout, where it must not be in the way
"""

import io
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from doors import CONFIGS, to_json  # noqa: E402
from PIL import Image  # noqa: E402

from conversion.demo import command as demo  # noqa: E402
from conversion.release.vocabulary import SPLITS  # noqa: E402


def prepare(data):
    """Writes the folder `data` anew."""
    data = Path(data).resolve()
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    truth = demo.write_release(str(data / "release"), hq=9, standard=40, seed=1)
    (data / "truth.json").write_text(to_json({config: _splits(truth, config) for config in CONFIGS}))
    shutil.copy(ROOT / "celeba_dialog.py", data)
    build = [sys.executable, "-m", "conversion", "build", data / "release", data / "celeba_dialog"]
    options = [word for config in CONFIGS for word in ("--config", config)]
    subprocess.run([*build, *options], cwd=ROOT, check=True)  # noqa: S603


def _splits(truth, config):
    side = {"hq_512": 512, "hq_256": 256}.get(config)
    splits = {}
    for row in truth["standard" if config == "standard" else "hq"]:
        if side:
            image = _smaller(row["image"], side, Image.Resampling.LANCZOS, "JPEG", quality=95, subsampling="4:4:4")
            mask = row["mask"] and _smaller(row["mask"], side, Image.Resampling.NEAREST, "PNG")
            row = row | {"image": image, "mask": mask}
        columns = {name: value for name, value in row.items() if name != "split"}
        if config != "hq_parts":
            columns.pop("parts", None)
        splits.setdefault(row["split"], []).append(columns)
    return {split: splits[split] for split in SPLITS if split in splits}


def _smaller(image, side, method, kind, **options):
    opened = Image.open(io.BytesIO(image["bytes"]))
    if side >= opened.width:
        return image
    file = io.BytesIO()
    opened.resize((side, side), method).save(file, kind, **options)
    return {"bytes": file.getvalue(), "path": image["path"]}


if __name__ == "__main__":
    prepare(sys.argv[1])

"""CelebA-Dialog for Hugging Face `datasets`: the loading script.

CelebA-Dialog (Jiang et al., Talk-to-Edit, ICCV 2021) adds degrees of five attributes, captions and editing requests to
the face images of CelebA-HQ (30,000) and CelebA (202,599). The official files are read where they lie, zipped or
unpacked:

    import celeba_dialog
    from datasets import load_dataset

    celeba_dialog.register()
    dataset = load_dataset("celeba_dialog", "hq", data_dir="~/CelebA-Dialog")

How the files are read stands in the package `release`: conversion/release/ in a clone, installed as
celeba_dialog_conversion.release.
"""

import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import datasets

if TYPE_CHECKING:  # for editors and mypy; `__getattr__` gives them when they are asked for
    # fmt: off
    from celeba_dialog_conversion.release import (  # isort: skip
        ATTRIBUTES, DEGREE_MEANINGS, DEGREES, MASK_CLASSES, MASK_COLORS, PARTS, RELEASE_NAMES, REQUEST_DIRECTIONS,
        REQUEST_MODES, SPLITS, CelebADialogError, ChangedReleaseError, ConflictError, DamagedFileError,
        EnvironmentFault, FormatError, MissingFileError, ReleaseError, UsageError,
    )
    # fmt: on

__version__ = "1.0.0"

# fmt: off
__all__ = [
    "ATTRIBUTES", "CONFIGS", "DEGREES", "DEGREE_MEANINGS", "MASK_CLASSES", "MASK_COLORS", "PARTS", "RELEASE_NAMES",
    "REQUEST_DIRECTIONS", "REQUEST_MODES", "SPLITS", "CelebADialog", "CelebADialogConfig", "CelebADialogError",
    "ChangedReleaseError", "ConflictError", "DamagedFileError", "EnvironmentFault", "FormatError", "MissingFileError",
    "ReleaseError", "UsageError", "__version__", "family", "features_of", "register",
]
# fmt: on

# ------------------------------------------------------------------------------------------------------------ configs

# Config -> its options. The builder needs them before it can know where the package `release` lies.
CONFIGS: dict[str, dict[str, Any]] = {
    "hq": dict(description="30,000 images of 1024×1024 pixels with palette masks."),
    "hq_512": dict(image_size=512, description="hq with images of 512×512 pixels."),
    "hq_256": dict(image_size=256, description="hq with images and masks of 256×256 pixels."),
    "hq_parts": dict(parts=True, description="hq with the binary part masks."),
    "standard": dict(subset="standard", description="202,599 images of 178×218 pixels."),
}


def family(config: str) -> tuple[str, bool]:
    """(subset, whether with part masks) of a config: configs of one family have the same rows and the same index."""
    options = CONFIGS[config]
    return options.get("subset", "hq"), options.get("parts", False)


@dataclass
class CelebADialogConfig(datasets.BuilderConfig):
    """One way to look at the release.

    Args:
        subset: "hq" or "standard".
        image_size: side in pixels to which images are resized (hq only), 1 to 1024; None for the release's own bytes.
        parts: whether rows have the binary part masks (hq only).
        columns: names of the columns that rows have, None for all; images that are not among them are not read.
        filters: which rows, as for Parquet: [("smiling", ">=", 3)] or a pyarrow.compute.Expression; None for all.
    """

    version: datasets.Version = datasets.Version(__version__)
    subset: str = "hq"
    image_size: int | None = None
    parts: bool = False
    columns: list[str] | None = None
    filters: Any = None

    def check(self) -> None:
        """Raises UsageError for a combination that does not exist."""
        release = _release()
        if self.subset not in ("hq", "standard"):
            raise release.UsageError(f"subset is {self.subset!r}, expected hq or standard.")
        if self.image_size is not None:
            most = _release("vocabulary").HQ.side[0]
            if self.subset != "hq" or type(self.image_size) is not int or not 1 <= self.image_size <= most:
                raise release.UsageError(
                    f"image_size is {self.image_size!r} for {self.name}: only HQ images can be resized, to a side from "
                    f"1 to {most} pixels."
                )
        if self.parts and self.subset != "hq":
            raise release.UsageError(f"parts is set for {self.name}: only HQ images have part masks.")
        known = features_of(self.subset, self.parts)
        if self.columns is not None and (not self.columns or not set(self.columns) <= set(known)):
            raise release.UsageError(f"columns is {self.columns!r}, expected some of {', '.join(known)}.")

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: Any = None) -> str:
        """The name of the cache folder, with a digest of the release, so that changed files are never served stale."""
        self.check()
        config_kwargs = dict(config_kwargs)
        finding = _release("finding")
        if config_kwargs.get("data_dir") or os.environ.get(finding.RELEASE_VARIABLE):
            self.__dict__["_listed"] = release = finding.Release(finding.find_root(config_kwargs.get("data_dir")))
            config_kwargs["data_dir"] = release.root
            config_kwargs["release"] = release.digest(_release("official").roles_of(self.subset, self.parts))
        return super().create_config_id(config_kwargs, custom_features)

    def release(self) -> Any:
        """The `Release`, as it was listed for `create_config_id`: a folder of 202,599 images takes a while to list."""
        finding, listed = _release("finding"), self.__dict__.pop("_listed", None)
        if listed and listed.is_unchanged(listed.sources):
            return listed
        return finding.Release(finding.find_root(self.data_dir))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_listed"}


# ----------------------------------------------------------------------------------------------------------- features


def features_of(subset: str, parts: bool = False) -> datasets.Features:
    """The `datasets.Features` of a subset, on whatever version of `datasets` is installed.

    image: JPEG, RGB, 1024×1024 (hq) or 178×218 pixels. mask (hq): PNG, palette, 512×512, pixel values 0-18 in the
    order of MASK_CLASSES, or None. bangs … age: degree 0-5, -1 where the image is not labelled. attributes: forty of
    0 or 1 in the order of ATTRIBUTES, all -1 where missing. Texts: empty where missing. identity: -1 where missing.
    request_labels: -1 where there is no request, in value and target also where they do not apply.
    """
    words = _release()
    columns: dict[str, Any] = {"image": datasets.Image()}
    if subset == "hq":
        columns["mask"] = datasets.Image()  # no `mode`: Pillow would turn the indices into colours
    columns |= {name: datasets.ClassLabel(names=list(classes)) for name, classes in words.DEGREES.items()}
    yes_no = datasets.ClassLabel(names=["no", "yes"])
    columns["attributes"] = datasets.Sequence(yes_no, length=len(words.ATTRIBUTES))
    columns["caption"] = datasets.Value("string")
    columns["attribute_captions"] = {name: datasets.Value("string") for name in words.DEGREES}
    columns["request"] = datasets.Value("string")
    columns["request_labels"] = {
        "attribute": datasets.ClassLabel(names=list(words.DEGREES)),
        "mode": datasets.ClassLabel(names=list(words.REQUEST_MODES)),
        "direction": datasets.ClassLabel(names=list(words.REQUEST_DIRECTIONS)),
        "value": datasets.Value("int8"),
        "target": datasets.Value("int8"),
    }
    columns["identity"] = datasets.Value("int32")
    columns["file_name"] = datasets.Value("string")
    columns["celeba_file_name" if subset == "hq" else "hq_file_name"] = datasets.Value("string")
    if parts:
        # A list of a dict, because Sequence of a dict is turned inside out, and List is unknown before 4.0.
        columns["parts"] = [{"part": datasets.ClassLabel(names=list(words.PARTS)), "mask": datasets.Image()}]
    return datasets.Features(columns)


# ------------------------------------------------------------------------------------------------------------ builder


class CelebADialog(datasets.GeneratorBasedBuilder):
    """CelebA-Dialog, read from the official files where they lie.

        from celeba_dialog import CelebADialog

        builder = CelebADialog(config_name="hq", data_dir="~/CelebA-Dialog")
        stream = builder.as_streaming_dataset(split="train")
        builder.download_and_prepare()
        train = builder.as_dataset(split="train")

    Configs:
        hq: 30,000 images of 1024×1024 pixels with palette masks; the default.
        hq_512, hq_256: the same images at 512×512 and 256×256 pixels.
        hq_parts: hq with the binary part masks.
        standard: 202,599 images of 178×218 pixels.

    Args:
        data_dir: the folder that holds the official files somewhere below it, or its fsspec URL; by default
            $CELEBA_DIALOG_RELEASE.
        image_size: the side in pixels, 1 to 1024, to which HQ images are resized.
        parts: True for the part masks in another config of hq.
        columns: names of the columns wanted; images that are not among them are not read.
        filters: which rows, as `load_dataset` takes them for Parquet: [("smiling", ">=", 3)].

    Columns: image, mask (hq), the degrees bangs, eyeglasses, beard, smiling and age, attributes, caption,
    attribute_captions, request, request_labels, identity, file_name, celeba_file_name (hq), hq_file_name (standard),
    parts (hq_parts). Their types, and what stands where something is missing: see `features_of`.

    Splits: train, validation, test, and unlabeled for the images that nobody annotated. Raises ReleaseError where the
    files are at fault.
    """

    VERSION = datasets.Version(__version__)
    BUILDER_CONFIG_CLASS = CelebADialogConfig
    BUILDER_CONFIGS = [CelebADialogConfig(name=name, **options) for name, options in CONFIGS.items()]
    DEFAULT_CONFIG_NAME = "hq"
    DEFAULT_WRITER_BATCH_SIZE = 100  # rows held in memory while preparing: 10 MB of HQ images

    def __init__(self, *args: Any, **options: Any) -> None:
        base_path = options.get("base_path")
        if base_path and os.path.isdir(base_path):
            options["base_path"] = os.path.abspath(base_path)
        _release(folder=options.get("base_path"))
        # `load_dataset` names the cache folder after a hash; with none, its rows would lie in ours, and go with it.
        options["hash"] = options.get("hash") or _release("finding").code_digest()
        super().__init__(*args, **options)

    def __setstate__(self, state: dict[str, Any]) -> None:
        _release(folder=state.get("base_path"))  # a spawned worker has this script, and not the package yet
        super().__setstate__(state)

    def _info(self) -> datasets.DatasetInfo:
        words = _release("vocabulary")
        is_given = self.config.data_dir or os.environ.get(_release("finding").RELEASE_VARIABLE)
        features = features_of(self.config.subset, self.config.parts)
        if self.config.columns is not None:
            features = datasets.Features({name: features[name] for name in features if name in self.config.columns})
        return datasets.DatasetInfo(
            description=words.DESCRIPTION,
            features=features,
            homepage=words.HOMEPAGE,
            license=words.LICENSE_NAME,
            citation=words.CITATION,
            # Those of a whole release, for who asks before there are files; else the files tell.
            splits=None if is_given else {name: {"name": name} for name in words.SPLITS},
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        rows, release = _release("rows"), self.config.release()
        key = _release("index").index_key(release, self.config.subset, self.config.parts, self._cache_dir_root)
        index = _release("index").open_index(key, release)
        rows.check_first(index, self.config.image_size, self.config.columns)
        _release("missing").warn(release, index, self.config.subset, self.config.parts)
        # The list is the list of shards. The key is a plain tuple, which a spawned worker can unpickle before it has
        # found the package.
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"ranges": ranges, "key": tuple(key)})
            for split, ranges in rows.shards_with(index, self.config.filters).items()
        ]

    def _generate_examples(
        self, ranges: list[tuple[int, int]], key: tuple[Any, ...]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        rows = _release("rows")
        index_key = _release("index").IndexKey(*key)
        size, columns, filters = self.config.image_size, self.config.columns, self.config.filters
        for first, last in ranges:
            for slice_, images in rows.read_rows(index_key, first, last, rows.READ_ROWS, [size], columns, filters):
                yield from zip(slice_["number"].to_pylist(), rows.examples(slice_, images[size], columns))


# ----------------------------------------------------------------------------------------------------------- register


def register() -> None:
    """Makes `load_dataset("celeba_dialog", …, data_dir=RELEASE)` read the release with the builder above.

    For `datasets` 4.0 and later, which refuse loading scripts; earlier versions work too. Only this one name is
    touched. Without `data_dir` and $CELEBA_DIALOG_RELEASE the name means the Parquet folder `celeba_dialog/` in the
    working directory, as it does without this call; where there is none either, configs and features can be asked for,
    and rows raise MissingFileError. Calling it again changes nothing. Raises EnvironmentFault where this version of
    `datasets` has no place to register a name.
    """
    # Relies on what `load_dataset` calls to turn a name into a builder, in every version from 2.19 to 5.2:
    # datasets.load.dataset_module_factory(path, …, data_dir=…), returning DatasetModule(module path, hash, keywords).
    finding = _release("finding")
    try:
        import datasets.load as load

        original = load.dataset_module_factory
        module_class = load.DatasetModule
    except (ImportError, AttributeError) as error:
        raise _release().EnvironmentFault(
            f"datasets {datasets.__version__} has no place to register a name ({error}). Build the Parquet folder "
            f"instead, which every version loads by name: celeba-dialog build RELEASE celeba_dialog"
        ) from error
    if getattr(original, "registers", None) == "celeba_dialog":
        return

    @functools.wraps(original)
    def dataset_module_factory(path: Any, *args: Any, **kwargs: Any) -> Any:
        if str(path) != "celeba_dialog":
            return original(path, *args, **kwargs)
        given = kwargs.get("data_dir") or os.environ.get(finding.RELEASE_VARIABLE)
        built = os.path.isdir("celeba_dialog") and not os.path.isfile("celeba_dialog/celeba_dialog.py")
        if built and not given:
            return original(path, *args, **kwargs)
        return module_class(__name__, finding.code_digest(), {"dataset_name": "celeba_dialog"})

    dataset_module_factory.registers = "celeba_dialog"  # type: ignore[attr-defined]
    for module in (load, getattr(datasets, "inspect", None)):
        if hasattr(module, "dataset_module_factory"):
            module.dataset_module_factory = dataset_module_factory  # type: ignore[union-attr]


# -------------------------------------------------------------------------------------------------------- the package


def _release(module: str = "", folder: str | None = None) -> ModuleType:
    """The package `release`, or a module of it, under the one name by which this process has it.

    Its parent is `conversion` in a clone and `celeba_dialog_conversion` where it is installed. `folder` is where the
    clone lies: `datasets` before 4.0 runs a copy of this script from its cache, and tells the builder where it was.
    """
    for name in ("conversion", "celeba_dialog_conversion"):
        if name in sys.modules and any(map(_is_ours, getattr(sys.modules[name], "__path__", ()))):
            break
    else:
        name = _parent(os.path.abspath(folder or os.path.dirname(__file__)))
    return importlib.import_module(f"{name}.release.{module}".rstrip("."))


def _is_ours(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, "release", "official.py"))


def _parent(folder: str) -> str:
    """The name of the package's parent, which this process does not have yet; a clone in `folder` comes first."""
    clone = os.path.join(folder, "conversion")
    for name in ("conversion", "celeba_dialog_conversion"):
        spec = importlib.util.find_spec(name)
        places = [os.path.abspath(place) for place in spec.submodule_search_locations or ()] if spec else []
        if clone in places or not _is_ours(clone) and any(map(_is_ours, places)):
            return name
    if not _is_ours(clone):
        raise ImportError(
            f"celeba_dialog.py reads the files with a package of its own, which is neither installed nor in {folder}. "
            f"Try: pip install FOLDER, the one of this project, or unpack its wheel beside your script"
        )
    # The clone's is not on the path, or behind a `conversion` of somebody else's.
    spec = importlib.util.spec_from_file_location(name, f"{clone}/__init__.py", submodule_search_locations=[clone])
    sys.modules[name] = package = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(package)  # type: ignore[union-attr]
    return name


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(_release(), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""Images of the user's own: a folder with one sub-folder per class."""

from __future__ import annotations

from pathlib import Path

from moonas.data.augment import Augment
from moonas.data.dataset import data_root
from moonas.data.files import FileSource
from moonas.data.folders import ClassFolders, list_images
from moonas.errors import DataError
from moonas.study.data import ImageFolderConfig

# ImageNet's per channel, and their averages for grey: constants, our own choice, so that added images leave the others as they are
MEAN = {3: (0.485, 0.456, 0.406), 1: (0.449,)}
STD = {3: (0.229, 0.224, 0.225), 1: (0.226,)}


def load(root: str | None, settings: ImageFolderConfig) -> FileSource:
    """The folders that the settings name, below the folder of data sets unless they are absolute.

    Raises DataError where one is not there, or holds other classes than the settings say.
    """
    train = _listed(data_root(root), "root", settings.root)
    if len(train.classes) != settings.classes:
        found = f"{train.root} holds {len(train.classes)} class folders"
        raise DataError(f"image-folder: the study file says `classes: {settings.classes}`, and {found}: {_some(train.classes)}")
    test = None if settings.test is None else _listed(data_root(root), "test", settings.test)
    if test is not None and test.classes != train.classes:
        raise DataError(
            f"image-folder: {test.root} must hold the same class folders as {train.root}.\n"
            f"There: {_some(train.classes)}. Here: {_some(test.classes)}."
        )
    return FileSource(
        train=train,
        test=test,
        mean=MEAN[settings.channels],
        std=STD[settings.channels],
        crop=settings.augment == "crop",
        augment=Augment(pad=settings.size // 8, flip=settings.flip),
        by_name=True,
    )


def _listed(data_folder: Path, setting: str, name: str) -> ClassFolders:
    folder = data_folder / Path(name).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"image-folder: there is no folder {folder}, which `{setting}: {name}` names.\n"
            "A name that is not absolute is looked up in the folder that the environment variable MOONAS_DATA names."
        )
    return list_images(folder)


def _some(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:10]) + (" ..." if len(classes) > 10 else "")

"""ImageNet (ILSVRC 2012): 1,281,167 training and 50,000 validation images of 1,000 classes, read from their files.

Source: Russakovsky et al., IJCV 2015, arXiv:1409.0575. Its official validation images serve as the test part.
"""

from __future__ import annotations

import shlex

from moonas.data.augment import Augment
from moonas.data.dataset import data_root
from moonas.data.files import FileSource
from moonas.data.folders import list_images
from moonas.errors import DataError

# per channel, as in the published DARTS code (Liu et al., ICLR 2019, arXiv:1806.09055)
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
ARCHIVES = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz")


def load(root: str | None = None) -> FileSource:
    """The class folders in `<root>/imagenet/train` and `<root>/imagenet/val`. Raises DataError, with how to get them."""
    folder = data_root(root) / "imagenet"
    if absent := [name for name in ("train", "val") if not (folder / name).is_dir()]:
        unpack = f"from torchvision.datasets import ImageNet; [ImageNet({str(folder)!r}, part) for part in ('train', 'val')]"
        raise DataError(
            f"imagenet is not in {folder} (no folder {', '.join(absent)}).\n"
            f"Get {', '.join(ARCHIVES)} from https://image-net.org into it and unpack them by\n  python -c {shlex.quote(unpack)}\n"
            "or name another folder in the environment variable MOONAS_DATA."
        )
    train, val = list_images(folder / "train"), list_images(folder / "val")
    if train.classes != val.classes:
        raise DataError(
            f"imagenet: the class folders in {train.root} ({len(train.classes)}) and {val.root} ({len(val.classes)}) differ"
        )
    return FileSource(train=train, test=val, mean=MEAN, std=STD, crop=True, augment=Augment(flip=True), by_name=False)

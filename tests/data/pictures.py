"""Small image files in class folders, as users have them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from moonas.data import dataset
from moonas.data.dataset import Data, load_data


def write_plain(root: Path, greys: Mapping[str, range], suffix: str = ".png") -> None:
    """In the folder of each class an 8x8 image of one grey for every value of its range, named by that value."""
    for name, values in greys.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for value in values:
            Image.new("L", (8, 8), value).save(root / name / f"{value:03}{suffix}")


def write_noise(root: Path, images: Mapping[str, int], height: int = 24, width: int = 32, suffix: str = ".jpg") -> None:
    """In the folder of each class so many images of coloured noise."""
    rng = np.random.default_rng(0)
    for name, count in images.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(root / name / f"{number}{suffix}")


def load_folder(top: Path, seed: int = 0, **settings: Any) -> Data:
    """The image folder `mine` below `top`, in grey at 8x8 unless the settings say otherwise, as it is now."""
    least = {"name": "image-folder", "root": "mine", "size": 8, "classes": 2, "channels": 1}
    dataset._load.cache_clear()
    return load_data({**least, **settings}, seed, root=str(top))

"""A user's own folder of images by class, as ImageNet's validation set is unpacked, and a user's own model.

Pixels are prepared as torchvision's classifiers expect: the shorter side to 256, the central 224x224, 0 .. 1, and
normalized by ImageNet's mean and deviation. Needs Pillow.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vsq.golden.contract.errors import InputError
from vsq.golden.workloads.metrics import Score, share

RESIZED = 256
CROPPED = 224
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
SUFFIXES = {".jpeg", ".jpg", ".png"}

Batch = tuple[torch.Tensor, torch.Tensor]


def images(root: str | Path, *, classes: Sequence[str] | None = None) -> list[tuple[Path, int]]:
    """Return the images under ``root/CLASS/`` with their labels, ordered by class and name.

    Args:
        classes: Folder names in the order of the model's outputs; None takes all folders in alphabetical order, which
            is ImageNet's. A folder with some of the classes needs the list of all.

    Raises:
        InputError: If ``root`` is no folder, holds a class that is not in the list, or no image.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give one with a folder of images for each class")
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    names = [path.name for path in folders] if classes is None else list(classes)
    if unknown := [path.name for path in folders if path.name not in names]:
        raise InputError(f"{root / unknown[0]}: its name is not among the {len(names)} classes; mend the list")
    found = [
        (path, names.index(folder.name))
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES
    ]
    if not found:
        raise InputError(f"{root}: no image in any of its {len(folders)} folders; give {', '.join(sorted(SUFFIXES))}")
    return found


def batches(found: Iterable[tuple[Path, int]], size: int = 32) -> Iterator[Batch]:
    """Yield pixels [B, 3, 224, 224] and labels [B], ``size`` images at a time, as :func:`read` gives them."""
    entries = iter(found)
    while part := list(islice(entries, size)):
        yield torch.stack([read(path) for path, _ in part]), torch.tensor([label for _, label in part])


def read(path: Path) -> torch.Tensor:
    """Return one image as the model sees it, float32 [3, 224, 224].

    Raises:
        InputError: If Pillow is not installed, or the file is no image.
    """
    if find_spec("PIL") is None:
        raise InputError(f"{path}: reading images needs the package pillow; install it")
    from PIL import Image  # only where images are read

    try:
        with Image.open(path) as file:
            image: Any = file.convert("RGB")
    except OSError as error:
        raise InputError(f"{path}: cannot be read as an image ({type(error).__name__}); remove or replace it") from None
    width, height = (side * RESIZED // min(image.size) for side in image.size)
    left, top = round((width - CROPPED) / 2), round((height - CROPPED) / 2)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(resized.crop((left, top, left + CROPPED, top + CROPPED)), np.float32) / 255
    normalized = (pixels - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
    return torch.from_numpy(normalized).permute(2, 0, 1).contiguous()


@torch.no_grad()
def accuracy(model: nn.Module, data: Iterable[Batch]) -> Score:
    """Return the share of images, 0 to 1, whose largest output is their label's; no image is an InputError."""
    right = total = 0
    for pixels, labels in data:
        right += int((model(pixels).argmax(dim=1) == labels).sum())
        total += len(labels)
    if not total:
        raise InputError("accuracy: got no images; give at least one batch")
    return share(right, total)

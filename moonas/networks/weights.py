"""Trained weights as a file: safetensors under the names that `build` gives them, and in the metadata what they belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from moonas.errors import WeightsError

METADATA = "moonas"  # the metadata entry that says what the weights belong to


def pack_weights(network: nn.Module, about: Mapping[str, Any]) -> bytes:
    """All that a network holds, its running statistics too, as the bytes of a safetensors file. about: finite JSON data."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    return save(tensors, {METADATA: json.dumps(about, allow_nan=False, sort_keys=True)})


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Give a network the weights of a file. Raises WeightsError where it is no safetensors file, or one of another network."""
    try:
        tensors = load(Path(path).read_bytes())
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}") from error
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({error})") from error
    if problem := _misfit(network.state_dict(), tensors):
        raise WeightsError(f"{path} holds weights of another network: {problem}")
    network.load_state_dict(tensors)


def _misfit(wanted: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> str:
    """The first thing by which the tensors of a file are not those of a network; empty where they are."""
    for name, tensor in wanted.items():
        if name not in found:
            return f"it has no {name}"
        if found[name].shape != tensor.shape or found[name].dtype != tensor.dtype:
            return f"its {name} is {_shape(found[name])}, the network's {_shape(tensor)}"
    return next((f"the network has no {name}" for name in found if name not in wanted), "")


def _shape(tensor: torch.Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"

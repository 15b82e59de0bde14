"""Checkpoints: a nested state as one safetensors file, with the JSON part in its metadata. Never pickle."""

from __future__ import annotations

import json
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from moonas.errors import CheckpointError

METADATA = "moonas"  # the metadata entry that holds the JSON part
TENSOR = "__tensor__"


def pack(state: dict[str, Any]) -> bytes:
    """A state of dicts with text keys, lists, tensors and finite JSON scalars, as the bytes of a safetensors file."""
    tensors: dict[str, torch.Tensor] = {}
    tree = _without_tensors(state, tensors)
    return save(tensors, {METADATA: json.dumps(tree, allow_nan=False)})


def unpack(content: bytes) -> dict[str, Any]:
    """The state that `pack` wrote, tensors on the CPU. Raises CheckpointError for a truncated or foreign file."""
    try:
        tensors = load(content)
        size = int.from_bytes(content[:8], "little")
        tree = json.loads(json.loads(content[8 : 8 + size])["__metadata__"][METADATA])
        return _with_tensors(tree, tensors)
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"not a whole checkpoint of moonas ({type(error).__name__}: {error})") from error


def _without_tensors(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {TENSOR: name}
    if isinstance(value, dict):
        assert all(isinstance(key, str) and key != TENSOR for key in value), "checkpoint keys are text"
        return {key: _without_tensors(item, tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(item, tensors) for item in value]
    return value


def _with_tensors(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, dict):
        if TENSOR in value:
            return tensors[value[TENSOR]]
        return {key: _with_tensors(item, tensors) for key, item in value.items()}
    return [_with_tensors(item, tensors) for item in value] if isinstance(value, list) else value

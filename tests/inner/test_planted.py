"""A planted task, from images to the decoded architecture: of three operations only one shows an image its own features.

The others show it another image's. Methods that learn must put the one that helps on the edges that lead on from a cell's inputs:
in the smallest cells of DARTS's and TND-NAS's spaces all there are, in NAS-Bench-201 three of six, where every path begins.
Where labels mean nothing it must not win, so that what is found is what the images tell, and no liking of the method or the space.

In NAS-Bench-201 the others go astray in the last of the three stages alone and do nothing in the cells before, for three even
mixtures of six edges one after the other would leave next to nothing of an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from moonas.data.dataset import Data, load_data
from moonas.data.parts import Part
from moonas.inner.search import Search
from moonas.skeleton import Skeleton
from moonas.spaces.scores import scores_from_json
from moonas.specs import SearchSpec
from moonas.study.methods import METHODS

HELPFUL = "skip_connect"
OPERATIONS = [HELPFUL, "nor_conv_1x1", "nor_conv_3x3"]  # the test puts `Astray` in the place of both convolutions
SMALLEST: dict[str, dict[str, Any]] = {
    "darts-cnn": {"nodes": 1, "operations": OPERATIONS},
    "tnd-cnn": {"nodes": 1, "normal": OPERATIONS, "reduce": OPERATIONS},
    "nas-bench-201": {"operations": OPERATIONS},
}
CHANNELS = 4
# Large learning rates, so that few steps tell; of these, a method is given the settings that it has
FAST = {"epochs": 16, "warmup_epochs": 6, "batch": 32, "weight_lr": 0.05, "weight_decay": 0.0, "alpha_lr": 0.1, "alpha_decay": 0.0}
SAMPLING = {"samples": 8, "weight_samples": 4, "logit_lr": 0.15, "deepen": 0, "channel_divisor": 2}
LONGER: dict[str, dict[str, Any]] = {
    "parsec": {"epochs": 26, "warmup_epochs": 10, "weight_lr": 0.1},
    "tnd-nas": {"epochs": 14, "alpha_lr": 0.3, "weight_lr": 0.1},
}
# rc-darts without a budget is darts
LEARNING = [
    (name, space)
    for name, e in METHODS.items()
    if e.searches and not e.draws and name != "rc-darts"
    for space in SMALLEST
    if space in e.spaces
]


class Astray(nn.Module):
    """The features of the image that stands so many places before in the batch."""

    def __init__(self, places: int, stride: int) -> None:
        super().__init__()
        self.places, self.stride = places, stride

    def forward(self, x: Tensor) -> Tensor:
        return x.roll(self.places, 0)[..., :: self.stride, :: self.stride]


def planted_data(seed: int, shuffled: bool) -> Data:
    """Bright and dark images with noise, of label 1 and 0; where shuffled, of any label."""
    generator = torch.Generator().manual_seed(seed)

    def part() -> Part:
        labels = torch.randint(0, 2, (64,), generator=generator)
        images = (2.0 * labels - 1).view(-1, 1, 1, 1) + 0.5 * torch.randn(64, 1, 4, 4, generator=generator)
        return Part(images, labels[torch.randperm(64, generator=generator)] if shuffled else labels)

    return replace(load_data({"name": "digits"}, 0), train_w=part(), train_alpha=part())


def settings(method: str) -> dict[str, Any]:
    wanted: Mapping[str, Any] = {**FAST, **SAMPLING, **LONGER.get(method, {})}
    return {field.name: wanted[field.name] for field in fields(METHODS[method].config) if field.name in wanted}


def helpful_share(method: str, space: str, seed: int, shuffled: bool) -> float:
    """Of the edges that lead on from a cell's inputs, in the decoded architecture: the share that has the operation that helps."""
    spec = SearchSpec(
        seed=seed,
        replicate=0,
        data={"name": "planted"},
        space={"name": space, **SMALLEST[space]},
        skeleton=Skeleton(space=space, channels=CHANNELS, cells=3, input_shape=(1, 4, 4), classes=2),
        method={"name": method, **settings(method)},
        handler={"name": METHODS[method].handlers[0]},
    )
    search = Search(spec, planted_data(seed, shuffled))
    for epoch in range(search.epochs):
        search.run_epoch(epoch)
    result = search.result()
    decoded = search.decoder.decode(result["slot_scores"] or scores_from_json(result["scores"])).architecture
    groups = search.space.groups
    chosen = [edge[2] for name, edges in decoded.groups.items() for edge in edges if edge[1] < groups[name].inputs]
    return chosen.count(HELPFUL) / len(chosen)


@pytest.mark.parametrize(("method", "space"), LEARNING, ids=str)
def test_the_operation_that_helps_is_found_and_is_not_where_labels_mean_nothing(method: str, space: str, monkeypatch):
    last = 4 * CHANNELS // settings(method).get("channel_divisor", 1)  # what operations of NAS-Bench-201's last stage read
    everywhere = space != "nas-bench-201"

    def wrong(channels: int, stride: int, affine: bool, kernel: int) -> nn.Module:
        return Astray(kernel, stride) if everywhere or channels == last else nn.Identity()

    monkeypatch.setattr("moonas.networks.operations.full_or_biased", wrong)
    found = [helpful_share(method, space, seed, shuffled=False) for seed in range(2)]
    control = [helpful_share(method, space, seed, shuffled=True) for seed in range(2)]
    assert sum(found) / 2 >= 0.9, (found, control)
    assert sum(control) / 2 <= 0.75, (found, control)

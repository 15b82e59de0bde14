"""What a form is told of settings: taken from the classes that check them."""

from __future__ import annotations

from dataclasses import MISSING

import pytest

from moonas.study.data import DATA
from moonas.study.described import Setting, settings_in
from moonas.study.methods import METHODS
from moonas.study.sections import FinalSkeleton, Workers


def setting(config: object, name: str) -> Setting:
    return next(one for one in settings_in(config) if one.name == name)


@pytest.mark.parametrize(
    ("config", "name", "expected"),
    [
        (METHODS["darts"].config, "order", (1, (1, 2), False, "")),
        (METHODS["darts"].config, "weight_momentum", (0.9, (), False, "at least 0, below 1")),
        (METHODS["pc-darts"].config, "alpha_clip", (None, (), False, "above 0")),
        (DATA["image-folder"].config, "flip", (True, (True, False), False, "")),
        (DATA["image-folder"].config, "classes", (MISSING, (), False, "at least 2")),
        (FinalSkeleton, "channels", (MISSING, (), True, "")),
        (Workers, "devices", ("auto", (), True, "")),
        (Workers, "gpus_per_task", (None, (), False, "at least 0, at most 1")),
    ],
)
def test_a_setting_tells_its_default_choices_and_limits(config: object, name: str, expected: tuple[object, ...]) -> None:
    found = setting(config, name)
    assert (found.default, found.choices, found.many, found.limits) == expected


def test_a_setting_tells_what_it_means() -> None:
    assert "weights" in setting(METHODS["darts"].config, "warmup_epochs").help

"""What settings mean stands below them, once, for the reference, for editors and for forms."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import pytest

from moonas.study import continuing, history, promotion, pruning, sections
from moonas.study.data import DATA
from moonas.study.handlers import HANDLERS
from moonas.study.meanings import meanings
from moonas.study.methods import METHODS
from moonas.study.protocols import PROTOCOLS
from moonas.study.samplers import SAMPLERS
from moonas.study.schema import StudyConfig
from moonas.study.spaces import SPACES

SECTIONS = [
    getattr(sections, name)
    for name in ("SearchSkeleton", "FinalSkeleton", "Decode", "Measure", "Workers", "Limits", "Keep", "Health", "Performance")
]
OTHERS = [StudyConfig, continuing.ContinueFrom, history.Past, promotion.Promotion, pruning.Pruning]
NAMED = [entry.config for registry in (DATA, SPACES, METHODS, HANDLERS, SAMPLERS, PROTOCOLS) for entry in registry.values()]


@dataclass
class Shelf:
    """A piece of furniture."""

    boards: int = 3
    """how many boards
    it has"""
    height: float = 2.0


@dataclass
class Bookcase(Shelf):
    boards: int = 5
    doors: bool = False
    """whether it can be closed"""


def test_a_meaning_is_the_text_below_a_field_and_is_inherited() -> None:
    assert meanings(Bookcase) == {"boards": "how many boards it has", "doors": "whether it can be closed"}


def test_a_class_without_source_has_no_meanings() -> None:
    made: dict[str, Any] = {}
    exec("class Made:\n    size: int = 1\n    '''how large'''", made)
    assert meanings(made["Made"]) == {}


@pytest.mark.parametrize("config", list(dict.fromkeys([*SECTIONS, *OTHERS, *NAMED])), ids=lambda config: config.__name__)
def test_every_setting_says_what_it_means(config: type[Any]) -> None:
    assert [item.name for item in fields(config) if not meanings(config).get(item.name)] == []

"""Levels: an architecture per depth of the convolutional space; what of it the sizes of known networks settle."""

import pytest

from moonas.architecture import Architecture
from moonas.errors import ArchitectureError, SkeletonError, StudyFileError
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost, cost_table
from moonas.spaces.space import make_space, space_of
from tests.outer.studies import SMALL, plan
from tests.spaces.genotypes import SIZES, published

SPACE = make_space({"name": "darts-cnn", "levels": 3})
LARGE = Skeleton(channels=36, cells=20, input_shape=(3, 32, 32), classes=10)


def leveled(name: str) -> Architecture:
    """A published pair of cells at every depth."""
    cells = published(name)
    groups = {group: cells.groups["reduce" if "reduce" in group else "normal"] for group in SPACE.groups}
    return Architecture("darts-cnn", groups, dict.fromkeys(groups, range(2, 6)))


@pytest.mark.parametrize("name", ["DARTS_V2", "PDARTS"])
def test_the_same_cells_at_every_depth_cost_what_the_published_pair_does(name: str) -> None:
    SPACE.check(leveled(name))
    assert tuple(cost(leveled(name), LARGE)) == SIZES[name][0]


def test_the_tables_of_the_depths_add_up_to_that_of_the_shared_cells() -> None:
    shared, apart = cost_table(make_space({"name": "darts-cnn"}), LARGE), cost_table(SPACE, LARGE)
    assert (apart.fixed == shared.fixed).all()
    assert (sum(apart.edges[f"normal{level}"] for level in range(3)) == shared.edges["normal"]).all()
    assert (apart.edges["reduce0"] + apart.edges["reduce1"] == shared.edges["reduce"]).all()
    # six cells each, a dilated 3x3 convolution: 9 C + C * C weights and 2 C of batch norm, at 36, 72 and 144 channels
    assert [int(apart.edges[f"normal{level}"][0, 6, 0]) for level in range(3)] == [6 * (11 * c + c * c) for c in (36, 72, 144)]


def test_every_depth_has_a_cell_from_five_cells_on() -> None:
    groups = [cell.group for cell in SPACE.cells(Skeleton(channels=4, cells=5, input_shape=(1, 8, 8), classes=10))]
    assert groups == ["normal0", "reduce0", "normal1", "reduce1", "normal2"]
    for cells in range(5, 40):
        plans = SPACE.cells(Skeleton(channels=4, cells=cells, input_shape=(1, 8, 8), classes=10))
        assert {cell.group for cell in plans} == set(SPACE.groups)
    with pytest.raises(SkeletonError, match="at least 5 cells"):
        SPACE.cells(Skeleton(channels=4, cells=4, input_shape=(1, 8, 8), classes=10))


def test_an_architecture_finds_its_space_its_json_and_its_function_key() -> None:
    architecture = leveled("DARTS_V1")
    assert set(space_of(architecture).groups) == set(SPACE.groups)
    assert Architecture.from_json(architecture.to_text()) == architecture
    other = Architecture("darts-cnn", {**architecture.groups, "normal1": published("PDARTS").groups["normal"]}, architecture.concat)
    assert SPACE.function_key(other) != SPACE.function_key(architecture)
    with pytest.raises(ArchitectureError, match="normal and reduce alone"):
        architecture.to_genotype()
    with pytest.raises(ArchitectureError, match="cell groups"):
        SPACE.check(published("DARTS_V1"))


def test_a_study_of_levels_needs_them_in_both_skeletons() -> None:
    leveled_space = SMALL | {"space": {**SMALL["space"], "levels": 3}, "search": {"channels": 2, "cells": 5}}
    with pytest.raises(StudyFileError) as caught:
        plan(**leveled_space | {"final": {"channels": 2, "cells": [4, 5]}})
    assert [problem.path for problem in caught.value.problems] == ["final"]
    assert plan(**leveled_space | {"final": {"channels": 2, "cells": [5, 6]}}).pairs

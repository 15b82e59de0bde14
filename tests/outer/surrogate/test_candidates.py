"""Candidates: all of a small space, neighbours and crosses of parents in large ones, always within the bounds."""

import pytest

from moonas.architecture import Architecture
from moonas.outer.surrogate.candidates import Generator
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_in, cost_table
from moonas.spaces.space import make_space

SPACES = {
    "darts-cnn": {"operations": ["none", "skip_connect", "max_pool_3x3", "sep_conv_3x3"], "nodes": 3},
    "tnd-cnn": {"normal": ["none", "skip_connect", "sep_conv_3x3"], "reduce": ["none", "skip_connect"], "nodes": 2},
    "nas-bench-201": {"operations": ["none", "skip_connect", "nor_conv_3x3"]},
}


def generator(name: str, **bounds: dict[str, int]) -> Generator:
    space = make_space({"name": name, **SPACES[name]})
    return Generator(space, cost_table(space, skeleton(name)), bounds)


def skeleton(name: str) -> Skeleton:
    return Skeleton(space=name, channels=4, cells=3, input_shape=(1, 8, 8), classes=10)


def edges(architecture: Architecture) -> set[tuple[str, int, int, str]]:
    return {(group, *edge) for group, found in architecture.groups.items() for edge in found if edge[2] != "none"}


def test_a_small_space_is_listed_whole() -> None:
    # 3^6 cells of three operations, less those in which nothing leads to the output: per way of nodes 1 and 2 being reached,
    # counted by hand: a node is cut off with probability 1/3 per edge, so 729 (1 - P) with P worked out below
    few = generator("nas-bench-201")
    assert few.few
    third, reached = 1 / 3, 2 / 3
    one = reached  # node 1 is reached
    both = one * (1 - third**2)  # node 1, and node 2 over either edge
    only_one, only_two = one - both, third * reached
    cut = both * third**3 + (only_one + only_two) * third**2 + (1 - both - only_one - only_two) * third
    assert len(few.all) == len(set(few.all)) == round(729 * (1 - cut))


def test_a_small_space_is_listed_within_its_bounds() -> None:
    bounded = generator("nas-bench-201", params={"upper": 8000})
    costs = [cost_in(bounded.choices.table, bounded.choices.space, bounded.architecture(a)).params for a in bounded.all]
    free = [
        cost_in(bounded.choices.table, bounded.choices.space, bounded.architecture(a)).params
        for a in generator("nas-bench-201").all
    ]
    assert bounded.costs(bounded.all)[:, 0].tolist() == costs
    assert sorted(costs) == sorted(cost for cost in free if cost <= 8000)
    assert 0 < len(costs) < len(free)


@pytest.mark.parametrize("name", SPACES)
def test_an_architecture_is_found_again_from_its_edges(name: str) -> None:
    made = generator(name)
    for chosen in made.around([], 30, seed=0):
        assert made.chosen(made.architecture(chosen)) == chosen


def test_a_cell_that_leads_nowhere_is_none_of_the_candidates() -> None:
    edges = [(node, predecessor, "none") for node in (1, 2, 3) for predecessor in range(node)]
    assert generator("nas-bench-201").chosen(Architecture("nas-bench-201", {"cell": edges}, {"cell": (3,)})) is None


@pytest.mark.parametrize("name", SPACES)
def test_what_is_made_around_parents_belongs_to_the_space_and_its_bounds(name: str) -> None:
    made = generator(name)
    low, high = made.choices.reachable()["params"]
    bounded = generator(name, params={"lower": low + (high - low) // 4, "upper": high - (high - low) // 4})
    parents = bounded.around([], 4, seed=1)
    around = bounded.around(parents, 60, seed=0)
    assert len(set(around)) == len(around) > 20
    assert not set(around) & set(parents)
    for architecture in map(bounded.architecture, around):
        bounded.choices.space.check(architecture)
        params = cost_in(bounded.choices.table, bounded.choices.space, architecture).params
        assert low + (high - low) // 4 <= params <= high - (high - low) // 4


def test_half_differ_from_the_parent_in_one_edge_or_two() -> None:
    made = generator("darts-cnn")
    (parent,) = made.around([], 1, seed=3)
    around = made.around([parent], 80, seed=0)
    own = edges(made.architecture(parent))
    near = [chosen for chosen in around if len(own - edges(made.architecture(chosen))) <= 2]
    assert 0.3 * len(around) < len(near) < 0.8 * len(around)


def test_the_same_seed_makes_the_same_candidates() -> None:
    made = generator("tnd-cnn")
    parents = made.around([], 5, seed=0)
    again = generator("tnd-cnn")
    assert made.around(parents, 40, seed=7) == again.around(parents, 40, seed=7)
    assert made.around(parents, 40, seed=7) != made.around(parents, 40, seed=8)

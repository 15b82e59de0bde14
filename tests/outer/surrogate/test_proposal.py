"""Proposals: the start, siblings, pending ones, determinism, and a planted problem on which they beat random choice clearly."""

from functools import lru_cache

import numpy as np
import pytest

from moonas.front.dominance import non_dominated
from moonas.front.hypervolume import hypervolume
from moonas.outer.surrogate.candidates import Generator
from moonas.outer.surrogate.features import Columns, cell_features, parameter_features
from moonas.outer.surrogate.proposal import (
    SPREAD,
    Candidates,
    Objectives,
    Observations,
    Proposer,
    Warp,
    basis,
    informative,
    last_mark,
)
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_in, cost_table
from moonas.spaces.space import make_space
from moonas.study.ranges import Range

TWO = Objectives(known=np.array([False, True]), ideal=np.array([-1.0, 0.0]), reference=np.array([0.0, 1.0]))


@lru_cache(maxsize=1)
def planted() -> tuple[Columns, Candidates, np.ndarray]:
    """Cells of three operations; an error that falls with the convolutions a way has on average, less so without a skip.

    Values (n, 2): the error less 1, and the share of the largest size.
    """
    space = make_space({"name": "nas-bench-201", "operations": ["none", "skip_connect", "nor_conv_3x3"]})
    skeleton = Skeleton(space=space.name, channels=4, cells=3, input_shape=(1, 8, 8), classes=10)
    table = cost_table(space, skeleton)
    generator = Generator(space, table)
    cells = [generator.architecture(chosen) for chosen in generator.all]
    described = [cell_features(cell) for cell in cells]
    sizes = np.array([cost_in(table, space, cell).params for cell in cells]) / 30_000
    depth = np.array([found["cell.mean"][""] for found in described])
    skip = np.array([found["cell.skip"][""] for found in described])
    ways = np.array([found["cell.ways"][""] for found in described])
    accuracy = 0.5 + 0.3 * np.sin(1.5 * depth) + 0.08 * skip * depth + 0.03 * ways
    columns = Columns()
    known = np.column_stack([np.full(len(cells), np.nan), sizes])
    candidates = Candidates(columns.rows(described), known, [space.function_key(cell) for cell in cells])
    return columns, candidates, np.column_stack([-accuracy, sizes])


def some(candidates: Candidates, indices: list[int]) -> Candidates:
    return Candidates(candidates.rows[indices], candidates.known[indices], [candidates.functions[index] for index in indices])


def seen(candidates: Candidates, values: np.ndarray, indices: list[int]) -> Observations:
    chosen = some(candidates, indices)
    rows = chosen.rows[basis(values[indices])]
    return Observations(rows, values[indices], chosen.functions, np.ones(len(indices)))


def propose(indices: list[int], seed: int, proposer: Proposer | None = None, pending: tuple[int, ...] = ()) -> int:
    columns, candidates, values = planted()
    taken = np.zeros(len(values), dtype=bool)
    taken[[*indices, *pending]] = True
    asked = proposer or Proposer(TWO, columns)
    chosen = asked.propose(seen(candidates, values, indices), some(candidates, list(pending)), candidates, taken, seed)
    assert chosen is not None
    assert not taken[chosen]
    return chosen


@lru_cache(maxsize=4)
def searched(seed: int, count: int) -> tuple[int, ...]:
    proposer, indices = Proposer(TWO, planted()[0]), []
    for index in range(count):
        indices.append(propose(indices, 1000 * seed + index, proposer))
    return tuple(indices)


def test_the_start_is_the_cheapest_candidate_and_one_of_every_part_of_the_costs() -> None:
    _, _, values = planted()
    start = list(searched(0, 1 + SPREAD))
    assert values[start[0], 1] == values[:, 1].min()
    parts = np.array_split(np.sort(values[:, 1]), SPREAD)
    stages = [stage % SPREAD for stage in range(1, 1 + SPREAD)]
    for index, stage in zip(start[1:], stages, strict=True):
        assert parts[stage].min() - 0.01 <= values[index, 1] <= parts[stage].max() + 0.01


@pytest.mark.parametrize("count", [3, 14, 30])
def test_a_proposer_that_forgot_everything_proposes_the_same(count: int) -> None:
    indices = searched(0, 31)
    assert propose(list(indices[:count]), count) == indices[count]


def test_it_beats_random_choice_clearly_on_a_planted_problem() -> None:
    _, _, values = planted()
    best = hypervolume(values, TWO.reference, TWO.ideal)

    def left(indices: list[int]) -> float:
        return best - hypervolume(values[indices], TWO.reference, TWO.ideal)

    rng = np.random.default_rng(0)
    by_chance = np.median([left(rng.integers(len(values), size=31).tolist()) for _ in range(50)])
    assert max(left(list(searched(seed, 31))) for seed in (0, 1)) < 0.2 * by_chance


def test_a_sibling_of_a_known_cell_at_no_lower_cost_is_worth_nothing_unless_an_objective_is_measured() -> None:
    columns, candidates, values = planted()
    indices, nothing = list(searched(0, 14)), some(candidates, [])
    observed = seen(candidates, values, indices)
    siblings = [
        index
        for index, function in enumerate(candidates.functions)
        if any(function == candidates.functions[i] and values[index, 1] >= values[i, 1] for i in indices)
    ]
    assert len(siblings) > len(indices)
    gains = Proposer(TWO, columns).gains(observed, nothing, candidates)
    assert gains[siblings].max() == 0.0
    measured = Objectives(TWO.known, TWO.ideal, TWO.reference, of_function=False)
    assert Proposer(measured, columns).gains(observed, nothing, candidates)[siblings].max() > 0.0


def test_no_better_are_those_of_the_same_function_at_no_lower_costs() -> None:
    rng = np.random.default_rng(0)
    known = np.column_stack([np.full(60, np.nan), rng.integers(4, size=(60, 2))])
    functions = [f"f{number}" for number in rng.integers(9, size=60)]
    candidates, asked = Candidates(np.zeros((60, 1)), known, functions), ["f3", "f3", "elsewhere", "f5"]
    costs = np.array([[1, 3], [2, 0], [0, 0], [2, 2]])
    found = candidates.no_better(asked, costs, np.array([False, True, True]))
    expected = [
        any(function == one and (own[1:] >= cost).all() for one, cost in zip(asked, costs, strict=True))
        for function, own in zip(functions, known, strict=True)
    ]
    assert found.tolist() == expected
    assert 0 < sum(expected) < 60
    assert not candidates.no_better([], np.empty((0, 2)), np.array([False, True, True])).any()


def test_a_pending_candidate_leaves_little_to_gain_beside_it() -> None:
    columns, candidates, values = planted()
    indices = list(searched(0, 14))
    observed, proposer = seen(candidates, values, indices), Proposer(TWO, columns)
    before = proposer.gains(observed, some(candidates, []), candidates)
    first = int(np.argmax(before))
    after = proposer.gains(observed, some(candidates, [first]), candidates)
    assert after[first] < 0.2 * before[first]
    assert propose(indices, 0, pending=(first,)) != first


def test_a_limit_on_what_is_learned_turns_proposals_to_what_keeps_to_it() -> None:
    """On how many convolutions a way has on average, no objective, though the error falls with it; ten functions keep to it."""
    columns, candidates, values = planted()
    depth = candidates.rows[:, columns.rows([{"cell.mean": {"": 1.0}}])[0].argmax()]
    told, bound = np.column_stack([values, depth]), float(np.quantile(depth, 0.3))
    shares = []
    for limits in ({}, {2: (-np.inf, bound)}):
        proposer = Proposer(Objectives(TWO.known, TWO.ideal, TWO.reference, limits=limits), columns)
        indices: list[int] = []
        taken = np.zeros(len(values), dtype=bool)
        for index in range(1 + SPREAD + 12):
            given = told if limits else values
            chosen = proposer.propose(seen(candidates, given, indices), some(candidates, []), candidates, taken, index)
            assert chosen is not None
            indices.append(chosen)
            taken[chosen] = True
        shares.append((depth[indices[1 + SPREAD :]] <= bound).mean())
    assert shares[0] < 0.25
    assert shares[1] > 0.5


def test_two_learned_objectives_and_none_known_are_searched_too() -> None:
    columns, candidates, values = planted()
    unknown = Candidates(candidates.rows, np.full_like(values, np.nan), candidates.functions)
    proposer = Proposer(Objectives(np.array([False, False]), TWO.ideal, TWO.reference), columns)
    indices: list[int] = []
    taken = np.zeros(len(values), dtype=bool)
    for index in range(30):
        chosen = proposer.propose(seen(unknown, values, indices), some(unknown, []), unknown, taken, index)
        assert chosen is not None
        indices.append(chosen)
        taken[chosen] = True
    rng = np.random.default_rng(0)
    by_chance = [hypervolume(values[rng.integers(len(values), size=30)], TWO.reference, TWO.ideal) for _ in range(50)]
    assert hypervolume(values[indices], TWO.reference, TWO.ideal) > np.quantile(by_chance, 0.9)


def test_ordinary_parameters_are_searched_as_well() -> None:
    # rate and method: the error is least at a rate of 1e-3 with the method b; the cost is the number of epochs
    ranges = {"method": Range("choice", ("a", "b")), "rate": Range("log", (1e-5, 1e-1)), "epochs": Range("int", (1, 9))}
    designs = [
        {"method": method, "rate": 10.0**exponent, "epochs": epochs}
        for method in ("a", "b")
        for exponent in np.linspace(-5, -1, 17)
        for epochs in range(1, 10)
    ]
    errors = [0.1 + 0.04 * (np.log10(d["rate"]) + 3) ** 2 + 0.1 * (d["method"] == "a") + 0.3 / d["epochs"] - 1.0 for d in designs]
    values = np.column_stack([errors, [design["epochs"] / 10 for design in designs]])
    columns = Columns()
    rows = columns.rows([parameter_features(design, ranges) for design in designs])
    known = np.where([False, True], values, np.nan)
    candidates = Candidates(rows, known, [str(index) for index in range(len(designs))])
    proposer, indices, taken = Proposer(TWO, columns), [], np.zeros(len(values), dtype=bool)
    for index in range(40):
        chosen = proposer.propose(seen(candidates, values, indices), some(candidates, []), candidates, taken, index)
        assert chosen is not None
        indices.append(chosen)
        taken[chosen] = True
    best = hypervolume(values, TWO.reference, TWO.ideal)
    assert hypervolume(values[indices], TWO.reference, TWO.ideal) > 0.98 * best


def test_nothing_is_proposed_where_everything_is_taken() -> None:
    columns, candidates, values = planted()
    taken = np.ones(len(values), dtype=bool)
    assert Proposer(TWO, columns).propose(seen(candidates, values, [0]), some(candidates, []), candidates, taken, 0) is None


def test_the_warp_stretches_good_values_and_is_undone_by_its_inverse() -> None:
    values = np.array([-0.9, -0.8, -0.7, -0.3])
    warp = Warp.of(values)
    assert warp.floor == pytest.approx(-0.9 - 0.3 * (-0.75 + 0.9))
    warped = warp(values)
    assert warped.mean() == pytest.approx(0.0)
    assert warped.std() == pytest.approx(1.0)
    assert warped[1] - warped[0] > 2 * (warped[2] - warped[1])
    np.testing.assert_allclose(warp.inverse(warped), values)


def test_hyperparameters_are_fitted_at_marks_that_grow_apart() -> None:
    assert [last_mark(count) for count in (2, 12, 16, 17, 99, 102)] == [2, 12, 12, 17, 97, 102]
    assert last_mark(1000) - last_mark(960) >= 40


def test_beyond_300_observations_the_model_rests_on_the_front_the_latest_and_some_of_the_rest() -> None:
    columns, candidates, values = planted()
    count = len(values)
    assert count > 300
    order = np.random.default_rng(0).permutation(count).tolist()
    observed, proposer = seen(candidates, values, order), Proposer(TWO, columns)
    prediction, _ = proposer.predict(0, observed, some(candidates, []), candidates)
    median = prediction.floor + np.exp(prediction.mean)
    assert np.corrcoef(median, values[:, 0])[0, 1] > 0.98
    front = np.flatnonzero(non_dominated(values))
    np.testing.assert_allclose(median[front], values[front, 0], atol=0.02)
    chosen = informative(values[order])
    assert len(chosen) == 300
    assert set(np.flatnonzero(non_dominated(values[order]))) | set(range(count - 100, count)) <= set(chosen.tolist())
    assert (chosen < count // 2).sum() > 50

"""The archive: its front, kept up result by result, is that of all its points."""

import numpy as np
import pytest

from moonas.front.dominance import non_dominated
from moonas.outer.archive import Archive
from moonas.store.records import EvaluationKey
from moonas.study.bounds import parse_bound, total_violation
from moonas.study.objectives import parse_objective

OBJECTIVES = [parse_objective("accuracy"), parse_objective("params")]
SPANS = {"params": (0, 10)}


def archive(*constraints):
    return Archive(OBJECTIVES, [parse_bound(text) for text in constraints], SPANS)


def key(place, replicate):
    return EvaluationKey(place[0], place[1], "data", "protocol", replicate, "")


def add(found, name, params, accuracy, replicate=0):
    place = (name, "small")
    return found.add(place, {"params": params}, key(place, replicate), {"accuracy": accuracy})


def names(found):
    return [place[0] for place, _ in found.front()]


def test_a_member_that_falls_lets_back_what_it_had_dominated():
    found = archive()
    add(found, "large", 9, 0.9)
    add(found, "worse", 5, 0.6)
    add(found, "better", 4, 0.8)
    assert names(found) == ["better", "large"]
    add(found, "better", 4, 0.2, replicate=1)  # its mean is 0.5 now
    assert names(found) == ["better", "large", "worse"]
    assert found.front()[0][1] == {"accuracy": 0.5, "params": 4}
    assert found.evaluations == 4


def test_one_evaluation_counts_once():
    found = archive()
    assert add(found, "a", 1, 0.5)
    assert not add(found, "a", 1, 0.5)
    assert found.evaluations == 1


@pytest.mark.parametrize("constraints", [(), ("params<=6",), ("accuracy>=0.5", "params<=8")])
def test_the_front_after_each_result_is_the_one_worked_out_from_all_points(constraints):
    rng, found, measured = np.random.default_rng(0), archive(*constraints), {}
    for _ in range(300):
        name = f"{rng.integers(40):02}"
        params = int(name) % 10  # many equal costs, and equal accuracies: ties
        accuracy = float(rng.choice([0.3, 0.5, 0.6, 0.8, float("nan")], p=[0.3, 0.3, 0.2, 0.19, 0.01]))
        values = measured.setdefault(name, [])
        add(found, name, params, accuracy, replicate=len(values))
        values.append(accuracy)
        metrics = {n: {"accuracy": float(np.mean(v)), "params": int(n) % 10} for n, v in measured.items()}
        bounds = [parse_bound(text) for text in constraints]
        feasible = sorted(n for n, values in metrics.items() if not total_violation(bounds, values))
        points = np.array([[-metrics[n]["accuracy"], metrics[n]["params"]] for n in feasible]).reshape(-1, 2)
        assert names(found) == [n for n, keep in zip(feasible, non_dominated(points), strict=True) if keep]

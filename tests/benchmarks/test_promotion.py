"""The replay of promotion on a record made by hand."""

from collections import Counter

import numpy as np
import pytest

from benchmarks.promotion import Judge, Ordered, Training, archive_of, by_ranks, epsilon_net, outcome, plan_of, trainings
from moonas.outer.promotion import Rungs

AT_TWO = [0.1, 0.5, 0.3, 0.9, 0.2, 0.6, 0.7, 0.05, 0.4]  # accuracies, best last at 18 epochs
NAMES = [f"n{number}" for number in range(9)]
PARAMS = 9000.0


def lengths(number: int, at_end: tuple[float, float]) -> dict[int, Training]:
    return {2: Training((1 - AT_TWO[number], PARAMS), 3.0), 6: Training((0.5, PARAMS), 7.0), 18: Training(at_end, 20.0)}


# at full length n1, n3 and n8 are the front; promotion never looks at n8
FOUND = {name: lengths(number, (0.9, 9000.0)) for number, name in enumerate(NAMES)}
FOUND["n1"] = lengths(1, (0.3, 2000.0))
FOUND["n3"] = lengths(3, (0.2, 4000.0))
FOUND["n8"] = lengths(8, (0.1, 6000.0))


def test_one_slot_trains_as_a_study_would() -> None:
    plan = plan_of({"epochs": 2})
    done = list(trainings(Rungs(plan, archive_of(plan)), FOUND, NAMES))
    first = [("n0", 2), ("n1", 2), ("n2", 2), ("n1", 18), ("n3", 2), ("n3", 18), ("n4", 2), ("n5", 2), ("n5", 18)]
    assert done == [*first, ("n6", 2), ("n6", 18), ("n7", 2), ("n8", 2)]


def test_an_outcome_counts_all_trainings_and_what_is_missing_of_the_true_front() -> None:
    plan = plan_of({"epochs": 2})
    judge = Judge.of(FOUND)
    assert set(judge.front) == {"n1", "n3", "n8"}
    found = outcome(FOUND, judge, Rungs(plan, archive_of(plan)), NAMES)
    assert found.numbers == Counter({2: 9, 18: 4})
    assert found.epochs == pytest.approx((9 * 2 + 4 * 18) / (9 * 18))
    assert found.seconds == pytest.approx((9 * 3 + 4 * 20) / (9 * 20))
    assert found.lost == 1
    # the box reaches from (0.1, 2000) to (0.32, 6400); n1 has 0.02 * 4400 of it, n3 adds 0.1 * 2400, n8 0.1 * 400
    assert found.share == pytest.approx((88 + 240) / (88 + 240 + 40))
    assert found.plain == pytest.approx(found.share)  # 90 epochs are five whole trainings: n0 to n4


def test_the_epsilon_net_begins_with_the_most_accurate_and_goes_where_nobody_is() -> None:
    values = np.array([[0.2, 50.0], [0.1, 90.0], [0.4, 10.0], [0.12, 80.0]])
    assert epsilon_net(values) == [1, 2, 0, 3]
    plan = plan_of({"epochs": 2})
    assert Ordered(plan, archive_of(plan), by_ranks(epsilon_net)).order(np.vstack([values, [[0.5, 99.0]]]), 5) == [1, 2, 0, 3, 4]

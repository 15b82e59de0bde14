"""The handler `projection` and the method `rc-darts`: when it projects, what it bounds, and whole searches under it."""

import numpy as np
import pytest
import torch

from moonas.data.dataset import load_data
from moonas.errors import InfeasibleError, StudyFileError
from moonas.inner.expected_cost import ExpectedCost
from moonas.inner.handlers.projection import Projection
from moonas.inner.search import Search
from moonas.inner.updates import adam, softmax
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_table
from moonas.spaces.decode import Decoder
from moonas.spaces.space import make_space
from moonas.specs import SearchSpec
from moonas.study.handlers import ProjectionConfig
from moonas.worker.checkpoint import pack, unpack
from tests.outer.studies import SMALL, plan

SPACE = {"name": "darts-cnn", "nodes": 2, "operations": ["none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"]}
FINAL = Skeleton(channels=8, cells=3, input_shape=(1, 8, 8), classes=10)
DATA = {"name": "digits", "images": 80}


class Steps:
    """Logits that Adam drives towards dearer operations, with the handler after every step."""

    def __init__(self, budget, **settings) -> None:
        self.space = make_space(SPACE)
        table = cost_table(self.space, FINAL)
        self.expected = ExpectedCost(self.space, table)
        self.handler = Projection(ProjectionConfig(**settings), self.space, cost_table(self.space, FINAL), budget, "cpu")
        self.logits = {name: torch.zeros(group.shape, requires_grad=True) for name, group in self.space.groups.items()}
        self.optimizer = adam(self.logits.values(), 0.05, 0.5, 0.999, 0.0)

    def step(self, epoch: int, epochs: int, sign: int = 1) -> tuple[bool, float]:
        """Whether a projection moved the logits, and the expected parameters after it."""
        self.optimizer.zero_grad()
        (-sign * self.params() / 1000).backward()
        self.optimizer.step()
        before = {name: matrix.detach().clone() for name, matrix in self.logits.items()}
        self.handler.after_step(self.logits, self.optimizer, epoch, epochs)
        moved = any(not torch.equal(matrix, before[name]) for name, matrix in self.logits.items())
        return moved, self.params().item()

    def params(self) -> torch.Tensor:
        return self.expected(softmax(self.logits))[0]


def even_cost() -> float:
    return Steps({}).params().item()


def moves(steps: Steps, epoch: int, epochs: int, count: int) -> list[bool]:
    return [steps.step(epoch, epochs)[0] for _ in range(count)]


def test_projections_follow_the_first_step_of_an_epoch_then_every_few_then_every_one():
    steps = Steps({"params": {"upper": int(even_cost())}}, every=3, tighten=0)
    assert moves(steps, 0, 10, 8) == [True] + 7 * [False]
    assert moves(steps, 5, 10, 8) == [True] + 7 * [False]
    assert moves(steps, 6, 10, 8) == [True, False, False, True, False, False, True, False]
    assert moves(steps, 7, 10, 2) == [True, False]
    assert moves(steps, 9, 10, 5) == 5 * [True]


def test_the_last_epoch_projects_every_step_whatever_the_shares():
    steps = Steps({"params": {"upper": int(even_cost())}}, stepwise=0, epochwise=1, tighten=1)
    assert moves(steps, 0, 1, 3) == 3 * [True]
    assert steps.params().item() == pytest.approx(int(even_cost()), rel=1e-6)


def test_the_bound_comes_down_in_a_straight_line_from_the_even_mixture():
    start = even_cost()
    upper = int(0.8 * start)
    steps = Steps({"params": {"upper": upper}}, tighten=0.5)
    reached = [steps.step(epoch, 10)[1] for epoch in range(10)]
    line = [upper + (start - upper) * max(0.0, 1 - epoch / 5) for epoch in range(10)]
    assert reached == pytest.approx(line, rel=1e-5)


def test_lower_bounds_are_kept_too():
    lower = int(1.1 * even_cost())
    steps = Steps({"params": {"lower": lower}})
    assert steps.step(0, 10, sign=-1)[1] == pytest.approx(lower, rel=1e-5)


def test_moved_logits_lose_their_momentum_and_keep_their_second_moment():
    steps = Steps({"params": {"upper": int(0.9 * even_cost())}}, tighten=0)
    steps.step(0, 10)
    for name, matrix in steps.logits.items():
        state = steps.optimizer.state[matrix]
        other = Steps({})
        other.step(0, 10)
        usual = other.optimizer.state[other.logits[name]]
        moved = (matrix - other.logits[name]).abs() > 1e-3
        assert moved.any()
        assert not moved[:, 0].any(), "`none` has no cost: it stays"
        assert torch.equal(state["exp_avg"], torch.where(moved, 0, usual["exp_avg"]))
        assert torch.equal(state["exp_avg_sq"], usual["exp_avg_sq"])


def lowest(budget, **settings) -> float:
    """The expected parameters at which logits that shrink the network are stopped."""
    steps = Steps(budget, **settings)
    for _ in range(300):
        *_, params = steps.step(9, 10, sign=-1)
    return params


def test_parameters_stay_above_a_quarter_of_the_span_or_four_fifths_of_the_budget():
    space = make_space(SPACE)
    table = cost_table(space, FINAL)
    low, high = Decoder(space, table).reachable()["params"]
    assert low == table.fixed[0]
    assert lowest({}) == pytest.approx(low + (high - low) / 4, rel=1e-5)
    tight = int(low + 0.1 * (high - low))
    assert lowest({"params": {"upper": tight}}) == pytest.approx(max(low, 0.8 * tight), rel=2e-3)
    assert lowest({"params": {"lower": tight}}) == pytest.approx(tight, rel=1e-5)
    assert lowest({}, floor=0) == pytest.approx(low, rel=0.05)


def test_the_floor_never_contradicts_a_bound_on_another_cost():
    space = make_space(SPACE)
    low, high = Decoder(space, cost_table(space, FINAL)).reachable()["macs"]
    steps = Steps({"macs": {"upper": int(low + 0.05 * (high - low))}}, tighten=0)
    steps.step(0, 10)
    assert steps.expected(softmax(steps.logits))[1].item() <= low + 0.05 * (high - low) + 1


def test_bounds_that_no_probabilities_meet_are_refused_before_any_training():
    with pytest.raises(InfeasibleError, match="params<=100: expected params reach from"):
        Steps({"params": {"upper": 100}})
    # of the three edges of node 3 each counts two thirds, so that two free ones do not make the third free
    uneven = {"space": {"name": "darts-cnn", "nodes": 2, "operations": ["skip_connect", "sep_conv_3x3"]}}
    reachable = plan(**SMALL | uneven).decoders[2, 3].reachable()["params"]
    with pytest.raises(StudyFileError) as caught:
        plan(**SMALL | uneven | {"methods": ["rc-darts"], "budgets": {"params": [reachable[0], "none"]}})
    (problem,) = caught.value.problems
    assert problem.path == "methods[0].handler"
    assert f"params<={reachable[0]:,}: expected params reach from" in problem.message
    assert "(at 2 channels and 3 cells)" in problem.message


def search(skeleton: Skeleton, method: str = "rc-darts", handler=None, budget=None, space=SPACE, **settings) -> Search:
    spec = SearchSpec(
        seed=settings.pop("seed", 0),
        replicate=0,
        data=DATA,
        space=space,
        skeleton=skeleton,
        final=FINAL if method == "rc-darts" else None,
        budget=budget,
        method={"name": method, "epochs": 3, "batch": 24, "warmup_epochs": 0, "alpha_lr": 0.05, **settings},
        handler=handler or {"name": "projection"},
    )
    return Search(spec, load_data(spec.data, spec.seed))


def test_under_loose_bounds_the_trajectory_is_that_of_darts_bit_for_bit(tiny_skeleton):
    loose = {"params": {"upper": 10**6}}
    bound = search(tiny_skeleton, handler={"name": "projection", "floor": 0, "tighten": 0}, budget=loose)
    free = search(tiny_skeleton, method="darts", handler={"name": "none"})
    for epoch in range(3):
        bound.run_epoch(epoch)
        free.run_epoch(epoch)
    assert bound.scores() == free.scores()


@pytest.mark.parametrize("distance", ["kl", "euclidean"])
def test_a_resumed_search_under_projections_repeats_the_uninterrupted_one_bit_for_bit(tiny_skeleton, distance):
    budget = {"params": {"upper": int(0.9 * even_cost())}}
    handler = {"name": "projection", "distance": distance, "every": 2, "epochwise": 0.3}
    whole = search(tiny_skeleton, handler=handler, budget=budget)
    saved = []
    expected = []
    for epoch in range(3):
        saved.append(pack(whole.state_dict()))
        expected.append(whole.run_epoch(epoch))
    for epoch in (1, 2):
        resumed = search(tiny_skeleton, handler=handler, budget=budget)
        resumed.load_state_dict(unpack(saved[epoch]))
        assert [resumed.run_epoch(number) for number in range(epoch, 3)] == expected[epoch:]
        assert resumed.scores() == whole.scores()


@pytest.mark.parametrize("seed", range(5))
def test_searches_for_three_bands_end_inside_them_and_in_their_order(tiny_skeleton, seed):
    space = make_space(SPACE)
    decoder = Decoder(space, cost_table(space, FINAL))
    low, high = decoder.reachable()["params"]
    found = []
    for share in (0.25, 0.5, 0.8):
        target = int(low + share * (high - low))
        least = int(0.9 * target)
        budget = {"params": {"lower": least, "upper": target}}
        running = search(tiny_skeleton, budget=budget, seed=seed)
        for epoch in range(3):
            health = running.run_epoch(epoch)
        assert least * (1 - 1e-5) <= health["expected_params"] <= target * (1 + 1e-5)
        scores = {group: np.array(matrix) for group, matrix in running.scores().items()}
        found.append(decoder.decode(scores, budget).costs["params"])
        assert least <= found[-1] <= target
        assert health["decoded_params"] == found[-1]
    assert found == sorted(found)


def test_without_the_projection_the_same_searches_leave_their_bands(tiny_skeleton):
    space = make_space(SPACE)
    low, high = Decoder(space, cost_table(space, FINAL)).reachable()["params"]
    running = search(tiny_skeleton, method="darts", handler={"name": "none"})
    for epoch in range(3):
        running.run_epoch(epoch)
    expected = float(ExpectedCost(space, cost_table(space, FINAL))(running.method.probabilities())[0])
    targets = [low + share * (high - low) for share in (0.25, 0.5, 0.8)]
    assert sum(0.9 * target <= expected <= target for target in targets) <= 1

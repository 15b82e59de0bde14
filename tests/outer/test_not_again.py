"""What failed is not asked again unchanged, whichever sampler asks."""

from typing import Any

import pytest

from moonas.outer.plan import Design, Plan
from moonas.outer.samplers.not_again import NotAgain
from moonas.outer.samplers.sampler import History, Proposal, Replicated, Told, make_sampler
from moonas.study.loading import study_from
from tests.outer.studies import plan

TWO_BUDGETS: dict[str, Any] = {
    "budgets": {"params": ["30%", "60%"]},
    "methods": ["random"],
    "trials": 12,
}  # 3 designs, as by hand there


def asked(sampler: Any, fails: Any, history: History | None = None, replicates: int = 1) -> list[Design]:
    """The design of every proposal; those of which `fails` fail at once, the others are complete."""
    history, found = history or History(), []
    while (proposal := sampler.ask(history)) is not None:
        found.append(proposal.design)
        bad = fails(proposal.design)
        values = None if bad else [0.1, 1.0]
        state = "FAIL" if bad else "COMPLETE"
        history.add(Told(proposal.design.to_params(), proposal.replicate, state, values, proposal.attributes))
    return found


class Stubborn:
    """Asks for the same design again and again."""

    def __init__(self, study: Plan) -> None:
        self.design, self.total = next(iter(study.designs({"random": [{}]}))), study.config.trials or 0

    def ask(self, history: History) -> Proposal | None:
        return Proposal(self.design, 0, {"by": "stubborn"}) if len(history.trials) < self.total else None


def test_a_sampler_that_insists_is_given_another_design_in_place_of_one_that_failed() -> None:
    study = plan(**TWO_BUDGETS, sampler="random")
    stubborn = Stubborn(study)
    found = asked(NotAgain(study, stubborn), lambda design: design == stubborn.design)
    assert found.count(stubborn.design) == 1
    assert {design.key for design in found[1:]} == {d.key for d in study.designs({"random": [{}]})} - {stubborn.design.key}
    assert found == asked(NotAgain(study, Stubborn(study)), lambda design: design == stubborn.design)


def test_what_succeeds_may_be_asked_again() -> None:
    study = plan(**TWO_BUDGETS, sampler="random")
    assert asked(NotAgain(study, Stubborn(study)), lambda design: False) == [Stubborn(study).design] * 12


def test_where_everything_fails_the_study_still_ends() -> None:
    study = plan(**TWO_BUDGETS, sampler="random")
    found = asked(make_sampler(study), lambda design: True)
    assert len(found) == 12
    assert len({design.key for design in found[:3]}) == 3


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2", "qmc", "pymoo:nsga2", "moonas"])
def test_no_sampler_repeats_a_failure_and_a_resumed_one_asks_the_same(sampler: str) -> None:
    small = {"population_size": 4} if "nsga2" in sampler else {}
    methods = [{"name": "darts", "epochs": [1, 2]}, {"name": "random"}]
    study = plan(methods=methods, budgets={"params": ["30%", "60%"]}, trials=20, sampler={"name": sampler, **small})  # 9 designs

    def fails(design: Design) -> bool:
        return design.method == "darts"

    whole = asked(make_sampler(study), fails)
    failures = [design.key for design in whole if fails(design)]
    assert failures
    assert len(failures) == len(set(failures))
    history = History()
    early = asked(make_sampler(Plan(study_from({**study.config.to_json(), "trials": 11}))), fails, history)
    assert early + asked(make_sampler(study), fails, history) == whole


def test_the_other_replicates_of_a_draw_are_asked_though_one_failed() -> None:
    study = plan(**{**TWO_BUDGETS, "trials": 4}, replicates=2, sampler="random")
    sampler, history = make_sampler(study), History()
    assert isinstance(sampler, NotAgain)
    assert isinstance(sampler.sampler, Replicated)
    first = sampler.ask(history)
    history.add(Told(first.design.to_params(), 0, "FAIL", None, first.attributes))
    second = sampler.ask(history)
    assert (second.design, second.replicate) == (first.design, 1)


def test_the_grid_asks_each_thing_once_whatever_fails() -> None:
    study = plan(**{**TWO_BUDGETS, "trials": None}, replicates=2, sampler="grid")
    assert asked(make_sampler(study), lambda design: True) == asked(make_sampler(study), lambda design: False)


def test_a_failure_that_is_tried_again_and_succeeds_counts_no_more() -> None:
    study = plan(**TWO_BUDGETS, sampler="random")
    design, history = Stubborn(study).design, History()
    history.add(Told(design.to_params(), 0, "FAIL", None, {}))
    assert history.failed(design, 0)
    history.tell(0, Told(design.to_params(), 0, "COMPLETE", [0.1, 1.0], {}))
    assert not history.failed(design, 0)

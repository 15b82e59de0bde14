"""What a study is going to do: budgets against hand-counted spans, what is left out, what is refused, which searches are shared."""

import json

import pytest

from moonas.errors import StudyFileError
from moonas.outer.plan import Design
from tests.outer.studies import plan

UNBOUNDED = {}


def refusal(**changed):
    with pytest.raises(StudyFileError) as caught:
        plan(**changed)
    assert str(caught.value).startswith("small.yaml: ")
    return {problem.path: problem.message for problem in caught.value.problems}


def test_the_span_is_that_of_all_widths():
    found = plan()
    assert found.sizes == [(2, 3), (4, 3)]
    assert found.spans["params"] == (524, 3406)
    assert found.decoders[2, 3].reachable() == {"params": (524, 1268), "macs": (8912, 19_024)}
    assert found.decoders[4, 3].reachable()["params"] == (1566, 3406)
    assert plan(final={"channels": 2, "cells": 3}).spans["macs"] == (8912, 19_024)


def test_percentages_speak_of_the_span_over_all_widths():
    found = plan(budgets={"params": ["0%", "30%", "60%", "100%", {"lower": "30%", "upper": "60%"}]})
    # 524 + 0.3 * 2,882 = 1,388.6 and 524 + 0.6 * 2,882 = 2,253.2
    assert [budget["params"] for budget in found.budgets] == [
        {"upper": 524},
        {"upper": 1388},
        {"upper": 2253},
        {"upper": 3406},
        {"lower": 1389, "upper": 2253},
    ]


def test_pairs_that_nothing_meets_are_left_out_with_the_reason():
    found = plan(budgets={"params": [1388, {"lower": 1000, "upper": 1600}, "none"]})
    first, second = {"params": {"upper": 1388}}, {"params": {"lower": 1000, "upper": 1600}}
    assert found.pairs == [(first, (2, 3)), (second, (2, 3)), (second, (4, 3)), (UNBOUNDED, (2, 3)), (UNBOUNDED, (4, 3))]
    assert found.left_out == [
        (first, (4, 3), "no architecture meets params<=1,388: params reaches from 1,566 to 3,406"),
    ]


def test_a_gap_within_the_interval_is_no_reachable_budget():
    # at C = 2, 948 and 1,164 are neighbours
    gap = {"params": [{"lower": 949, "upper": 1163}]}
    assert "no architecture meets 949<=params<=1,163" in refusal(budgets=gap)["budgets"]
    assert plan(budgets={"params": [{"lower": 948, "upper": 1163}]}).pairs == [({"params": {"lower": 948, "upper": 1163}}, (2, 3))]


def test_an_impossible_budget_is_refused_with_what_each_width_reaches():
    told = refusal(budgets={"params": [523, "50%"]})
    assert list(told) == ["budgets"]
    for words in ("params<=523", "params reaches from 524 to 1,268", "params reaches from 1,566 to 3,406"):
        assert words in told["budgets"]


def test_every_impossible_budget_is_told():
    with pytest.raises(StudyFileError) as caught:
        plan(budgets={"params": [523, "50%", {"lower": 3407}]})
    assert [(problem.path, problem.message.split(":")[0]) for problem in caught.value.problems] == [
        ("budgets", "no architecture meets params<=523"),
        ("budgets", "no architecture meets params>=3,407"),
    ]


def test_impossible_constraints_are_refused_at_their_own_place():
    told = refusal(constraints=["params<=100"])
    assert list(told) == ["constraints"]
    assert "params reaches from 524 to 1,268" in told["constraints"]


@pytest.mark.parametrize(
    ("changed", "path"),
    [({"search": {"channels": 2, "cells": 2}}, "search"), ({"final": {"channels": 2, "cells": [3, 2]}}, "final")],
)
def test_a_skeleton_too_shallow_for_its_reductions_is_refused(changed, path):
    assert refusal(**changed) == {path: "darts-cnn needs at least 3 cells (2 of them reductions), got 2"}


def test_both_shallow_skeletons_are_told_at_once():
    assert set(refusal(search={"channels": 2, "cells": 1}, final={"channels": [2, 4], "cells": 2})) == {"search", "final"}


def test_constraints_on_exact_costs_join_every_budget():
    found = plan(
        final={"channels": 2, "cells": 3},
        budgets={"params": [900, "none"]},
        constraints=["600.5<=params<=1k", "macs<=17000.9", "accuracy>=0.5"],
    )
    assert [found.bounds(budget) for budget in found.budgets] == [
        {"params": {"lower": 601, "upper": 900}, "macs": {"upper": 17_000}},
        {"params": {"lower": 601, "upper": 1000}, "macs": {"upper": 17_000}},
    ]
    assert found.budgets == [{"params": {"upper": 900}}, {}], "the budget itself stays as asked for"


def test_crossed_budgets_are_judged_together():
    # params <= 700 leaves r = 0, where macs reach from 8,912 to 14,544; macs <= 9,000 leaves s = r = 0
    found = plan(final={"channels": 2, "cells": 3}, budgets={"params": [700, "none"], "macs": [9000, {"lower": 11_729}]})
    assert found.pairs == [
        ({"params": {"upper": 700}, "macs": {"upper": 9000}}, (2, 3)),
        ({"params": {"upper": 700}, "macs": {"lower": 11_729}}, (2, 3)),
        ({"macs": {"upper": 9000}}, (2, 3)),
        ({"macs": {"lower": 11_729}}, (2, 3)),
    ]
    assert (
        "no architecture meets"
        in refusal(final={"channels": 2, "cells": 3}, budgets={"params": [700], "macs": [{"lower": 14_545}]})["budgets"]
    )


def designs(found, method):
    return [design for design in found.designs({"random": [{}], "darts": [{}]}) if design.method == method]


def test_budgets_and_widths_share_one_search_unless_the_method_uses_them():
    found = plan(budgets={"params": ["30%", "60%"]})
    keys = {method: {found.search_spec(design, 0).key for design in designs(found, method)} for method in ("darts", "random")}
    assert len(designs(found, "darts")) == len(designs(found, "random")) == 3
    assert len(keys["darts"]) == 1
    assert len(keys["random"]) == 3
    spec = found.search_spec(designs(found, "darts")[0], 0)
    assert (spec.final, spec.budget) == (None, None)
    assert found.search_spec(designs(found, "darts")[0], 1).key != spec.key


def test_budgets_and_widths_do_not_share_a_search_whose_handler_uses_them():
    found = plan(methods=[{"name": "darts", "handler": "penalty"}], budgets={"params": ["30%", "60%"]}, constraints=["macs<=1M"])
    specs = [found.search_spec(design, 0) for design in found.designs({"darts": [{}]})]
    assert len({spec.key for spec in specs}) == 3
    assert specs[0].budget == {"params": {"upper": 1388}, "macs": {"upper": 1_000_000}}
    assert [spec.final.channels for spec in specs] == [2, 2, 4]


def test_what_a_search_does_not_depend_on_is_not_in_its_key():
    here = plan(budgets={"params": ["30%"]})
    elsewhere = plan(
        budgets={"params": ["60%"]},
        final={"channels": 4, "cells": 5},
        name="other",
        objectives=["accuracy"],
        protocol={"name": "short", "epochs": 1},
        replicates=3,
        limits={"hours": 1},
    )
    keys = [found.search_spec(designs(found, "darts")[0], 0).key for found in (here, elsewhere)]
    assert keys[0] == keys[1]
    for changed in ({"seed": 1}, {"search": {"channels": 4, "cells": 3}}, {"workers": {"threads_per_task": 2}}):
        other = plan(budgets={"params": ["30%"]}, **changed)
        assert other.search_spec(designs(other, "darts")[0], 0).key != keys[0]


def test_how_to_compute_belongs_to_every_spec_and_precision_to_what_is_measured():
    usual, same = plan(), plan(performance={"compile": False, "channels_last": "auto"})
    assert same.search_spec(designs(same, "darts")[0], 0).key == usual.search_spec(designs(usual, "darts")[0], 0).key
    specs = {usual.search_spec(designs(usual, "darts")[0], 0).key}
    for number, performance in enumerate([{"memory": "low"}, {"precision": "bf16"}, {"compile": True}, {"channels_last": True}]):
        other = plan(performance=performance)
        specs.add(other.search_spec(designs(other, "darts")[0], 0).key)
        assert len(specs) == number + 2
        assert (other.protocol_identity == usual.protocol_identity) == (performance != {"precision": "bf16"})


def test_a_study_that_says_nothing_of_it_computes_as_before_there_was_a_choice():
    assert plan().search_spec(designs(plan(), "darts")[0], 0).performance == {"memory": "normal", "precision": "fp32"}


def test_inherited_accuracy_is_measured_in_the_search_network_with_its_weights():
    found = plan(protocol="inherited", methods=["darts"])
    design = next(found.designs({"darts": [{}]}))
    search = found.search_spec(design, 0)
    slots = found.space.slots()
    architecture = found.space.architecture([slot.options[0] for slot in slots])
    spec = found.evaluate_spec(architecture, found.final_skeleton((4, 3)), 0, found.protocol(design), search, "file:///w")
    assert (spec.skeleton, spec.source, spec.weights) == (found.search_skeleton, search.key, "file:///w")
    from_scratch = plan(methods=["darts"])
    spec = from_scratch.evaluate_spec(
        architecture, found.final_skeleton((4, 3)), 0, from_scratch.protocol(design), search, "file:///w"
    )
    assert (spec.skeleton.channels, spec.source, spec.weights) == (4, "", None)


@pytest.mark.parametrize(
    "budget",
    [{}, {"params": {"upper": 30_000}}, {"params": {"lower": 5, "upper": 7}, "macs": {"lower": 10**13 + 1}}],
)
def test_a_design_comes_back_from_the_parameters_stored_with_its_trial(budget):
    design = Design("fast-darts", budget, 16, 8, {"alpha_lr": 0.1 + 0.2, "batch": 32, "setting.odd": "x"})
    stored = json.loads(json.dumps(design.to_params()))
    assert Design.from_params(stored) == design
    assert stored["method"] == "fast-darts"


@pytest.mark.parametrize(
    ("objectives", "words"),
    [
        (["params", {"metric": "accuracy", "reference": 1}], r"objectives\[1\].reference: 1 is no worse than 1"),
        (["accuracy", {"metric": "params", "reference": 1}], r"objectives\[1\].reference: 1 is no worse than"),
    ],
)
def test_a_reference_no_worse_than_the_best_is_refused(objectives, words):
    with pytest.raises(StudyFileError, match=words):
        plan(objectives=objectives)


def test_every_stage_of_a_search_must_be_a_network_that_the_space_can_lay_out():
    cells = {"channels": 4, "cells": 3}
    told = {"space": "nas-bench-201", "search": cells, "final": cells, "budgets": {"params": ["30%"]}}
    with pytest.raises(StudyFileError, match=r"methods\[0\]\.deepen: .*multiple of 3, not 5"):
        plan(**told, methods=[{"name": "tnd-nas", "deepen": [3, 2]}])
    assert plan(**told, methods=[{"name": "tnd-nas", "deepen": [3, 6]}]).pairs

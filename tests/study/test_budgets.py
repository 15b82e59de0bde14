"""Budgets as written, and resolved against the reachable span."""

from random import Random

import pytest

from moonas.errors import UsageError
from moonas.study.budgets import budget_text, parse_budget, parse_levels, read_budget
from tests.study.files import complaints, study


def resolved(value, span=(0, 100)):
    """The bounds on params that one entry of a budget list stands for."""
    return [level.resolve(span) for level in parse_levels(value)]


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (30_000, {"upper": 30_000}),
        ("2M", {"upper": 2_000_000}),
        ("1.5e3", {"upper": 1500}),
        ("2.9", {"upper": 2}),
        ("30%", {"upper": 130}),  # 30 % of the way from 100 to 200
        ("0%", {"upper": 100}),
        ("100 %", {"upper": 200}),
        ("29%", {"upper": 129}),  # 0.29 * 100 is below 29 in binary
        ("12.5%", {"upper": 112}),
        (None, {}),
        ("none", {}),
        ({"lower": "10%", "upper": "50%"}, {"lower": 110, "upper": 150}),
        ({"lower": "12.5%"}, {"lower": 113}),  # 112.5: no whole number below it obeys
        ({"lower": 99.5, "upper": "1k"}, {"lower": 100, "upper": 1000}),
    ],
)
def test_one_entry_is_one_bound(value, bounds):
    assert resolved(value, (100, 200)) == [bounds]


def test_every_percentage_of_a_hundred_is_itself():
    assert [resolved(f"{share}%")[0]["upper"] for share in range(101)] == list(range(101))


def test_geometric_levels_have_a_constant_ratio():
    assert resolved("geometric(1k, 8k, 4)") == [{"upper": upper} for upper in (1000, 2000, 4000, 8000)]
    assert resolved("geometric( 81 , 1 , 3 )") == [{"upper": upper} for upper in (81, 9, 1)]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("101%", "a share of the reachable span lies between 0% and 100%"),
        ("-5%", "'-5%' is not a number"),
        ("1.2.3%", "'1.2.3%' is not a number"),
        (0, "a budget must be above 0, got 0"),
        ("-3", "a budget must be above 0"),
        (True, "expected a number, got True"),
        ("a lot", "a budget may also be a share such as 30%, none, or geometric"),
        ([5], "expected a number"),
        ({}, "a band is"),
        ({"upper": 3, "least": 1}, "a band is"),
        ({"lower": "2M", "upper": "1M"}, "the lower end lies above the upper end"),
        ({"lower": 1.5, "upper": 1}, "the lower end lies above the upper end"),
        ({"lower": "40%", "upper": "20%"}, "the lower end lies above the upper end"),
        ("geometric(1M, 5M)", r"write geometric\(first, last, count\)"),
        ("geometric(1M, 5M, 1)", "the count must be a whole number from 2 to 100"),
        ("geometric(1M, 5M, 2.5)", "the count must be a whole number"),
        ("geometric(1M, 5M, 1e9)", "the count must be a whole number from 2 to 100"),
        ("geometric(1M, 5M, 50%)", "the count must be a whole number"),
        ("geometric(10%, 5M, 3)", "first and last must be numbers, not shares"),
        ("geometric(0, 5M, 3)", "a budget must be above 0"),
    ],
)
def test_what_is_no_budget_is_refused_with_the_reason(value, complaint):
    with pytest.raises(UsageError, match=complaint):
        parse_levels(value)


def test_several_metrics_are_crossed_and_equal_combinations_stand_once():
    budgets = study(budgets={"params": ["10%", 10, "none"], "flops": [5, 7]}).budgets
    spans = {"params": (0, 100), "macs": (0, 100)}
    assert budgets.resolve(spans) == [
        {"params": {"upper": 10}, "macs": {"upper": 5}},
        {"params": {"upper": 10}, "macs": {"upper": 7}},
        {"macs": {"upper": 5}},
        {"macs": {"upper": 7}},
    ]


def test_a_study_without_budgets_has_one_without_a_bound():
    assert study().budgets.resolve({}) == [{}]


def test_every_mistake_in_a_budget_list_is_told_at_its_place():
    told = complaints(budgets={"params": ["200%", 10, "x"], "macs": [], "accuracy": [0.5], "parms": 3, 5: 1})
    assert set(told) == {"budgets.params[0]", "budgets.params[2]", "budgets.macs", "budgets.accuracy", "budgets.parms", "budgets.5"}
    assert (
        told["budgets.accuracy"]
        == "accuracy cannot be a budget; costs that add up can: params, macs, predicted_latency_us, predicted_energy_uj"
    )
    assert "did you mean 'params'?" in told["budgets.parms"]
    assert "expected at least one budget" in told["budgets.macs"]
    assert "expected metrics with their budgets" in complaints(budgets=["10%"])["budgets"]
    assert complaints(budgets={"macs": [1], "flops": [2]}) == {"budgets.flops": "macs stands more than once"}


def test_the_text_of_a_resolved_budget_reads_as_the_same_budget():
    draw = Random(0)
    for _ in range(500):
        bounds = {}
        for metric in draw.sample(["params", "macs"], draw.randrange(3)):
            low, high = sorted(draw.randrange(1, 10**15) for _ in range(2))
            bounds[metric] = draw.choice([{"upper": high}, {"lower": low}, {"lower": low, "upper": high}])
        assert parse_budget(budget_text(bounds)) == bounds
    assert budget_text({"params": {"upper": 30_000}}) == "params<=30000"
    assert budget_text({"params": {"lower": 5, "upper": 30_000}, "macs": {"lower": 7}}) == "5<=params<=30000, macs>=7"
    assert budget_text({}) == budget_text(None) == "none"


def test_one_budget_is_read_as_people_write_it():
    spans = {"params": (100, 200), "macs": (0, 1000)}
    for text, bounds in {
        "params=30%": {"params": {"upper": 130}},
        "params <= 30 %, macs=0.5k": {"params": {"upper": 130}, "macs": {"upper": 500}},
        "110<=params<=150": {"params": {"lower": 110, "upper": 150}},
        "params<=130": {"params": {"upper": 130}},
        "None": {},
    }.items():
        assert read_budget(text, spans) == bounds
    with pytest.raises(UsageError, match="between 0% and 100%"):
        read_budget("params=130%", spans)

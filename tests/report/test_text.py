import pytest

from moonas.report import text
from moonas.report.records import Value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (5, "5"),
        (999, "999"),
        (999.6, "1k"),
        (30_210, "30.2k"),
        (999_600, "1M"),
        (1_250_000, "1.25M"),
        (6e8, "600M"),
        (0.25, "0.25"),
    ],
)
def test_short_numbers_have_three_digits_and_a_suffix(value, written):
    assert text.short(value) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (None, "–"),
        (0.4, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (18_420, "5 h 07 min"),
    ],
)
def test_durations_are_written_in_the_units_people_use(seconds, written):
    assert text.duration(seconds) == written


def test_accuracy_is_a_percentage_with_its_standard_error():
    assert text.measured("accuracy", Value(value=0.98061, error=0.00214)) == "98.06 ± 0.21\N{NO-BREAK SPACE}%"
    assert text.measured("test_accuracy", Value(value=1.0)) == "100.00\N{NO-BREAK SPACE}%"


def test_other_metrics_keep_their_own_unit():
    assert text.measured("params", Value(value=30_210)) == "30,210"
    assert text.measured("latency_ms", Value(value=4.2171, error=0.1234)) == "4.217 ± 0.12"
    assert text.measured("latency_ms", None) == "–"


def test_a_budget_names_every_bound_in_one_line():
    assert (
        text.budget({"params": {"lower": 20_000, "upper": 30_000}, "macs": {"upper": 5_000_000}}) == "macs ≤ 5M, 20k ≤ params ≤ 30k"
    )
    assert text.budget(None) == "none"


def test_validation_accuracy_is_told_apart_from_test_accuracy(study):
    assert text.metric_label(study, "accuracy") == "validation accuracy"
    assert text.metric_label(study, "test_accuracy") == "test accuracy"
    assert text.metric_label(study, "my_own_metric") == "my_own_metric"


def test_moments_are_in_utc():
    assert text.moment(0) == "1970-01-01 00:00 UTC"
    assert text.moment(1_760_000_000) == "2025-10-09 08:53 UTC"


def test_states_of_trials_are_counted_in_their_order(study):
    assert text.states(study) == "12 complete, 1 failed, 1 running"
    assert text.counted(1, "evaluation") == "1 evaluation"
    assert text.counted(1_024, "evaluation") == "1,024 evaluations"

"""Bounds in one grammar, for study files and for --under."""

from random import Random

import pytest

from moonas.errors import UsageError
from moonas.study.bounds import Bound, as_spec, parse_bound, parse_under


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("params<=2M", Bound("params", upper=2_000_000)),
        ("flops <= 600e6", Bound("macs", upper=600_000_000)),
        (" accuracy>=0.9 ", Bound("accuracy", lower=0.9)),
        ("10k<=params<=2M", Bound("params", 10_000, 2_000_000)),
        ("0.5 <= accuracy <= 1", Bound("accuracy", 0.5, 1)),
    ],
)
def test_a_bound_is_read(text, bound):
    assert parse_bound(text) == bound
    assert parse_bound(bound) is bound


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("params", "is not a bound; write it like"),
        ("2M<=params", "is not a bound"),
        ("params<=", "is not a bound"),
        ("params<=2M<=3M", "is not a bound"),
        (5, "expected a bound such as params<=2M, got 5"),
        (None, "expected a bound"),
        ("params<=many", "'many' is not a number"),
        ("parms<=2M", "'parms' is not a metric; did you mean 'params'?"),
        ("PARAMS<=2M", "did you mean 'params'?"),
        ("2M<=params<=1M", "the lower end lies above the upper end"),
        ("params=2M", "write params<=2M or params>=2M"),
        ("params<2M", "write params<=2M or params>=2M; an end belongs to its bound"),
        ("params>2M", "an end belongs to its bound"),
        ("test_accuracy>=0.9", "test_accuracy is reported and never selected on; use accuracy"),
        ("0.5<=test_accuracy<=1", "never selected on"),
    ],
)
def test_what_is_no_bound_is_refused_with_the_reason(text, complaint):
    with pytest.raises(UsageError, match=complaint.replace("?", r"\?")):
        parse_bound(text)


def test_under_reads_equals_as_no_worse_than():
    assert parse_under("params=2M, accuracy=0.9") == [Bound("params", upper=2_000_000), Bound("accuracy", lower=0.9)]
    assert parse_under("10k<=params<=2M,macs>=5,") == [Bound("params", 10_000, 2_000_000), Bound("macs", lower=5)]
    for empty in ("", " , "):
        with pytest.raises(UsageError, match="expected bounds such as params=2M"):
            parse_under(empty)
    with pytest.raises(UsageError, match="did you mean 'params'"):
        parse_under("param=2M")


def test_the_text_of_a_bound_reads_as_the_same_bound():
    draw = Random(0)
    for _ in range(1000):
        ends = sorted(draw.choice([draw.randrange(10**15), draw.random(), 10.0 ** draw.randrange(-20, 20)]) for _ in range(2))
        for bound in (Bound("macs", *ends), Bound("params", lower=ends[0]), Bound("accuracy", upper=ends[1])):
            assert parse_bound(str(bound)) == bound
            assert parse_bound(bound.to_json()) == bound
    assert str(Bound("macs", upper=1_234_567_890_123)) == "macs<=1234567890123"
    assert str(Bound("params", 10_000.0, 2e6)) == "10000<=params<=2000000"


def test_violation_is_the_distance_to_the_bound():
    band = Bound("params", 10, 20)
    assert [band.violation(value) for value in (7, 10, 15, 20, 26)] == [3, 0, 0, 0, 6]
    assert Bound("params", upper=5).violation(5) == 0
    assert Bound("accuracy", lower=0.5).violation(0.25) == 0.25


def test_whole_number_bounds_admit_the_same_whole_numbers():
    assert as_spec([Bound("params", 10.2, 19.9), Bound("macs", upper=7)]) == {
        "params": {"lower": 11, "upper": 19},
        "macs": {"upper": 7},
    }
    assert as_spec([Bound("params", lower=0)]) == {"params": {"lower": 0}}

"""Numbers as people write them."""

import math
from random import Random

import pytest

from moonas.study.numbers import SUFFIXES, parse_number, parse_whole


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 0.0001),
        ("600e6", 600_000_000),
        ("2M", 2_000_000),
        ("30k", 30_000),
        ("30K", 30_000),
        ("1.5G", 1_500_000_000),
        ("3B", 3_000_000_000),
        ("1_000", 1000),
        (" .5 ", 0.5),
        ("5.", 5),
        ("+7", 7),
        ("-2e3", -2000),
        ("1.001k", 1001),  # 1.001 * 1000 in binary is below 1001
        ("4.35M", 4_350_000),
        ("12345678901234567891", 12345678901234567891),  # no float holds it
        (7, 7),
        (8.0, 8),
        (2.5, 2.5),
        (-0.0, 0),
    ],
)
def test_a_number_is_read_as_it_is_meant(text, value):
    assert parse_number(text) == value
    assert type(parse_number(text)) is type(value)


@pytest.mark.parametrize("value", ["", "abc", "1e", "2 M x", "0x10", "--1", "1,000", "2m", "2MM", ".", "M", "nan", "inf"])
def test_other_text_is_no_number(value):
    with pytest.raises(ValueError, match="is not a number; write it like"):
        parse_number(value)


@pytest.mark.parametrize("value", [True, False, None, [1], {"a": 1}])
def test_booleans_and_other_things_are_no_numbers(value):
    with pytest.raises(ValueError, match="expected a number, got"):
        parse_number(value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**400, "1e400", "1e999999999", "9" * 400])
def test_what_no_float_holds_is_refused(value):
    with pytest.raises(ValueError, match="is not a finite number"):
        parse_number(value)


def test_whole_numbers_have_no_fraction():
    assert parse_whole("2M") == 2_000_000
    assert parse_whole(3.0) == 3
    for value in ("0.5", 2.5, "1e-4"):
        with pytest.raises(ValueError, match="expected a whole number"):
            parse_whole(value)


def test_a_number_written_with_a_suffix_is_exact():
    draw = Random(0)
    for _ in range(2000):
        suffix = draw.choice(sorted(SUFFIXES))
        digits = len(str(SUFFIXES[suffix])) - 1
        whole, thousandths = draw.randrange(10_000), draw.randrange(10**digits) if digits else 0
        text = f"{whole}.{thousandths:0{digits}d}{suffix}" if digits else f"{whole}{suffix}"
        assert parse_number(text) == whole * SUFFIXES[suffix] + thousandths
        assert isinstance(parse_number(text), int)


def test_a_float_is_read_back_from_its_text():
    draw = Random(0)
    for _ in range(2000):
        value = draw.uniform(-1, 1) * 10.0 ** draw.randrange(-300, 300)
        assert float(parse_number(repr(value))) == value

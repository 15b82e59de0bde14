"""The arithmetic of the comparison of methods, against enumeration, SciPy's tests and hand calculation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.estimates import Estimate, best_of, jackknife, mean, mean_of, percentile, rank_correlation, variance_components

RNG = np.random.default_rng(0)


def test_the_interval_of_a_mean_is_students():
    values = RNG.normal(size=5)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    estimate = mean(values)
    assert (estimate.value - estimate.half_width, estimate.value + estimate.half_width) == pytest.approx((low, high))


def test_a_single_value_has_no_error():
    estimate = mean([0.5])
    assert estimate.value == 0.5
    assert math.isnan(estimate.error)
    assert math.isnan(estimate.half_width)
    assert math.isnan((estimate - mean([0.1, 0.2])).half_width)


def test_the_interval_of_a_difference_is_welchs():
    first, second = RNG.normal(size=4), RNG.normal(1, 3, size=9)
    low, high = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    found = mean(first) - mean(second)
    assert (found.value - found.half_width, found.value + found.half_width) == pytest.approx((low, high))


def test_errors_of_independent_estimates_add_up_in_squares():
    found = mean_of([Estimate(1.0, 0.3, 7), Estimate(2.0, 0.4, 7)])
    assert (found.value, found.error) == pytest.approx((1.5, 0.25))
    assert found.freedom == pytest.approx((0.09 + 0.16) ** 2 / (0.09**2 / 7 + 0.16**2 / 7))


@pytest.mark.parametrize("draws", [1, 2, 3, 6])
def test_the_best_of_some_draws_is_the_mean_over_all_subsets(draws):
    chosen_by, judged_by = RNG.permutation(6), RNG.normal(size=6)
    subsets = list(itertools.combinations(range(6), draws))
    expected = sum(judged_by[max(subset, key=lambda member: chosen_by[member])] for subset in subsets) / len(subsets)
    assert best_of(draws, chosen_by, judged_by) == pytest.approx(expected)


def test_members_that_are_chosen_alike_share_their_cases():
    """Of {a, b, c} with a < b = c the pairs are ab, ac and bc: b and c are each the best of one and half of another."""
    assert best_of(2, np.array([1.0, 2.0, 2.0]), np.array([9.0, 0.0, 1.0])) == pytest.approx(0.5)


def test_between_whole_numbers_of_draws_lies_what_lies_between():
    values = np.array([1.0, 2.0, 3.0])
    assert best_of(1, values, values) == pytest.approx(2)
    assert best_of(2, values, values) == pytest.approx(8 / 3)
    assert best_of(1.25, values, values) == pytest.approx(2 + 0.25 * 2 / 3)


@pytest.mark.parametrize("draws", [0.5, 3.5])
def test_a_pool_is_not_drawn_from_more_often_than_it_has_members(draws):
    with pytest.raises(ValueError, match="pool of 3"):
        best_of(draws, np.arange(3), np.arange(3))


def test_the_jackknife_error_of_a_mean_is_its_standard_error():
    values = RNG.normal(size=8)
    found = jackknife(lambda left: float(left.mean()), values)
    assert (found.value, found.error, found.freedom) == pytest.approx((values.mean(), stats.sem(values), 7))


def test_rank_correlation_is_spearmans_and_none_where_all_is_alike():
    first, second = RNG.integers(0, 5, 20), RNG.normal(size=20)
    assert rank_correlation(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert rank_correlation([-np.inf, 1, 2], [1, 2, 3]) == pytest.approx(1)
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))


def test_percentiles_count_equal_ones_by_half():
    population = np.array([3.0, 1.0, 2.0, 2.0])
    assert percentile(np.array([0.0, 2.0, 3.0, 4.0]), population).tolist() == [0.0, 50.0, 87.5, 100.0]
    values = RNG.integers(0, 9, 30)
    expected = [stats.percentileofscore(values, value, kind="mean") for value in range(9)]
    assert percentile(np.arange(9), values) == pytest.approx(expected)


def test_variance_components_of_equal_groups_are_those_of_the_f_test():
    groups = RNG.normal(size=(6, 4)) + RNG.normal(0, 2, size=(6, 1))
    between, within = variance_components([groups.tolist()])
    assert 1 + 4 * between / within == pytest.approx(stats.f_oneway(*groups).statistic)
    assert within == pytest.approx(groups.var(axis=1, ddof=1).mean())


def test_variance_components_of_unequal_groups_by_hand():
    # group means 2 and 5 around 3: 2 * 1 + 1 * 4 = 6 between, 2 inside with one degree of freedom; 3 - (4 + 1) / 3 = 4 / 3
    assert variance_components([[[1, 3], [5]]]) == pytest.approx(((6 - 2) / (4 / 3), 2))


def test_what_lies_between_strata_is_no_difference_between_groups():
    strata = [[[0.0, 2.0], [0.0, 2.0]], [[100.0, 102.0], [100.0, 102.0]]]
    assert variance_components(strata) == pytest.approx((0, 2))

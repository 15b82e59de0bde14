"""The bound on a training's last accuracy: by hand, by what exchangeable curves promise, and which curves it is made of."""

import numpy as np
import pytest

from moonas.outer.learning_curves import Curves, highest_shares, removed
from moonas.study.pruning import Pruning


def curves_of(shares, epochs):
    """Curves at accuracy 0.5 whose shares of the error still removed after epochs 1, 2 ... are given, by way of epochs alike."""
    shares = np.asarray(shares, dtype=float)
    end = 0.8
    before = 1 - (1 - end) / (1 - shares)  # r = 1 - (1 - end) / (1 - a)
    filler = np.full((len(shares), epochs - 1 - shares.shape[1]), 0.75)  # epochs at which nobody looks
    return np.concatenate([before, filler, np.full((len(shares), 1), end)], axis=1)


SHAPING = [[0.4]] * 5 + [[0.6]] * 5  # mean 0.5


def test_what_the_rest_of_a_training_removes_is_a_share_of_the_error_left():
    found = removed(np.array([[0.5, 0.6, 0.8], [0.5, 0.9, 0.8], [0.0, 1.0, 0.9], [0.0, 1.0, 1.0]]))
    assert found == pytest.approx(np.array([[0.6, 0.5], [0.6, 0.0], [0.9, 0.0], [1.0, 0.0]]))


@pytest.mark.parametrize(("quantile", "expected"), [(0.5, 0.5), (0.6, 0.6), (0.75, 0.8), (0.9, 0.9)])
def test_at_a_single_look_the_bound_is_the_ceil_n_plus_1_q_th_smallest_share(quantile, expected):
    others = [[share / 10] for share in range(1, 10)]  # n = 9: of 10 q rounded up, the 5th, 6th, 8th and 9th
    assert highest_shares(curves_of(SHAPING + others, 3), quantile) == {1: pytest.approx(expected)}


def test_at_several_looks_it_holds_for_all_of_them_together():
    shaping = [[0.4, 0.4]] * 5 + [[0.6, 0.6]] * 5
    others = [[0.2, 0.2]] * 7 + [[0.8, 0.3], [0.3, 0.7]]  # the two highest scores come from different looks
    found = highest_shares(curves_of(shaping + others, 4), 0.9)
    assert found == {1: pytest.approx(0.8), 2: pytest.approx(0.8)}
    second = highest_shares(curves_of(shaping + others, 4), 0.8)
    assert second == {1: pytest.approx(0.7), 2: pytest.approx(0.7)}


def test_the_spread_of_the_first_curves_says_how_the_bound_is_shared_out_among_the_looks():
    shaping = [[0.4, 0.48]] * 5 + [[0.6, 0.52]] * 5  # a fifth of the spread at the second look
    others = [[0.2, 0.2]] * 8 + [[0.8, 0.2]]
    found = highest_shares(curves_of(shaping + others, 4), 0.9)
    assert found == {1: pytest.approx(0.8), 2: pytest.approx(0.5 + 0.3 / 5)}


def test_without_enough_curves_or_looks_there_is_no_bound():
    others = [[0.5]] * 18
    assert highest_shares(curves_of(SHAPING + others, 3), 0.95) == {}
    assert highest_shares(curves_of(SHAPING + others, 3), 0.9) == {1: pytest.approx(0.5)}
    assert highest_shares(curves_of([*SHAPING, *others, [0.5]], 3), 0.95) == {1: pytest.approx(0.5)}
    assert highest_shares(curves_of(SHAPING + others, 2), 0.9) == {}
    assert list(highest_shares(curves_of(SHAPING + others, 9), 0.9, every=3)) == [3, 6]


@pytest.mark.parametrize(("quantile", "fewest"), [(0.5, 11), (0.9, 19), (0.95, 29), (0.99, 109)])
def test_the_fewest_curves_are_those_that_the_bound_needs(quantile, fewest):
    """q / (1 - q) beyond the first ten: 1, 9, 19 and 99, which floating point would make 10 of 9."""
    assert Pruning(quantile=quantile).fewest == Pruning(quantile=quantile).least == fewest
    curves = curves_of([[0.4], [0.6]] * 60, 3)
    assert highest_shares(curves[: fewest - 1], quantile) == {}
    assert highest_shares(curves[:fewest], quantile) != {}


def made_up(rng, count, epochs=8):
    """Errors that fall by random factors: correlated along a curve, and not normal."""
    factors = rng.beta(4, 2, size=(count, epochs)) * rng.uniform(0.8, 1, size=(count, 1))
    return 1 - np.cumprod(factors, axis=1)


@pytest.mark.parametrize("quantile", [0.5, 0.9])
def test_a_curve_like_the_others_crosses_the_bound_at_no_look_with_the_promised_probability(quantile):
    """With n others and distinct scores it is ceil((n + 1) q) / (n + 1), here the quantile itself."""
    rng, crossed, repeats = np.random.default_rng(0), 0, 2000
    for _ in range(repeats):
        curves = made_up(rng, 20)  # ten, nine others, and the new one
        bounds = highest_shares(curves[:-1], quantile)
        shares = removed(curves[-1:])[0]
        crossed += any(shares[epoch - 1] > share for epoch, share in bounds.items())
    assert crossed / repeats == pytest.approx(1 - quantile, abs=4 * (quantile * (1 - quantile) / repeats) ** 0.5)


def test_the_highest_end_is_the_accuracy_and_that_share_of_what_is_missing():
    known = Curves(Pruning(quantile=0.9, spared=0.0), seed=0)
    for number, curve in enumerate(curves_of(SHAPING + [[0.5]] * 8, 3)):
        known.learn(str(number), curve)
        assert known.highest_end(1, 3, 0.6) is None
    known.learn("last", curves_of([[0.7]], 3)[0])
    assert known.highest_end(1, 3, 0.6) == pytest.approx(0.6 + 0.7 * 0.4)
    assert known.highest_end(1, 3, 1.0) == 1.0
    assert known.highest_end(2, 3, 0.6) is None, "too late to save anything"
    assert known.highest_end(1, 4, 0.6) is None, "no training of four epochs has finished"


def test_once_trainings_are_given_up_only_spared_ones_are_learned_from():
    known = Curves(Pruning(quantile=0.9, spared=0.2), seed=0)
    for number, curve in enumerate(curves_of(SHAPING + [[0.5]] * 9, 3)):
        known.learn(str(number), curve)
    keys = [f"later {number}" for number in range(40)]
    spared = [key for key in keys if known.spares(key)]
    assert 0 < len(spared) < 20
    for key in keys:
        if key not in spared:
            known.learn(key, curves_of([[0.9]], 3)[0])
    assert known.highest_end(1, 3, 0.0) == pytest.approx(0.5)
    known.learn(spared[0], curves_of([[0.9]], 3)[0])
    known.learn(spared[1], curves_of([[0.9]], 3)[0])  # of 11, the ceil(12 * 0.9) = 11th
    assert known.highest_end(1, 3, 0.0) == pytest.approx(0.9)


def test_which_trainings_are_spared_follows_from_the_seed_and_their_key():
    keys = [str(number) for number in range(2000)]
    drawn = {seed: [Curves(Pruning(), seed).spares(key) for key in keys] for seed in (0, 1)}
    assert drawn[0] == [Curves(Pruning(), 0).spares(key) for key in keys]
    assert drawn[0] != drawn[1]
    for spared in drawn.values():
        assert np.mean(spared) == pytest.approx(0.1, abs=4 * (0.09 / 2000) ** 0.5)
    assert not any(Curves(Pruning(spared=0.0), 0).spares(key) for key in keys)

"""Splits: sizes, proportions, disjointness, and what they depend on."""

import pytest
import torch

from moonas.data.splits import apportion, split, stratified_order
from moonas.errors import UsageError

LABELS = torch.tensor([0] * 600 + [1] * 300 + [2] * 100)
SHARES = (400, 300, 100, 200)


def test_parts_have_their_sizes_are_disjoint_and_cover_the_pool():
    parts = split(LABELS, None, SHARES, seed=0)
    assert [len(part) for part in parts] == [400, 300, 100, 200]
    assert sorted(torch.cat(parts).tolist()) == list(range(1000))


def test_every_part_holds_the_classes_in_proportion():
    parts = split(LABELS, None, SHARES, seed=0)
    for part, expected in zip(parts, ([240, 120, 40], [180, 90, 30], [60, 30, 10], [120, 60, 20]), strict=True):
        counts = torch.bincount(LABELS[part], minlength=3).tolist()
        assert all(abs(count - wanted) <= 1 for count, wanted in zip(counts, expected, strict=True))


def test_an_official_test_set_is_taken_whole_and_the_rest_comes_from_the_training_set():
    test_labels = torch.tensor([0, 1, 2] * 20)
    parts = split(LABELS, test_labels, (500, 300, 200, 60), seed=0)
    assert sorted(parts.test.tolist()) == list(range(60))
    assert sorted(torch.cat(parts[:3]).tolist()) == list(range(1000))


def test_the_seed_alone_decides_the_split():
    first, again, other = (split(LABELS, None, SHARES, seed=seed) for seed in (3, 3, 4))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first.valid, other.valid)


def test_fewer_images_are_a_stratified_subset_of_the_whole_split_in_the_same_proportions():
    whole, fewer = split(LABELS, None, SHARES, seed=0), split(LABELS, None, SHARES, seed=0, images=200)
    assert [len(part) for part in fewer] == [100, 75, 25, 50]
    assert all(set(few.tolist()) <= set(all_.tolist()) for few, all_ in zip(fewer, whole, strict=True))
    counts = torch.bincount(LABELS[fewer.train_w], minlength=3).tolist()
    assert all(abs(count - wanted) <= 1 for count, wanted in zip(counts, [60, 30, 10], strict=True))


@pytest.mark.parametrize("images", [801, 9])
def test_an_impossible_number_of_images_is_refused_with_the_number_there_is(images):
    with pytest.raises(UsageError, match="800 training images"):
        split(LABELS, None, SHARES, seed=0, images=images)


def test_fractions_are_of_each_class_and_leave_valid_and_test_as_they_are():
    whole = split(LABELS, None, SHARES, seed=0)
    parts = split(LABELS, None, SHARES, seed=0, fractions={"train_w": 0.10, "train_alpha": 0.025})
    # of the 800 images outside the test part 480, 240 and 80 are of the three classes
    assert torch.bincount(LABELS[parts.train_w]).tolist() == [48, 24, 8]
    assert torch.bincount(LABELS[parts.train_alpha]).tolist() == [12, 6, 2]
    assert sorted(parts.valid.tolist()) == sorted(whole.valid.tolist())
    assert sorted(parts.test.tolist()) == sorted(whole.test.tolist())
    assert len(set(torch.cat(parts).tolist())) == 80 + 20 + 100 + 200


@pytest.mark.parametrize(
    ("fractions", "sizes"), [((0.45, 0.45, 0.1), [20, 25, 5]), ((0.1, 0.2, 0.7), [5, 10, 35]), ((0.4, 0.45, 0.15), [20, 25, 5])]
)
def test_fractions_that_add_up_to_one_share_out_every_image_once(fractions, sizes):
    named = dict(zip(("train_w", "train_alpha", "valid"), fractions, strict=True))
    parts = split(torch.arange(5).repeat(10), torch.arange(5).repeat(2), (1, 1, 1, 10), seed=0, fractions=named)
    assert sorted(torch.cat(parts[:3]).tolist()) == list(range(50))
    assert [len(part) for part in parts[:3]] == sizes  # half an image of a class goes to one of the two parts


def test_a_fraction_that_leaves_too_few_images_is_refused():
    with pytest.raises(UsageError, match="parts of 1, 300, 100, 200 images are not possible"):
        split(LABELS, None, SHARES, seed=0, fractions={"train_w": 0.0015})


NAMES = [f"images/{number}.png" for number in range(1000)]


def test_parts_by_name_hold_their_shares_on_average():
    parts = split(LABELS, None, SHARES, seed=0, names=NAMES)
    assert sorted(torch.cat(parts).tolist()) == list(range(1000))
    for part, expected in zip(parts, (400, 300, 100, 200), strict=True):
        assert abs(len(part) - expected) < 3 * (expected * (1 - expected / 1000)) ** 0.5  # 3 standard deviations


def test_parts_by_name_depend_on_the_name_and_the_seed_alone():
    parts = split(LABELS, None, SHARES, seed=0, names=NAMES)
    turned = split(LABELS.flip(0), None, SHARES, seed=0, names=NAMES[::-1])
    assert [sorted(part.tolist()) for part in parts] == [sorted((999 - part).tolist()) for part in turned]
    other = split(LABELS, None, SHARES, seed=1, names=NAMES)
    assert sorted(other.valid.tolist()) != sorted(parts.valid.tolist())


def test_a_subset_of_parts_by_name_is_stratified():
    whole = split(LABELS, None, SHARES, seed=0, names=NAMES)
    fewer = split(LABELS, None, SHARES, seed=0, names=NAMES, images=200)
    for part, subset in zip(whole, fewer, strict=True):
        assert set(subset.tolist()) <= set(part.tolist())
        expected = torch.bincount(LABELS[part], minlength=3) * len(subset) / len(part)
        assert (torch.bincount(LABELS[subset], minlength=3) - expected).abs().max() <= 1


def test_every_stretch_of_a_stratified_order_is_in_proportion():
    order = stratified_order(LABELS, torch.Generator().manual_seed(0))
    for start in range(0, 1000, 50):
        counts = torch.bincount(LABELS[order[start : start + 50]], minlength=3).tolist()
        assert all(abs(count - wanted) <= 1.01 for count, wanted in zip(counts, [30, 15, 5], strict=True))


def test_apportioning_gives_the_largest_remainders_the_rest():
    assert apportion([1, 1, 1], 10) == [4, 3, 3]
    assert apportion([538, 539, 360], 100) == [37, 38, 25]  # 37.44, 37.51, 25.05

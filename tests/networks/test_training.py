"""Training: optimiser pieces against hand calculation, learning on digits, exact resumption, faults."""

import math

import pytest
import torch

from moonas.data.dataset import Part, load_data
from moonas.errors import NonFiniteLossError
from moonas.networks.descent import Tally, cosine, descend, judge, sgd
from moonas.networks.network import build
from moonas.networks.training import Training, evaluate_accuracy
from moonas.specs import EvaluateSpec
from moonas.study.protocols import ShortConfig
from moonas.worker.checkpoint import pack, unpack

DATA = {"name": "digits", "images": 300}


def make_training(space, skeleton, *, epochs=2, replicate=0, seed=0, **settings) -> Training:
    config = ShortConfig(epochs=epochs, **settings)
    architecture = space.architecture([slot.options[-1] for slot in space.slots()])
    spec = EvaluateSpec(
        seed=seed,
        replicate=replicate,
        data=DATA,
        space={"name": "darts-cnn", "nodes": 2},
        architecture=architecture,
        skeleton=skeleton,
        protocol={"name": "short", "epochs": epochs, **settings},
    )
    return Training(spec, config, load_data(DATA, seed))


def run_epochs(training: Training, epochs: int) -> list[dict[str, float]]:
    return [training.run_epoch(epoch) for epoch in range(epochs)]


def same_weights(one: Training, other: Training) -> bool:
    pairs = zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True)
    return all(torch.equal(first, second) for first, second in pairs)


def test_the_learning_rate_follows_half_a_cosine():
    assert cosine(0, 50, 0.025, 0.001) == pytest.approx(0.025)
    assert cosine(25, 50, 0.025, 0.001) == pytest.approx(0.013)
    assert cosine(50, 50, 0.025, 0.001) == pytest.approx(0.001)
    assert cosine(1, 3, 1.0) == pytest.approx(0.75)


def test_a_step_clips_the_gradient_of_all_parameters_together_then_adds_the_decay():
    first, second = torch.tensor([1.0], requires_grad=True), torch.tensor([2.0], requires_grad=True)
    descend(sgd([first, second], lr=0.1, momentum=0.9, decay=0.5), 30 * first.sum() + 40 * second.sum(), clip=5.0)
    # the gradient (30, 40) has norm 50, clipped (3, 4); with the decay (3.5, 5)
    assert first.item() == pytest.approx(1 - 0.35, abs=1e-6)
    assert second.item() == pytest.approx(2 - 0.5, abs=1e-6)


def test_a_tally_weighs_batches_by_their_images():
    tally, flat = Tally("training"), torch.zeros(3, 4)
    tally.add(judge(flat, torch.tensor([0, 1, 0]))[1])
    tally.add(judge(torch.tensor([[0.0, math.log(3), 0.0, 0.0]]), torch.tensor([1]))[1])
    loss, accuracy = tally.means()
    assert loss == pytest.approx((3 * math.log(4) + math.log(2)) / 4)
    assert accuracy == 0.75


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_reported_within_fifty_batches(bad):
    tally = Tally("training")
    for number in range(50):
        if number == 49:
            with pytest.raises(NonFiniteLossError, match="training loss"):
                tally.add(judge(torch.full((1, 2), bad), torch.tensor([0]))[1])
        else:
            tally.add(judge(torch.full((1, 2), bad), torch.tensor([0]))[1])


def test_accuracy_is_that_of_the_whole_part_in_evaluation_mode(tiny_space, tiny_skeleton):
    network = build(tiny_space.architecture([slot.options[0] for slot in tiny_space.slots()]), tiny_skeleton).train()
    part = Part(torch.randn(1100, 1, 8, 8), torch.randint(0, 10, (1100,)))
    loss, accuracy = evaluate_accuracy(network, part)
    with torch.no_grad():
        logits = network.eval()(part.images)
    assert accuracy == pytest.approx((logits.argmax(1) == part.labels).float().mean().item())
    assert loss == pytest.approx(torch.nn.functional.cross_entropy(logits, part.labels).item(), rel=1e-4)


def test_a_few_epochs_teach_the_digits(tiny_space, tiny_skeleton):
    training = make_training(tiny_space, tiny_skeleton, epochs=8, lr=0.1)
    metrics = run_epochs(training, 8)
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"] / 2
    result = training.result()
    assert result["accuracy"] == metrics[-1]["valid_accuracy"] > 0.5
    assert result["test_accuracy"] > 0.5


def test_a_resumed_training_repeats_the_uninterrupted_one_bit_for_bit(tiny_space, tiny_skeleton):
    whole = make_training(tiny_space, tiny_skeleton, drop_path=0.3)
    whole.run_epoch(0)
    saved = pack(whole.state_dict())
    torch.manual_seed(99)  # nothing may depend on torch's global generator
    expected = whole.run_epoch(1)
    resumed = make_training(tiny_space, tiny_skeleton, drop_path=0.3)
    resumed.load_state_dict(unpack(saved))
    assert resumed.run_epoch(1) == expected
    assert same_weights(whole, resumed)


def test_equal_specs_give_equal_networks_and_replicates_differ(tiny_space, tiny_skeleton):
    first, again, other = (make_training(tiny_space, tiny_skeleton, replicate=replicate) for replicate in (0, 0, 1))
    assert same_weights(first, again)
    assert not same_weights(first, other)


def test_a_training_that_diverges_fails(tiny_space, tiny_skeleton):
    training = make_training(tiny_space, tiny_skeleton, lr=1e30)
    with pytest.raises(NonFiniteLossError):
        run_epochs(training, 2)

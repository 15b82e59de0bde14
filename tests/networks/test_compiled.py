"""torch.compile in trainings: the same epochs, and a warning where it fails."""

from functools import partial

import pytest
import torch
from torch import nn

from moonas.data.dataset import load_data
from moonas.errors import MoonasWarning
from moonas.networks.compiled import Compiled
from moonas.networks.training import Training
from moonas.specs import EvaluateSpec
from moonas.study.protocols import ShortConfig


def make_training(space, skeleton, **performance) -> Training:
    spec = EvaluateSpec(
        seed=0,
        replicate=0,
        data={"name": "digits", "images": 200},
        space={"name": "darts-cnn", "nodes": 2},
        architecture=space.architecture([slot.options[-1] for slot in space.slots()]),
        skeleton=skeleton,
        protocol={"name": "short", "epochs": 2, "batch": 50},
        performance=performance,
    )
    return Training(spec, ShortConfig(epochs=2, batch=50), load_data(spec.data, 0))


def test_where_the_compiler_fails_training_goes_on_as_without_it(tiny_space, tiny_skeleton, monkeypatch):
    expected = make_training(tiny_space, tiny_skeleton).run_epoch(0)

    def no_compiler(*_, **__):
        raise RuntimeError("InvalidCxxCompiler: no working C++ compiler\nand much more")

    monkeypatch.setattr(torch, "compile", lambda network, **_: no_compiler)
    training = make_training(tiny_space, tiny_skeleton, compile=True)
    with pytest.warns(MoonasWarning, match="no working C\\+\\+ compiler$") as warned:
        assert training.run_epoch(0) == expected
    assert len(warned) == 1


def test_an_epoch_through_the_compiler_is_an_epoch_without(tiny_space, tiny_skeleton, monkeypatch):
    # traced and differentiated by torch.compile, but run by torch itself: generating code takes minutes
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain, compiled = make_training(tiny_space, tiny_skeleton), make_training(tiny_space, tiny_skeleton, compile=True)
    for epoch in range(2):
        assert compiled.run_epoch(epoch) == pytest.approx(plain.run_epoch(epoch), rel=1e-4)
    assert compiled.forward.forward is not compiled.network
    assert compiled.state_dict()["network"].keys() == plain.state_dict()["network"].keys()


def test_batches_of_another_size_are_not_compiled(monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda network, **_: lambda x: seen.append(len(x)) or network(x))
    compiled = Compiled(nn.Flatten(), images=4)
    for count in (4, 3, 4):
        assert compiled(torch.zeros(count, 1, 2)).shape == (count, 2)
    assert seen == [4, 4]


def test_a_fault_of_the_network_is_not_hidden(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    with pytest.warns(MoonasWarning), pytest.raises(RuntimeError, match="mat1 and mat2"):
        Compiled(nn.Linear(3, 1), images=2)(torch.zeros(2, 5))

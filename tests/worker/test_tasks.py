"""Tasks as the loop sees them: JSON in, JSON out, interrupted and resumed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moonas.architecture import Architecture
from moonas.errors import CheckpointError, NonFiniteLossError, StorageError, UsageError
from moonas.skeleton import Skeleton
from moonas.specs import EvaluateSpec, SearchSpec
from moonas.worker.artifacts import read_artifact
from moonas.worker.checkpoint import unpack
from moonas.worker.tasks import TaskInterrupted, run_task

SEARCHED = Skeleton(channels=4, cells=3, input_shape=(1, 8, 8), classes=10)
FINAL = Skeleton(channels=6, cells=3, input_shape=(1, 8, 8), classes=10)
COMMON = {"seed": 0, "replicate": 0, "data": {"name": "digits", "images": 200}, "space": {"name": "darts-cnn", "nodes": 2}}
CELL = [(2, 0, "sep_conv_3x3"), (2, 1, "skip_connect"), (3, 0, "max_pool_3x3"), (3, 2, "dil_conv_3x3")]
ARCHITECTURE = Architecture("darts-cnn", {"normal": CELL, "reduce": CELL}, {"normal": (2, 3), "reduce": (2, 3)})
METHOD = {"name": "darts", "epochs": 3, "batch": 32}


class Loop:
    """Stands in for the loop: keeps what is reported, and answers `action` at one step."""

    def __init__(self, action: str = "continue", step: int = 0) -> None:
        self.action, self.step = action, step
        self.progress: list[dict] = []
        self.warnings: list[str] = []

    def __call__(self, message: dict) -> str:
        json.dumps(message, allow_nan=False)
        if "warning" in message:
            self.warnings.append(message["warning"])
            return "pause"
        self.progress.append(message)
        return self.action if message["step"] == self.step else "continue"

    @property
    def checkpoints(self) -> list[dict]:
        return [message["checkpoint"] for message in self.progress]


def search_spec(**fields) -> SearchSpec:
    return SearchSpec(**{**COMMON, "skeleton": SEARCHED, "method": METHOD, "handler": {"name": "none"}, **fields})


def evaluate_spec(**fields) -> EvaluateSpec:
    protocol = {"name": "short", "epochs": 3, "batch": 32}
    return EvaluateSpec(**{**COMMON, "architecture": ARCHITECTURE, "skeleton": FINAL, "protocol": protocol, **fields})


def run(spec, loop=None, **options) -> dict:
    return run_task(json.loads(json.dumps(spec.to_json())), loop or Loop(), **options)


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> tuple[dict, Loop, str]:
    """An uninterrupted search with its reports and its artifact folder."""
    loop, folder = Loop(), str(tmp_path_factory.mktemp("artifacts"))
    return run(search_spec(), loop, artifacts=folder), loop, folder


def lasting(result: dict) -> dict:
    """A result without its clocks, and with the content of its weights in place of where they lie."""
    kept = {name: value for name, value in result.items() if name not in ("seconds", "train_seconds", "weights")}
    if result["kind"] == "evaluate":
        kept["weights"] = result["weights"] and result["weights"]["sha256"]
    elif result.get("weights"):
        weights = unpack(read_artifact(result["weights"]["url"], result["weights"]["sha256"]))
        kept["weights"] = {name: tensor.tolist() for name, tensor in weights["net"].items()}
    return kept


def test_a_search_returns_scores_and_weights_as_json(searched):
    result, _, _ = searched
    json.dumps(result, allow_nan=False)
    assert result["kind"] == "search"
    assert {group: (len(rows), len(rows[0])) for group, rows in result["scores"].items()} == {"normal": (5, 8), "reduce": (5, 8)}
    assert result["operations"]["normal"][3] == "skip_connect"
    assert (result["architecture"], result["epochs"]) == (None, 3)
    assert result["device"]["type"] == "cpu"
    assert result["device"]["threads"] == 1
    assert set(result["versions"]) == {"moonas", "torch"}
    assert len(result["data_checksum"]) == 64


def test_each_epoch_is_reported_with_metrics_scores_and_a_new_checkpoint(searched):
    result, loop, _ = searched
    assert [(message["step"], message["of"]) for message in loop.progress] == [(1, 3), (2, 3), (3, 3)]
    assert len({checkpoint["id"] for checkpoint in loop.checkpoints}) == 3
    assert loop.progress[-1]["scores"] == result["scores"]
    expected = np.exp(np.array(result["scores"]["normal"]))  # of DARTS, whose scores are the logs of its probabilities
    assert np.abs(np.array(loop.progress[-1]["mixture"]["normal"]["operations"]) - expected).max() <= 0.0005
    assert loop.progress[-1]["metrics"] == result["health"]
    assert not loop.warnings


@pytest.mark.parametrize("action", ["pause", "stop"])
def test_an_interrupted_search_goes_on_from_its_checkpoint_as_if_nothing_had_happened(searched, tmp_path, action):
    expected, _, _ = searched
    loop = Loop(action, step=2 if action == "pause" else 3)
    with pytest.raises(TaskInterrupted) as interruption:
        run(search_spec(), loop, artifacts=str(tmp_path))
    assert interruption.value.action == action
    assert len(loop.progress) == loop.step
    resumed = Loop()
    assert lasting(run(search_spec(), resumed, artifacts=str(tmp_path), checkpoint=loop.checkpoints[-1])) == lasting(expected)
    assert [message["step"] for message in resumed.progress] == [3] * (3 - loop.step)


@pytest.mark.parametrize("performance", [{"memory": "low"}, {"precision": "bf16", "channels_last": False}], ids=str)
def test_other_ways_to_compute_resume_exactly_too(tmp_path, performance):
    for make in (search_spec, evaluate_spec):
        spec = make(performance=performance)
        expected, loop = run(spec, artifacts=str(tmp_path)), Loop("pause", step=2)
        with pytest.raises(TaskInterrupted):
            run(spec, loop, artifacts=str(tmp_path))
        assert lasting(run(spec, artifacts=str(tmp_path), checkpoint=loop.checkpoints[-1])) == lasting(expected)


def test_what_the_machine_cannot_do_is_told_once_and_done_without(monkeypatch):
    monkeypatch.setattr("moonas.networks.frame.can_compute", lambda precision, device: precision == "fp32")
    monkeypatch.setattr("torch.compile", lambda network, **_: 1 / 0)
    loop, short = Loop(), {"name": "short", "epochs": 1, "batch": 32}
    result = run(evaluate_spec(protocol=short, performance={"precision": "bf16", "compile": True}), loop)
    assert loop.warnings == [
        "cpu has no bf16 arithmetic: using fp32",
        "torch.compile failed, so the network trains without: division by zero",
    ]
    assert lasting(result) == lasting(run(evaluate_spec(protocol=short)))
    run(evaluate_spec(protocol=short, performance={"precision": "bf16"}), loop)
    assert len(loop.warnings) == 3


@pytest.mark.parametrize("damage", ["truncated", "gone"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before_with_a_warning(searched, tmp_path, damage):
    expected, _, _ = searched
    first = Loop("pause", step=2)
    with pytest.raises(TaskInterrupted):
        run(search_spec(), first, artifacts=str(tmp_path))
    older, newer = first.checkpoints
    path = Path(newer["url"])
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-10])
    loop = Loop()
    assert lasting(run(search_spec(), loop, artifacts=str(tmp_path), checkpoint={**newer, "previous": older})) == lasting(expected)
    assert [message["step"] for message in loop.progress] == [2, 3]
    assert len(loop.warnings) == 1
    assert "the checkpoint before" in loop.warnings[0]


def test_without_any_readable_checkpoint_a_task_starts_anew(searched, tmp_path):
    foreign = searched[1].checkpoints[-1]
    loop = Loop()
    result = run(evaluate_spec(), loop, checkpoint={**foreign, "previous": {**foreign, "url": str(tmp_path / "none")}})
    assert [message["step"] for message in loop.progress] == [1, 2, 3]
    assert "belongs to another task" in loop.warnings[0]
    assert "going on from the start" in loop.warnings[1]
    assert lasting(result) == lasting(run(evaluate_spec()))


def test_an_evaluation_returns_its_metrics_and_resumes_exactly(tmp_path):
    expected = run(evaluate_spec(), artifacts=str(tmp_path))
    assert set(expected["metrics"]) == {"accuracy", "test_accuracy", "loss"}
    assert 0 <= expected["metrics"]["accuracy"] <= 1
    loop = Loop("pause", step=1)
    with pytest.raises(TaskInterrupted):
        run(evaluate_spec(), loop, artifacts=str(tmp_path))
    resumed = run(evaluate_spec(), artifacts=str(tmp_path), checkpoint=loop.checkpoints[-1])
    assert lasting(resumed) == lasting(expected)
    assert resumed["train_seconds"] > loop.progress[0]["seconds"]


def test_inherited_accuracy_comes_from_the_search_s_weights_and_is_deterministic(searched):
    result, _, _ = searched
    inherited = {"protocol": {"name": "inherited", "calibration_batches": 3, "batch": 32}, "source": search_spec().key}
    spec = evaluate_spec(skeleton=SEARCHED, weights=result["weights"]["url"], **inherited)
    first, again = run(spec), run(spec)
    assert lasting(first) == lasting(again)
    assert first["metrics"] != run(evaluate_spec(skeleton=SEARCHED))["metrics"]
    stale = replace(spec, protocol={**spec.protocol, "calibration_batches": 0})
    assert run(stale)["metrics"] != first["metrics"]
    with pytest.raises(CheckpointError, match="are not those of the search"):
        run(replace(spec, source="another"))
    with pytest.raises(StorageError, match="names no weights"):
        run(replace(spec, weights=None))


def test_inherited_accuracy_is_measured_in_the_network_that_the_method_searched(tmp_path):
    partial = {"name": "pc-darts-journal", "channel_divisor": 2, "epochs": 1, "warmup_epochs": 0, "batch": 64}
    search = search_spec(method=partial)
    weights = run(search, artifacts=str(tmp_path))["weights"]["url"]
    protocol = {"name": "inherited", "calibration_batches": 2, "batch": 64}
    spec = evaluate_spec(skeleton=SEARCHED, protocol=protocol, source=search.key, weights=weights)
    assert lasting(run(spec)) == lasting(run(spec))
    left = unpack(read_artifact(weights))
    assert (left["method"], left["skeleton"]["channels"]) == (partial, 4)


def test_random_needs_neither_data_nor_epochs():
    loop = Loop()
    random = {"method": {"name": "random"}, "data": {"name": "cifar10"}, "final": FINAL, "budget": {"params": {"upper": 6000}}}
    result = run(search_spec(**random), loop, data_root="/nonexistent")
    assert Architecture.from_json(result["architecture"]).space == "darts-cnn"
    assert (result["scores"], result["weights"], result["epochs"], loop.progress) == (None, None, 0, [])


def test_a_loss_that_is_not_finite_fails_the_task():
    with pytest.raises(NonFiniteLossError):
        run(search_spec(method={**METHOD, "weight_lr": 1e30}))


def test_an_unknown_kind_of_task_is_refused():
    with pytest.raises(UsageError, match="known: evaluate, measure, rerank, search"):
        run_task({"kind": "guess"}, Loop())


def test_a_cell_that_leads_nowhere_is_trained_with_a_warning():
    cell = Architecture.from_genotype("|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    skeleton = Skeleton(space="nas-bench-201", channels=4, cells=3, input_shape=(1, 8, 8), classes=10)
    loop = Loop()
    result = run(evaluate_spec(architecture=cell, skeleton=skeleton, space={"name": "nas-bench-201"}), loop)
    assert loop.warnings == [f"{cell.key}: nothing leads from input to output of cell, so its answers are constant"]
    assert result["metrics"]["accuracy"] < 0.2  # one class of ten

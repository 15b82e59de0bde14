"""Trained weights of front members: which are kept, how they are fetched, and that they are the ones that were judged."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save_file
from typer.testing import CliRunner

import moonas
from moonas.cli import app
from moonas.data.dataset import load_data
from moonas.errors import MoonasError, StorageError, UsageError, WeightsError
from moonas.results.study import Study
from moonas.store.weights import borrowers
from moonas.worker.artifacts import write_artifact
from moonas.worker.local import Event
from tests.outer.fakes import DEVICE, FakePool, result_of, small_study

CELL = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1)], normal_concat=[2], "
    "reduce=[('skip_connect', 0), ('skip_connect', 1)], reduce_concat=[2])"
)
FIXED = small_study(  # one architecture at four widths, each trained four times
    methods=[{"name": "fixed", "architecture": CELL}],
    space={"name": "darts-cnn", "nodes": 1},
    final={"channels": [2, 4, 6, 8], "cells": 3},
    budgets={},
    replicates=4,
)
QUICK = {
    "name": "quick",
    "data": {"name": "digits", "images": 400},
    "space": {"name": "darts-cnn", "nodes": 1, "operations": ["max_pool_3x3", "skip_connect", "sep_conv_3x3"]},
    "search": {"channels": 2, "cells": 3},
    "final": {"channels": 2, "cells": 3},
    "objectives": ["accuracy", "params"],
    "methods": ["random"],
    "budgets": {"params": ["20%", "none"]},
    "replicates": 2,
    "protocol": {"name": "short", "epochs": 3, "batch": 32},
    "workers": {"devices": "cpu", "tasks_per_device": 1},
}


def cli(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if code == 0:
        assert result.exit_code == 0, result.output
        return result.output
    assert isinstance(result.exception, MoonasError), result.output
    assert result.exception.exit_code == code
    return str(result.exception)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """A study that was really run, and its folder."""
    folder = tmp_path_factory.mktemp("trained")
    return moonas.run(QUICK, f"sqlite:///{folder}/study.db"), folder


def test_the_weights_of_every_front_member_give_its_accuracy_again(trained, tmp_path) -> None:
    study, _ = trained
    assert len(study.front()) >= 1
    for member in study.front():
        path = study.weights(member.key).save(tmp_path / "w.safetensors")
        network = moonas.build(member.architecture, member.skeleton, weights=path)
        assert not network.training
        valid = load_data(QUICK["data"], 0, "cpu", None).valid
        right = sum(
            (network(image[None]).argmax(1) == label).item() for image, label in zip(valid.images, valid.labels, strict=True)
        )
        kept = study.weights(member.key)
        assert right / len(valid.labels) == pytest.approx(kept.accuracy, abs=1e-12)
        assert kept.accuracy == max(run["accuracy"] for run in member.runs.values())


def test_only_front_members_have_files(trained) -> None:
    study, folder = trained
    assert len(list((folder / "moonas-artifacts").rglob("*"))) == 1 + len(study.front())


def test_the_file_says_what_it_belongs_to(trained, tmp_path) -> None:
    study, folder = trained
    member = study.front()[0]
    told = cli("arch", "quick", member.key[:6], "--weights", str(tmp_path / "w.st"), "--storage", f"sqlite:///{folder}/study.db")
    assert member.key in told
    with safe_open(tmp_path / "w.st", "pt") as file:
        about = json.loads(file.metadata()["moonas"])
    assert moonas.Architecture.from_json(about["architecture"]) == member.architecture
    assert moonas.Skeleton.from_json(about["skeleton"]) == member.skeleton
    assert about["metrics"]["accuracy"] == study.weights(member.key).accuracy
    assert (about["protocol"]["epochs"], about["versions"]["moonas"]) == (3, moonas.__version__)


def test_the_weights_that_a_page_links_to_are_a_download_that_gives_the_same_network(trained) -> None:
    from starlette.testclient import TestClient

    from moonas.dashboard.catalogue import Catalogue
    from moonas.dashboard.pages import architecture
    from moonas.service.app import create_app
    from moonas.service.settings import Settings

    study, folder = trained
    member, url = study.front()[0], f"sqlite:///{folder}/study.db"
    page = str(architecture.page(Catalogue(url), {}, study.name, member.key).content)
    path = f"/api/v1/studies/quick/architectures/{member.key}/weights.safetensors"
    assert path in page
    app = create_app(Settings(storage=url))
    with TestClient(app, base_url="http://localhost:8080") as client:
        answer = client.get(path)
    app.state.store.close()
    assert answer.headers["content-disposition"] == f'attachment; filename="{member.key}.safetensors"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    tensors, network = load(answer.content), moonas.build(member.architecture, member.skeleton)
    network.load_state_dict(tensors)  # all of them and no others


def test_weights_of_another_network_or_a_damaged_file_are_refused(trained, tmp_path) -> None:
    study, _ = trained
    member = study.front()[0]
    path = study.weights(member.key).save(tmp_path / "w.safetensors")
    wider = moonas.Skeleton.from_json({**member.skeleton.to_json(), "channels": 4})
    with pytest.raises(WeightsError, match=r"another network: its .* is .* the network's"):
        moonas.build(member.architecture, wider, weights=path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        moonas.build(member.architecture, member.skeleton, weights=path)
    fresh = moonas.build(member.architecture, member.skeleton).state_dict()
    save_file({**fresh, "more": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="the network has no more"):
        moonas.build(member.architecture, member.skeleton, weights=path)
    with pytest.raises(WeightsError, match="cannot read"):
        moonas.build(member.architecture, member.skeleton, weights=tmp_path / "none")


class Weighing(FakePool):
    """Leaves a file of weights with every evaluation that is asked to; its content tells which."""

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        task = {**task, "spec": {**task["spec"], **({"device": DEVICE} if task["spec"]["kind"] == "measure" else {})}}

        def spoil(spec: Mapping[str, Any]) -> Event | None:
            if spec["kind"] != "evaluate" or not task["keep_weights"]:
                return None
            left = write_artifact(task["artifacts"], "weights.safetensors", json.dumps(spec["replicate"]).encode())
            return Event(slot, "result", {"result": {**result_of(spec), "weights": left}})

        self.spoil = spoil
        super().start(slot, task)


@pytest.fixture
def weighing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of artifacts of studies whose evaluations are made up."""
    monkeypatch.setattr("moonas.worker.local.LocalPool", lambda devices, *more: Weighing(len(devices)))
    monkeypatch.setenv("MOONAS_STORAGE", f"sqlite:///{tmp_path}/study.db")
    return tmp_path / "moonas-artifacts"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_member_keeps_the_weights_of_its_best_training_and_others_none(weighing) -> None:
    study = moonas.run(FIXED)
    assert [len(member.runs) for member in study.front()] == [4] * len(study.front())
    assert len(files(weighing)) == len(study.front())
    for member in study.front():
        kept = study.weights(member.key, member.trial)
        best = max(member.runs, key=lambda replicate: (member.runs[replicate]["accuracy"], -replicate))
        assert (kept.replicate, json.loads(kept.content)) == (best, best)


def test_a_network_off_the_front_has_no_weights_and_the_message_says_why(weighing) -> None:
    study = moonas.run(small_study())
    beaten = next(network for network in study.archive() if not network.on_front)
    with pytest.raises(WeightsError, match="not on the front"):
        study.weights(beaten.key)


@pytest.mark.parametrize("policy", ["all", "none"])
def test_the_study_may_keep_all_weights_or_none(weighing, policy) -> None:
    study = moonas.run(small_study(keep={"weights": policy}))
    assert len(files(weighing)) == (sum(len(network.runs) for network in study.archive()) if policy == "all" else 0)
    if policy == "none":
        with pytest.raises(WeightsError, match="keep: "):
            study.weights(study.front()[0].key)


def test_what_is_kept_may_change_under_a_study_s_name(weighing) -> None:
    moonas.run(small_study(keep={"weights": "all"}))
    study = moonas.run(small_study(keep={"weights": "front"}))
    assert len(files(weighing)) == len(study.front())
    moonas.run(small_study(keep={"weights": "none"}))
    assert files(weighing) == []


def test_measuring_after_training_loses_no_weights(weighing) -> None:
    measured = {"objectives": ["accuracy", {"metric": "latency_ms", "reference": 20}]}
    study = moonas.run(small_study(**measured, methods=["random"]))
    assert all(study.weights(member.key, member.trial) for member in study.front())
    assert len(files(weighing)) == len(study.front())


def test_a_study_that_takes_results_over_finds_their_weights_and_keeps_them_from_being_dropped(weighing) -> None:
    first = moonas.run(small_study(methods=["random"]))
    second = moonas.run(small_study(methods=["random"], name="second"))
    shared = {member.key for member in first.front()} & {member.key for member in second.front()}
    assert shared
    for key in shared:
        assert second.weights(key).content == first.weights(key).content
    moonas.run(small_study(methods=["random"], keep={"weights": "none"}))
    again = moonas.load_study("second")
    assert all(again.weights(key) for key in shared)
    assert borrowers(again.store.database, again.store.study("small").id) == {"second": len(shared)}
    told = CliRunner().invoke(app, ["delete", "small"], input="n\n").output
    assert f"weights of {len(shared)} networks on the front of second" in told
    moonas.delete_study("small")
    with pytest.raises(WeightsError, match="a study that is deleted"):
        moonas.load_study("second").weights(next(iter(shared)))


def test_a_damaged_file_is_never_handed_out(weighing, tmp_path) -> None:
    study = moonas.run(small_study())
    member = study.front()[0]
    for path in files(weighing):
        path.write_bytes(b"other")
    with pytest.raises(StorageError, match="SHA-256"):
        study.weights(member.key)
    assert "SHA-256" in cli("arch", "small", member.key, "--weights", str(tmp_path / "w"), code=1)
    assert not (tmp_path / "w").exists()


def test_one_architecture_at_several_widths_needs_the_trial(weighing) -> None:
    study = moonas.run({**FIXED, "keep": {"weights": "all"}, "constraints": ["accuracy>=0.9999"]})
    first, second, *_ = study.archive()
    assert (first.key, len(study.front())) == (second.key, 0)
    assert [study.weights(network.key, network.trial).network for network in (first, second)] == [first, second]
    with pytest.raises(UsageError, match=f"--trial {first.trial}: 2 channels"):
        study.weights(first.key)
    with pytest.raises(UsageError, match=f"--trial {second.trial}: {second.skeleton.channels} channels, 3 cells"):
        study.weights(first.key, trial=99)


def test_asking_for_weights_changes_no_key_of_a_task(weighing) -> None:
    keys = []
    for name, policy in (("one", "all"), ("two", "none")):
        study = moonas.run(small_study(name=name, keep={"weights": policy}))
        keys.append({(task.kind, task.key) for task in study.store.tasks(study.record.id) if task.kind == "search"})
    assert keys[0] == keys[1]
    assert study.store.tasks(study.record.id, kind="evaluate") == []  # the second took all results over

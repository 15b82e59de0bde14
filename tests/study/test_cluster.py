"""What a study file may say about a Ray cluster."""

import pytest

from moonas.study.changes import changes
from tests.study.files import complaints, study


@pytest.mark.parametrize("address", ["local", "auto", "10.0.0.7:6379", "ray://head.example.org:10001", "ray-head:6379"])
def test_an_address_of_a_cluster_is_kept_as_it_is_written(address: str) -> None:
    assert study(workers={"backend": "ray", "address": address}).workers.address == address


@pytest.mark.parametrize(
    "address", ["", "head", "http://head:8265", "ray://head", "ray://user@head:10001", "head:port", 6379, "a:1 --b"]
)
def test_anything_else_is_no_address_and_the_message_says_what_is(address: object) -> None:
    told = f"must be local, auto, HOST:PORT or ray://HOST:PORT, got {address!r}"
    assert complaints(workers={"backend": "ray", "address": address}) == {"workers.address": told}


def test_a_setting_of_one_backend_is_refused_with_the_other() -> None:
    ray = {"address": "auto", "gpus_per_task": 0.5, "cpus_per_task": 2, "max_tasks": 8}
    assert complaints(workers={"backend": "ray", **ray}) == {}
    found = complaints(workers=ray)
    assert sorted(found) == [f"workers.{name}" for name in sorted(ray)]
    assert found["workers.address"] == "belongs to `backend: ray`; this study's backend is local"
    found = complaints(workers={"backend": "ray", "tasks_per_device": 2, "devices": [0]})
    assert sorted(found) == ["workers.devices", "workers.tasks_per_device"]


def test_a_task_takes_one_gpu_at_most() -> None:
    assert complaints(workers={"backend": "ray", "gpus_per_task": 2}) == {
        "workers.gpus_per_task": "must be less than or equal to 1, got 2"
    }


@pytest.mark.parametrize(
    "asked", [{"objectives": ["accuracy", {"metric": "latency_ms", "reference": 20}]}, {"measure": {"metrics": ["latency_ms"]}}]
)
def test_a_study_that_measures_a_device_stays_on_one_machine(asked: dict) -> None:
    assert complaints(**asked) == {}
    found = complaints(**asked, workers={"backend": "ray"})
    assert list(found) == ["workers.backend"]
    assert "latency_ms must be measured on one" in found["workers.backend"]


def test_a_study_may_move_to_a_cluster_under_its_name() -> None:
    moved = study(workers={"backend": "ray", "address": "auto", "max_tasks": 3})
    assert {change.kind for change in changes(study(), moved)} == {"free"}

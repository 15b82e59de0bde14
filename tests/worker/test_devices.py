"""Which devices slots get, and that a process sees its own alone."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from moonas.errors import StudyFileError, UsageError
from moonas.study.loading import study_from
from moonas.study.sections import Workers
from moonas.worker import devices
from moonas.worker.devices import environment, slot_devices, visible_gpus
from moonas.worker.idle import Gpus
from moonas.worker.local import LocalPool
from tests.outer.fakes import small_study

PRETENDED = ["GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "3", "MIG-b3adb71e-0d14-5a0e-bdd5-0a5fbd2f9b0f", "5"]


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ", ".join(PRETENDED))


def told_by(pool: LocalPool, slots: range) -> list[dict[str, str]]:
    """The environment of the worker in every slot, by its own word."""
    found: dict[int, dict[str, str]] = {}
    try:
        for slot in slots:
            pool.ready(slot)
            pool.start(slot, {"spec": {}})
        while len(found) < len(slots):
            event = pool.next_event(30)
            assert event is not None
            assert event.kind == "result", event
            found[event.slot] = dict(event.message["result"])
    finally:
        pool.close()
    return [found[slot] for slot in slots]


def test_each_worker_sees_the_device_of_its_slot_alone(four_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moonas.worker.local.WORKER", "tests.worker.telling_process")
    slots = slot_devices(Workers(tasks_per_device=2))
    told = told_by(LocalPool(slots, threads=3), range(8))
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in told] == [name for name in PRETENDED for _ in range(2)]
    assert {environment["OMP_NUM_THREADS"] for environment in told} == {"3"}
    assert {environment["CUBLAS_WORKSPACE_CONFIG"] for environment in told} == {":4096:8"}


def test_chosen_devices_are_counted_among_those_the_process_may_use(four_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moonas.worker.local.WORKER", "tests.worker.telling_process")
    told = told_by(LocalPool(slot_devices(Workers(devices=(2, 1)))), range(2))
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in told] == [PRETENDED[2], PRETENDED[1]]


def test_a_worker_on_the_cpu_sees_no_gpu(four_gpus: None) -> None:
    assert environment("cpu", 1, 1)["CUDA_VISIBLE_DEVICES"] == ""
    assert slot_devices(Workers(devices="cpu", tasks_per_device=3)) == ["cpu"] * 3


@pytest.mark.parametrize(
    ("allowed", "seen"), [("", []), ("-1", []), ("0,1", ["0", "1"]), ("2, -1, 0", ["2"]), (" 1 ,", ["1"])], ids=str
)
def test_devices_are_read_as_cuda_reads_them(monkeypatch: pytest.MonkeyPatch, allowed: str, seen: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    assert visible_gpus() == seen


def test_auto_means_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(devices, "cpu_count", lambda: 7)
    assert slot_devices(Workers(threads_per_task=2)) == ["cpu"] * 3


def test_a_gpu_that_is_not_there_is_refused(four_gpus: None) -> None:
    with pytest.raises(UsageError, match="there is no GPU 4 here; 4 found"):
        slot_devices(Workers(devices=(0, 4)))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (["cpu"], "must be auto, cpu, or GPU indices such as [0, 1], got ['cpu']"),
        (0, "must be auto, cpu, or GPU indices such as [0, 1], got 0"),
        ([], "must be auto, cpu, or GPU indices such as [0, 1], got []"),
        ([0.5], "must be auto, cpu, or GPU indices such as [0, 1], got [0.5]"),
        ([-1], "GPU indices count from 0"),
        ([1, 0, 1], "names a GPU twice: [1, 0, 1]; for several tasks on each use `tasks_per_device`"),
    ],
    ids=str,
)
def test_devices_that_mean_nothing_are_refused_by_name(value: Any, told: str) -> None:
    with pytest.raises(StudyFileError) as refused:
        study_from(small_study(workers={"devices": value}))
    assert [problem.path for problem in refused.value.problems] == ["workers.devices"]
    assert told in str(refused.value)


class Nvml:
    """What `pynvml` would say of two GPUs of 80 GiB: the processes on each and the memory in use."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        self.pids: dict[str, list[int]] = {"0": [], "GPU-b": []}
        self.graphics: list[int] = []
        self.used = dict.fromkeys(self.pids, 400 * 2**20)  # what drivers hold

    def nvmlInit(self) -> None:  # noqa: N802 - pynvml's name, as all below
        """Nothing to load."""

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        return self.nvmlDeviceGetHandleByUUID(str(index))

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid not in self.pids:
            raise self.NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetComputeRunningProcesses(self, device: str) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=pid) for pid in self.pids[device]]

    def nvmlDeviceGetGraphicsRunningProcesses(self, device: str) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=pid) for pid in self.graphics]

    def nvmlDeviceGetMemoryInfo(self, device: str) -> Any:  # noqa: N802
        return SimpleNamespace(used=self.used[device], total=80 * 2**30)


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    found = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", found)
    return found


def test_a_gpu_counts_as_used_by_processes_of_others_or_by_memory_that_nobody_of_ours_holds(nvml: Nvml) -> None:
    gpus = Gpus()
    assert gpus.used_by_others("0", []) == ""
    nvml.pids["0"] = [41, 7]
    assert gpus.used_by_others("0", []) == "process 7, 41"
    assert gpus.used_by_others("0", [41]) == "process 7"
    assert gpus.used_by_others("0", [41, 7]) == ""
    assert gpus.used_by_others("GPU-b", []) == ""
    nvml.graphics = [12]
    assert gpus.used_by_others("GPU-b", []) == "process 12"
    nvml.graphics, nvml.used["GPU-b"] = [], 6 * 2**30  # of a container, whose processes are not listed
    assert gpus.used_by_others("GPU-b", []) == "6.0 of 80.0 GiB of its memory in use"
    assert gpus.used_by_others("GPU-b", [3]) == ""


def test_in_a_container_our_own_processes_are_listed_by_other_numbers(nvml: Nvml) -> None:
    nvml.pids["0"] = [90001]  # ours, process 17 here
    assert Gpus().used_by_others("0", [17]) == ""
    nvml.pids["0"] = [90001, 90002]
    assert Gpus().used_by_others("0", [17]) == "process 90001, 90002"


def test_a_gpu_that_nvml_does_not_know_is_no_idle_one(nvml: Nvml) -> None:
    with pytest.raises(UsageError, match="does not know the GPU 'GPU-8932', a number or a whole UUID: Not Found"):
        Gpus().used_by_others("GPU-8932", [])


def test_without_nvml_a_study_that_asks_for_idle_devices_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(UsageError, match=r"moonas\[gpu\]"):
        LocalPool(["cuda:0"], only_idle=True)


def test_a_pool_knows_its_own_workers_from_others(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,GPU-b")
    monkeypatch.setattr("moonas.worker.local.WORKER", "tests.worker.telling_process")
    pool = LocalPool(["cuda:0", "cuda:1"], only_idle=True)
    try:
        worker = int(pool.ready(0).rpartition("/")[2])
        nvml.pids["0"], nvml.pids["GPU-b"] = [worker], [worker]
        assert pool.busy(0) == f"process {worker}"  # it was given nothing yet, so that this is somebody else
        pool.start(0, {"spec": {}})
        assert (pool.busy(0), pool.busy(1)) == ("", f"process {worker}")
    finally:
        pool.close()

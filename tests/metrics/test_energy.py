"""Energy meters, with the files of a made-up machine."""

import sys
from pathlib import Path

import pytest
import torch

from moonas.errors import DeviceError
from moonas.metrics.energy import Nvml, Rapl, spent


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two packages; within the first its cores, around both the platform; and the first once more by another interface."""
    zones = {
        "intel-rapl:0": ("package-0", 1_000),
        "intel-rapl:0:0": ("core", 700),
        "intel-rapl:1": ("package-1", 9_000),
        "intel-rapl:2": ("psys", 50_000),
        "intel-rapl-mmio:0": ("package-0", 1_000),
    }
    for zone, (name, energy) in zones.items():
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "name").write_text(f"{name}\n")
        (tmp_path / zone / "max_energy_range_uj").write_text("10000\n")
        (tmp_path / zone / "energy_uj").write_text(f"{energy}\n")
    return tmp_path


def test_packages_add_up_in_millijoules_once_each_and_counters_begin_anew(powercap: Path) -> None:
    meter = Rapl(powercap)
    assert meter.millijoules() == 0
    (powercap / "intel-rapl:0" / "energy_uj").write_text("4000\n")
    (powercap / "intel-rapl:0:0" / "energy_uj").write_text("3000\n")
    (powercap / "intel-rapl:1" / "energy_uj").write_text("500\n")  # from 9,000 over 10,000: 1,500 more
    assert meter.millijoules() == 4.5
    (powercap / "intel-rapl:1" / "energy_uj").write_text("1500\n")
    assert meter.millijoules() == 5.5


def test_a_machine_without_a_meter_says_so(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=f"energy_mj is not available on this machine: there is no RAPL counter below {tmp_path}"):
        Rapl(tmp_path)


def test_a_meter_that_cannot_be_read_is_named_with_the_remedy(powercap: Path) -> None:
    counter = powercap / "intel-rapl:1" / "energy_uj"
    counter.unlink()
    counter.mkdir()  # root may read any file, so a test cannot take the right away
    with pytest.raises(DeviceError, match=rf"{counter} cannot be read(.|\n)*chmod a\+r"):
        Rapl(powercap)


def test_a_gpu_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(DeviceError, match="pip install nvidia-ml-py"):
        Nvml(torch.device("cuda"))


def test_a_stretch_lasts_for_so_many_calls_and_so_many_seconds() -> None:
    class Fake:
        """A call takes 0.1 s and 30 mJ."""

        def __init__(self) -> None:
            self.calls = 0

        def __call__(self) -> None:
            self.calls += 1

        def millijoules(self) -> float:
            return 7.0 + 30.0 * self.calls

        def clock(self) -> float:
            return 0.1 * self.calls

    long, short = Fake(), Fake()
    assert spent(long, long, least=2, seconds=0.45, clock=long.clock) == 30
    assert spent(short, short, least=8, seconds=0.45, clock=short.clock) == 30
    assert (long.calls, short.calls) == (5, 8)

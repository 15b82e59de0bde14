"""Files that no row names and rows without a file: told of, mended, and never more than that."""

import os
import shutil
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import moonas
from moonas import api
from moonas.cli import app
from moonas.errors import StorageError, TaskError
from moonas.storage import artifact_url, study_folder
from moonas.store.checks import FORGET
from moonas.store.lease import new_holder
from moonas.store.orphans import YOUNG, fix, problems
from moonas.worker.artifacts import list_artifacts, read_artifact, write_artifact
from moonas.worker.local import Event
from tests.outer.fakes import FakePool, result_of, small_study
from tests.store.conftest import evaluate

OLD = time.time() - YOUNG - 60


def age(path: Path) -> Path:
    os.utime(path, (OLD, OLD))
    return path


@pytest.fixture
def folder(tmp_path):
    """A folder of artifacts, and how the study's is found."""
    (tmp_path / "artifacts").mkdir()
    return tmp_path / "artifacts"


@pytest.fixture
def place(folder):
    return lambda study: folder.as_uri()


def test_old_files_of_artifacts_without_a_row_are_removed_and_nothing_else(store, study, folder, place):
    with store.ledger(study.id) as ledger:
        kept = write_artifact(folder.as_uri(), "weights.safetensors", b"kept")
        evaluate(ledger, 0, artifacts=[{**kept, "kind": "weights"}])
    stray = folder / f"{'a' * 32}-checkpoint.safetensors"
    others = [
        folder / "notes.txt",
        folder / f"{'b' * 31}-checkpoint.safetensors",
        folder / f"{'c' * 32}-checkpoint.safetensors.txt",
    ]
    half, young = folder / f"{'d' * 32}-checkpoint.safetensors.part", folder / f"{'e' * 32}-checkpoint.safetensors"
    outside = folder.parent / f"{'f' * 32}-checkpoint.safetensors"
    deeper = folder / f"{'1' * 32}-folder.safetensors"
    deeper.mkdir()
    for path in (stray, *others, half, young, outside, deeper / f"{'2' * 32}-checkpoint.safetensors"):
        path.write_bytes(b"123456")
    for path in (stray, *others, half, outside, deeper, Path(folder / kept["url"].rpartition("/")[2])):
        age(path)
    assert list(problems(store, place)) == [
        f"study 'digits': 2 files of 0.0 MB belong to nothing, such as {stray.as_uri()}; moonas db check --fix removes them"
    ]
    assert stray.exists()
    assert list(fix(store, place)) == ["study 'digits': removed 2 files of 0.0 MB that belonged to nothing"]
    assert not stray.exists()
    assert not half.exists()
    assert all(path.exists() for path in (*others, young, outside, deeper))
    assert read_artifact(kept["url"], kept["sha256"]) == b"kept"
    assert list(problems(store, place)) == list(fix(store, place)) == []


def test_a_folder_reached_by_another_name_is_still_the_study_s_own(store, study, folder):
    with store.ledger(study.id) as ledger:
        kept = write_artifact(folder.as_uri(), "weights.safetensors", b"kept")
        evaluate(ledger, 0, artifacts=[{**kept, "kind": "weights"}])
    age(folder / kept["url"].rpartition("/")[2])
    (folder.parent / "other-name").symlink_to(folder)
    assert list(fix(store, lambda study: (folder.parent / "other-name").as_uri())) == []
    assert read_artifact(kept["url"]) == b"kept"


def test_rows_without_a_file_are_forgotten_on_disks_and_in_object_stores(store, study):
    url = "memory://bucket/digits-1"
    with store.ledger(study.id) as ledger:
        there = write_artifact(url, "weights.safetensors", b"there")
        gone = {"kind": "weights", "url": f"{url}/{'9' * 32}-weights.safetensors"}
        elsewhere = {"kind": "weights", "url": "s3://bucket/elsewhere"}
        evaluate(ledger, 0, artifacts=[{**there, "kind": "weights"}, gone, elsewhere])
    assert list(problems(store, lambda study: url)) == [f"study 'digits': the weights {gone['url']} is missing; {FORGET}"]
    assert list(fix(store, lambda study: url)) == [
        "study 'digits': forgot artifacts whose files are missing: 1 weights; what needs them starts again"
    ]
    (task,) = store.tasks(study.id)
    assert {artifact.url for artifact in store.artifacts(task.id)} == {there["url"], elsewhere["url"]}


def test_a_study_that_a_living_process_drives_is_left_alone(store, study, folder, place):
    stray = folder / f"{'a' * 32}-checkpoint.safetensors"
    stray.write_bytes(b"")
    age(stray)
    holder = new_holder()
    store.acquire(study.id, holder)
    (told,) = fix(store, place)
    assert told.startswith(f"left alone: study 'digits' is driven by process {os.getpid()}")
    assert stray.exists()
    store.release(study.id, holder)
    assert len(list(fix(store, place))) == 1


def test_two_databases_of_one_folder_never_touch_each_other_s_files(tmp_path):
    created = 1.75e9
    urls = [f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/two.db", "postgresql://u:secret@host/db", "postgresql://host/db"]
    folders = [artifact_url(url, "digits", created, "s3://bucket/base/") for url in urls]
    assert len(set(folders)) == 3
    assert folders[2] == folders[3]
    assert all(folder.startswith("s3://bucket/base/digits-") and "secret" not in folder for folder in folders)
    assert study_folder(urls[0], "digits", created + 1) != study_folder(urls[0], "digits", created)


@pytest.fixture
def finished(monkeypatch, tmp_path):
    """A study whose loop left nothing, its artifact folder and its URL."""
    monkeypatch.setattr("moonas.worker.local.LocalPool", lambda devices, *more: FakePool(len(devices)))
    url = f"sqlite:///{tmp_path}/study.db"
    study = moonas.run(small_study(methods=["random"]), url)
    return url, Path(artifact_url(url, "small", study.record.created).removeprefix("file://"))


def test_the_commands_tell_mend_and_then_find_nothing(finished):
    url, folder = finished
    folder.mkdir(parents=True)
    stray = folder / f"{'a' * 32}-checkpoint.safetensors"
    stray.write_bytes(b"1")
    age(stray)
    run = CliRunner().invoke
    told = run(app, ["db", "check", "--storage", url])
    assert (told.exit_code, "1 file of 0.0 MB belong" in told.output) == (1, True), told.output
    mended = run(app, ["db", "check", "--fix", "--storage", url])
    assert mended.exit_code == 0, mended.output
    assert mended.output.splitlines() == [
        "study 'small': removed 1 file of 0.0 MB that belonged to nothing",
        "the database is consistent",
    ]
    assert not stray.exists()


def test_deleting_a_study_removes_its_folder_unless_something_else_is_there(finished):
    url, folder = finished
    folder.mkdir(parents=True)
    (folder / f"{'a' * 32}-checkpoint.safetensors.part").write_bytes(b"1")
    (folder / "notes.txt").write_text("mine")
    api.delete_study("small", url)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    moonas.run(small_study(methods=["random"]), url)
    api.delete_study("small", url)
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]


class Inheriting(FakePool):
    """Searches leave weights, which evaluations must be able to read."""

    def start(self, slot, task):
        def spoil(spec):
            if spec["kind"] == "search":
                left = write_artifact(task["artifacts"], "weights.safetensors", b"weights")
                return Event(slot, "result", {"result": {**result_of(spec), "weights": left}})
            try:
                read_artifact(spec["weights"])
            except StorageError as error:
                return Event(slot, "unable", {"reason": str(error)})
            return None

        self.spoil = spoil
        super().start(slot, task)


def test_a_search_whose_weights_are_lost_runs_again_where_they_are_needed(monkeypatch, tmp_path):
    monkeypatch.setattr("moonas.worker.local.LocalPool", lambda devices, *more: Inheriting(1))
    question = small_study(methods=[{"name": "darts", "epochs": 3}], protocol="inherited", replicates=1)
    whole = moonas.run(question, f"sqlite:///{tmp_path}/whole.db")
    url = f"sqlite:///{tmp_path}/study.db"
    stopped = moonas.run({**question, "limits": {"device_hours": 1e-9}}, url)
    assert (stopped.state, len(stopped.trials())) == ("STOPPED", 1)
    folder = artifact_url(url, "small", stopped.record.created)
    (weights,) = list_artifacts(folder)
    shutil.rmtree(folder.removeprefix("file://"))
    with pytest.raises(TaskError, match="not there"):
        moonas.run({**question, "limits": {}}, url)
    assert api.check_database(url) == [f"study 'small': the weights {weights.url} is missing; {FORGET}"]
    assert api.fix_artifacts(url) == [
        "study 'small': forgot artifacts whose files are missing: 1 weights; what needs them starts again"
    ]
    assert api.check_database(url) == []
    study = moonas.resume("small", url)
    assert study.state == "COMPLETE"
    assert [network.to_json() for network in study.front()] == [network.to_json() for network in whole.front()]
    attempts = study.store.attempts(study.record.id)
    assert [attempt.kind for attempt in attempts if attempt.state == "COMPLETE"].count("search") == 2
    assert any("are lost; it runs again" in event.text for event in study.store.events(study.record.id))

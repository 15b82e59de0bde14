"""Bundles: a round trip keeps everything that is printed, merging twice changes nothing, and anything else is refused."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
import stat
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from typer.testing import CliRunner

import moonas
from moonas import api
from moonas.cli import app
from moonas.errors import BundleError, LeaseError, MoonasError, StudyConflictError, UsageError
from moonas.exchange.bundle.format import EPOCH, FORMAT, MANIFEST, STUDY, encode
from moonas.store.lease import new_holder
from moonas.store.store import Store
from moonas.worker.artifacts import read_artifact, write_artifact
from tests.outer.fakes import Crash, FakePool, small_study


class Carrying(FakePool):
    """Leaves a checkpoint with every step and weights with every training, all of them safetensors."""

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        self.task = task
        super().start(slot, task)

    def _tell(self, slot: int, kind: str, message: Mapping[str, Any]) -> None:
        if kind == "progress":
            message = {**message, "checkpoint": self._file("checkpoint", message["step"])}
        elif kind == "result" and self.task["keep_weights"] and self.task["spec"]["kind"] == "evaluate":
            message = {"result": {**message["result"], "weights": self._file("weights", 0)}}
        super()._tell(slot, kind, message)

    def _file(self, kind: str, step: int) -> Mapping[str, Any]:
        tensor = np.array([step, self.task["spec"]["replicate"]], dtype=np.float32)
        return write_artifact(self.task["artifacts"], f"{kind}.safetensors", save({"w": tensor}, {"of": str(self.task["spec"])}))


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[FakePool]:
    """Those that were made; `crash` of the list's next one may be set by `crash_after`."""
    made: list[FakePool] = []
    monkeypatch.setattr("moonas.worker.local.LocalPool", lambda devices, *more: made.append(Carrying(2)) or made[-1])
    monkeypatch.setattr("moonas.worker.pools.slot_devices", lambda workers: ["cpu"] * 2)
    return made


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch, pools: list[FakePool]) -> Callable[[int], None]:
    """Let the next loop die after so many events."""

    def after(events: int) -> None:
        pool = Carrying(2, crash_after=events)
        later = lambda devices, *more: pools.append(Carrying(2)) or pools[-1]  # noqa: E731
        queue = [pool]
        monkeypatch.setattr("moonas.worker.local.LocalPool", lambda devices, *more: queue.pop() if queue else later(devices, *more))

    return after


@pytest.fixture
def one(tmp_path: Path) -> str:
    """URL of the database that studies are run in."""
    return f"sqlite:///{tmp_path}/one/study.db"


@pytest.fixture
def two(tmp_path: Path) -> str:
    """URL of the database that they are brought to."""
    return f"sqlite:///{tmp_path}/two/study.db"


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Path:
    """A study database that holds nothing yet."""
    path = tmp_path_factory.mktemp("empty") / "study.db"
    Store.open(f"sqlite:///{path}", create=True).close()
    return path


@pytest.fixture(autouse=True)
def places(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copy(empty, tmp_path / name)
    monkeypatch.setenv("COLUMNS", "200")


def cli(*arguments: str, storage: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--storage", storage])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def printed(url: str, name: str = "small") -> dict[str, Any]:
    """What every reading command prints of a study."""
    study = moonas.load_study(name, url)
    found = {command: cli(command, name, "--format", "json", storage=url) for command in ("show", "trials", "front")}
    found["list"] = cli("list", "--format", "json", storage=url)
    found |= {f"logs {t.number}": cli("logs", name, str(t.number), "--format", "json", storage=url) for t in study.trials()}
    for key in {network.key for network in study.archive()}:
        found[f"arch {key}"] = cli("arch", name, key, "--format", "json", storage=url)
    path = moonas.write_report(name, Path(url.removeprefix("sqlite:///")).with_name("report.html"), url)
    return {**found, "report": path.read_text()}


def files_of(url: str) -> list[Path]:
    folder = Path(url.removeprefix("sqlite:///")).with_name("moonas-artifacts")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_round_trip_keeps_all_that_is_printed_and_the_weights(pools, one, two, tmp_path) -> None:
    study = moonas.run(small_study(), one)
    told = cli("export-study", "small", "-o", str(tmp_path / "b.zip"), storage=one)
    assert f"12 trials, {len(study.front())} files" in told
    assert "imported small with 12 trials" in cli("import-study", str(tmp_path / "b.zip"), storage=two)
    assert printed(two) == printed(one)
    assert any(mixtures(one).values())
    assert mixtures(two) == mixtures(one)
    again = moonas.load_study("small", two)
    for member in study.front():
        assert again.weights(member.key, member.trial).content == study.weights(member.key, member.trial).content
    assert len(files_of(two)) == len(study.front())
    assert api.check_database(two) == []


def test_a_bundle_of_the_copy_is_the_same_file_byte_for_byte(pools, one, two, tmp_path) -> None:
    moonas.run(small_study(), one)
    names = [tmp_path / f"{name}.zip" for name in ("first", "second", "copy")]
    moonas.export_study("small", names[0], one)
    moonas.export_study("small", names[1], one)
    moonas.import_study(names[0], two)
    moonas.export_study("small", names[2], two)
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in names}) == 1


def test_merging_twice_changes_nothing(pools, one, two, tmp_path) -> None:
    moonas.run(small_study(), one)
    moonas.export_study("small", tmp_path / "b.zip", one)
    moonas.import_study(tmp_path / "b.zip", two)
    with sqlite3.connect(two.removeprefix("sqlite:///")) as connection:  # all pages into the file
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before, files = Path(two.removeprefix("sqlite:///")).read_bytes(), files_of(two)
    assert moonas.import_study(tmp_path / "b.zip", two).outcome == "unchanged"
    assert moonas.import_study(tmp_path / "b.zip", one).outcome == "unchanged"
    assert (Path(two.removeprefix("sqlite:///")).read_bytes(), files_of(two)) == (before, files)


def crashed(url: str, crashing: Callable[[int], None], events: int = 23) -> None:
    crashing(events)
    with pytest.raises(Crash):
        moonas.run(small_study(), url)


def test_an_unfinished_study_is_resumed_from_the_checkpoints_that_came_along(pools, crashing, one, two, tmp_path) -> None:
    crashed(one, crashing)
    told = cli("export-study", "small", "-o", str(tmp_path / "b.zip"), "--checkpoints", storage=one)
    assert "trials" in told
    moonas.import_study(tmp_path / "b.zip", two)
    assert printed(two) == printed(one)
    with Store.open(two) as store:
        tasks = store.tasks(store.study("small").id, state="RUNNING")
        checkpoints = {task.key: [read_artifact(one.url, one.sha256) for one in task.checkpoints] for task in tasks}
    assert any(checkpoints.values())
    resumed = moonas.resume("small", two)
    first = {json.dumps(task["spec"]): task["checkpoint"] for task in pools[-1].started}
    assert sum(found is not None for found in first.values()) == sum(map(bool, checkpoints.values()))
    whole = moonas.resume("small", one)
    assert [member.to_json() for member in resumed.front()] == [member.to_json() for member in whole.front()]
    assert (resumed.state, len(resumed.trials())) == ("COMPLETE", 12)
    assert api.check_database(two) == []


def test_a_later_state_of_a_study_takes_the_place_of_an_earlier_one(pools, crashing, one, two, tmp_path) -> None:
    crashed(one, crashing)
    moonas.export_study("small", tmp_path / "early.zip", one)
    moonas.import_study(tmp_path / "early.zip", two)
    moonas.resume("small", one)
    moonas.export_study("small", tmp_path / "late.zip", one)
    found = moonas.import_study(tmp_path / "late.zip", two)
    assert (found.outcome, found.trials, found.before < 12) == ("continued", 12, True)
    assert printed(two) == printed(one)
    assert len(files_of(two)) == len(moonas.load_study("small", two).front())
    assert moonas.import_study(tmp_path / "early.zip", two).outcome == "unchanged"
    assert printed(two) == printed(one)


def test_states_that_have_gone_apart_are_refused(pools, crashing, one, two, tmp_path) -> None:
    crashed(one, crashing)
    moonas.export_study("small", tmp_path / "early.zip", one)
    moonas.import_study(tmp_path / "early.zip", two)
    moonas.resume("small", one)
    moonas.resume("small", two)
    moonas.export_study("small", tmp_path / "late.zip", one)
    before = printed(two)
    with pytest.raises(StudyConflictError, match="both here and where the bundle was written"):
        moonas.import_study(tmp_path / "late.zip", two)
    assert printed(two) == before


def test_another_study_of_the_name_is_told_field_by_field_and_goes_in_under_another(pools, one, two, tmp_path) -> None:
    moonas.run(small_study(), one)
    moonas.export_study("small", tmp_path / "b.zip", one)
    moonas.run(small_study(seed=4), two)
    with pytest.raises(StudyConflictError) as caught:
        moonas.import_study(tmp_path / "b.zip", two)
    assert all(part in str(caught.value) for part in ("another study 'small'", "seed: 4 -> 3", "--name"))
    assert "imported renamed" in cli("import-study", str(tmp_path / "b.zip"), "--name", "renamed", storage=two)
    assert "nothing new" in cli("import-study", str(tmp_path / "b.zip"), "--name", "renamed", storage=two)
    fronts = [[m.to_json() for m in moonas.load_study(*study).front()] for study in (("small", one), ("renamed", two))]
    assert fronts[0] == fronts[1]
    assert moonas.run(small_study(name="renamed"), two).state == "COMPLETE"


def test_a_study_that_is_driven_is_not_overwritten(pools, crashing, one, two, tmp_path) -> None:
    crashed(one, crashing)
    moonas.export_study("small", tmp_path / "early.zip", one)
    moonas.import_study(tmp_path / "early.zip", two)
    moonas.resume("small", one)
    moonas.export_study("small", tmp_path / "late.zip", one)
    with Store.open(two) as store:
        store.acquire(store.study("small").id, new_holder())
    with pytest.raises(LeaseError, match=f"process {os.getpid()}"):
        moonas.import_study(tmp_path / "late.zip", two)


def test_other_results_of_the_same_evaluation_are_refused_and_nothing_is_left_behind(pools, one, two, tmp_path) -> None:
    moonas.run(small_study(), one)
    moonas.export_study("small", tmp_path / "b.zip", one)
    moonas.run(small_study(name="other"), two)
    with Store.open(two) as store, store.database.write() as session:
        session.connection().exec_driver_sql("UPDATE moonas_evaluation SET metrics = '{\"accuracy\": 0.123}'")
    before = files_of(two)
    with pytest.raises(StudyConflictError, match="another result of an evaluation"):
        moonas.import_study(tmp_path / "b.zip", two)
    assert [summary.name for summary in moonas.list_studies(two)] == ["other"]
    assert files_of(two) == before


def test_equal_results_are_shared_and_their_weights_are_not_doubled(pools, one, two, tmp_path) -> None:
    moonas.run(small_study(), one)
    moonas.export_study("small", tmp_path / "b.zip", one)
    other = moonas.run(small_study(name="other"), two)
    before = files_of(two)
    moonas.import_study(tmp_path / "b.zip", two)
    study = moonas.load_study("small", two)
    assert [member.to_json() for member in study.front()] == [member.to_json() for member in other.front()]
    assert files_of(two) == before
    assert all(study.weights(member.key, member.trial) for member in study.front())


def test_a_file_is_not_overwritten_and_what_travels_is_chosen(pools, one, two, tmp_path) -> None:
    study = moonas.run(small_study(), one)
    path = tmp_path / "b.zip"
    assert moonas.export_study("small", path, one, weights=False).artifacts == 0
    with pytest.raises(UsageError, match="--force"):
        moonas.export_study("small", path, one)
    assert moonas.export_study("small", path, one, force=True).artifacts == len(study.front())
    files_of(one)[0].unlink()
    told = cli("export-study", "small", "-o", str(path), "--force", storage=one)
    assert "left out 1" in told
    assert [found.name for found in tmp_path.iterdir() if found.suffix == ".part"] == []


def test_what_names_a_place_of_the_machine_stays_behind(pools, one, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    moonas.run(small_study(methods=[{"name": "darts", "epochs": 3}], protocol="inherited", artifacts="secret-place"), one)
    moonas.export_study("small", tmp_path / "b.zip", one)
    with zipfile.ZipFile(tmp_path / "b.zip") as bundle:
        assert all(b"secret-place" not in bundle.read(name) for name in bundle.namelist())


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A bundle of a study with weights."""
    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moonas.worker.local.LocalPool", lambda devices, *more: Carrying(2))
        moonas.run(small_study(), f"sqlite:///{folder}/study.db")
    moonas.export_study("small", folder / "good.zip", f"sqlite:///{folder}/study.db")
    return folder / "good.zip"


Members = dict[str, bytes]


def members_of(path: Path) -> Members:
    with zipfile.ZipFile(path) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def plain(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, EPOCH)
    info.compress_type = zipfile.ZIP_STORED if name.startswith("artifacts/") else zipfile.ZIP_DEFLATED
    info.create_system, info.external_attr = 3, 0o100644 << 16
    return info


def put(path: Path, members: Mapping[str, bytes], manifest: Mapping[str, Any] | None = None, true: bool = True) -> Path:
    """Write a bundle of these members. manifest: what it says instead. true: with the sizes, checksums and counts there are."""
    told = json.loads(members[MANIFEST])
    if true:
        others = {name: data for name, data in members.items() if name != MANIFEST}
        told["members"] = {name: {"sha256": hashlib.sha256(d).hexdigest(), "bytes": len(d)} for name, d in others.items()}
        told["rows"] = {name: others[f"{name}.jsonl"].count(b"\n") for name in told["rows"] if f"{name}.jsonl" in others}
    with zipfile.ZipFile(path, "w") as bundle:
        for name, data in {**members, MANIFEST: encode({**told, **(manifest or {})})}.items():
            bundle.writestr(plain(name), data)
    return path


def refused(path: Path, url: str) -> str:
    """The reason, having made sure that nothing was left behind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(BundleError) as caught:
            moonas.import_study(path, url)
    assert moonas.list_studies(url) == []
    assert files_of(url) == []
    return str(caught.value)


def changed(table: str, line: int, **values: Any) -> Callable[[Members], None]:
    """A change of one row of a table."""

    def change(members: Members) -> None:
        lines = members[f"{table}.jsonl"].splitlines(keepends=True)
        lines[line] = encode({**json.loads(lines[line]), **values})
        members[f"{table}.jsonl"] = b"".join(lines)

    return change


def config(**values: Any) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        study = json.loads(members[STUDY])
        members[STUDY] = encode({**study, "config": {**study["config"], **values}})

    return change


def raw(name: str, data: bytes) -> Callable[[Members], None]:
    return lambda members: members.__setitem__(name, data)


def in_first_line(name: str, old: bytes, new: bytes) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        assert old in members[name]
        members[name] = members[name].replace(old, new, 1)

    return change


def spec(**values: Any) -> Callable[[Members], None]:
    """A change of the spec of an evaluation."""

    def change(members: Members) -> None:
        rows = [json.loads(line) for line in members["tasks.jsonl"].splitlines()]
        row = next(row for row in rows if row["kind"] == "evaluate")
        row["spec"] = {**row["spec"], **values}
        members["tasks.jsonl"] = b"".join(map(encode, rows))

    return change


WRONG: dict[str, tuple[Callable[[Members], None], str]] = {
    "a member more": (raw("notes.txt", b"hello"), "it holds 'notes.txt'"),
    "a way out": (raw("../../evil.json", b"{}"), "it holds '../../evil.json'"),
    "an absolute way out": (raw("/etc/evil", b"{}"), "it holds '/etc/evil'"),
    "a way out among the artifacts": (raw("artifacts/../x.safetensors", b""), "which no bundle does"),
    "a folder": (raw("artifacts/", b""), "it holds 'artifacts/'"),
    "a pickle": (raw(f"artifacts/{'0' * 64}.pt", b"\x80\x04N."), "which no bundle does"),
    "a pickle in disguise": (
        raw(f"artifacts/{hashlib.sha256(bytes([128, 4, 78, 46])).hexdigest()}.safetensors", b"\x80\x04N."),
        "is no safetensors file",
    ),
    "a file that nothing names": (
        raw(f"artifacts/{hashlib.sha256(save({'x': np.zeros(1)})).hexdigest()}.safetensors", save({"x": np.zeros(1)})),
        "belongs to no artifact",
    ),
    "a table missing": (lambda members: members.pop("events.jsonl") and None, "it has no events.jsonl"),
    "NaN": (in_first_line("fronts.jsonl", b'"hypervolume":', b'"hypervolume":NaN,"x":'), "NaN is no number"),
    "a number too large": (in_first_line("fronts.jsonl", b'"hypervolume":', b'"hypervolume":1e999,"x":'), "fronts.jsonl"),
    "deep nesting": (raw("events.jsonl", b"[" * 100_000 + b"]" * 100_000 + b"\n"), "nested too deeply"),
    "a key twice": (in_first_line("events.jsonl", b'{"kind":', b'{"kind":"a","kind":'), "not in the form that moonas writes"),
    "no JSON": (raw("events.jsonl", b"import os\n"), "events.jsonl"),
    "a lone surrogate": (changed("events", 0, text="\ud800"), "surrogates not allowed"),
    "a NUL": (changed("events", 0, text="a\0b"), "not in the form"),
    "a column more": (changed("trials", 0, extra=1), "expected number"),
    "text for a number": (changed("trials", 0, replicate="0"), "is no replicate"),
    "true for a number": (changed("trials", 0, replicate=True), "is no replicate"),
    "a number beyond the column": (changed("trials", 0, replicate=2**40), "is no replicate"),
    "an unknown state": (changed("trials", 0, state="DONE"), "is no state"),
    "nothing where something must be": (changed("trials", 0, params=None), "is no params"),
    "a reference to nothing": (changed("attempts", 0, task_id=999), "there is no line 1000 of tasks.jsonl"),
    "a negative reference": (changed("attempts", 0, task_id=-1), "there is no line 0"),
    "a trial number left out": (changed("trials", 3, number=99), "not numbered"),
    "a trial without a method": (changed("trials", 0, params={}), "cannot|can be read|method"),
    "a trial of an unknown method": (changed("trials", 0, params={"method": "evil", "budget": "none"}), "can be read"),
    "other costs": (changed("costs", 0, params=1), "has other costs"),
    "another genotype": (changed("architectures", 0, key="0" * 16), "has another key"),
    "another function key": (changed("architectures", 0, function_key="0" * 16), "has another function key"),
    "an evaluation of another protocol": (changed("evaluations", 0, protocol="full-123"), "is none of the study's"),
    "a spec that names a file": (spec(weights="file:///etc/passwd"), "names a file"),
    "a spec of another task": (spec(replicate=77), "another key than its spec"),
    "a member of no skeleton": (changed("members", 0, skeleton="f" * 16), "FOREIGN KEY"),
    "a front twice": (changed("fronts", 1, number=1), "UNIQUE"),
    "another name in its file": (config(name="other"), "its file says 'other'"),
    "another seed in its file": (config(seed=9), "its seed is 3"),
    "an unknown method in its file": (config(methods=["evil"]), "'evil' is not a search method"),
    "a mixture of another space": (
        changed("progress", 0, mixture={"normal": {"operations": [[1.0]]}}),
        "a mixture of normal, reduce",
    ),
    "a password in its file": (config(storage="postgresql://u:secret@host/db"), "password"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_bundle_that_holds_anything_else_is_refused_with_the_reason(good, two, tmp_path, name) -> None:
    change, reason = WRONG[name]
    members = members_of(good)
    change(members)
    told = refused(put(tmp_path / "bad.zip", members), two)
    assert any(part in told for part in reason.split("|")), told
    assert "secret" not in told


def test_the_helper_of_these_tests_makes_a_good_bundle(good, two, tmp_path) -> None:
    assert moonas.import_study(put(tmp_path / "same.zip", members_of(good)), two).outcome == "added"


def test_a_bundle_of_the_first_format_which_knew_no_mixtures_is_imported(good, two, tmp_path) -> None:
    members = members_of(good)
    rows = [json.loads(line) for line in members["progress.jsonl"].splitlines()]
    assert any(row["mixture"] for row in rows)
    members["progress.jsonl"] = b"".join(encode({name: row[name] for name in row if name != "mixture"}) for row in rows)
    assert moonas.import_study(put(tmp_path / "old.zip", members, {"format": 1}), two).outcome == "added"
    study = moonas.load_study("small", two)
    tasks = study.store.tasks(study.record.id, kind="search")
    assert [len(study.store.progress(task.id)) for task in tasks] == [3] * len(tasks)
    assert not any(study.store.mixtures(task.id) for task in tasks)


def mixtures(url: str) -> dict[str, Any]:
    """Of every search by its key."""
    study = moonas.load_study("small", url)
    return {task.key: study.store.mixtures(task.id) for task in study.store.tasks(study.record.id, kind="search")}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"format": FORMAT + 1, "moonas": "9.9"}, "written by moonas 9.9; this one reads format 2. Upgrade"),
        ({"format": "1"}, "is not one that moonas writes"),
        ({"study": "other"}, "tells of other rows"),
        ({"rows": {}}, "tells of other rows"),
        ({"members": {}}, "not those, of those sizes"),
        ({"more": 1}, "is not one that moonas writes"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(good, two, tmp_path, told, reason) -> None:
    assert reason in refused(put(tmp_path / "bad.zip", members_of(good), told), two)


def test_a_checksum_that_does_not_fit_is_refused(good, two, tmp_path) -> None:
    members = members_of(good)
    changed("events", 0, text="created by moonas 9.9.9")(members)
    size = len(members_of(good)["events.jsonl"])
    assert len(members["events.jsonl"]) == size
    assert "events.jsonl is not what the manifest says" in refused(put(tmp_path / "bad.zip", members, true=False), two)


def test_links_comments_and_what_stands_between_members_are_refused(good, two, tmp_path) -> None:
    members, path = members_of(good), tmp_path / "bad.zip"

    def written(change: Callable[[zipfile.ZipFile, str], None]) -> Path:
        with zipfile.ZipFile(path, "w") as bundle:
            for name, data in members.items():
                bundle.writestr(plain(name), data)
            change(bundle, STUDY)
        return path

    assert moonas.import_study(written(lambda bundle, name: None), two).outcome == "added"
    moonas.delete_study("small", two)

    def link(bundle: zipfile.ZipFile, name: str) -> None:
        bundle.getinfo(name).external_attr = (stat.S_IFLNK | 0o777) << 16

    assert "no plain member" in refused(written(link), two)
    assert "no plain member" in refused(written(lambda b, name: setattr(b.getinfo(name), "comment", b"hidden")), two)
    assert "stands behind its members" in refused(written(lambda bundle, name: setattr(bundle, "comment", b"hidden")), two)
    assert "study.json is there twice" in refused(written(lambda bundle, name: bundle.writestr(plain(name), members[name])), two)
    path.write_bytes(b"#!/bin/sh\n" + good.read_bytes())
    assert "belongs to no member" in refused(path, two)
    path.write_bytes(good.read_bytes() + b"more")
    refused(path, two)
    assert "no plain member" in refused(written(lambda b, name: setattr(b.getinfo(name), "flag_bits", 1)), two)


def test_a_bomb_is_refused_before_it_is_unpacked(good, two, tmp_path) -> None:
    members = members_of(good)
    members["events.jsonl"] = b'{"kind":"x"}\n' * 10_000_000
    path = put(tmp_path / "bomb.zip", members)
    assert path.stat().st_size < 1_000_000
    assert "would unpack to 130 MB" in refused(path, two)


def mutations(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """What chance does to files: cut, flipped, moved, doubled, overwritten."""
    while True:
        a, b = sorted(rng.randrange(len(data)) for _ in range(2))
        at, size = rng.randrange(len(data)), rng.randrange(1, 200)
        yield data[:at]
        yield data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        yield data[:a] + data[b:]
        yield data[:at] + data[a : a + size] + data[at:]
        yield data[:at] + bytes(size) + data[at + size :]
        yield data[:a] + data[a : a + size][::-1] + data[a + size :]


def test_every_mutation_is_refused_or_comes_in_as_the_same_study(good, two, tmp_path) -> None:
    rng, data, came_in = random.Random(0), good.read_bytes(), 0
    for number, mutated in enumerate(mutations(data, rng)):
        if number == 400:
            break
        (tmp_path / "mutated.zip").write_bytes(mutated)
        try:
            moonas.import_study(tmp_path / "mutated.zip", two)
        except BundleError:
            continue
        came_in += 1
        moonas.export_study("small", tmp_path / "back.zip", two, force=True)
        assert (tmp_path / "back.zip").read_bytes() == data
        moonas.delete_study("small", two)
    assert moonas.list_studies(two) == []
    assert files_of(two) == []
    assert came_in < 20


def test_members_that_are_swapped_or_cut_are_refused(good, two, tmp_path) -> None:
    members, rng = members_of(good), random.Random(0)
    names = [name for name in members if name != MANIFEST]
    for _ in range(30):
        first, second = rng.sample(names, 2)
        swapped = {**members, first: members[second], second: members[first]}
        if swapped == members:
            continue
        try:
            moonas.import_study(put(tmp_path / "bad.zip", swapped), two)
            raise AssertionError(f"{first} and {second} swapped were taken for a bundle")
        except BundleError:
            pass
        name = rng.choice([name for name in names if members[name].count(b"\n") > 1])
        lines = members[name].splitlines(keepends=True)
        short = b"".join(lines[: rng.randrange(len(lines) - 1)])
        with pytest.raises(MoonasError):
            moonas.import_study(put(tmp_path / "bad.zip", {**members, name: short}, true=False), two)
    assert moonas.list_studies(two) == []


def test_a_file_that_is_no_zip_and_one_that_is_not_there_are_told(two, tmp_path) -> None:
    (tmp_path / "x.zip").write_text("hello")
    assert "no whole bundle" in refused(tmp_path / "x.zip", two)
    assert "cannot read" in refused(tmp_path / "none.zip", two)
    assert "cannot read" in refused(tmp_path, two)

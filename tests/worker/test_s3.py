"""Artifacts in an object store, here a server of moto on this machine."""

from collections.abc import Iterator

import pytest

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'moonas[s3]'")
pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moonas[dev]'")

import fsspec
from moto.server import ThreadedMotoServer

from moonas.errors import StorageError
from moonas.worker.artifacts import delete_artifact, read_artifact, write_artifact
from moonas.worker.tasks import TaskInterrupted
from tests.worker.test_tasks import Loop, evaluate_spec, lasting, run, search_spec

FOLDER = "s3://moonas-tests/studies/tiny"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    served = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    served.start()
    host, port = served.get_host_and_port()
    yield f"http://{host}:{port}"
    served.stop()


@pytest.fixture(autouse=True)
def environment(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store is and who asks stands in the environment, as for the tools of Amazon."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "of-no-account",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    if not files.exists("moonas-tests"):
        files.mkdir("moonas-tests")


def test_an_artifact_is_written_read_checked_and_deleted() -> None:
    saved = write_artifact(FOLDER, "checkpoint.safetensors", b"12345678")
    assert saved["url"] == f"{FOLDER}/{saved['id']}-checkpoint.safetensors"
    assert read_artifact(saved["url"], saved["sha256"]) == b"12345678"
    with pytest.raises(StorageError, match="damaged"):
        read_artifact(saved["url"], "0" * 64)
    delete_artifact(saved["url"])
    delete_artifact(saved["url"])
    with pytest.raises(StorageError, match="it is not there"):
        read_artifact(saved["url"])


def test_a_search_goes_on_elsewhere_from_its_checkpoint_in_the_store() -> None:
    whole, loop = run(search_spec(), artifacts=FOLDER), Loop("pause", step=2)
    with pytest.raises(TaskInterrupted):
        run(search_spec(), loop, artifacts=FOLDER)
    resumed = Loop()
    found = run(search_spec(), resumed, artifacts=FOLDER, checkpoint=loop.checkpoints[-1])
    assert lasting(found) == lasting(whole)
    assert [message["step"] for message in resumed.progress] == [3]


def test_an_evaluation_reads_the_weights_of_a_search_from_the_store() -> None:
    weights = run(search_spec(), artifacts=FOLDER)["weights"]
    spec = {"protocol": {"name": "inherited"}, "source": search_spec().key, "weights": weights["url"]}
    assert 0 <= run(evaluate_spec(**spec))["metrics"]["accuracy"] <= 1


def test_a_bucket_that_is_not_there_is_an_error_and_is_not_made() -> None:
    with pytest.raises(StorageError, match="s3://mistyped/x"):
        write_artifact("s3://mistyped/x", "checkpoint.safetensors", b"1")
    assert not fsspec.filesystem("s3", skip_instance_cache=True).exists("mistyped")


def test_missing_credentials_are_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    fsspec.filesystem("s3").clear_instance_cache()
    with pytest.raises(StorageError, match="credentials"):
        write_artifact(FOLDER, "checkpoint.safetensors", b"1")


def test_a_store_whose_package_is_missing_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(StorageError, match=r"pip install 'moonas\[s3\]'"):
        read_artifact("s3://somewhere/else")

"""Registries: nearest names, lazy loading, and entries that installed packages publish."""

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from moonas.errors import UnknownNameError, UsageError, nearest
from moonas.registry import Registry, load_object
from moonas.study.data import DATA, DataEntry
from moonas.study.handlers import HANDLERS
from moonas.study.methods import METHODS
from moonas.study.samplers import SAMPLERS
from moonas.study.spaces import SPACES
from tests.study.files import raw

ENTRIES = {"digits": "ten classes", "cifar10": "ten more"}


def registry():
    return Registry("data set", "data", ENTRIES)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package in a folder on the path that publishes `data.chairs`, `data.broken`, `data.digits` and `method.walk`."""
    package = tmp_path / "chairs_for_moonas.py"
    package.write_text(
        "from moonas.study.data import DataEntry\n"
        "CHAIRS = DataEntry(input_shape=(3, 64, 64), classes=2, shares=(1, 1, 1, 1), load='chairs_for_moonas:load')\n"
    )
    information = tmp_path / "chairs-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: chairs\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[moonas.plugins]\n"
        "data.chairs = chairs_for_moonas:CHAIRS\n"
        "data.broken = chairs_for_moonas:TABLES\n"
        "data.digits = chairs_for_moonas:CHAIRS\n"
        "method.walk = chairs_for_moonas:WALK\n"
        "[other.plugins]\n"
        "data.sofas = chairs_for_moonas:CHAIRS\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "chairs_for_moonas"
    sys.modules.pop("chairs_for_moonas", None)


def test_a_registry_is_a_mapping_in_the_order_of_its_names():
    assert list(registry()) == ["cifar10", "digits"]
    assert len(registry()) == 2
    assert registry()["digits"] == "ten classes"
    assert "digits" in registry()
    assert "digitz" not in registry()


@pytest.mark.parametrize(
    ("name", "clause"),
    [("digitz", "; did you mean 'digits'?"), ("CIFAR-10", "; did you mean 'cifar10'?"), ("imagenet", ""), ("", "")],
)
def test_an_unknown_name_is_told_with_the_nearest_and_all_known(name, clause):
    with pytest.raises(UnknownNameError) as caught:
        registry()[name]
    assert str(caught.value) == f"{name!r} is not a data set{clause}\nKnown: cifar10, digits."
    assert caught.value.exit_code == 2


def test_the_article_suits_the_word():
    assert Registry("operation", "operation", {}).unknown("x").startswith("'x' is not an operation")
    assert Registry("search method", "method", {}).unknown("x").startswith("'x' is not a search method")


def test_the_nearest_name_is_found_whatever_the_case():
    assert nearest("DARTS", ["random", "darts"]) == "; did you mean 'darts'?"
    assert nearest("waiting", ["WAITING"]) == "; did you mean 'WAITING'?"
    assert nearest(7, ["darts"]) == ""


def test_an_installed_package_adds_entries(installed):
    found = registry()
    assert list(found) == ["broken", "chairs", "cifar10", "digits"]
    assert len(found) == 4
    assert "chairs" in found
    assert "sofas" not in found
    assert "walk" not in found
    assert found["chairs"].classes == 2
    assert isinstance(found["chairs"], DataEntry)
    assert "walk" in Registry("search method", "method", {})


def test_names_of_our_own_come_first(installed):
    assert registry()["digits"] == "ten classes"


def test_listing_names_imports_no_plugin(installed):
    found = registry()
    assert "chairs" in list(found)
    assert "chairs" in found.unknown("stools")
    assert len(found) == 4
    assert installed not in sys.modules
    assert found["chairs"]
    assert installed in sys.modules


def test_a_plugin_that_does_not_load_is_a_message_that_names_it(installed):
    with pytest.raises(UsageError, match=r"the data set 'broken' cannot be loaded from the plugin 'chairs_for_moonas:TABLES'"):
        registry()["broken"]


def test_a_study_may_use_an_installed_data_set(installed, tmp_path):
    code = (
        "from moonas.study.loading import study_from\n"
        f"print(study_from({raw(data='chairs')}).input_shape)\n"
        f"study_from({raw(data='broken')})\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "(3, 64, 64)\n"
    assert "study: data.name: the data set 'broken' cannot be loaded from the plugin" in done.stderr


def test_what_an_entry_names_is_imported_when_asked_for():
    assert load_object("math:tau") == pytest.approx(6.283185307)
    with pytest.raises(ModuleNotFoundError):
        load_object("moonas.nowhere:thing")


@pytest.mark.parametrize("table", [DATA, HANDLERS, METHODS, SAMPLERS, SPACES], ids=lambda table: table.kind)
def test_every_entry_names_code_that_is_there(table):
    for name, entry in table.items():
        assert name == name.lower()
        if name in ("direct", "fixed", "function"):
            assert not entry.load, "what is named is not searched for: there is nothing to run"
            continue
        module, attribute = entry.load.split(":")
        source = Path(find_spec(module).origin).read_text(encoding="utf-8")  # read, not imported: much of it loads torch
        assert attribute in {getattr(node, "name", None) for node in ast.parse(source).body}, entry.load

"""The command line where nothing runs yet: validating, help, an absent database, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from moonas import __version__, cli
from tests.study.files import raw

COMMANDS = (
    *("run", "resume", "plan", "validate", "list", "show", "trials", "logs"),
    *("front", "best", "arch", "search", "report", "delete", "db"),
)


@pytest.fixture
def moonas(capsys, monkeypatch, tmp_path):
    """Runs a command line in an empty folder; gives (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOONAS_STORAGE", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["moonas", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


def write(**changed) -> str:
    Path("study.yaml").write_text(yaml.safe_dump(raw(**changed)), encoding="utf-8")
    return "study.yaml"


def test_a_sound_study_is_said_to_be_one(moonas):
    assert moonas("validate", write()) == (0, "study.yaml: a valid study, 'small', with the sampler grid\n", "")
    assert [path.name for path in Path().iterdir()] == ["study.yaml"]


def test_every_mistake_goes_to_standard_error_with_exit_code_2(moonas):
    methods = ["random", {"name": "drats"}, {"name": "darts", "alpha_lr": "fast", "a_rather_long_key_that_nobody_knows": 1}]
    code, out, err = moonas("validate", write(data="digitz", methods=methods, budgets={"params": ["130%"]}, bugdets=3))
    assert (code, out) == (2, "")
    for line in (
        "study.yaml: bugdets: 'bugdets' is not known here; did you mean 'budgets'?",
        "study.yaml: data.name: 'digitz' is not a data set; did you mean 'digits'?",
        "Known: cifar10, cifar100, digits, fashion-mnist, image-folder, imagenet, none.",
        "study.yaml: methods[1].name: 'drats' is not a search method; did you mean 'darts'?",
        "study.yaml: methods[2].alpha_lr: 'fast' is not a number; write it like 0.025, 1e-4, 600e6, 30k or 2M",
        "study.yaml: methods[2].a_rather_long_key_that_nobody_knows: 'a_rather_long_key_that_nobody_knows' is not known here",
        "study.yaml: budgets.params[0]: '130%': a share of the reachable span lies between 0% and 100%",
    ):
        assert line in [shown.removeprefix("error: ") for shown in err.splitlines()]


@pytest.mark.parametrize("command", ["validate", "plan", "run", "search"])
def test_every_command_that_reads_a_study_file_refuses_a_wrong_one_alike(moonas, command):
    code, out, err = moonas(command, write(data="digitz", seed="x"))
    assert (code, out) == (2, "")
    assert "study.yaml: data.name: 'digitz'" in err
    assert "study.yaml: seed: 'x' is not a number" in err
    assert [path.name for path in Path().iterdir()] == ["study.yaml"]


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"budgets": {"params": [5]}}, "study.yaml: budgets: no architecture meets params<=5: params reaches from"),
        ({"constraints": ["macs<=5"]}, "study.yaml: constraints: no architecture meets macs<=5: macs reaches from"),
        ({"final": {"channels": 8, "cells": 2}}, "study.yaml: final: darts-cnn needs at least 3 cells"),
    ],
)
def test_what_only_the_costs_show_is_refused_too(moonas, changed, complaint):
    code, _, err = moonas("validate", write(**changed))
    assert code == 2
    assert complaint in err


@pytest.mark.parametrize(("text", "complaint"), [("", "the file is empty"), ("a: [1", "not YAML: line 1"), (None, "no such file")])
def test_a_file_that_is_no_study_is_one_message(moonas, text, complaint):
    if text is not None:
        Path("study.yaml").write_text(text, encoding="utf-8")
    code, out, err = moonas("validate", "study.yaml")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: study.yaml: {complaint}")


def test_an_absent_database_is_an_empty_list_and_is_not_made(moonas):
    assert moonas("list", "--format", "json") == (0, "[]\n", "")
    assert moonas("list", "--storage", "sqlite:///elsewhere.db", "--format", "json") == (0, "[]\n", "")
    assert moonas("list")[0] == 0
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [("show", "digits"), ("front", "digits"), ("resume", "digits"), ("report", "digits"), ("delete", "-y", "digits")]
)
def test_a_study_in_an_absent_database_is_unknown(moonas, arguments):
    code, out, err = moonas(*arguments)
    assert (code, out) == (2, "")
    assert "there is no study 'digits'" in err
    assert list(Path().iterdir()) == []


def test_an_unknown_study_is_told_with_the_nearest_name(moonas):
    from moonas.store.store import Store

    with Store.open("sqlite:///moonas.db", create=True) as store:
        store.create_study("digits", {}, schema=1, config_hash="0" * 20, seed=0, version="0.1.0")
    code, _, err = moonas("show", "digit")
    assert code == 2
    assert "there is no study 'digit'" in err
    assert "did you mean 'digits'?" in err


def test_help_lists_every_command_with_a_line_of_its_own(moonas):
    code, out, _ = moonas("--help")
    assert code == 0
    shown = {words[1]: words[2:-1] for words in map(str.split, out.splitlines()) if len(words) > 3 and words[0] == "│"}
    for command in COMMANDS:
        assert len(shown[command]) >= 3, command


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "db"])
def test_every_command_explains_itself(moonas, command):
    code, out, _ = moonas(command, "--help")
    assert code == 0
    assert f"moonas {command}" in out


def test_the_version_is_the_packages(moonas):
    assert moonas("--version") == (0, f"moonas {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("lst",), "No such command 'lst'"),
        (("validate",), "Missing argument 'STUDY.yaml'"),
        (("list", "--format", "xml"), "Invalid value for '--format'"),
        (("list", "--colour"), "No such option"),
    ],
)
def test_a_wrong_command_line_ends_with_2(moonas, arguments, complaint):
    code, _, err = moonas(*arguments)
    assert code == 2
    assert complaint in err


@pytest.mark.parametrize("arguments", [("--help",), ("list", "--format", "json")])
def test_help_and_list_load_neither_torch_nor_the_loop(tmp_path, arguments):
    code = (
        "import json, sys\n"
        "from moonas.cli import main\n"
        f"sys.argv = ['moonas', *{arguments}]\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "print(json.dumps([name for name in ('torch', 'numpy', 'yaml', 'moonas.outer.loop') if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []

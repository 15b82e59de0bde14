"""The documentation: links resolve, examples are valid, and nothing that can be set or typed is missing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from torch import nn

import moonas
from moonas.cli import app
from moonas.errors import StudyFileError
from moonas.outer.plan import Plan
from moonas.study.continuing import ContinueFrom
from moonas.study.data import DATA, DataConfig
from moonas.study.handlers import HANDLERS
from moonas.study.history import Past
from moonas.study.loading import parse_study, study_from
from moonas.study.methods import METHODS
from moonas.study.metrics import METRICS
from moonas.study.numbers import parse_number
from moonas.study.objectives import Objective
from moonas.study.operations import OPERATIONS
from moonas.study.promotion import Promotion
from moonas.study.protocols import PROTOCOLS
from moonas.study.pruning import Pruning
from moonas.study.samplers import SAMPLERS
from moonas.study.schema import StudyConfig
from moonas.study.sections import Decode, FinalSkeleton, Health, Keep, Limits, Measure, Performance, SearchSkeleton, Workers
from moonas.study.spaces import SPACES
from moonas.study.validation import plain
from tests.metrics.test_subject import subject

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "docker" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN_LINE = "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/moonas run studies/digits.yaml"
TEST_LINE = "python3 -m venv .venv && .venv/bin/pip install '.[dev]' && .venv/bin/pytest"
SETTINGS = {
    "data": DataConfig,
    "search": SearchSkeleton,
    "final": FinalSkeleton,
    "pruning": Pruning,
    "promotion": Promotion,
    "decode": Decode,
    "measure": Measure,
    "workers": Workers,
    "health": Health,
    "limits": Limits,
    "keep": Keep,
    "history": Past,
    "continue_from": ContinueFrom,
    "performance": Performance,
    **{f"Space {name}": entry.config for name, entry in SPACES.items()},
    **{f"Method {name}": entry.config for name, entry in METHODS.items()},
    **{f"Handler {name}": entry.config for name, entry in HANDLERS.items()},
    **{f"Sampler {name}": entry.config for name, entry in SAMPLERS.items()},
    **{f"Protocol {name}": entry.config for name, entry in PROTOCOLS.items()},
    **{f"Data set {name}": entry.config for name, entry in DATA.items() if entry.config is not DataConfig},
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, kind: str) -> list[str]:
    """The fenced blocks of a page whose opening line is ``` and then `kind`."""
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def all_blocks(kind: str) -> list[Any]:
    return [
        pytest.param(text, id=f"{name_of(page)}:{number}") for page in PAGES for number, text in enumerate(blocks(page, kind), 1)
    ]


def sections(page: Path) -> dict[str, str]:
    """The text below each heading, up to the next one of any level; code marks of headings are left out."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    _, *parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return dict(zip([heading.replace("`", "") for heading in parts[::2]], parts[1::2], strict=True))


def settings_table(section: str, first: str = "setting") -> dict[str, str]:
    """{setting: default} of the section's table with the columns setting, type, default, meaning."""
    found: dict[str, str] = {}
    inside = False
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        inside = line.startswith("|") and (inside or cells == [first, "type", "default", "meaning"])
        if inside and (name := re.match(r"\[?`([^`]+)`", cells[0])):
            found[name[1]] = cells[2].strip("`")
    return found


def says(cell: str, default: Any) -> bool:
    """Whether the text of a table means this default."""
    if default is MISSING or default is None:
        return cell == ("required" if default is MISSING else "absent")
    if isinstance(default, int | float) and not isinstance(default, bool):
        return parse_number(cell) == default
    return bool(yaml.safe_load(cell) == plain(default))


STUDY_FILE = ROOT / "docs" / "study-file.md"
LEAST = yaml.safe_load(blocks(STUDY_FILE, "yaml study")[0])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"", text)
    links = [link for pair in found for link in pair if link and "://" not in link]
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), link
        if anchor:
            headings = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in sections(target)]
            assert anchor in headings, link


def test_every_image_stands_on_some_page_and_tells_what_it_shows() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    images = [path.name for path in (ROOT / "docs" / "images").iterdir()]
    assert [name for name in images if f"images/{name}" not in text] == []
    assert re.findall(r"!\[\s*\]\(|<img (?![^>]*alt=\"\w)", text) == []


def test_the_picture_of_the_data_s_way_is_the_one_that_its_script_draws(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "data_way.py").write_text((ROOT / "docs" / "data_way.py").read_text(encoding="utf-8"), encoding="utf-8")
    subprocess.run([sys.executable, "data_way.py"], cwd=tmp_path, check=True)
    drawn = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "images").iterdir()}
    assert len(drawn) == 2
    assert drawn == {name: (ROOT / "docs" / "images" / name).read_text(encoding="utf-8") for name in drawn}


def test_the_map_of_the_docs_names_every_page() -> None:
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md") if page.name != "index.md"]
    assert [str(page) for page in pages if f"]({page})" not in text] == []


@pytest.mark.parametrize("text", all_blocks("yaml study"))
def test_study_files_in_the_docs_are_valid(text: str) -> None:
    assert Plan(parse_study(text)).pairs


@pytest.mark.parametrize(("heading", "config"), SETTINGS.items(), ids=SETTINGS)
def test_every_setting_is_documented_with_its_default(heading: str, config: type[Any]) -> None:
    documented = settings_table(sections(STUDY_FILE)[heading])
    presets = {entry.config for entry in METHODS.values()}
    settings = [item for item in fields(config) if config.__base__ not in presets or item.name in config.__annotations__]
    assert list(documented) == [item.name for item in settings]
    wrong = {item.name: documented[item.name] for item in settings if not says(documented[item.name], item.default)}
    assert wrong == {}


def test_the_tables_of_the_study_file_are_what_the_schema_says() -> None:
    done = subprocess.run([sys.executable, "docs/reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_stale_table_of_the_study_file_is_found_and_written_anew(tmp_path: Path) -> None:
    (tmp_path / "reference.py").write_text((ROOT / "docs" / "reference.py").read_text(encoding="utf-8"), encoding="utf-8")
    page = tmp_path / "study-file.md"
    page.write_text(STUDY_FILE.read_text(encoding="utf-8").replace("whole number, 1 to 4096", "number"), encoding="utf-8")
    check, write = [sys.executable, "reference.py", "--check"], [sys.executable, "reference.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    codes = [subprocess.run(line, cwd=tmp_path, env=environment, check=False).returncode for line in (check, write, check)]
    assert codes == [1, 0, 0]
    assert page.read_text(encoding="utf-8") == STUDY_FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", all_blocks("yaml part"))
def test_parts_of_a_study_file_in_the_docs_are_valid_in_the_least_one(text: str) -> None:
    assert Plan(study_from({**LEAST, **yaml.safe_load(text)})).pairs


def test_every_key_of_a_study_file_is_documented_in_its_order() -> None:
    assert list(settings_table(sections(STUDY_FILE)["Top level"], "key")) == [item.name for item in fields(StudyConfig)]


@pytest.mark.parametrize(("key", "default"), settings_table(sections(STUDY_FILE)["Top level"], "key").items())
def test_the_documented_default_of_a_key_is_what_its_absence_means(key: str, default: str) -> None:
    if default == "required":
        with pytest.raises(StudyFileError, match=f"{key}: is missing"):
            study_from({name: value for name, value in LEAST.items() if name != key})
    elif default == "absent":
        assert getattr(study_from(LEAST), key) is None
    else:
        assert study_from({**LEAST, key: yaml.safe_load(default)}) == study_from(LEAST)


def test_the_settings_of_an_objective_are_documented() -> None:
    assert list(settings_table(sections(STUDY_FILE)["objectives"])) == [item.name for item in fields(Objective)]


@pytest.mark.parametrize(
    ("heading", "registry"),
    [("data", DATA), ("Operations", OPERATIONS), ("objectives", METRICS), ("methods", METHODS)],
    ids=["data", "operations", "metrics", "methods"],
)
def test_every_name_of_a_registry_is_documented(heading: str, registry: Any) -> None:
    assert [name for name in registry if f"`{name}`" not in sections(STUDY_FILE)[heading]] == []


def command_lines() -> dict[str, Any]:
    """Every command by what is typed, such as "db check"."""
    commands: dict[str, Any] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        parts = getattr(command, "commands", None)
        commands |= {f"{name} {part}": deeper for part, deeper in parts.items()} if parts else {name: command}
    return commands


@pytest.mark.parametrize("name", command_lines())
def test_every_command_is_documented_with_its_options(name: str) -> None:
    page = sections(ROOT / "docs" / "command-line.md")
    found = [text for heading, text in page.items() if heading == f"moonas {name}" or heading.startswith(f"moonas {name} ")]
    assert len(found) == 1
    options = [option for parameter in command_lines()[name].params for option in parameter.opts if option.startswith("--")]
    assert [option for option in options if option not in found[0] and option != "--help"] == []


def test_every_command_that_the_docs_type_exists_with_its_options() -> None:
    commands = command_lines()
    typed = {line for page in PAGES for line in typed_lines(page)}
    assert len(typed) > 50
    assert [f"{name} {rest}" for name, rest in typed if name not in commands] == []
    unknown = []
    for name, rest in typed:
        known = {
            "--help",
            *(option for parameter in commands[name].params for option in (*parameter.opts, *parameter.secondary_opts)),
        }
        unknown += [f"{name} {option}" for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest) if option not in known]
    assert unknown == []


def typed_lines(page: Path) -> set[tuple[str, str]]:
    """(command, what follows it) of every `moonas ...` in the blocks for a shell and in the running text."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    shown = [text for kind in ("sh", "console") for text in blocks(page, kind)] + re.findall(r"`([^`]+)`", prose)
    pattern = r"(?:^|[\s/(])moonas ((?:(?:db|token) )?[a-z][a-z-]*)((?: [^\n|;&#]*)?)"
    return {match for text in shown for match in re.findall(pattern, text, re.MULTILINE)}


@pytest.mark.parametrize("line", [RUN_LINE, TEST_LINE], ids=["run", "test"])
def test_the_readme_installs_and_runs_in_one_line(line: str) -> None:
    assert blocks(ROOT / "README.md", "sh").count(line + "\n") == 1


def test_every_public_name_is_on_the_page_about_python() -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert [name for name in moonas.__all__ if f"moonas.{name}" not in text] == []


@pytest.mark.parametrize("text", all_blocks(r"python[^\n]*"))
def test_python_in_the_docs_compiles(text: str) -> None:
    compile(text, "docs", "exec")


@pytest.mark.parametrize("text", all_blocks("python run"))
def test_python_that_is_marked_to_be_run_runs(text: str) -> None:
    exec(compile(text, "docs", "exec"), {})


@pytest.mark.slow
def test_the_script_about_python_makes_a_study_that_all_python_about_it_runs_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (script,) = blocks(ROOT / "docs" / "python.md", "python script")
    (tmp_path / "ask.py").write_text(script, encoding="utf-8")
    for name in ("MOONAS_STORAGE", "MOONAS_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = subprocess.run([sys.executable, "ask.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 1 <= len(done.stdout.splitlines()) <= 2  # networks of the front, one at each budget at most
    monkeypatch.chdir(tmp_path)
    texts = [text for page in PAGES for text in blocks(page, "python study")]
    assert len(texts) > 2
    for text in texts:
        exec(compile(text, "docs", "exec"), {})
    assert (tmp_path / "cell.safetensors").stat().st_size > 1000


@pytest.fixture
def stripes(tmp_path: Path) -> Path:
    """The example package of docs/extending.md, as an installer would leave it, and its study file."""
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    files = re.findall(r"^```\w+ file=(\S+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for name, content in [("moonas_stripes/__init__.py", ""), *files]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = [f"{name} = {value}" for name, value in project["entry-points"]["moonas.plugins"].items()]
    info = tmp_path / "moonas_stripes-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text("\n".join(["[moonas.plugins]", *points]) + "\n")
    return tmp_path


def test_the_example_package_serves_a_study(stripes: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(stripes), str(ROOT)])}
    command = [sys.executable, "-m", "moonas", "validate", "stripes.yaml"]
    done = subprocess.run(command, cwd=stripes, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "stripes.yaml: a valid study, 'stripes', with the sampler grid"), (
        done.stderr
    )


@pytest.fixture
def example(stripes: Path) -> dict[str, Any]:
    """What the example package defines, by name."""
    found: dict[str, Any] = {}
    for module in ("entries", "code"):
        exec((stripes / "moonas_stripes" / f"{module}.py").read_text(encoding="utf-8"), found)
    return found


def test_the_example_package_s_own_method_searches_for_its_own_metric_end_to_end(stripes: Path) -> None:
    study = yaml.safe_load((stripes / "stripes.yaml").read_text(encoding="utf-8"))
    quick = {
        **study,
        "methods": [{"name": "sign-darts", "epochs": 1}],
        "budgets": {},
        "protocol": {"name": "short", "epochs": 1},
        "workers": {"devices": "cpu", "tasks_per_device": 1},
    }
    (stripes / "quick.yaml").write_text(yaml.safe_dump(quick), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(stripes), str(ROOT)])}
    for command in (["run", "quick.yaml", "--quiet"], ["front", "stripes", "--format", "json"]):
        line = [sys.executable, "-m", "moonas", *command]
        done = subprocess.run(line, cwd=stripes, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    (member,) = json.loads(done.stdout)
    by_hand = 1 + (2 + 2 + 3)  # the stem; the inputs of three cells, one of the last by a factorized reduction
    for group, cells in (("normal", 1), ("reduce", 2)):
        for _, predecessor, operation in member["genotype"]["groups"][group]:
            skip = 2 if group == "reduce" and predecessor < 2 else 0
            by_hand += cells * {"skip_connect": skip, "plain_1x1": 1, "sep_conv_3x3": 4}[operation]
    assert member["metrics"]["convolutions"]["value"] == by_hand
    assert member["metrics"]["convolutions"]["device"]["type"] == "cpu"


def test_the_example_operation_costs_what_its_module_holds(example: dict[str, Any]) -> None:
    module = example["plain_1x1"](8, 2, True)
    assert example["plain_1x1_cost"](8, 2, (7, 7)) == (80, 1024)  # 8 * 8 weights, 2 * 8 of batch norm; 64 for each of 4 x 4 pixels
    assert sum(parameter.numel() for parameter in module.parameters()) == 80


def test_the_example_metric_counts_the_convolutions_that_run(example: dict[str, Any]) -> None:
    once = nn.Conv2d(1, 1, 1)
    assert example["convolutions"](subject(nn.Sequential(once, nn.ReLU(), nn.Sequential(once, nn.Conv2d(1, 2, 3))))) == 3
    assert example["CONVOLUTIONS"].heading == "convolutions"


def test_the_example_data_are_what_their_entry_says(example: dict[str, Any]) -> None:
    source, entry = example["load_stripes"](), example["STRIPES"]
    assert tuple(source.images.shape) == (sum(entry.shares), *entry.input_shape)
    assert source.labels.unique().tolist() == list(range(entry.classes))

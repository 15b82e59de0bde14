"""Who imports whom: folders build on those before them, and only some of them load torch or other heavy packages."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec, resolve_name
from pathlib import Path

import pytest

PACKAGE = Path(find_spec("moonas").origin).parent
STUDIES = sorted((PACKAGE.parent / "studies").glob("**/*.yaml"))

# In this order the data goes; a line imports from itself and from the lines before it.
LINES = [
    ("errors", "machine", "seeds", "registry", "storage", "sheets"),
    ("architecture", "skeleton"),
    ("specs",),
    ("study",),
    ("spaces",),
    ("front",),
    ("worker.artifacts",),
    ("store",),
    ("data",),
    ("networks",),
    ("metrics",),
    ("inner",),
    (
        *("worker.checkpoint", "worker.functions", "worker.instant", "worker.out_of_memory", "worker.outcome"),
        *("worker.timing", "worker.tasks", "worker.process"),
    ),
    ("worker.devices", "worker.idle"),
    ("worker.local", "worker.inline", "worker.host", "worker.cluster", "worker.ray", "worker.pools"),
    ("outer",),
    ("results",),
    ("race", "infeasible", "comparison", "savings"),
    ("report",),
    ("exchange",),
    ("driving",),
    ("api",),
    ("preview", "device_table", "lifecycle", "loop_log", "sharing"),
    ("terminal",),
    ("progress",),
    ("cli", "service", "dashboard", "__main__"),
]
TORCH_LINES = ("data", "networks", "metrics", "inner", "worker.checkpoint", "worker.timing", "worker.tasks", "worker.process")
DASH = ("dash", "dash_ag_grid", "dash_mantine_components")
HEAVY = (
    *("torch", "torchvision", "optuna", "pymoo", "plotly", "alembic"),
    *("fastapi", "starlette", "uvicorn", *DASH, "pandas", "sklearn", "pynvml", "ray"),
)
DANGEROUS_CALLS = {"eval", "exec", "compile", "__import__"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the package, but its lazy front door, as (name below `moonas`, syntax tree)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST, module: str, nodes: Iterator[ast.AST] | None = None) -> set[str]:
    """The full names of what `nodes` import, all of the tree unless given; `from a import b` may mean a or a.b."""
    found = set()
    for node in nodes or ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = "moonas." + module.rpartition(".")[0]
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else str(node.module)
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def at_import_time(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported: outside functions and `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from at_import_time(node)


def line_of(name: str) -> int | None:
    """The number of the line that a module below `moonas` stands in."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        for number, line in enumerate(LINES):
            if ".".join(parts[:length]) in line:
                return number
    return None


def own(names: set[str]) -> set[str]:
    """Those within the package, below `moonas`; `from moonas import __version__` names no module."""
    return {name.removeprefix("moonas.") for name in names if name.startswith("moonas.") and name != "moonas.__version__"}


def test_every_module_has_its_line():
    unplaced = [name for name, tree in modules() if line_of(name) is None and tree.body and name != "worker"]
    assert unplaced == []


def test_a_folder_imports_only_from_lines_before_its_own():
    wrong = []
    for name, tree in modules():
        for target in own(imported(tree, name)):
            number = line_of(target)
            assert number is not None, f"{name} imports {target}, which stands in no line"
            if name != "worker" and number > line_of(name):
                wrong.append(f"{name} imports {target}")
    assert wrong == []


def test_only_the_torch_lines_name_torch():
    naming = {name for name, tree in modules() if {"torch", "torchvision"} & {n.split(".")[0] for n in imported(tree, name)}}
    assert naming
    assert sorted(name for name in naming if not any(name == t or name.startswith(t + ".") for t in TORCH_LINES)) == []


def test_what_stands_after_torch_reaches_the_torch_lines_only_by_name():
    wrong = []
    for name, tree in modules():
        if line_of(name) is not None and line_of(name) >= line_of("worker.local"):
            for target in own(imported(tree, name)):
                if any(target == t or target.startswith(t + ".") for t in TORCH_LINES):
                    wrong.append(f"{name} imports {target}")
    assert wrong == []


def test_heavy_packages_are_imported_within_functions_outside_their_own_lines():
    allowed = {"torch": TORCH_LINES, "torchvision": TORCH_LINES, "plotly": ("report",), "alembic": ("store.migrations",)}
    allowed |= dict.fromkeys(("fastapi", "starlette"), ("service", "dashboard"))
    allowed |= {"uvicorn": ("service",)} | dict.fromkeys(DASH, ("dashboard",))
    wrong = []
    for name, tree in modules():
        for package in {target.split(".")[0] for target in imported(tree, name, at_import_time(tree))} & set(HEAVY):
            if not any(name == place or name.startswith(place + ".") for place in allowed.get(package, ())):
                wrong.append(f"{name} imports {package}")
    assert wrong == []


def test_no_module_runs_or_unpickles_what_it_is_given():
    wrong = []
    for name, tree in modules():
        if {"pickle", "dill", "cloudpickle", "marshal", "shelve"} & {target.split(".")[0] for target in imported(tree, name)}:
            wrong.append(f"{name} pickles")
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            called = ast.unparse(call.func)
            loaders = [ast.unparse(word.value) for word in call.keywords if word.arg == "Loader"]
            if called in DANGEROUS_CALLS or called == "os.system" or any(word.arg == "shell" for word in call.keywords):
                wrong.append(f"{name} calls {called}")
            if called.startswith("yaml.") and "load" in called and called != "yaml.safe_load" and loaders != ["StrictLoader"]:
                wrong.append(f"{name} calls {called}")
            if called == "torch.load":
                wrong.append(f"{name} calls {called}")
    assert wrong == ["data.nas_bench_201 pickles"]  # a published file of known bytes, and of that plain data only


def test_the_strict_loader_is_a_safe_one():
    import yaml

    from moonas.study.strict_yaml import StrictLoader

    assert issubclass(StrictLoader, yaml.SafeLoader)


def in_fresh_python(code: str) -> str:
    """What `code` prints in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(*names: str) -> set[str]:
    """The heavy packages that importing some modules loads."""
    code = f"import sys, {', '.join(names)}; print(*(set(sys.modules) & {set(HEAVY)}))"
    return set(in_fresh_python(code).split())


def test_the_command_line_the_api_and_the_loop_load_nothing_heavy():
    shown = [f"moonas.terminal.{name}" for name in ("fronts", "networks", "plans", "studies", "trials")]
    assert loaded_by("moonas", "moonas.cli", "moonas.api", "moonas.outer.loop", "moonas.worker.local", *shown) == set()


def test_no_module_outside_the_torch_lines_loads_torch():
    outside = [
        f"moonas.{name}"
        for name, _ in modules()
        if not any(name == t or name.startswith(t + ".") for t in TORCH_LINES)
        and name != "__main__"
        and not name.startswith("store.migrations")
    ]
    assert len(outside) > 40
    assert loaded_by(*outside) & {"torch", "torchvision"} == set()


def test_the_lazy_front_door_loads_nothing_heavy():
    code = (
        "import sys, moonas\n"
        "exports = [getattr(moonas, name) for name in moonas.__all__ if name != 'build']\n"
        f"print(len(exports), *(set(sys.modules) & {set(HEAVY)}))"
    )
    number, *heavy = in_fresh_python(code).split()
    assert (int(number) > 5, heavy) == (True, [])


@pytest.mark.skipif(not STUDIES, reason="installed without the folder of studies")
def test_every_study_of_the_folder_validates_without_torch():
    code = (
        "import sys, json\n"
        "sys.modules['torch'] = sys.modules['torchvision'] = None  # importing either raises\n"
        f"sys.path.append({str(PACKAGE.parent / 'tests' / 'packages' / 'moonas_zdt')!r})\n"
        "from moonas import api\n"
        "from moonas.study import functions, metrics\n"
        "from moonas_zdt import entries\n"  # what function.yaml needs, as if it were installed
        "functions.FUNCTIONS._entries['zdt1'] = entries.ZDT1\n"
        "metrics.METRICS._entries.update(zdt_f1=entries.F1, zdt_f2=entries.F2)\n"
        f"for path in {[str(path) for path in STUDIES]}:\n"
        "    print(json.dumps([path, len(api.validate(path).pairs)]))\n"
    )
    checked = dict(json.loads(line) for line in in_fresh_python(code).splitlines())
    assert list(checked) == [str(path) for path in STUDIES]
    assert all(checked.values())

"""The files that build and start containers, as far as they can be checked without Docker."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
IMAGES = sorted(DOCKER.glob("Dockerfile*"))
REQUIRED = re.compile(r"\$\{(\w+):\?[^}]+\}")  # a variable that compose refuses to start without
SECRET = re.compile("PASSWORD|TOKEN|SECRET|KEY")


def instructions(path: Path) -> list[tuple[str, str]]:
    """(instruction, its arguments) of a Dockerfile, with continued lines joined."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def compose() -> dict[str, Any]:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_what_an_image_copies_is_in_the_repository(path: Path) -> None:
    copied = [source for name, rest in instructions(path) if name == "COPY" for source in rest.split()[:-1]]
    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_an_image_has_a_fixed_python_and_ends_as_an_ordinary_user(path: Path) -> None:
    steps = instructions(path)
    assert steps[0] == ("FROM", "python:3.11-slim")
    assert [rest for name, rest in steps if name == "USER"] == ["moonas"]
    assert not [rest for name, rest in steps if SECRET.search(rest.split("=")[0]) and name in ("ENV", "ARG")]


def test_the_server_is_installed_without_torch_and_with_all_the_rest() -> None:
    line = next(rest for name, rest in instructions(DOCKER / "Dockerfile.server") if name == "RUN" and "requirements.py" in rest)
    command = line.removeprefix("python ").partition(" > ")[0].split()
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [
        *project["dependencies"],
        *(one for extra in ("postgres", "ray", "s3") for one in project["optional-dependencies"][extra]),
    ]
    assert [one for one in asked if one not in done.stdout.splitlines()] == ["torch>=2.10", "torchvision"]


def test_compose_names_only_what_there_is() -> None:
    services, volumes = compose()["services"], compose()["volumes"]
    for service in services.values():
        if "build" in service:
            assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).resolve() in IMAGES
        mounted = [mount.partition(":")[0] for mount in service.get("volumes", [])]
        assert [name for name in mounted if name not in volumes] == []
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in services[other]
    assert "ports" not in str(services)  # nothing listens outside


def test_compose_holds_no_secret_and_starts_without_none() -> None:
    settings = [item for service in compose()["services"].values() for item in service["environment"].items()]
    secrets = {name: value for name, value in settings if SECRET.search(name)}
    assert set(secrets) == {"POSTGRES_PASSWORD", "PGPASSWORD", "RAY_AUTH_TOKEN"}
    needed = {match[1] for value in secrets.values() if (match := REQUIRED.fullmatch(value))}
    assert needed == {"POSTGRES_PASSWORD", "RAY_AUTH_TOKEN"}
    assert len([value for value in secrets.values() if REQUIRED.fullmatch(value)]) == len(secrets)
    example = dict(
        line.split("=", 1)
        for line in (DOCKER / ".env.example").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    assert {name: example[name] for name in needed} == dict.fromkeys(needed, "")
    used = set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text(encoding="utf-8")))
    assert set(example) <= used


def test_the_study_that_compose_runs_by_default_is_in_the_image() -> None:
    default = re.search(r"\$\{STUDY:-/opt/moonas/([^}]+)\}", compose()["services"]["moonas"]["command"])
    assert default is not None
    assert (ROOT / default[1]).is_file()


def test_all_machines_of_a_cluster_get_the_same_ray() -> None:
    found = {rest for path in IMAGES for name, rest in instructions(path) if name == "ARG" and rest.startswith("RAY_VERSION")}
    assert len(found) == 1
    built = [service["build"]["args"] for service in compose()["services"].values() if "build" in service]
    assert {args["RAY_VERSION"] for args in built} == {f"${{RAY_VERSION:-{found.pop().partition('=')[2]}}}"}

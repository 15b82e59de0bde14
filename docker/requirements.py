"""Print what pyproject.toml asks for, without some packages: the server needs no torch.

python docker/requirements.py --without torch torchvision --extras postgres ray
"""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def requirements(without: list[str], extras: list[str]) -> list[str]:
    """The requirements of the project and of some of its extras, in the file's order. Raises KeyError for an unknown extra."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [line for line in asked if re.split(r"[\s\[<>=!~;]", line)[0] not in without]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without", nargs="*", default=[], metavar="PACKAGE")
    parser.add_argument("--extras", nargs="*", default=[], metavar="EXTRA")
    given = parser.parse_args()
    print(*requirements(given.without, given.extras), sep="\n")


if __name__ == "__main__":
    main()

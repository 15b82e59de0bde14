"""What the settings of a dataclass mean: the text below each field, for the reference, for editors and for forms."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any


def meanings(config: type[Any]) -> dict[str, str]:
    """{field: the text that stands below it}, inherited ones included; a field without a text is left out.

    Nothing of a class whose source is not there to be read.
    """
    found: dict[str, str] = {}
    for kind in reversed(config.__mro__[:-1]):
        found |= _own(kind)
    return found


def _own(kind: type[Any]) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError):
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found = {}
    for item, below in pairwise(body):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and (text := _text(below)):
            found[item.target.id] = " ".join(text.split())
    return found


def _text(statement: ast.stmt) -> str | None:
    value = statement.value if isinstance(statement, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None

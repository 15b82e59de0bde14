"""moonas: Pareto fronts of neural architectures, from differentiable searches driven by a multi-objective outer loop.

Everything here is imported when it is first used, so that `import moonas` costs nothing and never loads torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from moonas.api import (
        compare,
        delete_study,
        export_optuna,
        import_optuna,
        list_studies,
        load_study,
        resume,
        run,
        search,
        validate,
        write_report,
    )
    from moonas.architecture import Architecture
    from moonas.lifecycle import cancel, enqueue, pause, retry, stop
    from moonas.networks.network import build
    from moonas.sharing import export_study, import_study
    from moonas.skeleton import Skeleton
    from moonas.spaces.costs import Costs, cost

_EXPORTS = {
    "Architecture": "moonas.architecture",
    "Costs": "moonas.spaces.costs",
    "Skeleton": "moonas.skeleton",
    "build": "moonas.networks.network",
    "cancel": "moonas.lifecycle",
    "compare": "moonas.api",
    "cost": "moonas.spaces.costs",
    "delete_study": "moonas.api",
    "enqueue": "moonas.lifecycle",
    "export_optuna": "moonas.api",
    "export_study": "moonas.sharing",
    "import_optuna": "moonas.api",
    "import_study": "moonas.sharing",
    "list_studies": "moonas.api",
    "load_study": "moonas.api",
    "pause": "moonas.lifecycle",
    "resume": "moonas.api",
    "retry": "moonas.lifecycle",
    "run": "moonas.api",
    "search": "moonas.api",
    "stop": "moonas.lifecycle",
    "validate": "moonas.api",
    "write_report": "moonas.api",
}

__all__ = [
    "Architecture",
    "Costs",
    "Skeleton",
    "build",
    "cancel",
    "compare",
    "cost",
    "delete_study",
    "enqueue",
    "export_optuna",
    "export_study",
    "import_optuna",
    "import_study",
    "list_studies",
    "load_study",
    "pause",
    "resume",
    "retry",
    "run",
    "search",
    "stop",
    "validate",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'moonas' has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)

"""What moonas reads when it checks a study file."""

from dataclasses import dataclass

from pydantic import ConfigDict

from moonas.study.functions import FunctionEntry
from moonas.study.metrics import MetricEntry
from moonas.study.numbers import Fraction


@dataclass(frozen=True, kw_only=True)
class Zdt1Config:
    """Three numbers in [0, 1]; the last two are best at 0."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    x1: Fraction
    x2: Fraction = 0.0
    x3: Fraction = 0.0


ZDT1 = FunctionEntry(config=Zdt1Config, metrics=("zdt_f1", "zdt_f2"), load="moonas_zdt.code:zdt1")
F1 = MetricEntry(direction="minimize", label="f1", unit="", reference=1.1, protocols=("function",))
F2 = MetricEntry(direction="minimize", label="f2", unit="", reference=6.0, protocols=("function",))

"""Fronts: the present one, those of the past, and one network chosen from them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from moonas.infeasible import infeasibility
from moonas.results.study import Study
from moonas.service.api.parts import Form, FormOf, KeptOf, StudyOf, Whole, csv_download
from moonas.service.models import FrontOut, FrontStep, NetworkOut
from moonas.service.problems import absent
from moonas.service.roles import VIEWER
from moonas.study.bounds import parse_under
from moonas.study.objectives import parse_weights

router = APIRouter(prefix="/studies/{name}", tags=["fronts"])


@router.get("/front", dependencies=[VIEWER], response_model=FrontOut)
def read_front(
    study: StudyOf,
    kept: KeptOf,
    number: Annotated[
        int | None, Query(ge=1, le=Whole, description="One of the study's history; the present one if absent.")
    ] = None,
    form: FormOf = Form.json,
) -> Response:
    """A Pareto front with the networks on it."""
    if form is Form.csv:
        with absent():
            members = study.front(number)
        return csv_download([member.to_json() for member in members], f"{study.name}-front.csv")
    last = study.store.last_front(study.record.id)
    content = kept.get((study.record.id, study.record.created, number), last, lambda: _front(study, number))
    return Response(content, media_type="application/json")


def _front(study: Study, number: int | None) -> bytes:
    with absent():
        step = study.front_step(number)
        members = study.front(number)
    kept_empty = infeasibility(study) if not members and study.config.constraints else None
    front = FrontOut(
        step=FrontStep.model_validate(step) if step else None,
        members=[NetworkOut.read(member) for member in members],
        infeasible=kept_empty.to_json() if kept_empty else None,
    )
    return front.model_dump_json().encode()


@router.get("/fronts", dependencies=[VIEWER])
def list_fronts(
    study: StudyOf, after: Annotated[int, Query(ge=0, le=Whole, description="The number of the last one already known.")] = 0
) -> list[FrontStep]:
    """Every change of the front, the oldest first, with its hypervolume."""
    return [FrontStep.model_validate(step) for step in study.front_history() if step.number > after]


@router.get("/best", dependencies=[VIEWER])
def read_best(
    study: StudyOf,
    under: Annotated[
        list[str], Query(description="Limits such as `params=2M,latency_ms=5` or `accuracy>=0.9`; may be given several times.")
    ] = [],  # noqa: B006 - FastAPI copies it
    knee: Annotated[bool, Query(description="The network whose neighbours on the front gain least for what they give up.")] = False,
    weights: Annotated[
        str | None, Query(description="Of the objectives, such as `accuracy=2,params=1`: the compromise that they ask for.")
    ] = None,
) -> NetworkOut:
    """The network of the best first objective under limits, or the knee or a weighted compromise of the front there."""
    bounds = [bound for text in under for bound in parse_under(text)]
    return NetworkOut.read(study.best(bounds, knee=knee, weights=None if weights is None else parse_weights(weights)))

"""Trials: a page of them, and one with all that its tasks reported."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from moonas.service.api.parts import MOST_ROWS, Form, FormOf, Offset, StudyOf, Whole, csv_download
from moonas.service.models import FoundBy, TaskOut, TrialDetail, TrialOut, TrialPage
from moonas.service.problems import absent
from moonas.service.roles import VIEWER
from moonas.store.pages import SORTS, trial_page
from moonas.store.states import TrialState
from moonas.terminal.trials import log_rows, trial_row

router = APIRouter(prefix="/studies/{name}/trials", tags=["trials"])


@router.get("", dependencies=[VIEWER], response_model=TrialPage)
def list_trials(
    study: StudyOf,
    state: Annotated[TrialState | None, Query(description="Only those in this state.")] = None,
    method: Annotated[str | None, Query(description="Only those of this method variant, by its label.")] = None,
    budget: Annotated[str | None, Query(description="Only those of this budget, as `params.budget` gives it.")] = None,
    replicate: Annotated[int | None, Query(ge=0, le=Whole)] = None,
    sort: Annotated[
        str, Query(description=f"A metric, or one of {', '.join(SORTS)}; with a minus before it, from the largest down.")
    ] = "number",
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
    form: FormOf = Form.json,
) -> TrialPage | Response:
    """A page of the trials, chosen and sorted by the database."""
    page, total = trial_page(
        study.store.database,
        study.record.id,
        state=state,
        method=method,
        budget=budget,
        replicate=replicate,
        sort=sort,
        offset=offset,
        limit=limit,
    )
    if form is Form.csv:
        return csv_download([trial_row(trial, None, None) for trial in page], f"{study.name}-trials.csv")
    return TrialPage(total=total, offset=offset, trials=[TrialOut.read(trial) for trial in page])


@router.get("/{number}", dependencies=[VIEWER])
def read_trial(study: StudyOf, number: Annotated[int, Path(ge=0, le=Whole, description="Of the trial, from 0.")]) -> TrialDetail:
    """A trial: its settings, what it decoded, and the attempts, errors and learning curves of its tasks."""
    with absent():
        trial = study.store.trial(study.record.id, number)
    fields = ("key", "state", "attempts", "steps")
    return TrialDetail(
        **TrialOut.read(trial).model_dump(),
        candidates=[FoundBy.model_validate(one) for one in study.store.candidates(study.record.id, trial=number)],
        tasks=[TaskOut(kind=row["task"], **{name: row[name] for name in fields}) for row in log_rows(study, number)],
    )

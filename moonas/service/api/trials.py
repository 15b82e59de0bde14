"""Trials: a page of them, and one with all that its tasks reported."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from moonas.results.study import Study
from moonas.results.trial import TrialStory, Work, settings_of_trial, steps_of, thinned, trial_story
from moonas.service.api.parts import MOST_ROWS, Form, FormOf, Offset, StudyOf, Whole, csv_download
from moonas.service.models import (
    AttemptOut,
    FoundBy,
    GroupOut,
    MixtureOut,
    MixtureStep,
    SettingOut,
    TaskOut,
    TrialDetail,
    TrialOut,
    TrialPage,
)
from moonas.service.problems import absent
from moonas.service.roles import VIEWER
from moonas.spaces.space import make_space
from moonas.store.pages import SORTS, trial_page
from moonas.store.states import TrialState
from moonas.terminal.trials import trial_row

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


Number = Annotated[int, Path(ge=0, le=Whole, description="Of the trial, from 0.")]
Steps = Annotated[int, Query(ge=0, le=MOST_ROWS, description="At most so many epochs of a task, evenly chosen.")]


@router.get("/{number}", dependencies=[VIEWER])
def read_trial(study: StudyOf, number: Number, steps: Steps = MOST_ROWS) -> TrialDetail:
    """A trial: its settings, what it decoded, and the attempts, errors and learning curves of its tasks."""
    story = _story(study, number)
    collapse = story.collapse
    return TrialDetail(
        **TrialOut.read(story.trial).model_dump(),
        settings=[SettingOut.model_validate(one) for one in settings_of_trial(study, story.trial)],
        candidates=[FoundBy.model_validate(one) for one in study.store.candidates(study.record.id, trial=number)],
        tasks=[_task(study, work, steps) for work in story.works],
        collapse={name: collapse[name] for name in ("epoch", "reason")} if collapse else None,
    )


@router.get("/{number}/mixture", dependencies=[VIEWER])
def read_mixture(study: StudyOf, number: Number, steps: Steps = MOST_ROWS) -> MixtureOut:
    """The architecture weights of its search over the epochs: the probability of every operation of every edge."""
    search = _story(study, number).search
    if search is None:
        return MixtureOut(search=None, groups={}, steps=[])
    groups = make_space(search.spec["space"]).groups
    said = thinned(study.store.mixtures(search.id), steps)
    return MixtureOut(
        search=search.key,
        groups={name: GroupOut(edges=list(group.edges), operations=list(group.operations)) for name, group in groups.items()},
        steps=[MixtureStep(step=step, groups=mixture) for step, mixture in said],
    )


def _story(study: Study, number: int) -> TrialStory:
    with absent():
        return trial_story(study, number)


def _task(study: Study, work: Work, steps: int) -> TaskOut:
    record = work.record
    return TaskOut(
        **{name: getattr(record, name) for name in ("kind", "key", "state", "created", "started", "finished")},
        trials=list(work.trials),
        attempts=[AttemptOut.model_validate(attempt) for attempt in work.attempts],
        steps=[{"step": step.step, **step.metrics} for step in steps_of(study, record, steps)],
    )

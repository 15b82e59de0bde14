"""Studies: all of them and one, to be checked, made, started and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import TypeAdapter
from starlette.responses import PlainTextResponse

from moonas import api
from moonas.loop_log import log_end, log_path
from moonas.outer.planned import planned_trials
from moonas.preview import preview
from moonas.service.api.parts import SOON, Name, Reader, SettingsOf, SharedOf, StudyOf, Wait
from moonas.service.loops import start_loop, taken_up
from moonas.service.models import Checked, Outcome, PlanOut, StudyDetail, StudyOut
from moonas.service.roles import OPERATOR, VIEWER
from moonas.service.sent import BODY, sent_study
from moonas.store.pages import StudyFacts, study_facts
from moonas.store.records import StudySummary
from moonas.store.store import Store

router = APIRouter(tags=["studies"])

Sent = Annotated[Mapping[str, Any], Depends(sent_study)]


@router.get("/studies", dependencies=[VIEWER], response_model=list[StudyOut])
def list_studies(store: Reader, shared: SharedOf) -> Response:
    """All studies with their progress, the oldest first."""
    return Response(shared.get("studies", lambda: _LINES.dump_json(_lines(store))), media_type="application/json")


@router.get("/studies/{name}", dependencies=[VIEWER], response_model=StudyDetail)
def read_study(study: StudyOf, store: Reader, shared: SharedOf) -> Response:
    """A study: its progress and its study file."""
    content = shared.get(study.record.id, lambda: _detail(store, study.name).model_dump_json().encode())
    return Response(content, media_type="application/json")


@router.post("/studies", dependencies=[OPERATOR], status_code=201, openapi_extra=BODY, response_model=StudyDetail)
def create_study(
    sent: Sent,
    store: Reader,
    settings: SettingsOf,
    response: Response,
    start: Annotated[bool, Query(description="Start a process that drives it.")] = True,
    extend: Annotated[bool, Query(description="Accept budgets, methods, replicates or trials that it adds.")] = False,
) -> StudyDetail:
    """Make the study that a study file asks for, or find it as it is, and start it. 409 where one of its name differs."""
    record = api.create(sent, settings.storage, extend=extend)
    if start:
        start_loop(settings, store, record)
    response.headers["Location"] = f"/api/v1/studies/{record.name}"
    return _detail(store, record.name)


@router.post("/validate", dependencies=[VIEWER], openapi_extra=BODY)
def validate(sent: Sent) -> Checked:
    """Check a study file; 422 with every mistake and its place."""
    config = api.validate(sent).config
    return Checked(name=config.name, sampler=config.sampler.name)


@router.post("/plan", dependencies=[OPERATOR], openapi_extra=BODY)
def plan(sent: Sent) -> PlanOut:
    """What a study would do: how many trials and searches, and what each budget can reach at each width. Nothing is measured."""
    return PlanOut.model_validate(preview(sent, measure=False))


@router.post("/studies/{name}/resume", dependencies=[OPERATOR], status_code=202)
def resume(study: StudyOf, settings: SettingsOf, wait: Wait = SOON) -> Outcome:
    """Start a process that goes on with a study; 409 where one drives it, or where the new one fails at once, with what it says."""
    process = start_loop(settings, study.store, study.record)
    message = f"a process was started that goes on with {study.name}"
    if taken_up(settings, study.store, study.record, process, wait):
        return Outcome(message=message)
    return Outcome(message=f"{message}; it has yet to take it up", done=False)


@router.get("/studies/{name}/log", dependencies=[VIEWER], response_class=PlainTextResponse)
def read_log(study: StudyOf, settings: SettingsOf) -> PlainTextResponse:
    """The end of what the processes that were started here for a study have printed, errors included."""
    return PlainTextResponse(log_end(settings.storage, study.record.id))


@router.delete("/studies/{name}", dependencies=[OPERATOR])
def delete_study(name: Name, store: Reader, settings: SettingsOf) -> Outcome:
    """Delete a study with its trials, fronts and artifacts; 409 while a process drives it."""
    log = log_path(settings.storage, store.study(name).id)
    api.delete_study(name, settings.storage)
    log.unlink(missing_ok=True)
    return Outcome(message=f"deleted {name}")


_LINES = TypeAdapter(list[StudyOut])


def _lines(store: Store) -> list[StudyOut]:
    facts = study_facts(store.database)
    return [_line(store, summary, facts[summary.id]) for summary in store.studies() if summary.id in facts]


def _line(store: Store, summary: StudySummary, facts: StudyFacts) -> StudyOut:
    return StudyOut(
        name=summary.name,
        state=summary.state,
        driven=facts.driven,
        driven_since=facts.driven_since,
        created=summary.created,
        last_event=summary.last_event,
        trials={state.value: count for state, count in summary.trials.items()},
        planned=planned_trials(store, summary.name, facts.config_hash),
        front=facts.front,
        front_number=facts.front_number,
        hypervolume=facts.hypervolume,
        accuracy=summary.accuracy,
        device_hours=facts.seconds / 3600,
    )


def _detail(store: Store, name: str) -> StudyDetail:
    record = store.study(name)
    facts = study_facts(store.database, record.id)[record.id]
    summary = next(line for line in store.studies() if line.id == record.id)
    return StudyDetail(
        **_line(store, summary, facts).model_dump(),
        reason=store.state_note(record.id),
        version=record.version,
        last_event_id=facts.last_event,
        config=record.config,
    )

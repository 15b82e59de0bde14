"""What happens in a study: its events by increments, and as a stream that goes on where a lost connection left off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from moonas.results.study import Study
from moonas.service.api.parts import MOST_ROWS, StudyOf, Whole
from moonas.service.models import EventOut
from moonas.service.problems import Problem
from moonas.service.roles import VIEWER
from moonas.store.pages import event_page, study_facts, trial_counts

router = APIRouter(prefix="/studies/{name}", tags=["events"])
POLL = 1.0  # seconds between looks at the database
MOST_STREAMS = 100  # at once


@router.get("/events", dependencies=[VIEWER])
def list_events(
    study: StudyOf,
    after: Annotated[int, Query(ge=0, le=Whole, description="The id of the last one already known.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
) -> list[EventOut]:
    """Events in the order they happened."""
    return [EventOut.model_validate(event) for event in event_page(study.store.database, study.record.id, after, limit)]


def _one_more(request: Request) -> Iterator[None]:
    """Counts a stream while it lasts."""
    state = request.app.state
    if state.streams >= MOST_STREAMS:
        raise Problem(
            503, "too_many_streams", f"{MOST_STREAMS} streams are open, the most this server gives", {"Retry-After": "10"}
        )
    state.streams += 1
    try:
        yield
    finally:
        state.streams -= 1


@router.get("/stream", dependencies=[VIEWER, Depends(_one_more)], response_class=EventSourceResponse)
async def stream(
    request: Request,
    study: StudyOf,
    after: Annotated[int | None, Query(ge=0, le=Whole, description="Go on after this event; from now on if absent.")] = None,
    progress: Annotated[bool, Query(description="Send `progress`, too.")] = True,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=Whole, description="What a browser sends after a lost connection.")
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `event` for each event of the study, and `progress` whenever its trials, front or driver change."""
    known = last_event_id if last_event_id is not None else after
    if known is None:
        known = (await run_in_threadpool(_progress, study))["last_event_id"]
    told: dict[str, Any] = {}
    while not request.app.state.closing.is_set():
        for event in await run_in_threadpool(event_page, study.store.database, study.record.id, known, MOST_ROWS):
            known = event.id
            yield ServerSentEvent(event="event", id=str(event.id), data=EventOut.model_validate(event).model_dump())
        if progress and (now := await run_in_threadpool(_progress, study)) != told:
            told = now
            yield ServerSentEvent(event="progress", data=told)
        await asyncio.sleep(POLL)


def _progress(study: Study) -> dict[str, Any]:
    """What changes while a study runs, by reads that take no longer for many trials."""
    database, facts = study.store.database, study_facts(study.store.database, study.record.id)[study.record.id]
    return {
        "trials": {state.value: count for state, count in trial_counts(database, study.record.id).items()},
        "front_number": facts.front_number,
        "front": facts.front,
        "hypervolume": facts.hypervolume,
        "driven": facts.driven,
        "last_event_id": facts.last_event,
    }

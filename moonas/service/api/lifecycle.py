"""What an operator asks of a study that runs, or ran: pause, stop, cancel, retry, enqueue."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from moonas import lifecycle
from moonas.errors import LeaseError
from moonas.service.api.parts import SOON, Name, SettingsOf, Wait, Whole
from moonas.service.models import Outcome
from moonas.service.roles import OPERATOR

router = APIRouter(prefix="/studies/{name}", tags=["lifecycle"])

Number = Annotated[int, Field(ge=0, le=Whole)]


class Trials(BaseModel):
    """Some trials of a study."""

    model_config = ConfigDict(extra="forbid")

    trials: list[Number] = Field(default=[], max_length=10_000, description="Their numbers; all that are concerned where absent.")


class NewTrial(BaseModel):
    """A trial of one's own choice. What the study leaves no choice in may be absent."""

    model_config = ConfigDict(extra="forbid")

    method: str | None = Field(default=None, description="Label of a method variant.")
    budget: str | None = Field(default=None, description="Such as `params=20%`, or as `params.budget` of a trial.")
    channels: Number | None = Field(default=None, description="Width of the final network.")
    cells: Number | None = Field(default=None, description="Depth of the final network.")
    replicate: Number = 0
    settings: dict[str, Any] = Field(default={}, max_length=1000, description="Those that the method leaves open.")


@router.post("/pause", dependencies=[OPERATOR], status_code=202)
def pause(name: Name, settings: SettingsOf, wait: Wait = SOON) -> Outcome:
    """Let running tasks end at their next checkpoint, then the process that drives the study."""
    return _outcome(lifecycle.pause, name, storage=settings.storage, wait=wait)


@router.post("/stop", dependencies=[OPERATOR], status_code=202)
def stop(name: Name, settings: SettingsOf, wait: Wait = SOON) -> Outcome:
    """Start nothing new, let running trials finish, then the process that drives the study."""
    return _outcome(lifecycle.stop, name, storage=settings.storage, wait=wait)


@router.post("/cancel", dependencies=[OPERATOR], status_code=202)
def cancel(name: Name, settings: SettingsOf, which: Trials | None = None, wait: Wait = SOON) -> Outcome:
    """Kill the running tasks of trials, which fail with that reason; without trials, of all that run, and end the process."""
    return _outcome(lifecycle.cancel, name, which.trials if which else [], settings.storage, wait=wait)


@router.post("/retry", dependencies=[OPERATOR], status_code=202)
def retry(name: Name, settings: SettingsOf, which: Trials | None = None, wait: Wait = SOON) -> Outcome:
    """Open failed or cancelled trials again, all of them where none is named; `resume` goes on with them."""
    return _outcome(lifecycle.retry, name, which.trials if which else [], settings.storage, wait=wait)


@router.post("/enqueue", dependencies=[OPERATOR], status_code=202)
def enqueue(name: Name, settings: SettingsOf, trial: NewTrial, wait: Wait = SOON) -> Outcome:
    """Add one trial, to be run before the next one that the sampler chooses."""
    return _outcome(lifecycle.enqueue, name, settings.storage, **trial.model_dump(), wait=wait)


def _outcome(ask: Any, name: str, *arguments: Any, wait: float, **more: Any) -> Outcome:
    """What came of it; a process that has not answered yet does so later, since the request stands."""
    try:
        message = ask(name, *arguments, wait=wait, **more)
    except LeaseError as unanswered:
        return Outcome(message=str(unanswered), done=False)
    return Outcome(message=message, done=not message.startswith("asked; "))

"""Whether the server is well, and its numbers for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse

from moonas import __version__
from moonas.service.api.parts import Reader
from moonas.service.models import Health
from moonas.service.roles import PUBLIC, VIEWER
from moonas.store.pages import study_facts

router = APIRouter(tags=["server"])


@router.get("/health", dependencies=[PUBLIC])
def health(store: Reader) -> Health:
    """Whether the server and its database answer; 503 where the database does not."""
    store.database.check_revision()
    return Health(status="ok", version=__version__)


@router.get("/metrics", dependencies=[VIEWER], response_class=PlainTextResponse)
def metrics(request: Request, store: Reader) -> PlainTextResponse:
    """Numbers of all studies and of the server, as Prometheus reads them."""
    studies, facts = store.studies(), study_facts(store.database)
    lines = [
        *_metric("moonas_info", "gauge", "The moonas that serves.", [({"version": __version__}, 1)]),
        *_metric(
            "moonas_study_trials",
            "gauge",
            "Trials of a study by state.",
            [({"study": s.name, "state": state.value}, count) for s in studies for state, count in s.trials.items()],
        ),
        *_metric(
            "moonas_study_driven",
            "gauge",
            "Whether a process drives a study.",
            [({"study": s.name}, int(facts[s.id].driven)) for s in studies],
        ),
        *_metric(
            "moonas_study_front_members",
            "gauge",
            "Networks on the present front.",
            [({"study": s.name}, facts[s.id].front) for s in studies],
        ),
        *_metric(
            "moonas_study_hypervolume",
            "gauge",
            "Hypervolume of the present front.",
            [({"study": s.name}, volume) for s in studies if (volume := facts[s.id].hypervolume) is not None],
        ),
        *_metric(
            "moonas_study_device_seconds_total",
            "counter",
            "Device time of all attempts that ended.",
            [({"study": s.name}, facts[s.id].seconds) for s in studies],
        ),
        *_metric(
            "moonas_http_requests_total",
            "counter",
            "Requests answered since the server started, by status.",
            [({"status": str(status)}, count) for status, count in sorted(request.app.state.counts.items())],
        ),
    ]
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4; charset=utf-8")


def _metric(name: str, kind: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        written = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{written}}} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

"""Architectures: cells, exact costs, every measurement and where they came from; and files to keep."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from moonas.architecture import Architecture
from moonas.results.networks import read_archive
from moonas.results.study import Study
from moonas.service.api.parts import StudyOf, Whole, download
from moonas.service.models import ArchitectureOut, EvaluationOut, FoundBy, NetworkOut
from moonas.service.problems import absent
from moonas.service.roles import VIEWER
from moonas.store.records import ArchitectureRecord

router = APIRouter(prefix="/studies/{name}/architectures/{key}", tags=["architectures"])

Key = Annotated[str, Path(description="Key of an architecture, or a beginning that only one of the study has.", max_length=64)]


@router.get("", dependencies=[VIEWER])
def read_architecture(study: StudyOf, key: Key) -> ArchitectureOut:
    """An architecture: its cells, its exact costs at each width and depth, its measurements and the trials that found it."""
    record = _found(study, key)
    only = [record.key]
    return ArchitectureOut(
        key=record.key,
        function_key=record.function_key,
        space=record.space,
        genotype=record.genotype,
        text=Architecture.from_json(record.genotype).to_text(),
        networks=[NetworkOut.read(network) for network in read_archive(study, only)],
        found_by=[FoundBy.model_validate(one) for one in study.store.candidates(study.record.id, architectures=only)],
        evaluations=[EvaluationOut.model_validate(one) for one in study.store.evaluations(study.record.id, architectures=only)],
    )


@router.get("/genotype.json", dependencies=[VIEWER], response_class=Response)
def download_json(study: StudyOf, key: Key) -> Response:
    """The architecture as `Architecture.from_json` reads it, to be kept as a file."""
    record = _found(study, key)
    return download(json.dumps(record.genotype, indent=2), f"{record.key}.json", "application/json")


@router.get("/genotype.txt", dependencies=[VIEWER], response_class=Response)
def download_text(study: StudyOf, key: Key) -> Response:
    """The architecture in the community's notation where there is one for its space, to be kept as a file."""
    record = _found(study, key)
    return download(Architecture.from_json(record.genotype).to_text(), f"{record.key}.txt", "text/plain; charset=utf-8")


@router.get("/weights.safetensors", dependencies=[VIEWER], response_class=Response)
def download_weights(
    study: StudyOf,
    key: Key,
    trial: Annotated[int | None, Query(ge=0, le=Whole, description="Where it has several networks, the one of this trial.")] = None,
) -> Response:
    """The trained weights of a network on the front, as `moonas.build` loads them; 404 where none are kept, saying why."""
    _found(study, key)
    weights = study.weights(key, trial)
    return download(weights.content, f"{weights.network.key}.safetensors", "application/octet-stream")


def _found(study: Study, key: str) -> ArchitectureRecord:
    with absent():
        return study.store.architecture_by_prefix(study.record.id, key)

"""Study files that clients send: data, as every study file, and without what would lead the server elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from moonas.errors import Problem as Mistake
from moonas.errors import StudyFileError
from moonas.service.problems import Problem
from moonas.study.loading import parse_yaml
from moonas.study.reserved import REFUSAL, reserved

SOURCE = "study"
JSON_TYPE = "application/json"
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/plain")
BODY = {  # in the API's description
    "requestBody": {
        "required": True,
        "description": "A study file. The server's own storage, artifacts, data folders and workers are used.",
        "content": {
            JSON_TYPE: {"schema": {"type": "object"}},
            YAML_TYPES[0]: {"schema": {"type": "string"}, "example": "name: digits\ndata: digits\n"},
        },
    }
}


async def sent_study(request: Request) -> Mapping[str, Any]:
    """The study file in a request's body, unchecked but for what must not stand there. Raises StudyFileError, or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON_TYPE and kind not in YAML_TYPES:
        raise Problem(
            415, "unsupported_media_type", f"send the study file as {JSON_TYPE} or {YAML_TYPES[0]}, not as {kind or 'nothing'}"
        )
    try:
        text = (await request.body()).decode("utf-8")
        raw = json.loads(text) if kind == JSON_TYPE else parse_yaml(text, SOURCE)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise StudyFileError(SOURCE, [Mistake("", f"cannot be read: {error}")]) from error
    if not isinstance(raw, Mapping):
        raise StudyFileError(SOURCE, [Mistake("", f"expected settings such as `name: digits`, got {type(raw).__name__}")])
    if named := list(reserved(raw)):
        raise StudyFileError(SOURCE, [Mistake(path, REFUSAL) for path in named])
    return raw

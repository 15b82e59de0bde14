"""Errors, in one shape: `{"error": {"code", "message", "problems": [{"path", "message"}]}}`, whatever went wrong and wherever."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from moonas import errors

LOG = logging.getLogger("moonas.service")

STATUSES: dict[type[errors.MoonasError], int] = {  # the first that fits; kinds before their parents
    errors.StudyFileError: 422,
    errors.InfeasibleError: 422,
    errors.UnknownStudyError: 404,
    errors.WeightsError: 404,
    errors.StudyConflictError: 409,
    errors.LeaseError: 409,
    errors.DataError: 409,
    errors.UsageError: 400,
    errors.StorageError: 503,
    errors.MoonasError: 500,
}


class ProblemOut(BaseModel):
    """One mistake."""

    path: str = Field(description="Where it stands, such as `methods[0].name`; empty for the whole.")
    message: str


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str = Field(description="A word for programs, such as `unknown_study`.")
    message: str = Field(description="A text for people.")
    problems: list[ProblemOut] = Field(default=[], description="Every mistake found, where there may be several.")


class ErrorOut(BaseModel):
    """The one shape of errors."""

    error: ErrorDetail


class Problem(HTTPException):
    """An error of the service itself."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, message, headers)
        self.code = code


def problem_response(problem: Problem) -> JSONResponse:
    return _response(problem.status_code, problem.code, problem.detail, headers=problem.headers)


@contextmanager
def absent() -> Iterator[None]:
    """A name in the address that names nothing is not found, where in a command it would be wrong usage."""
    try:
        yield
    except errors.UnknownStudyError:
        raise
    except errors.UsageError as error:
        raise Problem(404, "not_found", str(error)) from error


def handle_errors(app: FastAPI) -> None:
    """Let the app answer all errors in the one shape; what nobody expected is logged, and answered without its text."""
    app.add_exception_handler(errors.MoonasError, _moonas_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)


class Faults:
    """The innermost of what stands before the routes: a fault of ours is logged, and answered as any error is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False

        async def watched(message: Message) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception:
            LOG.exception("a fault of moonas itself, at %s %s", scope.get("method"), ascii(scope.get("path")))
            if began or scope["type"] != "http":
                raise
            text = "a fault of moonas itself; the server's log tells more"
            await _response(500, "internal_error", text)(scope, receive, send)


def _moonas_error(_: Request, error: Exception) -> JSONResponse:
    status = next(status for kind, status in STATUSES.items() if isinstance(error, kind))
    problems = error.problems if isinstance(error, errors.StudyFileError) else ()
    return _response(status, _code(type(error).__name__.removesuffix("Error")), str(error), problems)


def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = error.code if isinstance(error, Problem) else _code(HTTPStatus(error.status_code).phrase.title().replace(" ", ""))
    return _response(error.status_code, code, str(error.detail), headers=error.headers)


def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = [errors.Problem(".".join(map(str, item["loc"])), item["msg"]) for item in error.errors()]
    return _response(422, "invalid_request", "the request is not as documented", problems)


def _response(
    status: int, code: str, message: str, problems: Sequence[errors.Problem] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    listed = [ProblemOut(path=problem.path, message=problem.message) for problem in problems]
    body = ErrorOut(error=ErrorDetail(code=code, message=message, problems=listed))
    return JSONResponse(body.model_dump(), status, headers)


def _code(name: str) -> str:
    """`UnknownStudy` as `unknown_study`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).strip("_")

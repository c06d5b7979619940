"""Every error that a caller can get: one class each, with a stable code, its status and what to do about it.

docs/reference.md and the OpenAPI document are written from these classes; `ERRORS` lists them all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

Location = tuple[str | int, ...]


class TallyError(Exception):
    """Base of all errors that are shown to a user; everything else becomes `Internal`."""

    code: ClassVar[str]
    """Stable: metrics, logs and the documentation name errors by it."""
    status: ClassVar[int]
    type: ClassVar[str]
    """As the envelope of the objects API spells it (contract, Errors)."""
    remedy: ClassVar[str]
    """What the caller can do."""

    def __init__(self, message: str, details: Mapping[str, Any] | None = None, retry_after: int | None = None):
        super().__init__(message)
        self.message = message
        self.details = dict(details or {})
        self.retry_after = retry_after

    def envelope(self) -> dict[str, Any]:
        """The documented error body (contract, Errors); `details` is left out when empty."""
        error: dict[str, Any] = {"message": self.message, "type": self.type}
        if self.details:
            error["details"] = self.details
        return {"success": False, "status": self.status, "error": error}


def record_envelope(error: TallyError) -> tuple[int, dict[str, Any]]:
    """Status and body of an error of the records API (contract, records, 6).

    A project that is not there, or not the caller's, gives the same answer as a wrong token.
    """
    status, message = error.status, error.message
    if isinstance(error, NotFound) and error.details.get("resource") == "Namespace":
        return 401, {"error": {"code": 401, "message": "no such project, or no access to it"}}
    if isinstance(error, Invalid):
        status, message = (422 if error.unprocessable else 400), error.text().removeprefix("body.")
    rendered: dict[str, Any] = {"code": status, "message": message}
    rendered |= {name: error.details[name] for name in ("missing", "duplicated", "partial") if error.details.get(name)}
    return status, {"error": rendered}


def dotted(location: Location) -> str:
    """`sources[0].properties`."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a request: where, of which kind, and what to do."""

    location: Location
    message: str
    type: str = "value_error"

    def json(self) -> dict[str, Any]:
        return {"type": self.type, "location": list(self.location), "message": self.message}


class Invalid(TallyError):
    """The request does not have the documented form, or asks what cannot be done."""

    code = "invalid_request"
    status = 422
    type = "ValidationError"
    remedy = "Correct what `validation_errors` lists: each has its location and a message; send it again."

    def __init__(self, problems: Sequence[Problem]):
        super().__init__("Validation error", {"validation_errors": [problem.json() for problem in problems]})
        self.problems = tuple(problems)
        self.unprocessable = not any(problem.location for problem in problems)
        """Nothing in the request's form is wrong: it is refused for what it asks."""

    @classmethod
    def at(cls, location: Location, message: str, type: str = "value_error") -> "Invalid":
        return cls([Problem(location, message, type)])

    def text(self) -> str:
        """One line for places that have room for one line (batch and import)."""
        return "; ".join(
            f"{dotted(problem.location)}: {problem.message}" if problem.location else problem.message
            for problem in self.problems
        )


class BadRequest(TallyError):
    """The request cannot be read or answered as it is: a header is missing, the body is broken, a name is unknown."""

    code = "bad_request"
    status = 400
    type = "BadRequestError"
    remedy = "The message names the place and what is expected there."


class OverBudget(TallyError):
    """An exact answer would cost more than the operator allows; nothing approximate is given instead."""

    code = "over_budget"
    status = 400
    type = "BadRequestError"
    remedy = "Narrow the question as the message says (filters, fewer or coarser keys), or have the budget raised."


class Unauthorized(TallyError):
    """No key, or a wrong one."""

    code = "unauthorized"
    status = 401
    type = "UnauthorizedError"
    remedy = "Send the header Authorization: Bearer <key>."


class NotFound(TallyError):
    """It does not exist, or is not yours: the two cannot be distinguished."""

    code = "not_found"
    status = 404
    type = "NotFoundError"
    remedy = "Check the id or name, and the namespace that the request names."

    def __init__(self, resource: str, id: str):
        super().__init__(f"{resource} not found: {id}", {"resource": resource, "id": id})


class MethodNotAllowed(TallyError):
    """The route has no such method."""

    code = "method_not_allowed"
    status = 405
    type = "MethodNotAllowedError"
    remedy = "The header Allow lists those that it has."


class AlreadyExists(TallyError):
    """It exists already, is in use, or was changed by somebody else meanwhile."""

    code = "already_exists"
    status = 409
    type = "AlreadyExistsError"
    remedy = "Choose another name, remove what uses it, or read it again and decide."


class Gone(TallyError):
    """It existed; a cursor or a route that has ended."""

    code = "gone"
    status = 410
    type = "GoneError"
    remedy = "The message says how to go on."


class TooLarge(TallyError):
    """The body is larger than the limit of the route."""

    code = "too_large"
    status = 413
    type = "PayloadTooLargeError"
    remedy = "Send it in parts, or use the import route."


class TooManyRequests(TallyError):
    """OpenSearch refuses more work at the moment."""

    code = "too_many_requests"
    status = 429
    type = "TooManyRequestsError"
    remedy = "Wait for the seconds of Retry-After, and send it again."


class Unavailable(TallyError):
    """OpenSearch is not there, or a part of it is missing, so that an answer would not be whole."""

    code = "unavailable"
    status = 503
    type = "ServiceUnavailableError"
    remedy = "Wait for the seconds of Retry-After, and send it again; message and log name the cause for the operator."


class TimedOut(TallyError):
    """OpenSearch took too long; searches were cancelled, a write may have been done."""

    code = "timed_out"
    status = 504
    type = "TimeoutError"
    remedy = "Send it again (writes with the same ids are safe), or ask for less at once."


class InsufficientStorage(TallyError):
    """The disk of OpenSearch is full: nothing can be stored, everything can be read."""

    code = "insufficient_storage"
    status = 507
    type = "InsufficientStorageError"
    remedy = "The operator frees space; writes then work again by themselves."


class Internal(TallyError):
    """The service failed. Nothing of the cause is shown; the log has it under the request's id."""

    code = "internal"
    status = 500
    type = "InternalServerError"
    remedy = "Report it with the X-Request-Id of the response."


ERRORS: Final[Sequence[type[TallyError]]] = (
    BadRequest, OverBudget, Unauthorized, NotFound, MethodNotAllowed, AlreadyExists, Gone, TooLarge, Invalid,
    TooManyRequests, Internal, Unavailable, TimedOut, InsufficientStorage,
)  # fmt: skip

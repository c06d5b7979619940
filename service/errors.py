"""The errors that Tally tells its users, each with its status and its name in the envelope.

TallyError
├── the request is wrong
│   ├── Invalid            422  a list of problems, each with its place
│   ├── BadRequest         400
│   ├── Unauthorized       401
│   ├── NotFound           404  resource and id
│   ├── MethodNotAllowed   405
│   ├── AlreadyExists      409
│   └── Gone               410
├── a limit is reached
│   ├── TooLarge           413
│   ├── OverBudget         400  the budget, what was met, how to narrow
│   └── TooManyRequests    429  Retry-After
└── the backend failed
    ├── Unavailable        503  Retry-After
    ├── TimedOut           504
    ├── InsufficientStorage 507  Retry-After
    └── Internal           500
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

Location = tuple[str | int, ...]


class TallyError(Exception):
    """Base of all errors that are shown to a user; everything else becomes `Internal`."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "InternalServerError"

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

    A project that is not there, or not the caller's, is told like a wrong token.
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
    """The request does not have the documented shape."""

    status = 422
    type = "ValidationError"

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
    status = 400
    type = "BadRequestError"


class OverBudget(BadRequest):
    """An exact answer would cost more than the operator allows."""


class Unauthorized(TallyError):
    status = 401
    type = "UnauthorizedError"


class NotFound(TallyError):
    """Unknown, or not yours: the two are told apart by nothing."""

    status = 404
    type = "NotFoundError"

    def __init__(self, resource: str, id: str):
        super().__init__(f"{resource} not found: {id}", {"resource": resource, "id": id})


class MethodNotAllowed(TallyError):
    status = 405
    type = "MethodNotAllowedError"


class AlreadyExists(TallyError):
    status = 409
    type = "AlreadyExistsError"


class Gone(TallyError):
    """It was there, and the message says how to go on."""

    status = 410
    type = "GoneError"


class TooLarge(TallyError):
    status = 413
    type = "PayloadTooLargeError"


class TooManyRequests(TallyError):
    status = 429
    type = "TooManyRequestsError"


class Unavailable(TallyError):
    status = 503
    type = "ServiceUnavailableError"


class TimedOut(TallyError):
    status = 504
    type = "TimeoutError"


class InsufficientStorage(TallyError):
    """OpenSearch's disk is full: nothing can be stored, everything can be read."""

    status = 507
    type = "InsufficientStorageError"


class Internal(TallyError):
    """Nothing of the cause is told; the log has it under the request's id."""

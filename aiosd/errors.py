"""Every error a client can meet: a stable code, an HTTP status, an exit status, a hint.

Raised anywhere, mapped once, in `api/problems.py`. Exit statuses are those of `aiosd.exits`.
"""

from typing import ClassVar

from aiosd import exits


class AiosError(Exception):
    """An error with a name. `code` is stable; `hint` says what to do about it."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    exit_status: ClassVar[int] = exits.INTERNAL
    title: ClassVar[str] = "Internal error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidRequestError(AiosError):
    """The request cannot be read, or says something that is not possible."""

    code = "invalid_request"
    http_status = 400
    exit_status = exits.BAD_INPUT
    title = "Invalid request"


class NotFoundError(AiosError):
    """There is no such thing, or it belongs to somebody else (the two are not told apart)."""

    code = "not_found"
    http_status = 404
    exit_status = exits.BAD_INPUT
    title = "Not found"


class MethodNotAllowedError(AiosError):
    """The path exists, the method does not."""

    code = "method_not_allowed"
    http_status = 405
    exit_status = exits.BAD_INPUT
    title = "Method not allowed"


class ForbiddenError(AiosError):
    """The kernel's word for who asks is not enough for this."""

    code = "forbidden"
    http_status = 403
    exit_status = exits.DENIED
    title = "Forbidden"


class SessionBusyError(AiosError):
    """A turn runs in this session already."""

    code = "session_busy"
    http_status = 409
    exit_status = exits.RETRY_LATER
    title = "Session busy"


class NameTakenError(AiosError):
    """Another session has that name."""

    code = "name_taken"
    http_status = 409
    exit_status = exits.BAD_INPUT
    title = "Name taken"


class TooLargeError(AiosError):
    """The body is over the limit."""

    code = "too_large"
    http_status = 413
    exit_status = exits.BAD_INPUT
    title = "Too large"


class UnsupportedMediaTypeError(AiosError):
    """The body's type is none that this resource reads."""

    code = "unsupported_media_type"
    http_status = 415
    exit_status = exits.BAD_INPUT
    title = "Unsupported media type"


class TooManyRequestsError(AiosError):
    """A limit on connections or turns is reached; later it may work."""

    code = "too_many_requests"
    http_status = 429
    exit_status = exits.RETRY_LATER
    title = "Too many requests"


class RequestTimeoutError(AiosError):
    """The request did not arrive in time."""

    code = "request_timeout"
    http_status = 408
    exit_status = exits.RETRY_LATER
    title = "Request timeout"


class StoppingError(AiosError):
    """The daemon is ending; the socket stays, so the next try starts a new one."""

    code = "stopping"
    http_status = 503
    exit_status = exits.RETRY_LATER
    title = "Stopping"


class CannotBeginError(AiosError):
    """What must be there first is not: a configuration or policy that can be read, a place for the record."""

    code = "cannot_begin"
    http_status = 503
    exit_status = exits.BROKEN
    title = "Cannot begin"


class GuardUnavailableError(AiosError):
    """The guard does not answer, so nothing can be decided or run."""

    code = "guard_unavailable"
    http_status = 503
    exit_status = exits.BROKEN
    title = "Guard unavailable"


class GuardRefusedError(AiosError):
    """The guard would not take the request; its own words are in the message."""

    code = "guard_refused"
    http_status = 409
    exit_status = exits.BROKEN
    title = "Guard refused"


class ModelUnavailableError(AiosError):
    """The model gave no usable answer."""

    code = "model_unavailable"
    http_status = 503
    exit_status = exits.UNREACHABLE
    title = "Model unavailable"


class ModelKeyError(ModelUnavailableError):
    """The provider does not take the key, or there is none."""

    code = "model_key"
    exit_status = exits.BROKEN
    title = "Model key refused"


class ModelBusyError(ModelUnavailableError):
    """The provider has too much to do, or the account's limit is reached."""

    code = "model_busy"
    exit_status = exits.RETRY_LATER
    title = "Model busy"


class ModelGarbledError(ModelUnavailableError):
    """What came back is not the provider's protocol, or broke off in the middle."""

    code = "model_garbled"
    http_status = 502
    title = "Model garbled"


class ModelRejectedError(ModelUnavailableError):
    """The provider does not take the request: no such model, or something in it that it does not know."""

    code = "model_rejected"
    http_status = 502
    title = "Model rejected the request"


class ContextOverflowError(ModelUnavailableError):
    """The conversation is longer than the model can read, whatever is left out of it."""

    code = "context_overflow"
    http_status = 413
    exit_status = exits.BAD_INPUT
    title = "Context overflow"


class NotLocalError(ModelUnavailableError):
    """The model's address is not this machine's, and `agent.local_only` says that it has to be."""

    code = "not_local"
    http_status = 403
    exit_status = exits.DENIED
    title = "Not this machine's"


class BudgetExceededError(AiosError):
    """The turn used up its steps, tokens or seconds."""

    code = "budget_exceeded"
    http_status = 409
    exit_status = exits.BUDGET
    title = "Budget exceeded"


class TurnTimeoutError(AiosError):
    """The turn took as long as whoever asked gave it."""

    code = "turn_timeout"
    http_status = 409
    exit_status = exits.TIMEOUT
    title = "Turn timeout"


class StorageError(AiosError):
    """The store cannot be read or written: a full disk, or a file of a newer version."""

    code = "storage"
    http_status = 507
    exit_status = exits.BROKEN
    title = "Storage failed"


class ConfigError(AiosError):
    """A configuration file or variable is wrong; the message names file and key."""

    code = "config"
    http_status = 500
    exit_status = exits.BROKEN
    title = "Configuration error"

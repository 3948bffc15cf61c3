"""What goes wrong with a provider: from a status, a body or an event to a named error, and whether to ask again. Pure.

Source: the error tables of the Anthropic and OpenAI APIs, and what llama.cpp, vLLM and Ollama answer instead.
"""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from aiosd.errors import (
    ContextOverflowError,
    ModelBusyError,
    ModelGarbledError,
    ModelKeyError,
    ModelRejectedError,
    ModelUnavailableError,
)
from aiosd.model.fields import get, get_text, parse_object
from aiosd.types import JsonValue

_MAX_WORDS = 300
_OVERFLOW = re.compile(
    r"prompt is too long|context[ _]length|context[ _]window|maximum context|exceed_context|context size"
    r"|too many tokens|input is too long|input length",
    re.IGNORECASE,
)
_QUOTA = re.compile(r"insufficient_quota|billing|credit balance|quota exceeded", re.IGNORECASE)
_BUSY = re.compile(r"overloaded|rate_limit|rate limit|too many requests|server_busy|capacity", re.IGNORECASE)


class AttemptError(Exception):
    """An attempt that failed: the error it will be if nobody asks again, and whether (and after how long) one may."""

    def __init__(self, error: ModelUnavailableError, *, retry: bool, after_s: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry = retry
        self.after_s = after_s


def garbled(what: str) -> AttemptError:
    """An answer that cannot be read; it may be better the next time."""
    return AttemptError(ModelGarbledError(what, hint="is that the model's address and provider?"), retry=True)


def failure_of_status(status: int, headers: Mapping[str, str], body: str) -> AttemptError:
    """An answer that is not 200."""
    words = read_words(body) or f"status {status}"
    after_s = read_retry_after(headers, now=time.time())
    told = f"the model answered {status}: {words}"
    if status in (401, 403):
        return AttemptError(
            ModelKeyError(told, hint="store a key that is valid: aios models names the model"), retry=False
        )
    if status == 413 or (400 <= status < 500 and status != 429 and _OVERFLOW.search(body)):
        return AttemptError(ContextOverflowError(told, hint="send less, or start a new session"), retry=False)
    if status == 402 or (status == 429 and _QUOTA.search(body)):
        error = ModelBusyError(told, hint="the account has nothing left; ask another model with --model")
        return AttemptError(error, retry=False)
    if status in (429, 529) or (status == 503 and _BUSY.search(body)):
        return AttemptError(ModelBusyError(told, hint="ask again later"), retry=True, after_s=after_s)
    if status in (408, 409, 425) or status >= 500:
        return AttemptError(ModelUnavailableError(told, hint="ask again later"), retry=True, after_s=after_s)
    hint = "is the configuration of this model right? aios config show"
    return AttemptError(ModelRejectedError(told, hint=hint), retry=False)


def failure_of_event(error: JsonValue) -> AttemptError:
    """An error that came in the middle of a stream that had begun well."""
    kind = get_text(error, "type") or get_text(error, "code")
    words = _shorten(get_text(error, "message") or (error if isinstance(error, str) else "")) or "no words"
    told = f"the model broke off: {kind + ': ' if kind else ''}{words}"
    code = get(error, "code")
    if _OVERFLOW.search(f"{kind} {words}"):
        return AttemptError(ContextOverflowError(told, hint="send less, or start a new session"), retry=False)
    if _QUOTA.search(f"{kind} {words}"):
        return AttemptError(ModelBusyError(told, hint="the account has nothing left"), retry=False)
    if _BUSY.search(f"{kind} {words}") or code in (429, 529):
        return AttemptError(ModelBusyError(told, hint="ask again later"), retry=True)
    if kind in ("authentication_error", "permission_error"):
        return AttemptError(ModelKeyError(told, hint="store a key that is valid"), retry=False)
    if kind in ("invalid_request_error", "not_found_error"):
        return AttemptError(ModelRejectedError(told, hint="is the configuration of this model right?"), retry=False)
    return AttemptError(ModelUnavailableError(told, hint="ask again later"), retry=True)


def read_words(body: str) -> str:
    """A person's words in an error's body: JSON in any of the usual forms, or the text itself."""
    found = parse_object(body)
    if found is None:
        return _shorten(re.sub(r"<[^<>]*>", " ", body))
    for path in (("error", "message"), ("message",), ("error",), ("detail",)):
        if words := get_text(found, *path):
            return _shorten(words)
    return _shorten(body)


def read_retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """How many seconds the server asks to wait: RFC 9110's Retry-After, as a number or a date, or in milliseconds."""
    millis, value = headers.get("retry-after-ms", ""), headers.get("retry-after", "").strip()
    try:
        if millis:
            return max(float(millis) / 1000, 0.0)
        if not value:
            return None
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value)
        return max(parsedate_to_datetime(value).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return None


def _shorten(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _MAX_WORDS else f"{words[:_MAX_WORDS]}…"

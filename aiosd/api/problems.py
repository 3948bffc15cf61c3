"""Errors to RFC 9457 problems: mapped here, once."""

import json
import logging
import secrets
from dataclasses import asdict

from aiohttp import web

from aiosd.errors import (
    AiosError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    RequestTimeoutError,
)
from aiosd.wire import Problem

_LOG = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"


def render_problem(error: AiosError) -> Problem:
    """An error as a problem. Its type is relative: the API has no host name."""
    return Problem(
        type=f"/v1/problems/{error.code}",
        title=error.title,
        status=error.http_status,
        detail=error.message,
        code=error.code,
        hint=error.hint,
        exit_status=error.exit_status,
    )


def problem_response(error: AiosError) -> web.Response:
    """The HTTP answer for an error."""
    return web.Response(status=error.http_status, body=_render_body(error), content_type=MEDIA_TYPE)


def problem_bytes(error: AiosError) -> bytes:
    """A whole HTTP answer for an error, for where there is no request yet."""
    body = _render_body(error)
    head = (
        f"HTTP/1.1 {error.http_status} {error.title}\r\nContent-Type: {MEDIA_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def map_exception(exc: Exception) -> AiosError:
    """What a request's handler raised, as an error with a name. A bug is logged once, under an id the client gets."""
    match exc:
        case AiosError():
            return exc
        case web.HTTPNotFound():
            return NotFoundError("there is no such resource", hint="GET /v1/openapi.json lists them")
        case web.HTTPMethodNotAllowed():
            return MethodNotAllowedError(f"{exc.method} is not for this resource", hint="GET /v1/openapi.json")
        case web.HTTPException():
            return InvalidRequestError(exc.reason)
        case TimeoutError():
            return RequestTimeoutError("the request did not arrive in time", hint="send it faster")
        case _:
            fault = secrets.token_hex(4)
            _LOG.error("a request failed (%s)", fault, exc_info=exc)
            return AiosError(f"an internal error ({fault})", hint="the daemon's log has it")


def _render_body(error: AiosError) -> bytes:
    return json.dumps(asdict(render_problem(error))).encode()

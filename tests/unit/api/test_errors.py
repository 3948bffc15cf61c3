"""Errors: each with a code of its own, mapped to a problem, and on the page that explains them."""

import importlib
import json
import pkgutil
import re
from pathlib import Path

import pytest
from aiohttp import web

import aiosd
from aiosd import exits
from aiosd.api.problems import MEDIA_TYPE, map_exception, problem_bytes, problem_response, render_problem
from aiosd.cli.table import EXIT_STATUSES
from aiosd.errors import AiosError, InvalidRequestError, NotFoundError, TooManyRequestsError
from aiosd.wire import Problem

PAGE = (Path(__file__).parents[3] / "docs" / "errors.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (.+) \| (.+) \|$", re.MULTILINE)


def _all_errors() -> list[type[AiosError]]:
    for module in pkgutil.walk_packages(aiosd.__path__, "aiosd."):
        if module.name != "aiosd.__main__" and not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    found = [AiosError]
    for kind in found:
        found += [each for each in kind.__subclasses__() if each not in found]
    return found


ERRORS = _all_errors()


def test_every_error_has_a_code_of_its_own() -> None:
    assert len({kind.code for kind in ERRORS}) == len(ERRORS)
    assert all(re.fullmatch(r"[a-z_]+", kind.code) for kind in ERRORS)


def test_every_error_is_on_the_page_with_its_numbers_and_nothing_else_is() -> None:
    rows = {code: (int(status), int(ends)) for code, status, ends, _what, _do in ROW.findall(PAGE)}
    assert rows == {kind.code: (kind.http_status, kind.exit_status) for kind in ERRORS}


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.code)
def test_every_error_is_a_problem_with_its_own_numbers(kind: type[AiosError]) -> None:
    error = kind("what happened", hint="what to do")
    assert map_exception(error) is error
    assert render_problem(error) == Problem(
        type=f"/v1/problems/{kind.code}",
        title=kind.title,
        status=kind.http_status,
        detail="what happened",
        code=kind.code,
        hint="what to do",
        exit_status=kind.exit_status,
    )
    response = problem_response(error)
    assert (response.status, response.content_type) == (kind.http_status, MEDIA_TYPE)
    assert kind.__doc__
    assert web.Response(status=kind.http_status).reason


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (web.HTTPNotFound(), "not_found", "there is no such resource"),
        (web.HTTPMethodNotAllowed("PUT", ["GET"]), "method_not_allowed", "PUT is not for this resource"),
        (web.HTTPBadRequest(reason="odd"), "invalid_request", "odd"),
        (TimeoutError(), "request_timeout", "the request did not arrive in time"),
    ],
)
def test_what_the_server_raises_is_mapped_too(raised: Exception, code: str, message: str) -> None:
    error = map_exception(raised)
    assert (error.code, error.message) == (code, message)


def test_a_bug_is_logged_once_under_the_number_that_the_client_gets(caplog: pytest.LogCaptureFixture) -> None:
    error = map_exception(ZeroDivisionError("secret words"))
    fault = error.message.partition("(")[2].strip(")")
    assert error.code == "internal"
    assert "secret" not in error.message + error.hint
    assert caplog.text.count(fault) == 1
    assert "ZeroDivisionError: secret words" in caplog.text


def test_an_answer_before_there_is_a_request_is_whole_http() -> None:
    head, _, body = problem_bytes(TooManyRequestsError("too many 接続", hint="close one")).partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "HTTP/1.1 429 Too many requests",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    assert json.loads(body)["detail"] == "too many 接続"


def test_exit_statuses_are_one_table() -> None:
    named = {value for name, value in vars(exits).items() if name.isupper()}
    assert {status for status, _about in EXIT_STATUSES} == named
    assert {kind.exit_status for kind in ERRORS} <= named


def test_an_error_has_its_message_and_what_to_do() -> None:
    assert (str(NotFoundError("gone", hint="look")), NotFoundError("gone").hint) == ("gone", "")
    assert issubclass(InvalidRequestError, AiosError)

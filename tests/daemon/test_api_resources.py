"""Each resource of the API: its answer, and each error with its code, its status, its exit status and what to do."""

import json
import re
from typing import Any

import pytest

from aiosd import __version__, frames
from tests.daemon.harness import Daemon, Response
from tests.daemon.raw import chunked, post, send

NOW = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
LINES = "application/x-ndjson"


def _problem(response: Response) -> dict[str, Any]:
    """A problem body, whole, after what goes for all of them."""
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json
    assert set(body) == {"type", "title", "status", "detail", "code", "hint", "exit_status"}
    assert body["type"] == f"/v1/problems/{body['code']}"
    assert body["status"] == response.status
    assert body["title"]
    return {name: body[name] for name in ("code", "detail", "hint", "exit_status")}


# What there is --------------------------------------------------------------------------------------------------------


def test_status_says_how_the_daemon_is(daemon: Daemon) -> None:
    status = daemon.api("GET", "/v1/status").json
    assert NOW.fullmatch(status.pop("started_at"))
    assert status.pop("open_sessions") >= 0
    assert status == {
        "version": __version__,
        "mode": "standalone",
        "guard": "ok",
        "model": "builtin",
        "running_turns": 0,
        "pending": 0,
        "volatile": "",
    }


def test_models_are_listed_the_default_first(daemon: Daemon) -> None:
    models = daemon.api("GET", "/v1/models").json["models"]
    assert [(each["name"], each["provider"], each["local"], each["default"]) for each in models] == [
        ("builtin", "builtin", True, True)
    ]


def test_the_doctor_names_what_works_and_what_does_not_with_its_remedy(daemon: Daemon) -> None:
    response = daemon.api("GET", "/v1/doctor")
    checks = {check["name"]: check for check in response.json["checks"]}
    assert checks["guard"] == {"name": "guard", "state": "ok", "detail": "answers", "remedy": ""}
    assert checks["sandbox"]["state"] == "ok"
    assert checks["commands as root"]["remedy"] == "install the service"
    assert all(check["remedy"] for check in checks.values() if check["state"] != "ok")
    missing = any(check["state"] == "missing" for check in checks.values())
    assert response.headers["aios-exit"] == ("78" if missing else "0")


def test_the_configuration_in_force_has_every_key_with_its_origin(daemon: Daemon) -> None:
    entries = {entry["key"]: entry for entry in daemon.api("GET", "/v1/config").json["entries"]}
    assert entries["daemon.drain_s"] == {"key": "daemon.drain_s", "value": "60", "origin": "default"}
    assert entries["guard.policy_dirs"]["origin"] == str(daemon.folder / "etc" / "config.toml")


def test_a_command_is_judged_without_being_run(daemon: Daemon) -> None:
    body = {"command": "ls /etc && rm -r /home/ann/x", "cwd": "/tmp"}
    verdict = daemon.api("POST", "/v1/policy/check", body).json
    assert (verdict["tier"], verdict["run_as"], verdict["opaque"]) == ("require_approval", "user", None)
    assert [(part["text"], part["tier"]) for part in verdict["parts"]] == [
        ("ls /etc", "auto_allow"),
        ("rm -r /home/ann/x", "require_approval"),
    ]
    assert verdict["parts"][1]["rules"][0]["file"].endswith("00-defaults.toml")
    assert daemon.api("POST", "/v1/policy/check", {"command": "rm -rf /"}).json["tier"] == "deny"
    assert daemon.records() == [record for record in daemon.records() if record["kind"] != "decided"]


def test_asking_for_root_is_said_to_be_asking_for_root(daemon: Daemon) -> None:
    verdict = daemon.api("POST", "/v1/policy/check", {"command": "systemctl restart x", "run_as": "root"}).json
    assert (verdict["tier"], verdict["run_as"]) == ("require_approval", "root")


def test_a_session_can_be_listed_read_and_gone_on_with(daemon: Daemon) -> None:
    first = daemon.ask("how much memory is free?")
    started = first[0]
    listed = daemon.api("GET", "/v1/sessions").json["sessions"][0]
    assert (listed["id"], listed["name"]) == (started["session"], started["name"])
    assert (listed["title"], listed["turns"], listed["state"]) == ("how much memory is free?", 1, "done")
    again = daemon.api("POST", f"/v1/sessions/{started['name']}/turns", {"prompt": "メモリの空きは？"}, LINES).events()
    assert [event["seq"] for event in again] == list(range(len(first) + 1, len(first) + len(again) + 1))
    assert again[0]["turn"] == 2
    detail = daemon.api("GET", f"/v1/sessions/{started['session']}").json
    assert detail["last_seq"] == again[-1]["seq"]
    assert [(turn["number"], turn["prompt"], turn["state"], turn["exit_status"]) for turn in detail["turns"]] == [
        (1, "how much memory is free?", "done", 0),
        (2, "メモリの空きは？", "done", 0),
    ]
    newest = daemon.ask("how much memory is free?", continue_newest=True)
    assert (newest[0]["session"], newest[0]["turn"]) == (started["session"], 3)
    assert daemon.ask("?", session=started["name"])[0]["turn"] == 4


def test_a_question_may_come_as_json_as_text_and_in_frames(daemon: Daemon) -> None:
    framed = frames.render(frames.PROMPT, b"how much memory is free?")
    for content_type, body in (
        ("application/json", b'{"prompt": "how much memory is free?", "unknown": "is let pass"}'),
        ("application/json; charset=utf-8", b'{"prompt": "how much memory is free?"}'),
        ("text/plain", b"how much memory is free?"),
        (frames.MEDIA_TYPE, framed),
    ):
        response = daemon.api("POST", "/v1/ask", body, "text/plain", content_type=content_type)
        assert response.status == 200
        assert "GiB" in response.text


def test_a_whole_number_may_be_written_with_a_point(daemon: Daemon) -> None:
    response = daemon.api("POST", "/v1/ask", b'{"prompt": "how much memory is free?", "wait_s": 5.0}', LINES)
    assert response.events()[-1]["exit_status"] == 0


def test_a_question_on_standard_input_alone_is_the_sessions_title(daemon: Daemon) -> None:
    started = daemon.ask("", input="how much memory is free?\n")[0]
    detail = daemon.api("GET", f"/v1/sessions/{started['session']}").json
    assert detail["session"]["title"] == "how much memory is free?"
    assert detail["turns"][0]["prompt"] == "how much memory is free?"


def test_cancelling_what_does_not_run_says_so(daemon: Daemon) -> None:
    session = daemon.ask("how much memory is free?")[0]["session"]
    assert daemon.api("POST", f"/v1/sessions/{session}/cancel").json == {"cancelled": False}


@pytest.mark.parametrize(
    ("path", "begins"),
    [
        ("/v1/status", "aiosd "),
        ("/v1/models", "MODEL "),
        ("/v1/doctor", "ok      guard"),
        ("/v1/config", "KEY "),
        ("/v1/sessions", "NAME "),
    ],
)
def test_what_the_terminal_shows_is_offered_as_text(daemon: Daemon, path: str, begins: str) -> None:
    daemon.ask("how much memory is free?")
    response = daemon.api("GET", path, accept="text/plain")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text.startswith(begins)
    assert response.text.endswith("\n")


def test_a_session_and_a_verdict_are_offered_as_text_too(daemon: Daemon) -> None:
    started = daemon.ask("how much memory is free?")[0]
    shown = daemon.api("GET", f"/v1/sessions/{started['name']}", accept="text/plain").text
    assert shown.startswith(f"{started['name']}  {started['session']}\n\n1. ")
    verdict = daemon.api("POST", "/v1/policy/check", {"command": "ls"}, "text/plain").text
    assert verdict.startswith("auto_allow: ")


def test_only_the_head_of_a_resource_can_be_asked_for(daemon: Daemon) -> None:
    response = send(daemon, b"HEAD /v1/status HTTP/1.1\r\nHost: aios\r\n\r\n")
    assert (response.status, response.body) == (200, b"")
    assert int(response.headers["content-length"]) > 0


def test_a_client_may_wait_to_be_told_to_go_on(daemon: Daemon) -> None:
    body = b'{"command": "ls"}'
    with daemon.connect() as connection:
        headers = ("Content-Type: application/json", f"Content-Length: {len(body)}", "Expect: 100-continue")
        connection.sendall(post("/v1/policy/check", *headers))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(15) == b"HTTP/1.1 200 OK"


# What is wrong --------------------------------------------------------------------------------------------------------

TYPES = "GET /v1/openapi.json has the types"
INVALID = {"code": "invalid_request", "exit_status": 65, "hint": TYPES}


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/v1/ask", b"", "the body: Invalid JSON: EOF while parsing a value at line 1 column 0"),
        ("/v1/ask", b"{", "the body: Invalid JSON: EOF while parsing an object at line 1 column 1"),
        ("/v1/ask", b'{"prompt": "\xff"}', "the body: Invalid JSON: invalid unicode code point at line 1 column 13"),
        ("/v1/ask", b"[" * 100_000, "the body: Invalid JSON: recursion limit exceeded at line 1 column 202"),
        ("/v1/ask", b"[]", "the body: Input should be an object"),
        ("/v1/ask", b"{}", "prompt: Field required"),
        ("/v1/ask", b'{"prompt": 1}', "prompt: Input should be a valid string"),
        ("/v1/ask", b'{"prompt": null}', "prompt: Input should be a valid string"),
        ("/v1/ask", b'{"prompt": "?", "wait_s": "5"}', "wait_s: Input should be a valid integer"),
        ("/v1/ask", b'{"prompt": "?", "wait_s": 1.5}', "wait_s: Input should be a valid integer"),
        ("/v1/ask", b'{"prompt": "?", "wait_s": true}', "wait_s: Input should be a valid integer"),
        ("/v1/ask", b'{"prompt": "?", "continue_newest": 1}', "continue_newest: Input should be a valid boolean"),
        ("/v1/ask", b'{"prompt": "?", "session": ["a"]}', "session: Input should be a valid string"),
        ("/v1/sessions/x/turns", b"{}", "prompt: Field required"),
        ("/v1/policy/check", b"{}", "command: Field required"),
        ("/v1/policy/check", b'{"command": "ls", "run_as": "bob"}', "run_as: Input should be 'user' or 'root'"),
    ],
)
def test_a_body_that_cannot_be_is_refused_with_what_is_wrong(
    daemon: Daemon, path: str, body: bytes, detail: str
) -> None:
    response = daemon.api("POST", path, body, LINES)
    assert response.status == 400
    assert _problem(response) == {**INVALID, "detail": detail}


@pytest.mark.parametrize(
    ("path", "body", "detail", "hint"),
    [
        ("/v1/ask", {"prompt": " \n"}, "the question is empty", "say what you want to know"),
        ("/v1/ask", {"prompt": "x" * 65_537}, "the question is over 64 KiB", "send long text as input"),
        ("/v1/ask", {"prompt": "?", "cwd": "srv"}, "cwd is not an absolute path", ""),
        ("/v1/ask", {"prompt": "?", "wait_s": -1}, "wait_s is not between 0 and 86400", ""),
        ("/v1/ask", {"prompt": "?", "wait_s": 86_401}, "wait_s is not between 0 and 86400", ""),
        ("/v1/sessions/x/turns", {"prompt": ""}, "the question is empty", "say what you want to know"),
        ("/v1/policy/check", {"command": "ls", "cwd": "x"}, "cwd is not an absolute path", ""),
        ("/v1/policy/check", {"command": "a\0b"}, "the guard does not take command as it was given", ""),
        ("/v1/policy/check", {"command": "x" * 65_538}, "the guard does not take command as it was given", ""),
    ],
)
def test_a_request_that_is_not_possible_is_refused(
    daemon: Daemon, path: str, body: Any, detail: str, hint: str
) -> None:
    response = daemon.api("POST", path, body, LINES)
    assert response.status == 400
    assert _problem(response) == {"code": "invalid_request", "detail": detail, "hint": hint, "exit_status": 65}


@pytest.mark.parametrize(
    "content_type", ["application/xml", "multipart/form-data", "application/x-www-form-urlencoded"]
)
@pytest.mark.parametrize("path", ["/v1/ask", "/v1/sessions/x/turns", "/v1/policy/check"])
def test_a_body_of_another_type_is_refused(daemon: Daemon, path: str, content_type: str) -> None:
    response = daemon.api("POST", path, b"{}", LINES, content_type=content_type)
    assert response.status == 415
    assert _problem(response) == {
        "code": "unsupported_media_type",
        "detail": f"{content_type} is not read here",
        "hint": "send application/json",
        "exit_status": 65,
    }


def test_a_body_without_a_type_is_refused(daemon: Daemon) -> None:
    response = send(daemon, post("/v1/policy/check", "Content-Length: 2", body=b"{}"))
    assert (response.status, _problem(response)["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("path", ["/v1/policy/check", "/v1/sessions/x/turns"])
def test_text_and_frames_are_for_questions_only(daemon: Daemon, path: str) -> None:
    for content_type in ("text/plain", frames.MEDIA_TYPE):
        response = daemon.api("POST", path, b"ls", LINES, content_type=content_type)
        assert response.status == 415


@pytest.mark.parametrize("name", ["nobody-knows-this", "0123456789abcdef0123456789", "%00", "%ff", "..%2F", "a%20b"])
@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/turns")])
def test_a_session_that_is_not_there_is_not_found(daemon: Daemon, method: str, rest: str, name: str) -> None:
    response = daemon.api(method, f"/v1/sessions/{name}{rest}", {"prompt": "?"} if rest == "/turns" else None, LINES)
    assert response.status == 404
    problem = _problem(response)
    assert problem["detail"].startswith("there is no session ")
    assert (problem["code"], problem["hint"], problem["exit_status"]) == ("not_found", "aios sessions lists them", 65)


def test_a_question_in_a_session_that_is_not_there_is_not_found_and_makes_none(daemon: Daemon) -> None:
    before = daemon.api("GET", "/v1/sessions").json
    response = daemon.api("POST", "/v1/ask", {"prompt": "?", "session": "nobody-knows-this"}, LINES)
    assert (response.status, _problem(response)["detail"]) == (404, "there is no session nobody-knows-this")
    assert daemon.api("GET", "/v1/sessions").json == before


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/status", "/v1/status/", "/v1/sessions/a/b/c", "/v1/%2e%2e/x"])
def test_a_path_that_is_not_there_is_not_found(daemon: Daemon, path: str) -> None:
    response = daemon.api("GET", path)
    assert response.status == 404
    assert _problem(response) == {
        "code": "not_found",
        "detail": "there is no such resource",
        "hint": "GET /v1/openapi.json lists them",
        "exit_status": 65,
    }


def test_a_method_that_is_not_there_is_said_with_those_that_are(daemon: Daemon) -> None:
    document = daemon.api("GET", "/v1/openapi.json").json
    for path, operations in document["paths"].items():
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            if method.lower() in operations:
                continue
            response = daemon.api(method, path.replace("{id}", "x"), accept=LINES)
            assert response.status == 405, (method, path)
            assert _problem(response) == {
                "code": "method_not_allowed",
                "detail": f"{method} is not for this resource",
                "hint": "GET /v1/openapi.json",
                "exit_status": 65,
            }
            allowed = set(response.headers["allow"].replace(" ", "").split(","))
            assert allowed - {"HEAD"} == {each.upper() for each in operations}


@pytest.mark.parametrize(
    "query", ["after=x", "after=-1", "after=1.5", "after=", "after=9007199254740993", "follow=yes", "follow="]
)
def test_a_cursor_that_is_none_is_refused(daemon: Daemon, query: str) -> None:
    session = daemon.ask("how much memory is free?")[0]["session"]
    response = daemon.api("GET", f"/v1/sessions/{session}/events?{query}", accept=LINES)
    assert response.status == 400
    problem = _problem(response)
    assert problem["code"] == "invalid_request"
    assert problem["detail"] == "after is a whole number up to 9007199254740992, follow is true or false"


@pytest.mark.parametrize("accept", ["application/json", "image/png"])
def test_a_form_of_the_events_that_there_is_not_is_refused_before_anything_begins(daemon: Daemon, accept: str) -> None:
    before = daemon.api("GET", "/v1/sessions").json
    response = daemon.api("POST", "/v1/ask", {"prompt": "how much memory is free?"}, accept)
    assert response.status == 400
    assert _problem(response)["detail"] == f"there is no {accept} of this"
    assert daemon.api("GET", "/v1/sessions").json == before


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"GET /v1/status HTTP/1.1\nHost: aios\n\n",
        b"GET /v1/status HTTP/9.9\r\nHost: aios\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nHost aios\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nHost: aios\r\nX: " + b"y" * 10_000 + b"\r\n\r\n",
        b"GET /v1/" + b"y" * 10_000 + b" HTTP/1.1\r\nHost: aios\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        post("/v1/ask", "Content-Length: x"),
        post("/v1/ask", "Content-Length: 1", "Content-Length: 2", body=b"{}"),
        post("/v1/ask", "Transfer-Encoding: chunked", "Content-Type: application/json", body=b"zz\r\n{}\r\n"),
    ],
    ids=["words", "line ends", "version", "header", "long header", "long path", "tls", "length", "lengths", "chunk"],
)  # fmt: skip
def test_what_is_no_http_is_a_problem_too_and_fills_no_log(daemon: Daemon, data: bytes) -> None:
    before = len(daemon.log)
    response = send(daemon, data)
    assert response.status == 400
    assert _problem(response)["code"] == "invalid_request"
    assert "Traceback" not in daemon.log[before:]


def test_a_chunked_body_is_a_body(daemon: Daemon) -> None:
    headers = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    response = send(daemon, post("/v1/policy/check", *headers, body=chunked(b'{"com', b'mand": "ls"}')))
    assert (response.status, json.loads(response.body)["tier"]) == (200, "auto_allow")


def test_one_connection_carries_one_request(daemon: Daemon) -> None:
    request = b"GET /v1/status HTTP/1.1\r\nHost: aios\r\nConnection: keep-alive\r\n\r\n"
    response = send(daemon, request * 2)
    assert response.headers["connection"] == "close"
    assert json.loads(response.body)["guard"] == "ok"  # one answer, and the connection's end


def test_these_are_all_the_resources(daemon: Daemon) -> None:
    """What is added is added here, with its tests above."""
    paths = daemon.api("GET", "/v1/openapi.json").json["paths"]
    assert {(method, path) for path, operations in paths.items() for method in operations} == {
        ("post", "/v1/ask"),
        ("get", "/v1/sessions"),
        ("get", "/v1/sessions/{id}"),
        ("delete", "/v1/sessions/{id}"),
        ("post", "/v1/sessions/{id}/turns"),
        ("post", "/v1/sessions/{id}/rename"),
        ("get", "/v1/sessions/{id}/export"),
        ("get", "/v1/sessions/{id}/files"),
        ("get", "/v1/sessions/{id}/events"),
        ("post", "/v1/sessions/{id}/cancel"),
        ("post", "/v1/sessions/{id}/answer"),
        ("post", "/v1/policy/check"),
        ("post", "/v1/login"),
        ("get", "/v1/models"),
        ("get", "/v1/sent"),
        ("get", "/v1/sent/{id}"),
        ("get", "/v1/status"),
        ("get", "/v1/doctor"),
        ("get", "/v1/config"),
    }

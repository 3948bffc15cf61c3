"""The OpenAPI document: valid, exact, and what the daemon does whatever one sends it."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings, strategies
from openapi_spec_validator import OpenAPIV31SpecValidator

from aiosd import frames
from aiosd.api.openapi import render_openapi
from tests.daemon.harness import Daemon
from tests.daemon.unix_requests import session_for

DOCUMENT: Any = render_openapi()


def _frame(text: str) -> bytes:
    return frames.render(frames.PROMPT, text.encode("utf-8", "surrogatepass"))


schemathesis.openapi.media_type(
    frames.MEDIA_TYPE, strategies.text(min_size=1, max_size=50).filter(str.strip).map(_frame)
)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)

# Every check that schemathesis has is on but for those that have nothing to look at here:
CANNOT_APPLY = (
    "ignored_auth",  # there is no authentication: who asks is who the kernel says
    "missing_required_header",  # no header is required
    "use_after_free",  # nothing can be deleted
    "ensure_resource_availability",  # needs links between operations, from one that creates to one that reads
    "object_level_authorization",  # needs two users' credentials; test_api_people.py is about that
)


def _objects(schema: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of type object, with where it stands."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield path, schema
        for name, value in schema.items():
            yield from _objects(value, f"{path}/{name}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from _objects(value, f"{path}/{index}")


def test_the_document_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert DOCUMENT["openapi"] == "3.1.0"


def test_the_daemon_hands_out_the_document(daemon: Daemon) -> None:
    response = daemon.api("GET", "/v1/openapi.json")
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.json == DOCUMENT


def test_every_object_says_what_is_in_it() -> None:
    found = dict(_objects(DOCUMENT["components"]["schemas"], ""))
    assert len(found) > 20
    assert [path for path, schema in found.items() if not schema.get("properties")] == []


def test_every_event_is_told_apart_by_its_type() -> None:
    event = DOCUMENT["components"]["schemas"]["Event"]
    names = [each["$ref"].rpartition("/")[2] for each in event["oneOf"]]
    assert len(event["discriminator"]["mapping"]) == len(names) == 16
    for name in names:
        schema = DOCUMENT["components"]["schemas"][name]
        assert schema["properties"]["type"]["const"] in event["discriminator"]["mapping"]
        assert {"seq", "session", "at", "v", "type"} <= set(schema["properties"])


def test_every_operation_names_itself_its_answer_and_its_problems() -> None:
    operations = [each for path in DOCUMENT["paths"].values() for each in path.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    for each in operations:
        assert each["summary"].endswith(".")
        assert each["responses"]["200"]["description"]
        problems = {status: response["content"] for status, response in each["responses"].items() if status != "200"}
        assert set(map(tuple, problems.values())) == {("application/problem+json",)}
        assert {"400", "403", "408", "413", "429", "500"} <= set(problems)


@pytest.fixture(scope="module")
def through_the_socket(daemon: Daemon) -> Iterator[requests.Session]:
    """requests that go to the daemon."""
    with session_for(daemon) as session:
        yield session


@SCHEMA.parametrize()
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_sent_the_answer_is_as_described(case: Any, through_the_socket: requests.Session) -> None:
    excluded = [schemathesis.checks.CHECKS.get_one(name) for name in CANNOT_APPLY]
    case.call_and_validate(base_url="http://aios", session=through_the_socket, excluded_checks=excluded)

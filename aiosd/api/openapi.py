"""The OpenAPI 3.1 document, made from the wire's types: one table of operations, one of schemas."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from aiosd import __version__, frames, wire, wire_ask, wire_export, wire_sent
from aiosd.api.problems import MEDIA_TYPE
from aiosd.api.requests import MAX_CURSOR, MAX_PROMPT, MAX_WAIT_S
from aiosd.types import JsonObject

# What `requests` holds of a body beyond its types. (Lengths are told in words: test generators choke on maxLength.)
_WORDS: dict[str, Any] = {"pattern": r"\S"}
_PROMPT: dict[str, Any] = {"description": f"At most {MAX_PROMPT} characters; long text goes into `input`."}
_CWD: dict[str, Any] = {"pattern": r"^/[^\u0000]*$"}
_WAIT: dict[str, Any] = {"minimum": 0, "maximum": MAX_WAIT_S}
NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
_SCHEMA: dict[str, Any] = {"pattern": r"^(\{\})?$", "description": "A JSON Schema object, as text."}
_ASKS: dict[str, Any] = {
    "prompt": _PROMPT,
    "cwd": _CWD,
    "wait_s": _WAIT,
    "timeout_s": _WAIT,
    "max_cost": {"minimum": 0},
    "schema": _SCHEMA,
}
_BOUNDS: dict[str, dict[str, Any]] = {
    "AskRequest": {**_ASKS, "name": {"pattern": f"^$|{NAME_PATTERN}"}},
    "TurnRequest": _ASKS,
    "Attachment": {"data": {"pattern": r"^([A-Za-z0-9+/]{4})*$"}},
    "RenameRequest": {"name": {"pattern": NAME_PATTERN}},
    "PolicyCheckRequest": {"command": {"pattern": r"^[^\u0000]*$"}, "cwd": _CWD},
}
_NOT_EMPTY = [
    {"properties": {"prompt": _WORDS}},
    {"properties": {"input": _WORDS}, "required": ["input"]},
    {"properties": {"files": {"minItems": 1}}, "required": ["files"]},
]
_REF = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One verb on one path. `answer` None is a stream of events; `body` and `query` as they come in."""

    method: str
    path: str
    summary: str
    answer: type | None
    body: type | None = None
    query: tuple[tuple[str, str], ...] = ()
    errors: tuple[int, ...] = ()
    text: bool = True


_SESSION_ERRORS = (404, 507)
OPERATIONS = (
    Operation(
        method="post",
        path="/v1/ask",
        summary="Ask one turn, in a new or a named session; the reply is the turn's event stream.",
        answer=None,
        body=wire_ask.AskRequest,
        errors=(404, 409, 415, 503, 507),
    ),
    Operation(
        method="get",
        path="/v1/sessions",
        summary="The caller's sessions, newest first; those in which `search` stands.",
        answer=wire.SessionList,
        query=(("search", "string"),),
        errors=(507,),
    ),
    Operation(
        method="get",
        path="/v1/sessions/{id}",
        summary="A session by id or name, with its turns.",
        answer=wire.SessionDetail,
        errors=_SESSION_ERRORS,
    ),
    Operation(
        method="delete",
        path="/v1/sessions/{id}",
        summary="Delete a session with all that was said in it.",
        answer=wire_export.Deleted,
        errors=(*_SESSION_ERRORS, 409),
        text=False,
    ),
    Operation(
        method="post",
        path="/v1/sessions/{id}/rename",
        summary="Name a session.",
        answer=wire.SessionInfo,
        body=wire_export.RenameRequest,
        errors=(*_SESSION_ERRORS, 409, 415),
        text=False,
    ),
    Operation(
        method="get",
        path="/v1/sessions/{id}/export",
        summary="A session as a whole; as text Markdown, or what was run as a `script`.",
        answer=wire_export.SessionExport,
        query=(("script", "boolean"),),
        errors=_SESSION_ERRORS,
    ),
    Operation(
        method="get",
        path="/v1/sessions/{id}/files",
        summary="A file that the session keeps, by its `path`, as it is.",
        answer=bytes,
        query=(("path", "string"),),
        errors=_SESSION_ERRORS,
        text=False,
    ),
    Operation(
        method="post",
        path="/v1/sessions/{id}/turns",
        summary="Ask one turn in this session.",
        answer=None,
        body=wire_ask.TurnRequest,
        errors=(404, 409, 415, 503, 507),
    ),
    Operation(
        method="get",
        path="/v1/sessions/{id}/events",
        summary="The events after a cursor, and those of the turn that runs.",
        answer=None,
        query=(("after", "integer"), ("follow", "boolean")),
        errors=_SESSION_ERRORS,
    ),
    Operation(
        method="post",
        path="/v1/sessions/{id}/cancel",
        summary="Interrupt the turn that runs.",
        answer=wire.Cancelled,
        errors=_SESSION_ERRORS,
        text=False,
    ),
    Operation(
        method="post",
        path="/v1/sessions/{id}/answer",
        summary="Answer a question of the model's.",
        answer=wire_ask.Answered,
        body=wire_ask.AnswerRequest,
        errors=(*_SESSION_ERRORS, 415),
        text=False,
    ),
    Operation(
        method="post",
        path="/v1/policy/check",
        summary="The verdict for a command line; nothing is run.",
        answer=wire.VerdictInfo,
        body=wire.PolicyCheckRequest,
        errors=(409, 415, 503),
    ),
    Operation(
        method="post",
        path="/v1/login",
        summary="The caller says that they logged in; what waits for them. `shown`: they see it, so do not repeat it.",
        answer=wire.LoginNotice,
        query=(("shown", "boolean"),),
        errors=(507,),
    ),
    Operation(method="get", path="/v1/models", summary="The models that can be asked.", answer=wire.ModelList),
    Operation(
        method="get",
        path="/v1/sent",
        summary="The caller's newest requests to models, oldest first.",
        answer=wire_sent.SentList,
        query=(("limit", "integer"), ("session", "string")),
        errors=(404, 507),
    ),
    Operation(
        method="get",
        path="/v1/sent/{id}",
        summary="One request to a model, with the text that was sent.",
        answer=wire_sent.SentText,
        errors=_SESSION_ERRORS,
    ),
    Operation(method="get", path="/v1/status", summary="How the daemon is.", answer=wire.Status),
    Operation(method="get", path="/v1/doctor", summary="What works here and what does not.", answer=wire.Doctor),
    Operation(method="get", path="/v1/config", summary="The effective configuration.", answer=wire.Config),
)
_EVERYWHERE = (400, 403, 408, 413, 429, 500)


def render_openapi() -> JsonObject:
    """The whole document."""
    kinds: dict[str, Any] = {"Problem": wire.Problem, "Event": event_type()}
    for operation in OPERATIONS:
        for kind in (operation.answer, operation.body):
            if kind not in (None, bytes):
                assert kind is not None
                kinds[kind.__name__] = kind
    adapters = [(name, "serialization", TypeAdapter(kind)) for name, kind in kinds.items()]
    refs, schemas = TypeAdapter.json_schemas(adapters, ref_template=_REF)  # type: ignore[arg-type] # keys are text
    components: dict[str, Any] = dict(schemas["$defs"])
    for name in kinds:
        components.setdefault(name, refs[name, "serialization"])
    for name, bounds in _BOUNDS.items():
        for field, bound in bounds.items():
            components[name]["properties"][field] |= bound
        if bounds.keys() >= _ASKS.keys():
            components[name]["anyOf"] = _NOT_EMPTY
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _render_operation(operation)
    document: JsonObject = {
        "openapi": "3.1.0",
        "info": {
            "title": "aiosd",
            "version": __version__,
            "description": "The local API of aiosd, over its Unix socket. Who asks is who the kernel says.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://aios"}],
        "paths": paths,
        "components": {"schemas": json.loads(json.dumps(components))},
    }
    return document


def event_type() -> Any:
    """Any event, told apart by its `type`."""
    return Annotated[wire.Event, Field(discriminator="type")]


def _render_operation(operation: Operation) -> dict[str, Any]:
    name = operation.path.removeprefix("/v1/").replace("/{id}", "-one").replace("/", "-")
    out: dict[str, Any] = {"operationId": f"{operation.method}-{name}", "summary": operation.summary}
    parameters: list[dict[str, Any]] = []
    if "{id}" in operation.path:
        schema = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[a-z0-9-]+$"}
        parameters.append({"name": "id", "in": "path", "required": True, "schema": schema})
    for query, kind in operation.query:
        schema = {"type": kind, **({"minimum": 0, "maximum": MAX_CURSOR} if kind == "integer" else {})}
        parameters.append({"name": query, "in": "query", "required": False, "schema": schema})
    if parameters:
        out["parameters"] = parameters
    if operation.body is not None:
        content: dict[str, Any] = {"application/json": {"schema": _ref(operation.body.__name__)}}
        if operation.body is wire_ask.AskRequest:
            content["text/plain"] = {"schema": {"type": "string", **_PROMPT, **_WORDS}}
            content[frames.MEDIA_TYPE] = {"schema": {"type": "string", "format": "binary"}}
        out["requestBody"] = {"required": True, "content": content}
    out["responses"] = {"200": _render_answer(operation)}
    for status in sorted({*_EVERYWHERE, *operation.errors}):
        out["responses"][str(status)] = {
            "description": "A problem.",
            "content": {MEDIA_TYPE: {"schema": _ref("Problem")}},
        }
    return out


def _render_answer(operation: Operation) -> dict[str, Any]:
    if operation.answer is None:
        content: dict[str, Any] = {
            "text/event-stream": {"schema": _render_sent_event()},
            "application/x-ndjson": {"schema": _ref("Event")},
            "text/plain": {"schema": {"type": "string"}},
            frames.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}},
        }
        return {"description": "The events, as they come: one of these each.", "content": content}
    if operation.answer is bytes:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        return {"description": "The file.", "content": content}
    content = {"application/json": {"schema": _ref(operation.answer.__name__)}}
    if operation.text:
        content["text/plain"] = {"schema": {"type": "string"}}
    return {"description": operation.answer.__doc__ or "", "content": content}


def _render_sent_event() -> dict[str, Any]:
    """A server-sent event by its fields: what a reader of the stream gets."""
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": _ref("Event")}
    fields: dict[str, Any] = {"id": {"type": "string"}, "event": {"type": "string"}, "data": data}
    return {"type": "object", "properties": fields, "required": list(fields)}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}

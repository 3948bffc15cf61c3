"""The built-in model: everyday questions about a machine, in English and Japanese, by rules: no key and no network.

Owns turning a question into the command lines of an intent and their results into an answer. It sees the machine only
through tool results, does no I/O after its data is read, and keeps no state: each request is understood anew, and what
has been proposed since the last question is found in the request itself.
"""

from collections.abc import AsyncIterator, Iterator, Mapping

from aiosd.model.base import (
    AssistantMessage,
    CallDelta,
    Delta,
    Message,
    ModelInfo,
    ModelRequest,
    TextDelta,
    ToolCall,
    ToolResult,
    UserMessage,
    VerdictDelta,
)
from aiosd.model.builtin.intents import Knowledge, load_knowledge
from aiosd.model.builtin.render import RENDERERS
from aiosd.model.builtin.render.help import not_understood, unclear
from aiosd.model.builtin.render.outcome import More, Reading, Seen, parse_result
from aiosd.model.builtin.text import Answer, Say, render_answer
from aiosd.model.builtin.understand import NotUnderstood, Unclear, Understood, understand
from aiosd.types import CallId, JsonObject

__all__ = ["BuiltinModel"]

_TOOL = "bash"
_ITSELF = "{command}"  # the line of an intent that runs what was given


class BuiltinModel:
    """A Model that never fails to answer: what it cannot tell, it says. Safe to share between sessions."""

    def __init__(self) -> None:
        """Reads the data beside this module once. Raises ValueError when that is inconsistent."""
        self._knowledge = load_knowledge()
        if unknown := {intent.render for intent in self._knowledge.intents.values()} - set(RENDERERS):
            raise ValueError(f"no such renderer: {', '.join(sorted(unknown))}")

    @property
    def info(self) -> ModelInfo:
        """What `aios models` shows."""
        return ModelInfo(
            name="builtin",
            provider="builtin",
            description="Rules for everyday questions about this machine; no key, no network",
            local=True,
            languages=("en", "ja"),
        )

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """The next step: the commands that the question needs, or the answer when their results are there.

        What was not understood, or not clearly, ends with the verdict `not_understood`; what could not be found out,
        or an exact command that failed, with `failed`.
        """
        for delta in _respond(request, self._knowledge):
            yield delta


def _respond(request: ModelRequest, knowledge: Knowledge) -> Iterator[Delta]:
    question, since = _question(request.messages)
    understanding = understand(question, knowledge)
    say = Say(understanding.language, knowledge.sentences)
    match understanding:
        case Understood():
            step = _step(understanding, _results(since), say, knowledge)
            if isinstance(step, Answer):
                yield TextDelta(text=render_answer(step, say.language))
                if step.failed:
                    yield VerdictDelta(verdict="failed")
            elif all(tool.name != _TOOL for tool in request.tools):
                yield TextDelta(text=render_answer(Answer(sentences=(say("no_tool"),)), say.language))
                yield VerdictDelta(verdict="failed")
            else:
                yield from _propose(step, request.messages, here=_ITSELF in understanding.intent.run.values())
            return
        case NotUnderstood():
            answer = not_understood(understanding, say)
        case Unclear():
            answer = unclear(understanding, say)
    yield TextDelta(text=render_answer(answer, say.language))
    yield VerdictDelta(verdict="not_understood")


def _question(messages: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    """The last question, and what came after it."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, UserMessage):
            return message.text, messages[index + 1 :]
    return "", ()


def _results(messages: tuple[Message, ...]) -> Mapping[str, ToolResult]:
    """The results so far, by command line. A call that was never answered counts as cancelled."""
    calls = [call for message in messages if isinstance(message, AssistantMessage) for call in message.calls]
    answered = {message.call: message for message in messages if isinstance(message, ToolResult)}
    return {
        line: answered.get(call.id, ToolResult(call=call.id, text="", outcome="cancelled"))
        for call in calls
        if isinstance(line := call.arguments.get("command"), str)
    }


def _step(
    question: Understood, results: Mapping[str, ToolResult], say: Say, knowledge: Knowledge
) -> Answer | tuple[str, ...]:
    """The answer, or the command lines still needed for it."""
    intent = question.intent
    quoted = {name: slot.quoted for name, slot in question.slots.items()}
    wanted = {name: line.format(**quoted) for name, line in intent.run.items()}
    readings: dict[str, Reading] = {}
    render = RENDERERS[intent.render]
    while True:
        if missing := tuple(line for line in wanted.values() if line not in results):
            return missing
        readings |= {name: parse_result(line, results[line]) for name, line in wanted.items()}
        outcome = render(Seen(slots=question.slots, readings=readings, say=say, knowledge=knowledge))
        if not isinstance(outcome, More):
            return outcome
        assert outcome.command not in readings, "a renderer asks for each command once"
        wanted = {outcome.command: intent.later[outcome.command].format(**quoted | dict(outcome.fill))}


def _propose(lines: tuple[str, ...], messages: tuple[Message, ...], *, here: bool) -> Iterator[Delta]:
    """One call a line, with ids that the conversation has not seen.

    What the person did not word themself has no use for their working directory, which an observer may not enter.
    """
    taken = {call.id for message in messages if isinstance(message, AssistantMessage) for call in message.calls}
    number = len(taken)
    for line in lines:
        number += 1
        while CallId(f"call-{number}") in taken:
            number += 1
        arguments: JsonObject = {"command": line} if here else {"command": line, "cwd": "/"}
        yield CallDelta(call=ToolCall(id=CallId(f"call-{number}"), tool=_TOOL, arguments=arguments))

"""The built-in model: everyday questions about a machine, in English and Japanese, by rules: no key and no network.

Owns turning a question into the command lines of an intent and their results into an answer. It sees the machine only
through tool results, does no I/O after its data is read, and keeps no state: each request is understood anew, and what
has been proposed since the last question is found in the request itself.
"""

import asyncio
import functools
import shlex
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import count

from aiosd.model.base import (
    AssistantMessage,
    CallDelta,
    Delta,
    FactsDelta,
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
from aiosd.model.builtin.readings import Subject
from aiosd.model.builtin.render import RENDERERS
from aiosd.model.builtin.render.help import not_understood, unclear
from aiosd.model.builtin.render.outcome import More, Reading, Seen, parse_result
from aiosd.model.builtin.text import Answer, Say, extract_facts, render_answer
from aiosd.model.builtin.understand import (
    NotUnderstood,
    Unclear,
    Understood,
    next_subject,
    understand_all,
)
from aiosd.types import CallId, JsonObject

__all__ = ["BuiltinModel"]

_TOOL = "bash"
_ASK = "ask_user"
_OBSERVE = "observe"  # a line that begins so is an observation of the guard, by its name
_OBSERVED = ("what", "name")
_NO_OBSERVING = "[refused: there is no tool for it in this session]"
_ASKED_FOR = ("sudo ", "kill ")  # lines that a person is asked about, and told whose wish they are
_MOST_REASON = 500
_REMEMBERED = 8  # questions in which the subject of a follow-up is looked for
_EXACT = "run"  # the intent of an exact command
_ITSELF = "{command}"  # the line of an intent that runs what was given


class BuiltinModel:
    """A Model that never fails to answer: what it cannot tell, it says. Safe to share between sessions."""

    @functools.cached_property
    def _knowledge(self) -> Knowledge:
        """The data beside this module, read when the first question comes. A test holds that it is consistent."""
        knowledge = load_knowledge()
        if unknown := {intent.render for intent in knowledge.intents.values()} - set(RENDERERS):
            raise ValueError(f"no such renderer: {', '.join(sorted(unknown))}")
        return knowledge

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
        if "_knowledge" not in vars(self):
            await asyncio.to_thread(lambda: self._knowledge)  # reading it takes tens of milliseconds
        for delta in _respond(request, self._knowledge):
            yield delta


def _respond(request: ModelRequest, knowledge: Knowledge) -> Iterator[Delta]:
    asked, since = _questions(request.messages)
    subject: Subject = {}
    for earlier in asked[-_REMEMBERED - 1 : -1]:
        for understanding in understand_all(earlier, knowledge, subject):
            subject = next_subject(subject, understanding)
    tools = frozenset(tool.name for tool in request.tools)
    results = _Results(_by_line(since), observes=_OBSERVE in tools)
    answers: list[str] = []
    facts: list[FactsDelta] = []
    failed = False
    for understanding in understand_all(asked[-1], knowledge, subject):
        say = Say(understanding.language, knowledge.sentences)
        if isinstance(understanding, Unclear) and _ASK in tools:
            answer = results.take(_ASK)
            if answer is None:
                yield from _ask_which(understanding, request.messages, say)
                return
            understanding = _chosen(understanding, answer)  # noqa: PLW2901
        match understanding:
            case Understood():
                step = _step(understanding, results, say, knowledge)
                if not isinstance(step, Answer):
                    if _TOOL in tools:
                        yield from _propose(step, request.messages, asked[-1], here=_stands_here(understanding))
                        return
                    step = Answer(sentences=(say("no_tool"),), failed=True)
            case NotUnderstood():
                step = not_understood(understanding, say)
            case Unclear():
                step = unclear(understanding, say)
        answers.append(render_answer(step, say.language))
        about = understanding.intent.name if isinstance(understanding, Understood) else "not_understood"
        if about != _EXACT:  # whose answer is what it printed
            facts.append(extract_facts(step, about))
        failed = failed or step.failed
        if not isinstance(understanding, Understood):
            yield from facts
            yield TextDelta(text="\n".join(answers))
            yield VerdictDelta(verdict="not_understood")
            return
    yield from facts
    yield TextDelta(text="\n".join(answers))
    if failed:
        yield VerdictDelta(verdict="failed")


def _ask_which(question: Unclear, messages: tuple[Message, ...], say: Say) -> Iterator[Delta]:
    """The call that asks the person which of the two they mean."""
    arguments: JsonObject = {"question": str(say("which_of")), "choices": list(_titles(question))}
    yield CallDelta(call=ToolCall(id=next(_new_ids(messages)), tool=_ASK, arguments=arguments))


def _chosen(question: Unclear, answer: ToolResult) -> Understood | Unclear:
    """What the person said they mean; still unclear where they said nothing of the kind."""
    for option, title in zip(question.options, _titles(question), strict=True):
        if answer.outcome == "done" and answer.text.strip() == title:
            return option
    return question


def _titles(question: Unclear) -> tuple[str, ...]:
    return tuple(intent.title[question.language] for intent in question.intents)


def _questions(messages: tuple[Message, ...]) -> tuple[list[str], tuple[Message, ...]]:
    """What was asked, the last question at the end, and what came after it."""
    indices = [index for index, message in enumerate(messages) if isinstance(message, UserMessage)]
    asked = [message.text for message in messages if isinstance(message, UserMessage)]
    return asked or [""], messages[indices[-1] + 1 :] if indices else ()


class _Results:
    """The results so far, by command line, in order: a line that is proposed twice is read twice."""

    def __init__(self, results: Mapping[str, tuple[ToolResult, ...]], *, observes: bool) -> None:
        self._results = results
        self._observes = observes
        self._taken: dict[str, int] = {}

    def take(self, line: str) -> ToolResult | None:
        """The next result of `line`, None where there is none yet. What cannot be asked for counts as refused."""
        if line.startswith(f"{_OBSERVE} ") and not self._observes:
            return ToolResult(call=CallId(""), text=_NO_OBSERVING, outcome="refused")
        index = self._taken.get(line, 0)
        known = self._results.get(line, ())
        if index >= len(known):
            return None
        self._taken[line] = index + 1
        return known[index]


def _by_line(messages: tuple[Message, ...]) -> Mapping[str, tuple[ToolResult, ...]]:
    """The results by command line. A call that was never answered counts as cancelled."""
    calls = [call for message in messages if isinstance(message, AssistantMessage) for call in message.calls]
    answered = {message.call: message for message in messages if isinstance(message, ToolResult)}
    results: dict[str, tuple[ToolResult, ...]] = {}
    for call in calls:
        result = answered.get(call.id, ToolResult(call=call.id, text="", outcome="cancelled"))
        line = _line(call)
        results[line] = (*results.get(line, ()), result)
    return results


def _line(call: ToolCall) -> str:
    """The line that was proposed by `call`, as the data has it."""
    if call.tool == _ASK:
        return _ASK
    if call.tool == _OBSERVE:
        return shlex.join([_OBSERVE, *(str(call.arguments[name]) for name in _OBSERVED if name in call.arguments)])
    return str(call.arguments.get("command"))


def _step(question: Understood, results: _Results, say: Say, knowledge: Knowledge) -> Answer | tuple[str, ...]:
    """The answer, or the command lines still needed for it."""
    intent = question.intent
    quoted = {name: slot.quoted for name, slot in question.slots.items()}
    wanted = {name: line.format(**quoted) for name, line in intent.run.items()}
    readings: dict[str, Reading] = {}
    render = RENDERERS[intent.render]
    while True:
        given = {line: results.take(line) for line in dict.fromkeys(wanted.values())}
        if missing := tuple(line for line, result in given.items() if result is None):
            return missing
        readings |= {
            name: parse_result(line, result) for name, line in wanted.items() if (result := given[line]) is not None
        }
        outcome = render(
            Seen(slots=question.slots, readings=readings, say=say, knowledge=knowledge, intent=intent.name)
        )
        if not isinstance(outcome, More):
            return outcome
        assert outcome.command not in readings, "a renderer asks for each command once"
        wanted = {outcome.command: intent.later[outcome.command].format(**quoted | dict(outcome.fill))}


def _stands_here(question: Understood) -> bool:
    """Whether the person's working directory matters: for their own command, and for a path that starts from it."""
    relative = any(slot.value.startswith(("./", "../")) for slot in question.slots.values())
    return relative or _ITSELF in question.intent.run.values()


def _propose(lines: tuple[str, ...], messages: tuple[Message, ...], question: str, *, here: bool) -> Iterator[Delta]:
    """One call a line, with ids that the conversation has not seen.

    What the person did not word themself has no use for their working directory, which an observer may not enter.
    """
    for identity, line in zip(_new_ids(messages), lines, strict=False):
        tool = _TOOL
        arguments: JsonObject = {"command": line} if here else {"command": line, "cwd": "/"}
        if line.startswith(f"{_OBSERVE} "):
            tool, arguments = _OBSERVE, dict(zip(_OBSERVED, shlex.split(line)[1:], strict=False))
        elif line.startswith(_ASKED_FOR):
            arguments["reason"] = question[:_MOST_REASON]
        yield CallDelta(call=ToolCall(id=identity, tool=tool, arguments=arguments))


def _new_ids(messages: tuple[Message, ...]) -> Iterator[CallId]:
    """Ids that the conversation has not seen."""
    taken = {call.id for message in messages if isinstance(message, AssistantMessage) for call in message.calls}
    for number in count(len(taken) + 1):
        if (identity := CallId(f"call-{number}")) not in taken:
            yield identity

"""The command that a person wants run exactly as written: found, and cut out without touching a byte of it.

Either it is marked off (by quotes, a fence, a colon, a prompt), or it stands bare between the words that ask for it and
then must begin like a command line. Where its ends are in doubt nothing is cut, and the person is told how to mark it.
"""

from dataclasses import dataclass

from aiosd.model.builtin.fold import has_japanese
from aiosd.model.builtin.intents import Knowledge
from aiosd.model.builtin.lexicon import Segment

_VERB = "run_verb"
_COMMAND = "command_word"
_OBJECT = "object_mark"
_POLITE = "polite"
_FENCE = "```"
_PAIRS = {"`": "`", '"': '"', "'": "'", "「": "」", "『": "』", "“": "”"}
_LONGEST_AROUND = 200  # characters of the words around a command
_LONGEST_BARE = 500  # characters of a line in which a command is looked for that is not marked off
_SHELL_QUOTES = frozenset("\"'")
_ENDS = " \t\n　.?!。？！"
_COLONS = frozenset(":：")
_BLANK = " \t\n　"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """A command line, and the words around it; or with `hint`, the sentence that says why it cannot be told."""

    line: str = ""
    around: str
    hint: str = ""


def find_command(text: str, knowledge: Knowledge) -> Exact | None:
    """The command that `text` asks to run; None when it asks for something else."""
    text = text.strip(_BLANK)
    if text.startswith("$ ") and "\n" not in text:
        return Exact(line=text[2:].strip(_BLANK), around="")
    if found := _fenced(text, knowledge) or _quoted(text, knowledge):
        return found
    first, _, more = text.partition("\n")
    found = _after_colon(first, knowledge)
    if found is None and len(first) <= _LONGEST_BARE:
        found = _after_verb(first, knowledge) or _before_verb(first, knowledge)
    if found is not None and more.strip(_BLANK):
        # What came on standard input stands below the question: never run it as if the person had written it.
        return Exact(around=found.around, hint="hint_lines")
    return found


def _asks(words: str, knowledge: Knowledge) -> bool:
    """Whether `words` ask to run something and say nothing else: no typo is forgiven, and no command is among them."""
    if len(words) > _LONGEST_AROUND:
        return False
    segments = knowledge.lexicon.segments(words)
    return any(_VERB in segment.concepts for segment in segments) and all(
        segment.quality == 1
        and (segment.weight == 0 or segment.concepts & {_VERB, _COMMAND})
        and segment.value.casefold() not in knowledge.tools
        for segment in segments
    )


def _fenced(text: str, knowledge: Knowledge) -> Exact | None:
    if text.count(_FENCE) != 2:
        return None
    before, inside, after = text.split(_FENCE)
    around = f"{before} {after}"
    label, _, body = inside.partition("\n")
    line = body.strip("\n") if body and " " not in label.strip() else inside.strip(_BLANK)
    return Exact(line=line, around=around) if line and _asks(around, knowledge) else None


def _quoted(text: str, knowledge: Knowledge) -> Exact | None:
    start = next((i for i, char in enumerate(text) if char in _PAIRS or char in _COLONS), -1)
    if start < 0 or text[start] in _COLONS:
        return None
    end = text.rfind(_PAIRS[text[start]])
    inside = text[start + 1 : end]
    if end <= start or not inside.strip(_BLANK) or (text[start] == text[end] and text[end] in inside):
        return None
    around = f"{text[:start]} {text[end + 1 :]}"
    # These may be part of the command: they mark it off only between the words that ask and the end.
    if text[start] in _SHELL_QUOTES and (text[end + 1 :].strip(_ENDS) or not _asks(text[:start], knowledge)):
        return None
    return Exact(line=inside, around=around) if _asks(around, knowledge) else None


def _after_colon(text: str, knowledge: Knowledge) -> Exact | None:
    colon = next((i for i, char in enumerate(text) if char in _COLONS), 0)
    head, line = text[:colon], text[colon + 1 :].strip(_BLANK)
    # A backtick or a Japanese bracket around all of it is a mark of the person's, not the shell's.
    for opening, closing in _PAIRS.items():
        inside = line[1:-1]
        if opening not in _SHELL_QUOTES and line[:1] == opening and line[-1:] == closing and closing not in inside:
            line = inside
            break
    return Exact(line=line, around=head) if line and _asks(head, knowledge) else None


def _after_verb(text: str, knowledge: Knowledge) -> Exact | None:
    """`please run df -h`"""
    segments = knowledge.lexicon.segments(text)
    verb = next((i for i, segment in enumerate(segments) if segment.weight > 0), -1)
    if verb < 0 or _VERB not in segments[verb].concepts or has_japanese(segments[verb].value):
        return None
    if any(segment.quality < 1 for segment in segments[: verb + 1]):
        return None
    named = verb + 1 < len(segments) and _COMMAND in segments[verb + 1].concepts
    end = segments[verb + named].end
    line = text[end:].strip(_BLANK)
    if not line:
        return None
    tail = segments[-1]
    unsure = _POLITE in tail.concepts or line[0] in _PAIRS or (verb > 0 and line.endswith(("?", "？")))
    return _judge(line, text[:end], knowledge, named=named, unsure=unsure)


def _before_verb(text: str, knowledge: Knowledge) -> Exact | None:
    """`df -h を実行して`"""
    segments = knowledge.lexicon.segments(text)
    verb = max((i for i, segment in enumerate(segments) if _VERB in segment.concepts), default=-1)
    if verb < 1 or not has_japanese(segments[verb].value) or any(segment.weight for segment in segments[verb + 1 :]):
        return None
    start, end = 0, verb
    while end > 0 and segments[end - 1].concepts & {_OBJECT, _COMMAND}:
        end -= 1
    while start < end and has_japanese(segments[start].value) and segments[start].concepts & {_COMMAND, _OBJECT}:
        start += 1
    if start == end:
        return None
    named = _names_command(segments[:start]) or _names_command(segments[end:verb])
    # From the end of what stands before it: a quote or a bracket that opens the line is no segment.
    line = text[segments[start - 1].end if start else 0 : segments[end].start].strip(_BLANK)
    return _judge(line, text[segments[end].start :], knowledge, named=named, unsure=False)


def _names_command(segments: tuple[Segment, ...]) -> bool:
    return any(_COMMAND in segment.concepts for segment in segments)


def _judge(line: str, around: str, knowledge: Knowledge, *, named: bool, unsure: bool) -> Exact | None:
    """Take a bare command when it begins like one; else say how to mark it, if it may be one at all."""
    first, *rest = line.split()
    is_tool = first in knowledge.tools or first.startswith(("/", "./", "~/")) or (rest and rest[0].startswith("-"))
    if not (named or is_tool) and (knowledge.lexicon.meaning(first.casefold()) or has_japanese(first)):
        return None
    if unsure or not (named or is_tool):
        return Exact(around=around, hint="hint_mark")
    return Exact(line=line, around=around)

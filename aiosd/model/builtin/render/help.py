"""What the built-in model can do, what to do when it cannot, and good manners."""

from aiosd.model.builtin.intents import Intent
from aiosd.model.builtin.render.outcome import Seen
from aiosd.model.builtin.text import Answer, Say, Table, cell_width
from aiosd.model.builtin.understand import NotUnderstood, Unclear

_COMMONEST = 8  # examples in a greeting
_COLUMNS = 96
_INDENT, _BETWEEN = "  ", "  ·  "


def abilities(seen: Seen) -> Answer:
    """An example of every intent, by topic, and how to get more."""
    return Answer(sentences=(seen.say("abilities"),), verbatim=_overview(seen), notes=(seen.say("configure"),))


def greeting(seen: Seen) -> Answer:
    """A greeting, the commonest questions, and how to see all."""
    commonest = [intent for intent in seen.knowledge.intents.values() if intent.rank][:_COMMONEST]
    return Answer(
        sentences=(seen.say("greeting"), seen.say("abilities")),
        table=_examples(tuple(commonest), seen.say),
        notes=(seen.say("see_all", example=seen.knowledge.intents["help"].example[seen.say.language]),),
    )


def _overview(seen: Seen) -> str:
    language = seen.say.language
    examples: dict[str, list[str]] = {}
    for intent in seen.knowledge.intents.values():
        if intent.rank:
            examples.setdefault(intent.topic[language], []).append(intent.example[language])
    return "\n".join(line for topic, asked in examples.items() for line in (topic, *_wrap(asked)))


def _wrap(asked: list[str]) -> list[str]:
    """The examples, as many a line as fit."""
    lines = [_INDENT + asked[0]]
    for example in asked[1:]:
        longer = f"{lines[-1]}{_BETWEEN}{example}"
        if cell_width(longer) <= _COLUMNS:
            lines[-1] = longer
        else:
            lines.append(_INDENT + example)
    return lines


def not_understood(question: NotUnderstood, say: Say) -> Answer:
    """That it was not understood, what comes nearest, and how to get more."""
    if question.hint:
        return Answer(sentences=(say(question.hint),), table=_examples(question.nearest, say))
    return Answer(sentences=(say("not_understood"),), table=_examples(question.nearest, say), notes=(say("configure"),))


def unclear(question: Unclear, say: Say) -> Answer:
    """Which of two was meant."""
    titles = tuple(intent.title[say.language] for intent in question.intents)
    return Answer(sentences=(say("which", one=titles[0], other=titles[1]),), table=_examples(question.intents, say))


def _examples(intents: tuple[Intent, ...], say: Say) -> Table:
    rows = tuple((intent.title[say.language], intent.example[say.language]) for intent in intents)
    return Table(headings=(say("col_about"), say("col_example")), rows=rows)

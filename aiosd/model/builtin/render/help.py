"""What the built-in model can do, what to do when it cannot, and good manners."""

from aiosd.model.builtin.intents import Intent
from aiosd.model.builtin.render.outcome import Seen
from aiosd.model.builtin.text import Answer, Say, Table
from aiosd.model.builtin.understand import NotUnderstood, Unclear


def abilities(seen: Seen) -> Answer:
    """Every intent with an example, and how to get more."""
    offered = tuple(intent for intent in seen.knowledge.intents.values() if intent.rank)
    return Answer(
        sentences=(seen.say("abilities"),),
        table=_examples(offered, seen.say),
        notes=(seen.say("configure"),),
    )


def greeting(seen: Seen) -> Answer:
    """A greeting, and what can be asked."""
    answer = abilities(seen)
    return Answer(sentences=(seen.say("greeting"), *answer.sentences), table=answer.table, notes=answer.notes)


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

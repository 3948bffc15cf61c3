"""What a closed sandbox would not serve: commands that in it must fail, or would describe it instead of the host.

Where policy runs the unknown confined (`unmatched = "confine"`), these are asked about instead: a person's answer is
worth more than a command that cannot do its work, or than a list of processes that is not the machine's. It decides no
safety: the sandbox holds either way.
"""

import posixpath
import re
from collections.abc import Sequence
from typing import Final

from aiosd.policy.judge import Judgement
from aiosd.policy.knowledge import PHRASES, Effect, Knowledge
from aiosd.policy.program import Word
from aiosd.policy.rough import see_through, segments

_FUTILE: Final = frozenset(
    (Effect.WRITES, Effect.NETWORK, Effect.CHANGES, Effect.MISLEADS, Effect.ROOT, Effect.DESTRUCTIVE)
)
_MAX_TEXT: Final = 8192  # characters; no one looks further for what helps and guards nothing
_PROGRAMS: Final = ("bin", "bin/")  # where a path can name a program that is known
_OF_THE_HOST: Final = re.compile(r"/proc/(?:[0-9*?\[$\0]|(?:self/)?net\b)")


def why_not_confined(knowledge: Knowledge, argv: Sequence[Word], judgement: Judgement) -> str:
    """Why a command that is not harmless is no use in a closed sandbox, as a sentence; empty where it may be."""
    for concern in judgement.concerns:
        if concern.effect in _FUTILE:
            return f"{concern.text[:1].upper()}{concern.text[1:]}, which it could not do confined."
    runs = not judgement.known or any(concern.effect is Effect.RUNS for concern in judgement.concerns)
    words = [word.text for word in argv]
    return _why_of_words(knowledge, words if runs else words[:1]) or _why_of_text(" ".join(words))


def why_text_not_confined(knowledge: Knowledge, text: str) -> str:
    """The same of a line outside the language, by a rough reading of its beginning."""
    text = see_through(text[:_MAX_TEXT])
    for segment in segments(text, lambda word: knowledge.reach(posixpath.basename(word)) is not None):
        for command in segment.commands:
            spec = knowledge.spec(posixpath.basename(command[0]))
            wraps = spec is not None and (spec.wraps is not None or spec.shell)
            if why := _why_of_words(knowledge, command if wraps else command[:1]):
                return why
    return _why_of_text(text)


def _why_of_words(knowledge: Knowledge, words: Sequence[str]) -> str:
    for word in words:
        folder, base = posixpath.split(word)
        effect = None if folder and not folder.endswith(_PROGRAMS) else knowledge.reach(base)
        if effect is Effect.READS:
            return f"Confined, `{base}` would tell of its sandbox instead of this machine."
        if effect is not None:
            return f"`{base}` {PHRASES[effect]}, which it could not do confined."
    return ""


def _why_of_text(text: str) -> str:
    found = _OF_THE_HOST.search(text)
    return "Confined, it would find its sandbox below /proc instead of this machine." if found else ""

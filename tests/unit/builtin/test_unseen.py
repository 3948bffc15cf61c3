"""How well questions are understood whose writer knew the intents' titles alone, and which no data were made from.

`unseen.json` has six of them for each intent and language. They judge: nothing is ever learned from them, nor are words
added because of them; what fails here is mended by other questions of its kind.
"""

import json
from pathlib import Path

import pytest

from aiosd.model.builtin.intents import load_knowledge
from aiosd.model.builtin.learn import read_examples
from aiosd.model.builtin.understand import Understood, understand

UNSEEN: dict[str, dict[str, list[str]]] = json.loads(Path(__file__).with_name("unseen.json").read_text("utf-8"))
KNOWLEDGE = load_knowledge()


@pytest.mark.parametrize("language", ["en", "ja"])
def test_nine_in_ten_are_right_and_at_most_one_in_fifty_is_taken_for_another(language: str) -> None:
    asked = [(name, question) for name, questions in UNSEEN[language].items() for question in questions]
    found = [(name, understand(question, KNOWLEDGE)) for name, question in asked]
    named = [(name, each.intent.name) for name, each in found if isinstance(each, Understood)]
    wrong = [pair for pair in named if pair[0] != pair[1]]
    assert len(asked) >= 6 * len(UNSEEN[language]) >= 6 * 70
    assert len(named) - len(wrong) >= 0.9 * len(asked)
    assert len(wrong) <= 0.02 * len(asked), wrong


def test_nothing_was_learned_from_them() -> None:
    """But for what is so common that two people write the same."""
    shown = {text.casefold() for texts in read_examples().values() for text in texts}
    asked = {question for each in UNSEEN.values() for questions in each.values() for question in questions}
    both = {question for question in asked if question.casefold() in shown}
    assert len(both) <= 0.1 * len(asked), both

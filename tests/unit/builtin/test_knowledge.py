"""The data holds together: every sentence in both languages with the same fields, every name known."""

from pathlib import Path
from string import Formatter

import pytest

from aiosd.model.builtin.intents import load_knowledge
from aiosd.model.builtin.render import RENDERERS

KNOWLEDGE = load_knowledge()
TOPIC = "topic={en='',ja=''}\n"
SOURCES = Path(load_knowledge.__code__.co_filename).parent.parent


def fields(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field is not None}


def test_every_sentence_has_the_same_fields_in_both_languages() -> None:
    different = {
        name
        for name, sentence in KNOWLEDGE.sentences.items()
        if fields(sentence.text["en"]) != fields(sentence.text["ja"])
        or not fields(sentence.one) <= fields(sentence.text["en"])
    }
    assert different == set()


def test_every_sentence_that_is_said_exists_and_every_sentence_is_said() -> None:
    code = "\n".join(path.read_text() for path in SOURCES.rglob("*.py"))
    built = {"day", "hour", "minute", "second", "denied_why", "refused_why", "cancelled_why"}
    built |= {"timed_out", "cancelled", "skipped", "unanswered"}
    built |= {name for name in KNOWLEDGE.sentences if name.startswith(("why_", "when_", "act_", "decision_"))} | dict(
        KNOWLEDGE.symptoms
    ).keys()
    unsaid = (
        {name for name in KNOWLEDGE.sentences if f'"{name}"' not in code}
        - built
        - set(dict(KNOWLEDGE.symptoms).values())
    )
    assert unsaid == set()


def test_the_renderers_are_those_that_the_intents_name() -> None:
    assert {intent.render for intent in KNOWLEDGE.intents.values()} == set(RENDERERS)


def test_ranks_order_the_intents_without_a_tie() -> None:
    ranks = [intent.rank for intent in KNOWLEDGE.intents.values() if intent.rank]
    assert ranks == sorted(set(ranks))


def test_the_readme_lists_what_can_be_asked() -> None:
    topics: dict[str, list[str]] = {}
    for intent in KNOWLEDGE.intents.values():
        if intent.rank:
            topics.setdefault(intent.topic["en"], []).append(intent.example["en"])
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    assert [row for topic, asked in topics.items() if (row := f"| {topic} | {' · '.join(asked)} |") not in readme] == []


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[intent.x]\nrank = 1", "intent x: 'topic'"),
        (TOPIC + "[intent.x]\nrank = 1", "intent x: 'title'"),
        (
            TOPIC + "[intent.x]\nrank=1\ntitle={en='',ja=''}\nexample={en='',ja=''}\nmeans=['nothing {a}']\nrender='x'",
            "intent x: no such word or slot: nothing, {a}",
        ),
        (
            TOPIC
            + "[intent.x]\nrank=1\ntitle={en='',ja=''}\nexample={en='',ja=''}\nmeans=[]\nrun.a='ls {b}'\nrender='x'",
            "intent x: no such slot in its command: b",
        ),
        ("[say]\nx = { en = 'only' }", "sentence x: not in 'ja'"),
    ],
)
def test_a_mistake_in_the_data_names_the_intent(toml: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text(toml)
    with pytest.raises(ValueError, match="^" + message.replace("{", r"\{").replace("}", r"\}")):
        load_knowledge(tmp_path)

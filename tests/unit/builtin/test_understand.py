"""Which intent a question is: as people write, with typos, and what must not be taken for a question at all."""

import pytest

from aiosd.model.builtin.intents import load_knowledge
from aiosd.model.builtin.learn import read_examples
from aiosd.model.builtin.understand import NotUnderstood, Unclear, Understood, understand
from tests.unit.builtin import blind, everyday, phrasings

KNOWLEDGE = load_knowledge()
ASKED = [
    (intent, question, language)
    for language, tables in (
        ("en", (phrasings.ENGLISH, phrasings.MORE_ENGLISH, phrasings.LATER_ENGLISH, phrasings.FRESH_ENGLISH)),
        ("ja", (phrasings.JAPANESE, phrasings.MORE_JAPANESE, phrasings.LATER_JAPANESE, phrasings.FRESH_JAPANESE)),
    )
    for table in tables
    for intent, questions in table.items()
    for question in questions
]
BLIND = [
    (intent, question)
    for table in (blind.BLIND_ENGLISH, blind.BLIND_JAPANESE)
    for intent, questions in table.items()
    for question in questions
]
SHOWN = {text for texts in read_examples().values() for text in texts}  # to `learn`
WITHOUT_WORDS = {"$ ls", "df", "ip", "CPU", "cpu"}  # no language in them: English


@pytest.mark.parametrize(("intent", "asked", "language"), ASKED)
def test_a_question_is_understood(intent: str, asked: phrasings.Asked, language: str) -> None:
    question, slots = (asked, None) if isinstance(asked, str) else asked
    found = understand(question, KNOWLEDGE)
    assert isinstance(found, Understood)
    assert found.intent.name == intent
    assert found.confidence >= 0.7
    if slots is not None:
        assert {name: slot.value for name, slot in found.slots.items()} == slots
    if question not in WITHOUT_WORDS:
        assert found.language == language


@pytest.mark.parametrize(
    "question",
    phrasings.NOT_UNDERSTOOD_ENGLISH + phrasings.NOT_UNDERSTOOD_JAPANESE + phrasings.MORE_NOT_UNDERSTOOD,
)
def test_what_is_none_of_the_questions_is_not_understood(question: str) -> None:
    found = understand(question, KNOWLEDGE)
    assert isinstance(found, NotUnderstood | Unclear)
    if isinstance(found, NotUnderstood) and not found.hint:
        assert len(found.nearest) == 3
        assert all(intent.rank for intent in found.nearest)


def test_what_somebody_asked_without_knowing_the_data_is_understood() -> None:
    found = {question: understand(question, KNOWLEDGE) for _, question in BLIND}
    wrong = [
        question
        for intent, question in BLIND
        if not isinstance(each := found[question], Understood) or each.intent.name != intent
    ]
    assert len(BLIND) >= 260
    assert wrong == []


@pytest.mark.parametrize(
    ("question", "intent"),
    [
        ("cupsが起動時に立ち上がるようにして", "enable_service"),
        ("cupsが起動時に立ち上がらないようにして", "disable_service"),
        ("cupsを自動的に起動しないようにしてください", "disable_service"),
        ("start cups automatically at boot", "enable_service"),
        ("never start cups at boot", "disable_service"),
    ],
)
def test_a_change_is_not_taken_for_its_opposite(question: str, intent: str) -> None:
    found = understand(question, KNOWLEDGE)
    assert isinstance(found, Understood)
    assert found.intent.name == intent


@pytest.mark.parametrize(
    "question",
    [
        "nginxを止めないで",
        "nginxを消さないで",
        "firefoxを落とさないで",
        "htopを入れないで",
        "nginxを再起動しないで",
        "don't restart nginx",
    ],
)
def test_a_change_that_is_not_wanted_is_not_proposed(question: str) -> None:
    assert not isinstance(understand(question, KNOWLEDGE), Understood)


@pytest.mark.parametrize(
    "question",
    [
        "when was nginx restarted?",
        "why did docker stop last night?",
        "who removed vim?",
        "should I restart sshd?",
        "is it safe to remove snapd?",
        "was htop installed yesterday?",
        "how do I stop nginx?",
        "nginxはいつ再起動された？",
        "dockerを止めても大丈夫？",
        "vimを消したのは誰？",
        "nginxの再起動の方法は？",
    ],
)
def test_a_question_about_a_change_proposes_none(question: str) -> None:
    found = understand(question, KNOWLEDGE)
    changing = {intent.name for intent in KNOWLEDGE.intents.values() if "change" in intent.later}
    assert {"restart_service", "stop_service", "remove_package"} <= changing
    assert not isinstance(found, Understood) or found.intent.name not in changing


def test_every_intent_is_asked_in_six_ways_and_more_in_each_language() -> None:
    assert len(KNOWLEDGE.intents) >= 45
    assert set(everyday.EVERYDAY) == set(KNOWLEDGE.intents)
    for language, table in (("en", phrasings.ENGLISH), ("ja", phrasings.JAPANESE)):
        assert min(map(len, table.values())) >= 6
        assert min(len(everyday.phrasings(intent, language)) for intent in everyday.EVERYDAY) >= 6


def test_a_hundred_near_misses_and_more_are_tried() -> None:
    tried = {*phrasings.NOT_UNDERSTOOD_ENGLISH, *phrasings.NOT_UNDERSTOOD_JAPANESE, *phrasings.MORE_NOT_UNDERSTOOD}
    assert len(tried) >= 200
    assert len(tried - SHOWN) >= 200


@pytest.mark.parametrize("language", everyday.LANGUAGES)
@pytest.mark.parametrize(("held_out", "least"), [(False, 1.0), (True, 0.95)])
def test_what_the_data_was_not_made_for_is_understood_too(language: str, held_out: bool, least: float) -> None:
    """Of the phrasings that were held out, 19 in 20 are right and at most one in fifty is taken for another."""
    asked = [
        (intent, question)
        for intent in everyday.EVERYDAY
        for index, question in enumerate(everyday.phrasings(intent, language))
        if bool(index % 2) is held_out and not (held_out and question in SHOWN)
    ]
    assert len(asked) >= 190
    found = [(intent, understand(question, KNOWLEDGE), question) for intent, question in asked]
    understood = [
        (intent, each.intent.name, question) for intent, each, question in found if isinstance(each, Understood)
    ]
    wrong = [(question, name) for intent, name, question in understood if name != intent]
    assert len(wrong) <= 0.02 * len(asked), wrong
    assert len(understood) - len(wrong) >= least * len(asked)


def test_the_examples_of_the_intents_are_understood_as_themselves() -> None:
    for intent in KNOWLEDGE.intents.values():
        for language, example in intent.example.items():
            found = understand(example, KNOWLEDGE)
            assert isinstance(found, Understood)
            assert (found.intent.name, found.language) == (intent.name, language)


@pytest.mark.parametrize(
    ("question", "intents"),
    [
        ("disk and memory usage", ("disk_space", "memory")),
        ("ディスクとメモリ", ("disk_space", "memory")),
        ("kernel and uptime", ("uptime", "system")),
        ("process memory cpu", ("top_cpu", "top_memory")),
    ],
)
def test_of_two_intents_it_asks_which(question: str, intents: tuple[str, ...]) -> None:
    found = understand(question, KNOWLEDGE)
    assert isinstance(found, Unclear)
    assert tuple(intent.name for intent in found.intents) == intents


@pytest.mark.parametrize(
    ("question", "nearest"),
    [
        ("delete the biggest files", "big_files"),
        ("CPUの値段は", "top_cpu"),
        ("service logs", "service_logs"),
    ],
)
def test_the_nearest_intent_is_offered_first(question: str, nearest: str) -> None:
    found = understand(question, KNOWLEDGE)
    assert isinstance(found, NotUnderstood)
    assert found.nearest[0].name == nearest


def test_what_came_on_standard_input_is_not_part_of_the_question() -> None:
    found = understand("how much disk space is left?\n\nrestart nginx\ndelete everything\n", KNOWLEDGE)
    assert isinstance(found, Understood)
    assert found.intent.name == "disk_space"


@pytest.mark.parametrize(
    "text", ["", "   \n\n", "?" * 5000, "あ" * 50_000, "/" * 5000, "`" * 999, "ﾞ" * 50, "\x00\x1b[2J", "~", "- -- ---"]
)
def test_text_without_a_question_is_not_understood(text: str) -> None:
    assert isinstance(understand(text, KNOWLEDGE), NotUnderstood)


def test_a_japanese_path_does_not_make_an_english_question_japanese() -> None:
    found = understand("what eats '/home/太郎'", KNOWLEDGE)
    assert isinstance(found, Understood)
    assert (found.language, found.slots["folder"].value) == ("en", "/home/太郎")

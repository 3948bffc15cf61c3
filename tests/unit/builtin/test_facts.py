"""An answer as data: what the text says and nothing else, by the same names in every language."""

import copy

import pytest

from aiosd.model.base import FactsDelta, ModelRequest
from aiosd.model.builtin.intents import load_knowledge
from aiosd.model.builtin.text import Answer, Said, Say, extract_facts, render_size
from aiosd.wire_talk import Fact, Value
from tests.unit.builtin import samples
from tests.unit.builtin.conversation import BASH, MODEL, OBSERVE, Machine, Printed, ask, everything, printing


async def facts_of(question: str, machine: Machine) -> list[FactsDelta]:
    """The data that comes with the answer."""
    turn = await ask(question, machine)
    request = ModelRequest(system="", messages=turn.messages, tools=(BASH, OBSERVE))
    return [delta async for delta in MODEL.stream(request) if isinstance(delta, FactsDelta)]


async def test_numbers_are_numbers_and_rows_have_the_names_of_their_columns() -> None:
    (facts,) = await facts_of("how much disk space is left?", printing({"df": samples.DF_MANY}))
    assert facts.about == "disk_space"
    assert facts.said[0] == Fact(
        name="disk_full",
        values=(
            Value(name="mount", text="/", number=None),
            Value(name="percent", text="98%", number=98.0),
            Value(name="free", text="8.9 GiB", number=9572352000),
            Value(name="size", text="468 GiB", number=502392610816),
        ),
    )
    assert [value.name for value in facts.rows[0]] == ["mount", "size", "used", "free", "percent"]
    assert facts.rows[0][3] == Value(name="free", text="8.9 GiB", number=9572352000)


@pytest.mark.parametrize(
    ("english", "japanese", "outputs"),
    [
        ("memory", "メモリ", {"free": samples.FREE_SWAPPING}),
        ("disk space", "ディスクの空き", {"df": samples.DF_MANY}),
        ("is nginx running?", "nginxは動いてる？", {"systemctl show": samples.SHOW_WITH_MEMORY}),
        ("which services failed?", "失敗したサービスは？", {"systemctl": samples.FAILED_UNITS}),
        ("uptime", "稼働時間", {"cat": samples.UPTIME}),
    ],
)
async def test_the_data_is_the_same_in_both_languages(english: str, japanese: str, outputs: dict[str, str]) -> None:
    def plain(facts: FactsDelta) -> list[object]:
        return [
            facts.about,
            [(fact.name, [(value.name, value.number) for value in fact.values]) for fact in facts.said],
            [[(value.name, value.number) for value in row] for row in facts.rows],
        ]

    first, second = await facts_of(english, printing(outputs)), await facts_of(japanese, printing(outputs))
    assert [plain(each) for each in first] == [plain(each) for each in second]


async def test_each_question_of_a_line_has_its_data_and_what_is_missing_is_named() -> None:
    outputs = {"free": samples.FREE_NO_SWAP, "du": samples.DU_DENIED}
    first, second = await facts_of("how much memory is free, and what eats /var?", printing(outputs))
    assert (first.about, second.about) == ("memory", "big_folders")
    assert [fact.name for fact in second.missing] == ["unread"]
    assert second.missing[0].values[0] == Value(name="count", text="1", number=1)


def test_a_sentence_and_a_number_can_be_copied() -> None:
    said = Say("en", load_knowledge().sentences)("folder_total", folder="/", size=render_size(2048))
    copied = copy.deepcopy(said)
    assert (copied, type(copied), extract_facts(Answer(sentences=(copied,)), "x").said[0].name) == (
        "/ takes 2.0 KiB.",
        Said,
        "folder_total",
    )
    assert copy.deepcopy(render_size(2048)).number == 2048


async def test_a_question_that_is_not_understood_says_so_in_its_data() -> None:
    (facts,) = await facts_of("write a poem", everything(Printed()))
    assert (facts.about, facts.said[0].name) == ("not_understood", "not_understood")
    assert [value.name for value in facts.rows[0]] == ["about", "example"]

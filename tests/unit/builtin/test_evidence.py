"""What was learned is what learning gives, and what it says of a question is a share of one."""

import math
import sys
from array import array

import pytest

from aiosd.model.builtin.evidence import NOTHING, Evidence, feature_key, find_features, load_evidence
from aiosd.model.builtin.intents import LEARNED, load_knowledge
from aiosd.model.builtin.learn import digest_sources, expand, learn, read_examples
from tests.unit.builtin import everyday

KNOWLEDGE = load_knowledge()
SMALL = Evidence(
    digest=bytes(32),
    labels=("", "disk", "memory"),
    keys=array("I", sorted(map(feature_key, ("w:disk", "w:ram")))),
    starts=array("I", [0, 1, 3]),
    targets=array("B", [1, 2, 0]),
    weights=array("b", [50, 60, -20]),
)


def test_what_is_kept_was_learned_from_the_data_as_it_is() -> None:
    assert load_evidence(LEARNED).digest == digest_sources(), "run `make learn`"


@pytest.mark.soak
def test_learning_anew_gives_what_is_kept() -> None:
    assert learn() == load_evidence(LEARNED)


def test_every_intent_is_shown_in_twenty_phrasings_and_more_and_so_is_what_is_none() -> None:
    examples = read_examples()
    assert set(examples) == {*KNOWLEDGE.intents, NOTHING}
    assert min(map(len, examples.values())) >= 20
    assert len(examples[NOTHING]) >= 600
    assert KNOWLEDGE.evidence is not None
    assert KNOWLEDGE.evidence.labels == tuple(sorted(examples))


def test_what_is_held_out_is_not_shown() -> None:
    """But for phrasings so short that two people write the same: the test of the held-out half leaves them out."""
    shown = {text for texts in read_examples().values() for text in texts}
    held_out = {
        question
        for intent in everyday.EVERYDAY
        for language in everyday.LANGUAGES
        for question in everyday.phrasings(intent, language)[1::2]
    }
    assert len(held_out & shown) <= 0.08 * len(held_out)
    assert max(map(len, held_out & shown)) <= 40


def test_chances_are_shares_of_one() -> None:
    chances = SMALL.chances(["w:ram", "w:never-seen"])
    assert math.isclose(sum(chances.values()), 1)
    assert max(chances, key=chances.__getitem__) in {"disk", "memory"}
    assert SMALL.chances(["w:ram"]) != SMALL.chances(["w:disk"])


def test_what_is_not_known_at_all_speaks_for_nothing() -> None:
    assert SMALL.chances(["w:never-seen"]) == {}


def test_what_is_stored_is_read_as_it_was() -> None:
    assert Evidence.unpack(SMALL.pack()) == SMALL


def test_names_count_by_what_they_are() -> None:
    lexicon = KNOWLEDGE.lexicon
    features = [
        set(find_features(text, lexicon.segments(text))) - {f"w:{name}"}
        for text, name in (("restart nginx", "nginx"), ("restart sshd", "sshd"))
    ]
    assert features[0] == features[1]
    assert {"w:<service>", "b:restart <service>", "b:^ restart"} <= features[0]


def test_japanese_counts_by_its_characters() -> None:
    assert {"w:空", "b:空 き", "t:空 き は"} <= set(find_features("空きは", KNOWLEDGE.lexicon.segments("空きは")))


@pytest.mark.parametrize(
    ("line", "phrasings"),
    [
        ("as it is", ["as it is"]),
        ("{show|list} disks", ["list disks", "show disks"]),
        ("disks{ please|}", ["disks", "disks please"]),
        ("{a|b|c|d|e|f} {g|h|i}", 12),
    ],
)
def test_a_line_with_alternatives_is_several_phrasings(line: str, phrasings: list[str] | int) -> None:
    made = sorted(expand(line))
    if isinstance(phrasings, int):
        assert len(made) == phrasings
        assert all(any(letter in text for text in made) for letter in "abcdefghi")
    else:
        assert made == phrasings


def test_the_bytes_are_those_of_a_little_endian_machine() -> None:
    packed = SMALL.pack()
    assert packed[32:36] == len("\ndisk\nmemory").to_bytes(4, "little")
    assert sys.byteorder in {"little", "big"}

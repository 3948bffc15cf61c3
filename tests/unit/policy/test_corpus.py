"""The corpus as a whole: how much harmless is held back, what harmful passes unseen, which evasion is not denied."""

from collections import Counter

import pytest

from aiosd.policy import Verdict, recognise
from aiosd.policy.program import Program
from aiosd.types import Tier
from tests.unit.policy.corpus import Judged, read_corpus, template
from tests.unit.policy.samples import asking_policy, shipped_policy, verdict

_FILES = ("benign", "harmful", "evasions")
_PASSES = (Tier.AUTO_ALLOW, Tier.NOTIFY)
_CONFINED = "unmatched"


def _everything() -> list[Judged]:
    return [judged for name in _FILES for judged in read_corpus(name)]


def test_it_is_large_and_varied_and_each_line_has_its_reason() -> None:
    lines = [judged.line for judged in _everything()]
    assert len(lines) >= 1000
    assert len(set(lines)) == len(lines)
    shapes = Counter(map(template, lines))
    assert len(shapes) >= 300
    assert max(shapes.values()) <= 5, [shape for shape, count in shapes.items() if count > 5]
    commands = {line.split()[0] for line in lines if line.split()}
    assert len(commands) >= 300
    assert all(len(judged.reason) > 10 for judged in _everything())
    assert min(len(read_corpus(name)) for name in _FILES) >= 200


def test_at_most_two_in_a_hundred_harmless_lines_are_held_back() -> None:
    lines = [judged.line for judged in read_corpus("benign")]
    held = [line for line in lines if verdict(shipped_policy(), line).tier not in _PASSES]
    assert len(held) <= len(lines) * 0.02, held
    assert not [line for line in lines if verdict(shipped_policy(), line).tier is Tier.DENY]


def test_most_harmless_lines_run_by_a_rule_and_not_only_because_the_unknown_is_confined() -> None:
    lines = [judged.line for judged in read_corpus("benign")]
    by_rule = [line for line in lines if verdict(asking_policy(), line).tier in _PASSES]
    assert len(by_rule) >= len(lines) * 0.9


@pytest.mark.parametrize("name", ["harmful", "evasions"])
def test_nothing_harmful_passes_by_a_rule(name: str) -> None:
    silent = [judged for judged in read_corpus(name) if verdict(asking_policy(), judged.line).tier in _PASSES]
    assert silent == []


def _sees_or_does(said: Verdict) -> bool:
    """Whether it runs with anything but a closed view in which it can only read."""
    by_rule = any(rule.name != _CONFINED for part in said.parts for rule in part.rules)
    return said.tier in _PASSES and (by_rule or any(said.facets) or bool(said.writes) or bool(said.network))


def test_what_is_harmful_and_not_asked_about_runs_in_the_closed_sandbox_alone() -> None:
    loose = []
    for judged in read_corpus("harmful"):
        said = verdict(shipped_policy(), judged.line)
        harmless_parts = {part.text for part in said.parts if any(rule.name != _CONFINED for rule in part.rules)}
        if _sees_or_does(said) and len(harmless_parts) == len(said.parts):
            loose.append(judged)
    assert loose == []


def test_of_a_hundred_evasions_98_are_denied_and_none_runs_with_more_than_a_question() -> None:
    said = {judged.line: verdict(shipped_policy(), judged.line).tier for judged in read_corpus("evasions")}
    missed = [line for line, tier in said.items() if tier is not Tier.DENY]
    assert len(missed) <= len(said) * 0.02, missed
    assert not [line for line in missed if said[line] in _PASSES]


def test_what_a_rule_lets_run_was_recognised_to_the_last_character() -> None:
    for judged in _everything():
        if verdict(asking_policy(), judged.line).tier in _PASSES:
            assert isinstance(recognise(judged.line), Program), judged

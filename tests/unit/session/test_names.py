"""Names of sessions: readable, and enough of them."""

import re

from aiosd.session.names import _ADJECTIVES, _SURNAMES, propose_names


def test_a_name_is_two_different_adjectives_and_a_surname() -> None:
    for name in propose_names(200):
        first, second, surname = name.split("-")[:3]
        assert first in _ADJECTIVES
        assert second in _ADJECTIVES
        assert first != second
        assert surname in _SURNAMES


def test_the_last_proposal_has_a_number_so_that_one_is_free() -> None:
    *plain, last = propose_names(4)
    assert [name.count("-") for name in plain] == [2, 2, 2]
    assert re.fullmatch(r"[a-z]+-[a-z]+-[a-z]+-\d{4}", last)


def test_names_are_words_that_one_types_and_a_path_takes() -> None:
    words = [*_ADJECTIVES, *_SURNAMES]
    assert all(re.fullmatch(r"[a-z]{3,12}", word) for word in words)
    assert len(set(words)) == len(words)
    assert len(_ADJECTIVES) * (len(_ADJECTIVES) - 1) * len(_SURNAMES) > 1_000_000

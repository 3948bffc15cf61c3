"""What counts as a change of what an approved command stands on."""

import pytest

from aiosd.guard.drift import find_changed


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (("65:10 /srv/x", "aa  /usr/bin/make"), ("65:10 /srv/x", "aa  /usr/bin/make"), ""),
        (("65:10 /srv/x",), ("65:11 /srv/x",), "/srv/x"),
        (("65:10 /tmp/x",), ("65:11 /tmp/x",), "/tmp/x"),
        (("aa  /usr/bin/make",), ("bb  /usr/bin/make",), "/usr/bin/make"),
        (("65:10 /srv/x",), (), "/srv/x"),
        # a folder below the private /tmp is made anew with each sandbox
        (("69:1 /tmp/x/y",), ("125:1 /tmp/x/y",), ""),
        (("69:1 /tmp/x",), ("65:10 /tmp/x",), "/tmp/x"),
        (("69:1 /tmp/x",), (), "/tmp/x"),
        (("69:1 /srv/x",), ("125:1 /srv/x",), "/srv/x"),
        (("69:1 /tmpx",), ("125:1 /tmpx",), "/tmpx"),
    ],
)
def test_what_changed_is_named_and_the_sandboxs_own_folders_are_not(
    before: tuple[str, ...], after: tuple[str, ...], changed: str
) -> None:
    assert find_changed(before, after).removeprefix("own ") == changed

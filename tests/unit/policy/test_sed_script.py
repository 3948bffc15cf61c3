"""Which sed scripts are known only to print, and that sed's own sandbox agrees with every one of them."""

import random
import shutil
import subprocess

import pytest

from aiosd.policy.sed_script import only_prints

_PRINTING = (
    "p", "1p", "$p", "1,5p", "1,+3p", "2~3p", "10,$d", "5q", "q5", "=", "$=", "1!d", "1,3!p", "/a/p", "/a/,/b/p",
    "/a/I,+2p", "/^$/d", "s/a/b/", "s/a/b/g", "s/a/b/2p", "s|/usr|/opt|g", "s,a,b,", "s#a#b#I", "1,5s/a/b/",
    "/x/s/a/b/", "/x/!s/a/b/g", "s/[0-9]*//", "s/[^a-z]/_/g", "s/[[:space:]]*$//", "s/\\./,/g", "s/a\\/b/c/",
    "s/\\(a\\)/\\1/", "s/a/&&/", "s/ .*//;s/x/y/", "1p;3p", "1d ; 2d", "n;d", "N;P;D", "G", "$!N", "",
)  # fmt: skip
_MORE = (
    "w out", "1w out", "r /etc/passwd", "e id", "1e id", "e", "s/a/b/w out", "s/a/b/e", "s/a/b/gw out",
    "s/a/b/ w out", "1~2w x", "/a/w out", "/a/,/b/w x", "s/[/]/x/w out", "s/[x/y/;s/]/w out/", "s/a/b", "s/a", "s",
    "/a", "1,", "1,p", "a text", "i\\", "c x", "y/abc/xyz/", "b", ":x", "t x", "{p}", "p}", "p p", "pw", "s/a/b/ge",
    "s/a/b/m", "s/a\\\nb/c/", "s:[[:space:]]:x:", "R x", "W x", "F", "v", "z", "l", "L", "!p w x", "s\\a\\b\\",
    "sxaxbx", "s a b ", "\\%a%p", "1!w x", "p\x00", "p" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("script", _PRINTING)
def test_simple_scripts_only_print(script: str) -> None:
    assert only_prints(script)


@pytest.mark.parametrize("script", _MORE)
def test_all_other_scripts_are_not_known(script: str) -> None:
    assert not only_prints(script)


@pytest.mark.skipif(not shutil.which("sed"), reason="sed is not installed")
def test_the_sandbox_of_sed_refuses_nothing_that_is_accepted() -> None:
    chance = random.Random(7)
    pieces = [
        *"0123456789$,!;/|#:@ \n\\[]^wWrRepdqsgIiMyabtnlx=&-{}",
        "s/",
        "w x",
        "e id",
        "r y",
        "[a",
        "[^",
        "[:alpha:]",
        "\\/",
    ]
    scripts = set(_PRINTING)
    for _ in range(40_000):
        script = chance.choice(_PRINTING + _MORE)
        for _ in range(chance.randint(1, 4)):
            at = chance.randint(0, len(script))
            script = script[:at] + chance.choice(pieces) + script[at + chance.randint(0, 1) :]
        if len(script) < 200 and only_prints(script):
            scripts.add(script)
    assert len(scripts) > 500
    for script in sorted(scripts)[:500]:
        done = subprocess.run(
            ["sed", "--sandbox", script], input="a\nb\n", capture_output=True, text=True, timeout=10, check=False
        )
        assert "sandbox" not in done.stderr, script


@pytest.mark.skipif(not shutil.which("sed"), reason="sed is not installed")
@pytest.mark.parametrize("script", ["w out", "e id", "r x", "s/a/b/w out", "s/a/b/e"])
def test_the_sandbox_of_sed_does_refuse_what_writes_or_runs(script: str) -> None:
    done = subprocess.run(["sed", "--sandbox", script], input="", capture_output=True, text=True, check=False)
    assert "sandbox" in done.stderr

"""Completion, asked of real shells: what they offer is what the table says."""

import shutil
import subprocess

import pytest

from aiosd.cli.completion import render_completion
from aiosd.cli.parse import UsageError, Verb
from aiosd.cli.table import TIERS, VERBS

FIRST = list(dict.fromkeys(verb[0].split()[0] for verb in VERBS))
SHELLS = ("bash", "zsh", "fish")
# A command line up to the cursor, and what is offered there.
OFFERED = [
    ("", FIRST),
    ("s", [word for word in FIRST if word.startswith("s")]),
    ("x", []),
    ("policy ", [verb[0].split()[1] for verb in VERBS if verb[0].startswith("policy ")]),
    ("config ", ["show"]),
    ("policy check --", ["--root", "--json", "--policy", "--batch"]),
    ("completion ", ["bash", "zsh", "fish"]),
    ("help c", [word for word in FIRST if word.startswith("c")]),
    ("log --tier ", list(TIERS)),
    ("log -t d", ["deny"]),
    ("log --session ", []),
    ("ask --wait ", []),
    (
        "ask --wait 5 --",
        [
            *("--continue", "--session", "--fork", "--name", "--model", "--attach", "--output", "--schema", "--plan"),
            *("--yes-to", "--timeout", "--budget", "--wait", "--json"),
        ],
    ),
    ("log --tier deny --u", ["--user", "--until"]),
    ("status ", []),
    ("nonsense ", []),
]

_BASH = """\
set -u
source /dev/stdin <<<"$1"
COMP_WORDS=(aios) COMP_CWORD=$(($# - 1))
shift
COMP_WORDS+=("$@")
_aios
printf '%s\\n' "${COMPREPLY[@]}"
"""
# zsh's own completion needs a terminal; its two functions that offer something are ours here.
_ZSH = """\
compdef() { : }
compadd() { shift; print -rl -- ${(M)@:#${words[CURRENT]}*} }
_describe() { local each; for each in ${(P)2}; [[ $each = ${words[CURRENT]}* ]] && print -r -- ${each%%:*}; return 0 }
eval "$1"
shift
words=(aios "$@") CURRENT=$(($# + 1))
_aios
"""
_FISH = """\
echo $argv[1] | source
complete -C $argv[2] | string replace -r '\\t.*' ''
"""


def _ask(shell: str, line: str) -> list[str]:
    """What the shell offers at the end of `aios LINE`."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    script = render_completion(shell)
    words = line.split(" ")
    command = {
        "bash": [program, "--norc", "--noprofile", "-c", _BASH, "bash", script, *words],
        "zsh": [program, "-f", "-c", _ZSH, "zsh", script, *words],
        "fish": [program, "--no-config", "-c", _FISH, script, f"aios {line}"],
    }[shell]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ran.stderr == ""
    return ran.stdout.split()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("line", "offered"), OFFERED, ids=lambda value: str(value) if isinstance(value, str) else "")
def test_what_is_offered(shell: str, line: str, offered: list[str]) -> None:
    assert sorted(_ask(shell, line)) == sorted(offered)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_bash_offers_every_option_of_every_verb(verb: Verb) -> None:
    assert _ask("bash", f"{verb[0]} --") == [option[1] for option in verb[3]]


def test_bash_takes_the_script_as_a_completion_of_aios() -> None:
    script = f"{render_completion('bash')}\ncomplete -p aios"
    ran = subprocess.run(["bash", "--norc", "-euc", script], capture_output=True, text=True, timeout=30, check=True)
    assert (ran.stdout, ran.stderr) == ("complete -F _aios aios\n", "")


def test_there_is_none_for_another_shell() -> None:
    with pytest.raises(UsageError, match="there is no completion for tcsh; there is bash, zsh and fish"):
        render_completion("tcsh")

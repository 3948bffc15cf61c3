"""Completion scripts for bash, zsh and fish, made from the table."""

from __future__ import annotations

from aiosd.cli.parse import UsageError, Verb
from aiosd.cli.table import TIERS, VERBS

_VALUES = {"TIER": TIERS}  # of what options take; nothing is offered for the others


def render_completion(shell: str) -> str:
    """The script for one shell."""
    scripts = {"bash": _render_bash, "zsh": _render_zsh, "fish": _render_fish}
    if shell not in scripts:
        raise UsageError(f"there is no completion for {shell}; there is bash, zsh and fish", "completion")
    return scripts[shell]()


def _render_bash() -> str:
    return (
        "# bash completion for aios\n_aios() {\n"
        '  local choices said="${COMP_WORDS[*]:1:COMP_CWORD-1}"\n'
        f"{_render_cases()}"
        '  mapfile -t COMPREPLY < <(compgen -W "$choices" -- "${COMP_WORDS[COMP_CWORD]}")\n'
        "}\ncomplete -F _aios aios\n"
    )


def _render_zsh() -> str:
    verbs = "\n".join(f"    '{_quote(f'{name}:{about}')}'" for name, about in _first_words().items())
    return (
        f"#compdef aios\n_aios() {{\n  local -a verbs\n  verbs=(\n{verbs}\n  )\n"
        "  if (( CURRENT == 2 )); then _describe verb verbs; return; fi\n"
        '  local said="${words[2,CURRENT-1]}"\n  local choices\n'
        f"{_render_cases()}"
        '  compadd -- ${=choices}\n}\n[[ $funcstack[1] = _aios ]] && _aios "$@" || compdef _aios aios\n'
    )


def _render_cases() -> str:
    """For bash and zsh: `choices` by what was `said` before the word at the cursor."""
    cases = {"''": tuple(_first_words())}
    for name, _operands, _about, options in VERBS:
        for short, long, value, _text in options:
            for spelling in (short, long):
                if value and spelling:
                    cases[f"'{name} '*'{spelling}'"] = _VALUES.get(value, ())
    for name, seconds in _second_words().items():
        cases[f"'{name}'"] = seconds
    for verb in VERBS:
        cases[f"'{verb[0]}'|'{verb[0]} '*"] = _after(verb)
    lines = "".join(f"    {pattern}) choices='{' '.join(words)}' ;;\n" for pattern, words in cases.items())
    return f'  case "$said" in\n{lines}    *) choices= ;;\n  esac\n'


def _render_fish() -> str:
    out = "# fish completion for aios\ncomplete -c aios -f\n"
    for name, about in _first_words().items():
        out += f"complete -c aios -n __fish_use_subcommand -a {name} -d '{_quote(about)}'\n"
    for name, seconds in _second_words().items():
        out += f"complete -c aios -n '__fish_seen_subcommand_from {name}' -a '{' '.join(seconds)}'\n"
    for verb in VERBS:
        condition = "'" + "; and ".join(f"__fish_seen_subcommand_from {word}" for word in verb[0].split()) + "'"
        words = _operand_words(verb)
        out += f"complete -c aios -n {condition} -a '{' '.join(words)}'\n" if words else ""
        for short, long, value, text in verb[3]:
            spelled = f"{f' -s {short[1:]}' if short else ''} -l {long[2:]}{' -x' if value else ''}"
            values = f" -a '{' '.join(_VALUES[value])}'" if value in _VALUES else ""
            out += f"complete -c aios -n {condition}{spelled}{values} -d '{_quote(text)}'\n"
    return out


def _first_words() -> dict[str, str]:
    """The words that a command line begins with, and what each is for."""
    found: dict[str, str] = {}
    for name, _operands, about, _options in VERBS:
        found.setdefault(name.split()[0], about)
    return found


def _second_words() -> dict[str, tuple[str, ...]]:
    """What must follow a first word, where it is not a verb by itself."""
    found: dict[str, tuple[str, ...]] = {}
    for verb in VERBS:
        first, _, second = verb[0].partition(" ")
        if second:
            found[first] = (*found.get(first, ()), second)
    return found


def _after(verb: Verb) -> tuple[str, ...]:
    """What may follow a whole verb."""
    return (*_operand_words(verb), *(option[1] for option in verb[3]))


def _operand_words(verb: Verb) -> tuple[str, ...]:
    """The operands of a verb that takes one of a few."""
    if verb[1] == "[VERB]":
        return tuple(word for word in _first_words() if word != "help")
    return tuple(verb[1].split("|")) if "|" in verb[1] else ()


def _quote(text: str) -> str:
    """`text` between single quotes, for every shell: without any."""
    return text.replace("'", "")

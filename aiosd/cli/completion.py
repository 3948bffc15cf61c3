"""Completion scripts for bash, zsh and fish, made from the table."""

from __future__ import annotations

from aiosd.cli.parse import UsageError
from aiosd.cli.table import VERBS


def render_completion(shell: str) -> str:
    """The script for one shell."""
    scripts = {"bash": _render_bash, "zsh": _render_zsh, "fish": _render_fish}
    if shell not in scripts:
        raise UsageError(f"there is no completion for {shell}; there is bash, zsh and fish", "completion")
    return scripts[shell]()


def _first_words() -> list[str]:
    return list(dict.fromkeys(verb[0].split()[0] for verb in VERBS))


def _render_bash() -> str:
    cases = ""
    for word in _first_words():
        second, options = _after(word)
        cases += f"    {word}) words='{' '.join([*second, *options])}' ;;\n"
    return (
        "# bash completion for aios\n_aios() {\n  local words\n"
        f"  if [ \"$COMP_CWORD\" = 1 ]; then words='{' '.join(_first_words())}'; else case ${{COMP_WORDS[1]}} in\n"
        f"{cases}    *) words='' ;;\n  esac; fi\n"
        '  mapfile -t COMPREPLY < <(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}")\n'
        "}\ncomplete -F _aios aios\n"
    )


def _render_zsh() -> str:
    verbs = "\n".join(f"    '{verb[0].split()[0]}:{verb[2].replace(chr(39), '')}'" for verb in VERBS)
    cases = ""
    for word in _first_words():
        second, options = _after(word)
        cases += f"    {word}) compadd -- {' '.join([*second, *options])} ;;\n"
    return (
        f"#compdef aios\n_aios() {{\n  local -a verbs=(\n{verbs}\n  )\n"
        "  if (( CURRENT == 2 )); then _describe verb verbs; return; fi\n"
        f'  case $words[2] in\n{cases}  esac\n}}\n_aios "$@"\n'
    )


def _render_fish() -> str:
    out = "# fish completion for aios\ncomplete -c aios -f\n"
    for name, _operands, about, options in VERBS:
        first, *second = name.split()
        about = about.replace("'", "")  # noqa: PLW2901
        out += f"complete -c aios -n __fish_use_subcommand -a {first} -d '{about}'\n"
        condition = f"'__fish_seen_subcommand_from {first}'"
        if second:
            out += f"complete -c aios -n {condition} -a {second[0]} -d '{about}'\n"
        for short, long, value, text in options:
            short_part = f" -s {short[1:]}" if short else ""
            needs = " -r" if value else ""
            out += (
                f"complete -c aios -n {condition}{short_part} -l {long[2:]}{needs} -d '{text.replace(chr(39), '')}'\n"
            )
    return out


def _after(word: str) -> tuple[list[str], list[str]]:
    """What may follow a first word: second words, options."""
    second = [name.split()[1] for name, *_ in VERBS if name.split()[0] == word and " " in name]
    options = [option[1] for name, _o, _a, options in VERBS if name.split()[0] == word for option in options]
    if word == "completion":
        second = ["bash", "zsh", "fish"]
    if word == "help":
        second = [each for each in _first_words() if each != "help"]
    return second, options

r"""A rough reading of shell text that the recogniser refused: where commands may begin in it, and with what words.

It promises to find too much rather than too little: quotes and backslashes are taken away, expansions give their
constant parts, every operator and bracket is a boundary, also inside quotes. What it returns is only ever searched for
what must not run; it never becomes something that runs. Linear: no expression here goes over the same text twice.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

_ANSI_C: Final = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ANSI_C_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{1,2})|([0-7]{1,3})|[uU]([0-9A-Fa-f]{1,8})|(.))", re.DOTALL)
_ANSI_C_LETTERS: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "", "b": "", "e": "", "f": " ", "v": " "}
_IFS: Final = re.compile(r"\$(?:IFS\b|\{IFS[^{}]*\})")
_DEFAULT: Final = re.compile(r"\$\{[A-Za-z0-9_@*]*:?[-=+?]([^{}]*)\}")
_EXPANSION: Final = re.compile(r"\$(?:\{[^{}]*\}|[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])")
_REDIRECT: Final = re.compile(r"(?<!<)(>[>|&]?|<<?(?!<)-?|<[&>])[ \t]*([^\s;&|()<>`]+)")
_DESCRIPTOR: Final = re.compile(r"[0-9]*-?")
_QUOTED: Final = re.compile(r"""\\.|'[^']*'?|"(?:[^"\\]|\\.)*"?""", re.DOTALL)
_BOUNDARY: Final = re.compile(r"(\|\||&&|\|&?|<<<|[;&\n()`<>])")
_USED: Final = r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))"
_CONSTANT: Final = re.compile(
    r"(?<![^\s;&|({])(?:for\s+([A-Za-z_][A-Za-z0-9_]*)\s+in\s+([^;&|\n]*)"
    r"""|([A-Za-z_][A-Za-z0-9_]*)=('[^']*'|"[^"]*"|[^\s;&|()<>`'"]*))|""" + _USED
)
_VARIABLE: Final = re.compile(_USED)
_MAX_CONSTANT: Final = 256  # characters of a value
_MAX_WITH_CONSTANTS: Final = 8192
_NOT_TEXT: Final = str.maketrans("", "", "'\"\\")
_UNKNOWN: Final = "\0"  # stands for an expansion whose value nobody knows
_SPREAD: Final = str.maketrans({**dict.fromkeys("{},=", " "), _UNKNOWN: ""})
_AS_BLANKS: Final = str.maketrans({**dict.fromkeys(";|&()<>`{},=", " "), _UNKNOWN: ""})
_KEYWORDS: Final = frozenset("if then else elif while until do ! { } function select case in coproc".split())
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\[[^\]]*\])?\+?=")
_MAX_ASSIGNMENTS: Final = 4
_MAX_NAME: Final = 64
_MAX_FUNCTIONS: Final = 256  # nobody defines as many in one line to do good


class Segment(NamedTuple):
    """What stands between two boundaries: the commands it may be, and how it may get its standard input.

    `unknown`: it begins with an expansion, so its command may be anything.
    """

    commands: tuple[Sequence[str], ...]
    piped: bool
    unknown: bool


def is_assignment(word: str) -> bool:
    """Whether a word before a command sets a variable."""
    return _ASSIGNMENT.match(word) is not None


def reads_as_fork_bomb(squeezed: str) -> bool:
    """Whether text without blanks holds a function that pipes itself into itself in the background."""
    at = squeezed.find("(){")
    if squeezed.count("(){") > _MAX_FUNCTIONS:
        return True
    while at >= 0:
        name = re.search(r"[A-Za-z0-9_:.]*$", squeezed[max(0, at - _MAX_NAME) : at])
        assert name
        if name.group() and squeezed.startswith(f"{name.group()}|{name.group()}&", at + 3):
            return True
        at = squeezed.find("(){", at + 1)
    return False


def with_constants(text: str, home: str) -> str:
    """The text with what it sets variables to, in this line, put in where they stand; what is long as it is."""
    if "$" not in text or len(text) > _MAX_WITH_CONSTANTS:
        return text
    values = {"HOME": home}

    def find(used: re.Match[str]) -> str:
        return values.get(used[1] or used[2], used[0])

    def replace(found: re.Match[str]) -> str:
        looped, items, name, value, *used = found.groups()
        if looped or name:
            said = _VARIABLE.sub(find, (items if looped else value).strip("\"'"))
            values[looped or name] = said[:_MAX_CONSTANT]
            return found[0]
        return values.get(used[0] or used[1], found[0])

    out = _CONSTANT.sub(replace, text)
    return out if len(out) <= 2 * _MAX_WITH_CONSTANTS else text


def see_through(text: str) -> str:
    """The text with quoting removed and expansions replaced by what they may give, or by a mark for the unknown."""
    text = text.replace("\\\n", "").replace(_UNKNOWN, "")
    if "$" in text:
        text = _ANSI_C.sub(lambda found: _ANSI_C_ESCAPE.sub(_unescape, found[1]), text)
        text = _IFS.sub(" ", text)
        text = _DEFAULT.sub(r"\1", text)
        text = _EXPANSION.sub(_UNKNOWN, text).replace("$", "")
    text = text.translate(_NOT_TEXT)
    if not text.replace("\n", "").replace(_UNKNOWN, "").isprintable():
        text = "".join(char if char.isprintable() or char in "\n\0" else " " * char.isspace() for char in text)
    return text


def _unescape(found: re.Match[str]) -> str:
    hexadecimal, octal, code, letter = found.groups()
    if letter is not None:
        return _ANSI_C_LETTERS.get(letter, letter)
    number = int(octal, 8) if octal else int(hexadecimal or code, 16)
    return chr(number) if number < 0x110000 else ""


def without_quoted(text: str) -> str:
    """The text with each quoted piece, and each escaped character, as one plain character."""
    return _QUOTED.sub("q", text)


def redirected_paths(text: str) -> tuple[str, list[str]]:
    """The text without its redirections, and the paths that these may write to."""
    paths: dict[str, None] = {}

    def note(found: re.Match[str]) -> str:
        operator, path = found[1], found[2]
        if (operator[0] == ">" or operator == "<>") and not (operator == ">&" and _DESCRIPTOR.fullmatch(path)):
            paths[path] = None
        return " "

    return _REDIRECT.sub(note, text), [path.replace(_UNKNOWN, "") for path in paths]


def segments(text: str, matters: Callable[[str], bool]) -> Iterator[Segment]:
    """The segments that hold a word for which `matters` is true, or that are piped to an unknown command."""
    split = _BOUNDARY.split
    words = set(text.translate(_AS_BLANKS).split())
    found = {word for word in words if matters(word)}
    if not found and _UNKNOWN not in text:
        return
    pieces = split(text)
    spread = text.translate(_SPREAD)  # what a brace or an assignment joins, apart
    apart = split(spread) if spread != text else pieces
    for at in range(0, len(pieces), 2):
        held = apart[at].split()
        piped = at > 0 and pieces[at - 1] in ("|", "|&")
        unknown = piped and pieces[at].lstrip()[:1] == _UNKNOWN
        if unknown or not found.isdisjoint(held):
            if apart[at] == pieces[at]:
                yield Segment(commands=_plain_commands(held), piped=piped, unknown=False)
                continue
            expanded = pieces[at].split()
            if "{" in pieces[at]:
                expanded = [word for raw in expanded for word in _unbrace(raw)]
            yield Segment(commands=tuple(_commands(expanded)), piped=piped, unknown=unknown)


def _plain_commands(words: Sequence[str]) -> tuple[Sequence[str], ...]:
    """As `_commands`, of words without expansions and assignments."""
    at = 0
    while at < len(words) and words[at] in _KEYWORDS:
        at += 2 if words[at] == "function" else 1
    return (words[at:],) if at < len(words) else ()


def _commands(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """The commands that a segment may be: past keywords, assignments and unknown words, or the value assigned."""
    at = assignments = 0
    while at < len(words):
        word = words[at]
        if word == "function":
            at += 2
        elif word in _KEYWORDS or word == _UNKNOWN:
            at += 1
        elif "=" in word and (assignment := _ASSIGNMENT.match(word)):
            assignments += 1
            if assignments <= _MAX_ASSIGNMENTS:
                yield from _known([word[assignment.end() :], *words[at + 1 :]])
            at += 1
        else:
            yield from _known(words[at:])
            return


def _known(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """The words with their unknown parts left out; an operand that may be any path says nothing and goes."""
    name = words[0].replace(_UNKNOWN, "")
    rest = [word for raw in words[1:] if not raw.startswith(_UNKNOWN + "/") and (word := raw.replace(_UNKNOWN, ""))]
    if command := [name, *rest] if name else rest:
        yield command


def _unbrace(word: str) -> list[str]:
    """The words that one level of brace expansion makes, as bash does it."""
    start = word.find("{")
    end = word.find("}", start)
    if start < 0 or "," not in word[start:end]:
        return [word]
    return [word[:start] + piece + word[end + 1 :] for piece in word[start + 1 : end].split(",")]

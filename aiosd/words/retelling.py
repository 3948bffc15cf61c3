"""English of ours to Japanese: by the text itself, by the template that it was made from, or clause by clause.

A value that was filled in is told again only where it reads like a sentence of ours, and never between backticks:
there it is somebody's command.
"""

import re
from functools import cache

_CATALOGUE = ("client", "daemon", "decisions", "guard", "help", "policy", "setup")


def _read(name: str) -> dict[str, str]:
    """A file of the catalogue: an English line, and its Japanese on the next, behind a tab."""
    with open(f"{__file__.rpartition('/')[0]}/{name}.txt", encoding="utf-8") as file:
        lines = file.read().split("\n")
    return {english: japanese.removeprefix("\t") for english, japanese in zip(lines[::2], lines[1::2], strict=False)}


JAPANESE = {english: japanese for name in _CATALOGUE for english, japanese in _read(name).items()}
_FIELD = re.compile(r"\{(\w*)\}")
_NAME = re.compile(r"folder \d+:|\S+(?: '[^']*')?:")  # of a file and its line, of a rule, of one of several folders
_OWNED = re.compile(r"\S*[./:]\S*[^\s:]")  # a file, a key or a host, that something is the matter with
_VALUE = re.compile(r"\S+ `[^`]*`[:;]")  # of a key
_REMEDY = ("chmod ", "chown ")  # in a shell's words
_CLAUSES = re.compile(r"(?<=[.;:,?]) ")
_CELLS = re.compile(r"\S+(?: \S+)* *")
_MARK = re.compile(r"(\s*(?:(?:[!?→›-]|ok|weaker|MISSING) +)?)(.*?)(\s*)", re.DOTALL)
_MARKS = {"ok      ": "正常    ", "weaker  ": "弱い    ", "MISSING ": "不足    "}
_STOPS = {";": "。", ":": ": ", ",": "、"}
_MOST_CLAUSES = 12
_DEEPEST = 4


def translate(text: str, fields: dict[str, object]) -> str:
    """The Japanese of a text in the code, its fields filled in; the text itself where it is not in the catalogue."""
    bare = text.strip()
    japanese = text.replace(bare, JAPANESE.get(bare, bare)) if bare else text
    return _FIELD.sub(lambda field: str(fields[field[1]]), japanese) if fields else japanese


def retell_lines(text: str) -> str:
    """Every line of it that is ours."""
    return "\n".join(map(_retell_line, text.split("\n")))


def _retell_line(line: str) -> str:
    found = _MARK.fullmatch(line)
    assert found, "it matches every line"
    mark, bare, end = found.groups()
    for english, japanese in _MARKS.items():
        mark = mark.replace(english, japanese)
    if bare.isupper() and "  " in bare:
        return _retell_head(line)
    if told := _retell(bare, 0):
        return f"{mark}{told}{end}"
    row, gap, last = bare.rpartition("  ")
    return f"{mark}{row}{gap}{_retell(last, 0) or last}{end}"


def _retell_head(line: str) -> str:
    """The names of columns, which begin where they began."""
    cells = [(JAPANESE.get(cell.strip(), cell.strip()), len(cell)) for cell in _CELLS.findall(line)]
    return "".join(
        f"{name}{' ' * max(space - sum(1 + (char > '~') for char in name), 1)}" for name, space in cells
    ).rstrip()


def _retell(text: str, depth: int) -> str:
    """The Japanese of it, "" where it is not ours."""
    if text in JAPANESE:
        return JAPANESE[text]
    if depth > _DEEPEST or " " not in text:
        return ""
    return _retell_clauses(text, depth) or _retell_template(text, depth) or _retell_named(text, depth)


def _retell_clauses(text: str, depth: int) -> str:
    """Sentences in a row, where all of them are ours or a name."""
    clauses = _CLAUSES.split(text, _MOST_CLAUSES - 1)
    return _tell_row(clauses, depth, whole=True) if len(clauses) > 1 else ""


def _tell_row(clauses: list[str], depth: int, *, whole: bool) -> str:
    """All of `clauses`, "" where one of them is not ours; not all at once where they are the `whole`."""
    for count in range(1, len(clauses) + (not whole)):
        first, rest = " ".join(clauses[:count]), clauses[count:]
        stop = first[-1] if rest and first[-1] in _STOPS else ""
        bare = first.removesuffix(stop)
        if (stop and _VALUE.fullmatch(first)) or (not rest and bare.startswith(_REMEDY)):
            japanese = bare
        else:
            japanese = JAPANESE.get(bare) or _retell_template(bare, depth) or _retell_named(bare, depth)
        if not japanese and stop and _NAME.fullmatch(first) and f"{first} {{}}" not in JAPANESE:
            japanese = bare
        if japanese and not rest:
            return japanese
        if japanese and (more := _tell_row(rest, depth, whole=False)):
            return f"{japanese}{_STOPS.get(stop, '')}{more}"
    return ""


def _retell_template(text: str, depth: int) -> str:
    for words, english in _templates():
        if all(word in text for word in words) and (found := _pattern(english).fullmatch(text)):
            return _fill(english, found, depth)
    return ""


def _retell_named(text: str, depth: int) -> str:
    """What is wrong with a file or a key, which stands before it."""
    name, _, rest = text.partition(" ")
    told = JAPANESE.get(rest) or _retell_template(rest, depth) if _OWNED.fullmatch(name) else ""
    return told and f"{name}: {told}"


def _fill(english: str, found: re.Match[str], depth: int) -> str:
    names = _FIELD.findall(english)
    order = iter(range(len(names)))

    def value(field: re.Match[str]) -> str:
        index = int(field[1]) if field[1].isdecimal() else names.index(field[1]) if field[1] else next(order)
        given: str = found.groups()[index]
        start, end = found.span(index + 1)
        if found.string[max(start - 1, 0) : start] == "`" == found.string[end : end + 1]:
            return given
        inner = given.strip()
        return given.replace(inner, _retell(inner, depth + 1) or inner) if inner else given

    return _FIELD.sub(value, JAPANESE[english])


@cache
def _pattern(english: str) -> re.Pattern[str]:
    """Of a template; what it begins with, were it a value, does not reach over a colon into another text of ours."""
    begin, *rest = map(re.escape, _words(english))
    first = "(.*?)" if begin else "((?:(?!: ).)*?)"
    return re.compile("(.*?)".join([f"{begin}{first}{rest[0]}", *rest[1:]]), re.DOTALL)


@cache
def _templates() -> tuple[tuple[list[str], str], ...]:
    """What has fields, that with the most words of its own first: these words, and the text."""
    found = [([word for word in _words(english) if word], english) for english in JAPANESE if _FIELD.search(english)]
    return tuple(sorted(found, key=lambda each: -sum(map(len, each[0]))))


def _words(english: str) -> list[str]:
    """What stands around its fields."""
    return _FIELD.split(english)[::2]

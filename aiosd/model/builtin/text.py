"""How answers look: sentences from the catalogue, units, and tables whose columns stand straight in any script.

Everything that came from a machine passes `clean` on its way into a line: a file name cannot draw on a terminal.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from aiosd.model.base import FactsDelta
from aiosd.model.builtin.intents import Language, Sentence
from aiosd.wire_talk import Fact, Value

_GAP = "  "
_NUMBER = re.compile(r"\d{1,15}(?:\.\d+)?%?")
_SIZES = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SPANS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


class Quantity(str):
    """A number as people read it, which is still known as a number."""

    __slots__ = ("number",)
    number: float

    def __new__(cls, text: str, number: float) -> Self:
        made = super().__new__(cls, text)
        made.number = number
        return made

    def __reduce__(self) -> tuple[object, ...]:
        """How a copy is made."""
        return type(self), (str(self), self.number)


class Said(str):
    """A sentence that still knows which one of the catalogue it is, and what stands in its fields."""

    __slots__ = ("fields", "name")
    name: str
    fields: Mapping[str, str]

    def __new__(cls, text: str, name: str, fields: Mapping[str, str]) -> Self:
        made = super().__new__(cls, text)
        made.name = name
        made.fields = fields
        return made

    def __reduce__(self) -> tuple[object, ...]:
        """How a copy is made."""
        return type(self), (str(self), self.name, self.fields)


def reword(sentence: str, old: str, new: str) -> str:
    """`sentence` with `old` replaced, still known by its name."""
    said = sentence.replace(old, new)
    return Said(said, sentence.name, sentence.fields) if isinstance(sentence, Said) else said


@dataclass(frozen=True, slots=True)
class Say:
    """The catalogue in one language. A name that is not in it raises KeyError: a test says each of them."""

    language: Language
    sentences: Mapping[str, Sentence]

    def __call__(self, name: str, /, **fields: str) -> str:
        """The sentence `name`, with its fields filled in; what stands in a field is never read as a format."""
        return Said(self.sentences[name].text[self.language].format(**fields), name, fields)

    def count(self, name: str, count: int, /, **fields: str) -> str:
        """The sentence `name` about `count` things, which is its field `count`."""
        sentence = self.sentences[name]
        text = sentence.one if count == 1 and self.language == "en" else sentence.text[self.language]
        given = {"count": render_number(count), **fields}
        return Said(text.format(**given), name, given)

    def duration(self, seconds: float) -> Quantity:
        """The two largest units of a span of time: `3 days 4 hours`, `3日4時間`."""
        left = max(0, int(seconds))
        parts: list[tuple[str, int]] = []
        for name, length in _SPANS:
            amount, left = divmod(left, length)
            if amount or (parts and len(parts) < 2) or name == "second":
                parts.append((name, amount))
        shown = [(name, amount) for name, amount in parts[:2] if amount] or parts[:1]
        between = "" if self.language == "ja" else " "
        return Quantity(between.join(self.count(name, amount) for name, amount in shown), seconds)

    def list(self, items: tuple[str, ...]) -> str:
        """`items` in one line."""
        return ("、" if self.language == "ja" else ", ").join(items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells below their headings; `right` names the columns of numbers by index."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is said: sentences, what matters first; a table, or text as it was printed; and what limits the answer.

    `failed` says that the question stays without an answer, or that the command which was the question failed.
    """

    sentences: tuple[str, ...] = ()
    table: Table | None = None
    verbatim: str = ""
    notes: tuple[str, ...] = ()
    failed: bool = False


def render_answer(answer: Answer, language: Language) -> str:
    """`answer` as text that ends in a newline."""
    blocks = [("" if language == "ja" else " ").join(answer.sentences)]
    if answer.verbatim:
        blocks.append(answer.verbatim.rstrip("\n"))
    if answer.table is not None and answer.table.rows:
        blocks.append(render_table(answer.table))
    blocks.append("\n".join(answer.notes))
    return "\n\n".join(block for block in blocks if block) + "\n"


def render_table(table: Table) -> str:
    """The table as lines of equal columns."""
    lines = (table.headings, *table.rows) if any(table.headings) else table.rows
    widths = [max(cell_width(line[column]) for line in lines) for column in range(len(table.headings))]
    last = len(widths) - 1
    rendered = []
    for line in lines:
        cells = []
        for column, cell in enumerate(line):
            space = " " * (widths[column] - cell_width(cell))
            cells.append(space + cell if column in table.right else cell if column == last else cell + space)
        rendered.append(_GAP.join(cells).rstrip())
    return "\n".join(rendered)


def cell_width(text: str) -> int:
    """Columns that `text` takes on a terminal: two for wide characters, none for combining ones. Source: UAX #11."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def clean(text: str) -> str:
    """`text` on one line, with everything that does not print written out."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def clip(text: str, columns: int) -> str:
    """`text` cleaned and cut to `columns`, with … where it was cut."""
    text = clean(text)
    if cell_width(text) <= columns:
        return text
    kept, room = [], columns - 1
    for char in text:
        room -= cell_width(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + "…"


def clip_path(path: str, columns: int = 100) -> str:
    """`path` cleaned and cut in its middle, as its end says most."""
    path = clean(path)
    if cell_width(path) <= columns:
        return path
    end = len(path)
    while end > 0 and cell_width(path[end - 1 :]) <= columns * 2 // 3:
        end -= 1
    return clip(path, columns - cell_width(path[end:])).removesuffix("…") + "…" + path[end:]


def render_number(number: int) -> Quantity:
    """`number` with a comma between thousands, as both languages have it."""
    return Quantity(f"{number:,}", number)


def render_size(size: int) -> Quantity:
    """Bytes in the unit that leaves one to four digits: `512 B`, `97.2 MiB`, `252 GiB`."""
    if size < 1024:
        return Quantity(f"{size} B", size)
    power = 0
    amount = size / 1024
    while amount >= 999.5 and power + 1 < len(_SIZES):
        amount /= 1024
        power += 1
    shown = f"{amount:.1f} {_SIZES[power]}" if amount < 99.95 else f"{amount:,.0f} {_SIZES[power]}"
    return Quantity(shown, size)


def render_percent(part: float, whole: float) -> Quantity:
    """`part` of `whole` as a whole percentage; 100% and 0% only when that is exact."""
    if whole <= 0:
        return Quantity("0%", 0)
    percent = 100 * part / whole
    if 0 < percent < 1:
        return Quantity("<1%", percent)
    return Quantity(f"{99 if 99 < percent < 100 else round(percent)}%", percent)


def extract_facts(answer: Answer, about: str) -> FactsDelta:
    """The answer as data: nothing is in it that the text does not say."""
    rows: list[tuple[Value, ...]] = []
    if answer.table is not None:
        names = [_name_column(heading, index) for index, heading in enumerate(answer.table.headings)]
        rows = [tuple(map(_value, names, row)) for row in answer.table.rows]
    return FactsDelta(about=about, said=_facts(answer.sentences), rows=tuple(rows), missing=_facts(answer.notes))


def _facts(sentences: tuple[str, ...]) -> tuple[Fact, ...]:
    return tuple(
        Fact(name=sentence.name, values=tuple(_value(name, value) for name, value in sentence.fields.items()))
        if isinstance(sentence, Said)
        else Fact(name="text", values=(_value("text", sentence),))
        for sentence in sentences
    )


def _value(name: str, text: str) -> Value:
    if isinstance(text, Quantity):
        return Value(name=name, text=str(text), number=round(text.number, 2))
    number = float(text.rstrip("%")) if _NUMBER.fullmatch(text) else None
    return Value(name=name, text=str(text), number=number)


def _name_column(heading: str, index: int) -> str:
    """The name of a column: of its heading in the catalogue, or by its place."""
    return heading.name.removeprefix("col_") if isinstance(heading, Said) else f"column_{index + 1}"

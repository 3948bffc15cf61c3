"""How answers look: sentences from the catalogue, units, and tables whose columns stand straight in any script.

Everything that came from a machine passes `clean` on its way into a line: a file name cannot draw on a terminal.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from aiosd.model.builtin.intents import Language, Sentence

_GAP = "  "
_SIZES = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SPANS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True)
class Say:
    """The catalogue in one language. A name that is not in it raises KeyError: a test says each of them."""

    language: Language
    sentences: Mapping[str, Sentence]

    def __call__(self, name: str, /, **fields: str) -> str:
        """The sentence `name`, with its fields filled in; what stands in a field is never read as a format."""
        return self.sentences[name].text[self.language].format(**fields)

    def count(self, name: str, count: int, /, **fields: str) -> str:
        """The sentence `name` about `count` things, which is its field `count`."""
        sentence = self.sentences[name]
        text = sentence.one if count == 1 and self.language == "en" else sentence.text[self.language]
        return text.format(count=render_number(count), **fields)

    def duration(self, seconds: float) -> str:
        """The two largest units of a span of time: `3 days 4 hours`, `3日4時間`."""
        left = max(0, int(seconds))
        parts: list[tuple[str, int]] = []
        for name, length in _SPANS:
            amount, left = divmod(left, length)
            if amount or (parts and len(parts) < 2) or name == "second":
                parts.append((name, amount))
        shown = [(name, amount) for name, amount in parts[:2] if amount] or parts[:1]
        return ("" if self.language == "ja" else " ").join(self.count(name, amount) for name, amount in shown)

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


def render_number(number: int) -> str:
    """`number` with a comma between thousands, as both languages have it."""
    return f"{number:,}"


def render_size(size: int) -> str:
    """Bytes in the unit that leaves one to four digits: `512 B`, `97.2 MiB`, `252 GiB`."""
    if size < 1024:
        return f"{size} B"
    power = 0
    amount = size / 1024
    while amount >= 999.5 and power + 1 < len(_SIZES):
        amount /= 1024
        power += 1
    return f"{amount:.1f} {_SIZES[power]}" if amount < 99.95 else f"{amount:,.0f} {_SIZES[power]}"


def render_percent(part: float, whole: float) -> str:
    """`part` of `whole` as a whole percentage; 100% and 0% only when that is exact."""
    if whole <= 0:
        return "0%"
    percent = 100 * part / whole
    if 0 < percent < 1:
        return "<1%"
    return f"{99 if 99 < percent < 100 else round(percent)}%"

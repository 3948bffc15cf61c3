"""Memory and swap."""

from aiosd.model.builtin.render.outcome import Reading, Seen, caveats, no_answer
from aiosd.model.builtin.text import Answer, render_percent, render_size

_SHORT = 0.1  # the share of memory still available below which it is said to be short


def memory(seen: Seen) -> Answer:
    """From `free -b`: short memory and swap in use first, then what is available and what holds the rest."""
    reading, say = seen["free"], seen.say
    rows, odd = _parse_free(reading)
    main, swap = rows.get("Mem:"), rows.get("Swap:")
    if main is None or swap is None or not main["total"]:
        return no_answer(seen, reading)
    total = main["total"]
    available = main["available"]
    sentences = []
    short = available < _SHORT * total
    amounts = {
        "available": render_size(available),
        "total": render_size(total),
        "percent": render_percent(available, total),
    }
    if short:
        sentences.append(say("memory_short", **amounts))
    if swap["used"]:
        fields = {"used": render_size(swap["used"]), "total": render_size(swap["total"])}
        sentences.append(say("swap_used", percent=render_percent(swap["used"], swap["total"]), **fields))
    if not short:
        sentences.append(say("memory_available", **amounts))
    sentences.append(say("memory_split", used=render_size(main["used"]), cache=render_size(main["buff/cache"])))
    if not swap["total"]:
        sentences.append(say("swap_none"))
    elif not swap["used"]:
        sentences.append(say("swap_unused", total=render_size(swap["total"])))
    return Answer(sentences=tuple(sentences), notes=caveats(seen, reading, odd_lines=odd))


def _parse_free(reading: Reading) -> tuple[dict[str, dict[str, int]], int]:
    """The rows of free(1) as procps-ng prints it since 3.3.10, by label and heading, and how many lines are none."""
    rows: dict[str, dict[str, int]] = {}
    headings: list[str] = []
    odd = 0
    for line in reading.lines:
        label, *fields = line.split()
        if label == "total":
            headings = line.split()
        elif label.endswith(":") and len(fields) >= 3 and all(field.isdigit() for field in fields):
            rows[label] = dict(zip(headings, map(int, fields), strict=False))
        else:
            odd += 1
    needed = {"Mem:": {"total", "used", "buff/cache", "available"}, "Swap:": {"total", "used"}}
    return {label: row for label, row in rows.items() if needed.get(label, {""}) <= set(row)}, odd

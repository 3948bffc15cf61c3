"""The exact command, whose output is the answer."""

from aiosd.model.builtin.render.outcome import Reading, Seen, no_answer, trouble
from aiosd.model.builtin.text import Answer, cell_width, clean, clip

_HEAD_LINES = 80
_TAIL_LINES = 20
_LINE_COLUMNS = 500
_COMMAND_COLUMNS = 72


def command(seen: Seen) -> Answer:
    """The output as it came, cut in the middle when long, and the exit status when it is not 0."""
    reading, say = seen["command"], seen.say
    result = reading.result
    if result.outcome not in {"done", "failed", "timed_out", "cancelled"}:
        return no_answer(seen, reading)
    shown, notes = _trim(seen, reading)
    if result.truncated:
        notes = (*notes, say("cut"))
    if result.outcome in {"timed_out", "cancelled"}:
        notes = (*notes, trouble(seen, reading))
    elif result.outcome == "failed":
        notes = (*notes, say("exit_status", status="?" if result.status is None else str(result.status)))
    sentences = () if shown else (say("printed_nothing", command=clip(reading.command, _COMMAND_COLUMNS)),)
    return Answer(sentences=sentences, verbatim=shown, notes=notes, failed=result.outcome != "done")


def _trim(seen: Seen, reading: Reading) -> tuple[str, tuple[str, ...]]:
    """The text without what would draw on a terminal, and a note on what was left out."""
    lines = [_visible(line) for line in reading.text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    left_out = len(lines) - _HEAD_LINES - _TAIL_LINES
    if left_out > 1:
        lines[_HEAD_LINES:-_TAIL_LINES] = ["…"]
        return "\n".join(lines), (seen.say.count("left_out", left_out),)
    return "\n".join(lines), ()


def _visible(line: str) -> str:
    text = "\t".join(clean(piece) for piece in line.removesuffix("\r").split("\t"))
    return clip(text.replace("\t", "        "), _LINE_COLUMNS) if cell_width(text) > _LINE_COLUMNS else text

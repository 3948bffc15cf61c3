"""Answers as plain text, for clients that print bytes and import nothing. Pure.

Text that came from elsewhere (titles, names of rules) is shown with control characters escaped.
"""

import unicodedata
from collections.abc import Sequence

from aiosd.wire import Config, Doctor, LoginNotice, ModelList, SessionDetail, SessionList, Status, VerdictInfo
from aiosd.wire_sent import SentList, SentText

_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")  # Hangul fillers, the empty Braille cell
_UNSEEN = frozenset({"Cc", "Cf", "Cs"})
_PROSE = frozenset("\n\t\u200c\u200d\xad")  # joiners belong to words and emoji
_MARKS = {"ok": "ok     ", "weaker": "weaker ", "missing": "MISSING"}


def render_status(status: Status) -> str:
    """`aios status`."""
    pending = f"\npending   {status.pending} (aios pending)" if status.pending else ""
    volatile = f"\nrecord    in memory alone: {status.volatile}" if status.volatile else ""
    return (
        f"aiosd {status.version} ({status.mode}), since {status.started_at}\n"
        f"guard     {status.guard}{volatile}\nmodel     {status.model}\n"
        f"sessions  {status.open_sessions} open, {status.running_turns} running{pending}\n"
    )


def render_sessions(sessions: SessionList) -> str:
    """`aios sessions`."""
    rows = [(each.name, each.used_at[:16].replace("T", " "), each.state, each.title) for each in sessions.sessions]
    return render_table(("NAME", "LAST USED (UTC)", "STATE", "ABOUT"), rows) if rows else "no sessions yet\n"


def render_session(detail: SessionDetail) -> str:
    """`aios sessions NAME`."""
    out = f"{detail.session.name}  {detail.session.id}\n"
    for turn in detail.turns:
        ended = "" if turn.state == "done" else f" [{turn.state}]"
        out += f"\n{turn.number}. {turn.started_at[:16].replace('T', ' ')}  {escape(turn.prompt)}{ended}\n"
        out += "".join(f"   {escape(line)}\n" for line in turn.answer.splitlines())
    if detail.files:
        out += "\nFiles:\n" + "".join(f"   {escape(each.path)}  {each.bytes} bytes\n" for each in detail.files)
    return out


def render_login(notice: LoginNotice) -> str:
    """What the login hook shows: plain ASCII, no line where nothing waits."""
    out = ""
    if notice.pending:
        waits = "approval waits" if notice.pending == 1 else "approvals wait"
        out += f"{notice.pending} {waits} for your answer: aios pending\n"
    if notice.failed:
        turns = "turn" if notice.failed == 1 else "turns"
        more = ", ..." if notice.failed > len(notice.sessions) else ""
        since = notice.since_at[:16].replace("T", " ")
        named = ", ".join(notice.sessions)
        out += f"{notice.failed} {turns} cut short since {since} UTC: aios sessions ({named}{more})\n"
    return out


def render_models(models: ModelList) -> str:
    """`aios models`."""
    rows = [(each.name + (" *" if each.default else ""), each.provider, each.description) for each in models.models]
    return render_table(("MODEL", "PROVIDER", "ABOUT"), rows)


def render_sent(sent: SentList) -> str:
    """`aios log --sent`."""
    head = ("NO", "WHEN (UTC)", "MODEL", "BYTES", "TOKENS", "COST", "SESSION", "DIGEST", "SOURCES")
    rows = [
        (
            *(str(each.number), each.at[:19].replace("T", " "), each.model, str(each.bytes)),
            each.error or f"{each.input_tokens}+{each.output_tokens}",
            f"{each.cost:.4f}" if each.cost else "-",
            *(each.name or each.session[:8], each.digest[:12], "; ".join(each.sources)),
        )
        for each in sent.requests
    ]
    return render_table(head, rows) if rows else "nothing was sent to a model outside this daemon\n"


def render_sent_text(sent: SentText) -> str:
    """`aios log --show NUMBER`."""
    each = sent.request
    text = sent.text or "(its text is not kept any more)"
    return (
        f"{each.number}. {each.at} to {escape(each.address)} as {escape(each.model)}, {each.bytes} bytes\n"
        f"sha256 {each.digest}\n\n{escape_prose(text)}\n"
    )


def render_doctor(doctor: Doctor) -> str:
    """`aios doctor`."""
    out = ""
    for check in doctor.checks:
        remedy = f"\n          → {check.remedy}" if check.remedy else ""
        out += f"{_MARKS[check.state]} {check.name}: {escape(check.detail)}{remedy}\n"
    return out


def render_config(config: Config) -> str:
    """`aios config show`."""
    return render_table(("KEY", "VALUE", "FROM"), [(each.key, each.value, each.origin) for each in config.entries])


def render_verdict(verdict: VerdictInfo) -> str:
    """`aios policy check`."""
    reason = escape(verdict.reason)
    out = f"{verdict.tier} as root: {reason}\n" if verdict.run_as == "root" else f"{verdict.tier}: {reason}\n"
    if verdict.confinement and verdict.tier != "deny":
        where = escape(verdict.confinement)
        out += f"  {where}\n" if where.startswith("cannot ") else f"  would run in {where}\n"
    if verdict.opaque:
        out += f"  not recognised from character {verdict.opaque.position + 1} on: {escape(verdict.opaque.reason)}\n"
    for part in verdict.parts:
        out += f"  {part.tier:16} {escape(part.text)}\n                   {escape(part.reason)}\n"
        if part.facets:
            out += f"                   sees the host's {', '.join(part.facets)}\n"
        for rule in part.rules:
            where = f" ({rule.file}:{rule.line})" if rule.file else ""
            out += f"                   rule {escape(rule.name)}{where}\n"
        if part.suggest:
            out += f"                   instead: {escape(part.suggest)}\n"
        if part.remedy:
            out += f"                   to pass: {escape(part.remedy)}\n"
    return out


def render_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be, wide characters counted as two; the last one runs on."""
    shown = [tuple(map(escape, row)) for row in (head, *rows)]
    widths = [max(map(width, column)) for column in zip(*shown, strict=True)]
    lines = []
    for row in shown:
        cells = [cell + " " * (widths[index] - width(cell)) for index, cell in enumerate(row[:-1])]
        lines.append("  ".join([*cells, row[-1]]).rstrip() + "\n")
    return "".join(lines)


def width(text: str) -> int:
    """How many terminal cells a text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def escape(text: str) -> str:
    r"""`text` as \u{...} wherever it moves the cursor, breaks the line, is private, or is a letter without ink."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(rf"\u{{{ord(char):x}}}" if _is_unsafe(char) else char for char in text)


def _is_unsafe(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "C" or category in ("Zl", "Zp") or char in _BLANK_LETTERS


def escape_prose(text: str) -> str:
    r"""`text` of an answer, which may have lines and any language: only what moves the cursor or hides as \u{...}."""
    return "".join(
        rf"\u{{{ord(char):x}}}" if unicodedata.category(char) in _UNSEEN and char not in _PROSE else char
        for char in text
    )

"""`aios setup`: shows what it will do, asks, does it, and can undo it. For root."""

from __future__ import annotations

import os

from aiosd import exits
from aiosd.cli.parse import UsageError
from aiosd.cli.reach import write_all
from aiosd.cli.show import escape
from aiosd.cli.transport import tell
from aiosd.setup.importing import Imported, ImportRefusedError, translate
from aiosd.setup.plan import RECORD, Wanted, find_unasked_root, make_plan
from aiosd.setup.record import Record
from aiosd.setup.steps import SetupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


_MAX_IMPORT = 64 * 1024 + 1


def run(options: dict[str, str]) -> int:
    """`aios setup`; the exit status."""
    if "undo" in options and len(options) > 1 + ("yes" in options):
        raise UsageError("--undo takes back all that was set up, and goes with --yes only", "setup")
    if os.geteuid() != 0:
        tell(2, "aios: this sets up users and /etc, which are root's\n  sudo aios setup\n")
        return exits.DENIED
    try:
        record = Record(RECORD)
        if "undo" in options:
            return _undo(record, asked="yes" not in options)
        return _set_up(record, _read_wanted(options), asked="yes" not in options)
    except (SetupError, ImportRefusedError) as exc:
        tell(2, f"aios: {escape(str(exc))}\n  {escape(exc.hint)}\n")
        return exits.BAD_INPUT


def _read_wanted(options: dict[str, str]) -> Wanted:
    source = os.path.abspath(options["import"]) if "import" in options else ""
    imported = _import(source) if source else None
    return Wanted(
        user=options.get("user", "ai"), autologin=options.get("autologin", ""), imported=imported, source=source
    )


def _import(path: str) -> Imported:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(_MAX_IMPORT)
    except OSError as exc:
        raise SetupError(f"{path}: {exc.strerror}", "name a file that root can read") from exc
    return translate(content or b"", path)


def _set_up(record: Record, wanted: Wanted, *, asked: bool) -> int:
    plan = make_plan(wanted, record)
    left = [step for step in plan if not step.is_done()]
    if wanted.imported is not None:
        _say(f"{wanted.source}, entry by entry:")
        for entry in wanted.imported.entries:
            _say(f"  {entry.describe()}")
        for name in wanted.imported.ignored:
            _say(f"  {name}: left out; only the lists of [permissions] are taken over")
    _list("This is as it should be:", [step.describe().partition("\n")[0] for step in plan if step not in left])
    _list("This will be done:", [step.describe() for step in left])
    for line in find_unasked_root(wanted.user):
        _say(f"Look at {line}\n  it lets sudo become root without a question, past aios; nothing here needs it")
    if left and not _agreed(asked=asked):
        return exits.DENIED
    for step in left:
        step.do()
        record.add(step)
    _say("done; undone by: aios setup --undo" if left else "nothing is to do")
    if wanted.autologin and left:
        _say(f"{wanted.autologin} logs {wanted.user} in from its next start on")
    return exits.OK


def _undo(record: Record, *, asked: bool) -> int:
    steps = record.steps[::-1]
    if not steps:
        _say("nothing was set up")
        return exits.OK
    _list("This will be undone:", [step.describe_undo() for step in steps])
    if not _agreed(asked=asked):
        return exits.DENIED
    for step in steps:
        step.undo()
        record.take(step)
    _say("undone")
    return exits.OK


def _agreed(*, asked: bool) -> bool:
    """Whether the person says yes; without a terminal only --yes does."""
    if not asked:
        return True
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as exc:
        raise UsageError("there is no terminal to ask at; add --yes if this is what you want", "setup") from exc
    try:
        import termios

        termios.tcflush(terminal, termios.TCIFLUSH)
        tell(terminal, "Go on? [y/N] ")
        answer = os.read(terminal, 4096).strip().lower()
    finally:
        os.close(terminal)
    if answer in (b"y", b"yes"):
        return True
    _say("nothing was changed")
    return False


def _list(title: str, texts: Sequence[str]) -> None:
    if not texts:
        return
    _say(title)
    for text in texts:
        told, end, content = text.partition("\n")
        _say(f"  - {told}")
        if end:  # a file is shown as it is written
            write_all(1, f"{escape(content, newlines=True)}\n".encode(errors="surrogateescape"))


def _say(text: str) -> None:
    tell(1, f"{escape(text, newlines=True)}\n")

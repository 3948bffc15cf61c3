"""Reading what a person writes: with prompt_toolkit where it is there and the terminal can, plain lines otherwise.

A line that ends in a backslash goes on in the next. The history is the user's own file, which nobody else can read.
"""

from __future__ import annotations

import os
import sys

from aiosd.cli.reach import environment, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    class Editor(Protocol):
        """Reads what a person writes."""

        def read(self, prompt: str) -> str:
            """The next words; EOFError where there are none, KeyboardInterrupt for Ctrl-C."""
            ...


_MORE = "...    "


def open_editor(
    *, plain: bool, commands: Iterable[str], unfold: Callable[[], None], toolbar: Callable[[], str]
) -> Editor:
    """The best one there is. `commands` are completed, Ctrl-O does `unfold`, `toolbar` stands below the line."""
    able = os.isatty(0) and os.isatty(1) and environment("TERM") not in ("", "dumb")
    if plain or not able or not _find_library():
        return PlainEditor()
    return _FullEditor(tuple(commands), unfold, toolbar)


class PlainEditor:
    """Lines as the terminal gives them."""

    def read(self, prompt: str) -> str:
        """The next words."""
        words, shown = "", prompt
        while True:
            if os.isatty(0):
                write_all(1, shown.encode())
            line = sys.stdin.readline()
            if not line:
                if words:
                    return words
                raise EOFError
            words += line.rstrip("\n")
            if not words.endswith("\\"):
                return words
            words, shown = words[:-1] + "\n", _MORE


class _FullEditor:
    """prompt_toolkit's."""

    def __init__(self, commands: tuple[str, ...], unfold: Callable[[], None], toolbar: Callable[[], str]) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.application import run_in_terminal
        from prompt_toolkit.history import FileHistory, InMemoryHistory
        from prompt_toolkit.key_binding import KeyBindings

        keys = KeyBindings()

        @keys.add("enter")
        def _send(event: Any) -> None:
            buffer = event.current_buffer
            if buffer.document.text_before_cursor.endswith("\\"):
                buffer.delete_before_cursor()
                buffer.insert_text("\n")
            else:
                buffer.validate_and_handle()

        @keys.add("escape", "enter")
        def _go_on(event: Any) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-o")
        def _open(_event: Any) -> None:
            run_in_terminal(unfold)

        path = find_history()
        self._session: PromptSession[str] = PromptSession(
            history=FileHistory(path) if path else InMemoryHistory(),
            completer=_make_completer(commands),
            complete_while_typing=False,
            key_bindings=keys,
            multiline=True,
            prompt_continuation=_MORE,
            bottom_toolbar=toolbar,
            enable_open_in_editor=True,
            mouse_support=False,
        )

    def read(self, prompt: str) -> str:
        """The next words."""
        return self._session.prompt(prompt)


def _make_completer(commands: tuple[str, ...]) -> Any:
    from prompt_toolkit.completion import Completer, Completion

    class Words(Completer):
        """Slash commands at the beginning, paths behind @ and in commands."""

        def get_completions(self, document: Any, complete_event: Any) -> Iterable[Completion]:
            """What may come here."""
            del complete_event
            before = str(document.text_before_cursor)
            for word, start in complete(before, commands):
                yield Completion(word, start_position=start)

    return Words()


def complete(before: str, commands: Iterable[str]) -> list[tuple[str, int]]:
    """What may stand where `before` ends: each word, and how far before the end it begins (a number not above 0)."""
    if before.startswith("/") and "\n" not in before:
        found = [(each, -len(before)) for each in commands if each.startswith(before)]
        if found:
            return found
    word = before.rpartition(" ")[2].rpartition("\n")[2]
    mark = "@" if word.startswith("@") else ""
    if not mark and not before.startswith(("!", "/")):
        return []
    folder, _, start = word.removeprefix(mark).rpartition("/")
    place = f"{folder}/" if folder or word.removeprefix(mark).startswith("/") else ""
    try:
        names = sorted(os.listdir(os.path.expanduser(place) or "."))
    except OSError:
        return []
    fitting = [name for name in names if name.startswith(start) and (start.startswith(".") or not name.startswith("."))]
    return [
        (f"{mark}{place}{name}{'/' if os.path.isdir(os.path.expanduser(place + name)) else ''}", -len(word))
        for name in fitting[:200]
    ]


def find_history() -> str:
    """The file of what was written before, made if it is not there; "" where there can be none."""
    state = environment("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    folder = os.path.join(state, "aios")
    path = os.path.join(folder, "chat_history")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.chmod(path, 0o600)
    except OSError:
        return ""
    return path


def _find_library() -> bool:
    """Whether prompt_toolkit can be imported, from where this interpreter's packages are, or beside our launcher."""
    import importlib.util
    import site

    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    above = os.path.dirname(os.path.dirname(os.path.realpath(sys.argv[0])))
    beside = os.path.join(above, "lib", version, "site-packages")
    for folder in (beside, *site.getsitepackages()):
        if folder not in sys.path and os.path.isdir(folder):
            sys.path.append(folder)
    return importlib.util.find_spec("prompt_toolkit") is not None

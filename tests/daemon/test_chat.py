"""`aios chat`, typed into on a terminal: plain, and with its editor."""

import os
import re
from collections.abc import Iterator
from functools import partial

import pytest

from tests.daemon.cards import own_folder
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import ROOT, Daemon, wait_until
from tests.daemon.people import default_person
from tests.daemon.terminal import QUESTION, Terminal, on_terminal
from tests.doubles.provider import Say, ScriptedProvider

PROMPT = "[aios] > "
LAUNCHER = (str(ROOT / ".venv" / "bin" / "aios"),)
MEMORY = "メモリの空きは？"


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A provider on loopback."""
    with ScriptedProvider() as made:
        made.one_conversation = False
        yield made


def _home(daemon: Daemon) -> dict[str, str]:
    home = own_folder(daemon, "home")
    return {"HOME": str(home), "XDG_STATE_HOME": str(home / "state")}


def _say(terminal: Terminal, words: str, *, times: int) -> str:
    """Type, and read until the next prompt, which is the one of number `times`."""
    terminal.type(words)
    return terminal.wait_for(PROMPT, times=times)


def test_a_plain_chat_writes_text_and_line_ends_and_nothing_else(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    place = own_folder(daemon, "place")
    with on_terminal(daemon, "chat", "--plain", environment=_home(daemon)) as chat:
        chat.wait_for(PROMPT)
        screen = _say(chat, MEMORY, times=2)
        assert "› free -b\n" in screen
        assert re.search(r"メモリは .*利用可能です", screen)
        screen = _say(chat, "run `seq 1 9`", times=3)
        assert "  3\n  … 6 more lines; /output shows it all\n" in screen
        assert "  8\n  9\n" in _say(chat, "/output", times=4)
        assert "/model [NAME]" in _say(chat, "/help", times=5)
        assert "auto_allow" in _say(chat, "/policy df -h /", times=6)
        assert "there is no /nonsense" in _say(chat, "/nonsense", times=7)
        assert "\nLinux\n" in _say(chat, "!uname -s", times=8)
        chat.type(f"run `touch {place}/made`")
        chat.wait_for(QUESTION)
        assert "approval" in _say(chat, "y", times=9)
        screen = _say(chat, "a question\\\n  in two lines", times=10)
        assert "...    " in screen
        chat.press(b"\x04")
        assert chat.end() == 0
        raw = chat.raw
    assert [each.name for each in place.iterdir()] == ["made"]
    assert "\x1b" not in raw
    assert "\b" not in raw
    assert "\a" not in raw
    assert "\r" not in raw.replace("\r\n", "\n")
    assert len(daemon.api("GET", "/v1/sessions").json["sessions"]) == 1


def test_ctrl_c_interrupts_the_turn_and_twice_leaves(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    with on_terminal(daemon, "chat", "--plain", "--name", "slow", environment=_home(daemon)) as chat:
        chat.wait_for(PROMPT)
        chat.type("run `sleep 1000`")
        chat.wait_for("› sleep 1000")
        chat.press(b"\x03")
        assert "! interrupted" in chat.wait_for(PROMPT, times=2)
        assert daemon.api("GET", "/v1/sessions/slow").json["session"]["state"] == "interrupted"
        chat.press(b"\x03")
        assert "(Ctrl-C again leaves)" in chat.wait_for(PROMPT, times=3)
        chat.press(b"\x03")
        assert chat.end() == 130


def test_words_go_to_the_model_and_session_that_were_chosen_with_the_files_named(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    tables = "".join(f'[models.{name}]\nmodel = "{name}"\nbase_url = "{provider.url}"\n' for name in ("one", "two"))
    daemon = make_daemon(config=f'[agent]\nmodel = "one"\n{tables}')
    place = own_folder(daemon, "place")
    (place / "notes").write_text("remember\n")
    provider.says(*(Say(text=f"answer {number}") for number in range(5)))
    with on_terminal(daemon, "chat", "--plain", "--name", "first", environment=_home(daemon)) as chat:
        chat.wait_for(PROMPT)
        commands = (
            "hello",
            "/model two",
            f"look at @{place}/notes",
            "/new",
            "again",
            "/sessions first",
            "back",
            "/plan",
        )
        for number, words in enumerate(commands, 2):
            _say(chat, words, times=number)
        chat.type("/quit")
        assert chat.end() == 0
    assert [asked.body["model"] for asked in provider.asked] == ["one", "two", "two", "two"]
    said = [[what for kind, what in asked.turns if kind == "user"] for asked in provider.asked]
    notes = f"look at {place}/notes\n\n--- {place}/notes\nremember\n\n[attached: /dev/session/uploads/notes (9 bytes)]"
    assert said == [["hello"], ["hello", notes], ["again"], ["hello", notes, "back"]]


class _Screen:
    """A terminal that says where its cursor is, as they do when they are asked. Source: xterm's CPR."""

    def __init__(self, chat: Terminal) -> None:
        self._chat = chat
        self._told = 0

    def press(self, keys: bytes, *shown: str) -> None:
        """Press keys, and read on until all that is `shown`, in order."""
        begun = len(self._chat.raw)
        self._chat.press(keys)
        for text in shown:
            wait_until(partial(self._shows, text, begun), f"{text!r} on {self._chat.raw[begun:]!r}")
            begun = self._chat.raw.index(text, begun) + len(text)

    def _shows(self, text: str, begun: int) -> bool:
        raw = self._chat.read_on()
        asked = raw.count("\x1b[6n")
        self._chat.press(b"\x1b[20;1R" * (asked - self._told))
        self._told = asked
        return text in raw[begun:]


def test_the_editor_has_history_completion_and_keys(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(uid=default_person() if os.geteuid() == 0 else os.geteuid())
    variables = _home(daemon)
    ready = "/help  "  # the end of the line below the editor's
    with on_terminal(daemon, "chat", environment=variables, program=LAUNCHER) as chat:
        screen = _Screen(chat)
        screen.press(b"", ready)
        screen.press(b"run `seq 1 9`\r", "Ctrl-O or /output shows it all", " s)", ready)
        screen.press(b"\x0f", "  8\r\n  9", ready)
        screen.press(b"/mod", "/mod")
        screen.press(b"\t", "el")
        screen.press(b"\r", "MODEL", "builtin", ready)
        screen.press(b"run `sleep 1000`\r", "› sleep 1000", "s  sleep 1000")
        screen.press(b"\x1b", "! interrupted", ready)
        screen.press(b"one\x1b\rtwo", "one", "two")
        screen.press(b"\x03", "(Ctrl-C again leaves)", ready)
        chat.press(b"\x04")
        assert chat.end() == 0
    history = daemon.folder / "home" / "state" / "aios" / "chat_history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert "+run `seq 1 9`\n" in history.read_text()
    with on_terminal(daemon, "chat", environment=variables, program=LAUNCHER) as again:
        screen = _Screen(again)
        screen.press(b"", ready)
        screen.press(b"\x1b[A\x1b[A\x1b[A", "run `seq 1 9`")  # the third last: what was asked first
        screen.press(b"\r", "Ctrl-O or /output shows it all", ready)
        again.press(b"\x04")
        assert again.end() == 0

"""`aios chat`: a conversation at the terminal. Words go to the model, `/` is a command of ours, `!` the machine's.

What the slash commands are is a table: our own few, and every verb of `aios` by its name.
"""

from __future__ import annotations

import os

from aiosd import exits, frames
from aiosd.cli.chat_turn import ChatTurn
from aiosd.cli.editor import open_editor
from aiosd.cli.keys import Keys
from aiosd.cli.parse import UsageError
from aiosd.cli.reach import NoDaemonError, write_all
from aiosd.cli.show import escape
from aiosd.cli.table import VERBS
from aiosd.cli.transport import complain, request, tell
from aiosd.words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PROMPT = "[aios] > "
_TAKEN = ("continue", "session", "fork", "name", "model")
_NOT_HERE = ("ask", "chat", "run", "setup", "completion", "help", "sessions", "models", "model add")


class Chat:
    """One chat: which session and model the next words go to, and what the last turn left folded."""

    def __init__(self, options: dict[str, str], run_verb: Callable[[list[str]], int]) -> None:
        self._verb = run_verb
        self._options = {name: options[name] for name in _TAKEN if name in options}
        self._plain = "plain" in options
        self._turn: ChatTurn | None = None
        self._name = options.get("session", "")
        self._model = options.get("model", "")
        self._plan = False
        self.commands: dict[str, tuple[str, str, Callable[[str], None]]] = {
            "help": ("", "print this", self._help),
            "model": ("[NAME]", "ask another model from now on, or list them", self._choose_model),
            "sessions": ("[NAME]", "go on with another session, or list them", self._choose_session),
            "new": ("", "begin a new session", self._begin_anew),
            "plan": ("", "only read from now on, or act again", self._toggle_plan),
            "output": ("", "show the last output whole (Ctrl-O)", lambda _rest: self._unfold()),
            "policy": ("LINE", "what would become of a command line", self._check_policy),
            "quit": ("", "leave (Ctrl-D)", _leave),
        }  # fmt: skip

    def run(self) -> int:
        """Talk until the person leaves; the exit status."""
        editor = open_editor(
            plain=self._plain, commands=self._list_commands(), unfold=self._unfold, toolbar=self._describe
        )
        tell(2, "aios chat: /help tells more, Ctrl-D leaves\n")
        leaving = reading = False
        while True:
            try:
                reading = True
                words = editor.read(PROMPT)
                leaving = reading = False
                self._handle(words)
            except EOFError:
                write_all(2, b"\n" if os.isatty(0) else b"")
                return exits.OK
            except KeyboardInterrupt:
                if leaving or not reading:
                    write_all(2, b"\n")
                    return exits.INTERRUPTED
                leaving = True
                tell(2, "\n(Ctrl-C again leaves)\n")
            except (UsageError, NoDaemonError) as exc:
                tell(2, f"aios: {exc}\n")

    def _handle(self, words: str) -> None:
        text = words.strip()
        if text.startswith("/"):
            self._command(text[1:])
        elif text.startswith("!"):
            self._run_line(text[1:].strip())
        elif text:
            self._ask(text)

    def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        if name in self.commands:
            self.commands[name][2](rest.strip())
        elif any(verb[0].split()[0] == name and verb[0] not in _NOT_HERE for verb in VERBS):
            self._run_verb(text)
        else:
            raise UsageError(f"there is no /{escape(name)}; /help lists what there is")

    def _run_verb(self, text: str) -> None:
        import shlex

        try:
            words = shlex.split(text)
        except ValueError as exc:
            raise UsageError(f"that cannot be read: {exc}") from exc
        self._verb(words)

    def _run_line(self, line: str) -> None:
        """A command of one's own: the same policy, no model."""
        if not line:
            raise UsageError("! what? Write a command behind it")
        from aiosd.cli.run import run

        status = run({"inline": "1"}, [line])
        if status:
            write_all(2, f"(status {status})\n".encode())

    def _ask(self, text: str) -> None:
        prompt, body = self._render(text)
        answer = request(
            "POST",
            "/v1/ask",
            accept="application/x-ndjson",
            content_type=frames.MEDIA_TYPE,
            body=frames.render(frames.PROMPT, prompt.encode("utf-8", "surrogateescape")) + body,
        )
        if answer.status != 200:
            complain(answer)
            return
        keys = Keys(-1 if self._plain or not os.isatty(0) else 0)
        turn = self._turn = ChatTurn(answer, keys, plain=self._plain)
        with keys, turn.interruptible():
            turn.show()
        self._name = turn.session_name
        self._options = {"session": self._name, **({"model": self._model} if self._model else {})}

    def _render(self, text: str) -> tuple[str, bytes]:
        """The words without their @ marks, and the frames of all else."""
        from aiosd.cli.attach import read_attachments

        named = [word[1:] for word in text.split() if word.startswith("@")]
        paths = [path for path in named if os.path.isfile(os.path.expanduser(path))]
        body = read_attachments([os.path.expanduser(path) for path in paths])
        for path in paths:
            text = text.replace(f"@{path}", path)
        try:
            body += frames.render(frames.CWD, os.getcwdb())
        except OSError:
            body += frames.render(frames.CWD, b"/")
        tags = {"session": frames.WANTED, "name": frames.NAME, "model": frames.MODEL}
        for name, tag in tags.items():
            if name in self._options:
                body += frames.render(tag, self._options[name].encode("utf-8", "surrogateescape"))
        for name, tag in {"continue": frames.NEWEST, "fork": frames.FORK}.items():
            body += frames.render(tag, b"") if name in self._options else b""
        return text, body + (frames.render(frames.PLAN, b"") if self._plan else b"")

    def _help(self, _rest: str) -> None:
        rows = [(f"/{name} {args}".strip(), about) for name, (args, about, _run) in self.commands.items()]
        rows += [("!COMMAND", "run it yourself, by the same policy, without the model")]
        rows += [("@FILE", "send a file along")]
        rows += [("Enter, \\ Enter", "send; another line (also Esc Enter)")]
        rows += [("Ctrl-C, Esc", "interrupt the turn; Ctrl-C twice leaves")]
        verbs = sorted({verb[0].split()[0] for verb in VERBS if verb[0] not in _NOT_HERE} - self.commands.keys())
        out = "".join(f"  {left:20} {say(right)}\n" for left, right in rows)
        from aiosd.cli.show import wrap

        names = "\n".join(f"  {line}" for line in wrap(" ".join(f"/{verb}" for verb in verbs), 76))
        write_all(1, f"{out}  {say('and, as aios has them:')}\n{names}\n".encode())

    def _choose_model(self, rest: str) -> None:
        if not rest:
            self._run_verb("models")
            return
        self._model = self._options["model"] = rest
        tell(2, f"the next words go to {escape(rest)}\n")

    def _choose_session(self, rest: str) -> None:
        if not rest:
            self._run_verb("sessions")
            return
        from aiosd.cli.sessions import path_part

        answer = request("GET", f"/v1/sessions/{path_part(rest)}", accept="application/json")
        if answer.status != 200:
            complain(answer)
            return
        self._options, self._name = {"session": rest}, rest
        tell(2, f"the next words go on in {escape(rest)}\n")

    def _begin_anew(self, _rest: str) -> None:
        self._options, self._name = ({"model": self._model} if self._model else {}), ""
        tell(2, "the next words begin a new session\n")

    def _check_policy(self, rest: str) -> None:
        self._verb(["policy", "check", "--", rest] if rest else ["policy", "show"])

    def _toggle_plan(self, _rest: str) -> None:
        self._plan = not self._plan
        tell(2, "from now on nothing is changed, only proposed\n" if self._plan else "plans are over\n")

    def _unfold(self) -> None:
        if self._turn is None:
            tell(1, "nothing is folded\n")
        else:
            self._turn.unfold()

    def _describe(self) -> str:
        plan = f"  {say('plan: nothing is changed')}" if self._plan else ""
        name, model = self._name or say("a new session"), self._model or say("the configured model")
        return f" {name}  {model}{plan}   /help"

    def _list_commands(self) -> tuple[str, ...]:
        verbs = {verb[0] for verb in VERBS if verb[0] not in _NOT_HERE}
        return tuple(f"/{name}" for name in sorted({*self.commands, *verbs}))


def _leave(_rest: str) -> None:
    raise EOFError


def chat(options: dict[str, str], run_verb: Callable[[list[str]], int]) -> int:
    """`aios chat`; the exit status. `run_verb` runs a command line of `aios`."""
    return Chat(options, run_verb).run()

"""What one turn is made of: its loop, with the tools it has, what it may use up, and where its messages are kept."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields

from aiosd.agent.budget import Budget
from aiosd.agent.conversation import render_message
from aiosd.agent.loop import Loop
from aiosd.agent.prompt import Facts, render_prompt
from aiosd.agent.structured import Answer, parse_schema
from aiosd.agent.subagent import Task
from aiosd.agent.summary import Summary
from aiosd.agent.talking import AskUser, Todo
from aiosd.config import Live
from aiosd.egress.desk import Desk
from aiosd.egress.given import Held, Lists
from aiosd.guard.client import GuardClient
from aiosd.memory.transcripts import Transcripts
from aiosd.model.base import Message, Model, Picture
from aiosd.session.outlet import Outlet
from aiosd.tools import Tool, ToolContext, all_tools
from aiosd.types import CallId, SessionId
from aiosd.wire import Event

Wait = Callable[[CallId, Callable[[], None]], Awaitable[str | None]]
_MAX_ABOUT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a person asks in a turn. `model` is asked from then on in the session; "" leaves the one it has.

    A new session, or with `fork` the copy of an old one, is called `name` where that is not "". The rest as in
    `aiosd.wire_ask`.
    """

    prompt: str
    input: str
    cwd: str
    wait_s: int
    model: str = ""
    name: str = ""
    fork: bool = False
    plan: bool = False
    carry_out: bool = False
    yes_to: str = ""
    timeout_s: int = 0
    max_cost: float = 0.0
    schema: str = ""
    pictures: tuple[Picture, ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()

    @property
    def about(self) -> str:
        """What was asked, for lists of it: the words, or where there are none what came along."""
        if self.prompt.strip():
            return self.prompt
        return self.input[:_MAX_ABOUT].strip() or ", ".join(name for name, _content in self.files)[:_MAX_ABOUT]

    @property
    def text(self) -> str:
        """The words of the message, and below them what came on standard input."""
        return f"{self.prompt}\n\n{self.input}".strip() if self.input else self.prompt

    @property
    def most(self) -> str:
        """The strictest tier that may run, "" for any."""
        return "auto_allow" if self.plan else self.yes_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A turn of `session` of `uid`: by `number`, of `model`, with whoever hears of it and is asked.

    `summariser` is the same model anew, for what is not the answer. `reveal` reads a credential; `keep` takes what
    commands made for the session, `put_files` gives the guard what the session has.
    """

    uid: int
    session: SessionId
    number: int
    ask: Ask
    model: Model
    facts: Facts
    guard: GuardClient
    transcripts: Transcripts
    live: Live
    emit: Callable[[Event], None]
    wait: Wait
    reveal: Callable[[str], str]
    keep: Callable[[bytes], Awaitable[None]]
    put_files: Callable[[], Awaitable[None]]
    summariser: Model

    def make_loop(self, budget: Budget) -> Loop:
        """The loop, which may use `budget`."""
        limits = self.live.config.agent
        context = ToolContext(
            guard=self.guard,
            session=self.session,
            cwd=self.ask.cwd,
            wait_s=self.ask.wait_s,
            result_bytes=limits.result_bytes,
            emit=self.emit,
            most=self.ask.most,
            plan=self.ask.plan,
            careful=limits.careful,
            foreign={"standard input"} if self.ask.input else set(),
            downloads=limits.downloads,
            home=self.facts.home,
            egress=Desk(self._lists, self.reveal),
            keep=self.keep,
            put_files=self.put_files,
        )
        outlet = Outlet(
            requests=self.transcripts.sent,
            live=self.live,
            uid=self.uid,
            session=self.session,
            turn=self.number,
            max_cost=self.ask.max_cost,
        )
        system = render_prompt(self.facts)
        answer = Answer(parse_schema(self.ask.schema)) if self.ask.schema else None

        def begin(tools: Sequence[Tool], where: ToolContext, prefix: str, *, kept: bool) -> Loop:
            return Loop(
                model=self.model,
                tools=tools,
                system=system,
                budget=budget,
                context=where,
                store=self._store if kept else _keep_nothing,
                log=outlet,
                prefix=prefix,
                answer=answer if kept else None,
                keep_summary=self._keep_summary if kept and limits.summarise else None,
                summariser=self.summariser,
            )

        task = Task(lambda where, prefix: begin(all_tools(), where, prefix, kept=False))
        return begin((*all_tools(), AskUser(self.wait), Todo(), task), context, "", kept=True)

    def _lists(self) -> Lists:
        table = self.live.config.egress
        secrets = tuple(
            Held(
                placeholder=each.placeholder,
                credential=each.credential,
                hosts=each.hosts,
                headers=tuple(name.lower() for name in each.headers),
            )
            for each in self.live.config.secrets
            if each.is_of(self.facts.user)
        )
        return Lists(**{each.name: getattr(table, each.name) for each in fields(table)}, secrets=secrets)

    async def _keep_summary(self, summary: Summary) -> None:
        await self.transcripts.append_messages(self.uid, self.session, self.number, [summary.stored()])

    async def _store(self, messages: Sequence[Message]) -> None:
        bodies = [render_message(each) for each in messages]
        await self.transcripts.append_messages(self.uid, self.session, self.number, bodies)


async def _keep_nothing(_messages: Sequence[Message]) -> None:
    """What a helper says and sees is kept by nobody: its answer is the result of a call."""

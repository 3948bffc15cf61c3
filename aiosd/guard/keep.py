"""Jobs that outlive this guard: what one hangs by is left with the service manager, and taken up by the next guard.

That is its worker's socket, the pipes it writes to, the file that keeps what it has written, and the facts of it. While
no guard runs the job goes on, and waits where its pipe is full. What is not handed back is not a job any more: the
worker ends with its socket. Where a line has several pipelines the one under way is followed to its end; the next are
not begun, as the guard that decided them is gone, and that is what the job's end says.

Source: sd_notify(3) FDSTORE=1, systemd.service(5) FileDescriptorStoreMax=, FileDescriptorStorePreserve=.
"""

import asyncio
import json
import os
from dataclasses import dataclass

from aiosd.audit.records import Outcome
from aiosd.guard.activation import take_passed
from aiosd.guard.keeper import PARTS, PREFIX, boot_time, forget
from aiosd.guard.run import JOB_OUTPUT_BYTES, Ended
from aiosd.guard.streams import Output, Tell
from aiosd.sandbox.adopted import Adopted
from aiosd.sandbox.link import SandboxError
from aiosd.types import JsonObject

_DRAIN_S = 5.0


def take_kept() -> list["Kept"]:
    """The jobs that an earlier guard left. What is not whole is let go of."""
    found: dict[str, dict[str, int]] = {}
    for name, fd in take_passed(PREFIX):
        identity, _, part = name.removeprefix(PREFIX).partition(".")
        found.setdefault(identity, {})[part] = fd
    kept: list[Kept] = []
    for identity, parts in found.items():
        if set(parts) != PARTS:
            for fd in parts.values():
                os.close(fd)
            forget(identity)
            continue
        facts: JsonObject = json.loads(os.pread(parts["facts"], 1 << 20, 0))
        os.close(parts["facts"])
        adopted = Adopted(parts["control"], group=str(facts["group"]), action=int(str(facts["action"])))
        pipes = (parts["stdout"], parts["stderr"])
        kept.append(Kept(id=identity, facts=facts, output=parts["output"], adopted=adopted, pipes=pipes))
    return kept


@dataclass(slots=True, kw_only=True)
class Kept:
    """A job of an earlier guard. `output` is the caller's from now on."""

    id: str
    facts: JsonObject
    output: int
    adopted: Adopted
    pipes: tuple[int, int]

    @property
    def call(self) -> tuple[str, str]:
        """Its session and call, by which it is on the record."""
        return str(self.facts["session"]), str(self.facts["call"])

    async def follow(self, tell: Tell) -> Ended:
        """Go on with it to its end, or to its deadline. Cancelling ends it."""
        began = boot_time()
        output = Output(JOB_OUTPUT_BYTES, tell)
        output.total = os.fstat(self.output).st_size
        left_s, whole_s = float(str(self.facts["deadline"])) - began, int(str(self.facts["timeout_s"]))
        pumps: list[asyncio.Task[None]] = []
        try:
            async with asyncio.TaskGroup() as group:
                pumps += [group.create_task(output.pump(fd, name)) for fd, name in self._streams()]
                try:
                    async with asyncio.timeout(max(left_s, 0)):
                        ended = self._ended(await self.adopted.wait())
                except TimeoutError:
                    ended = Ended(outcome=Outcome.TIMED_OUT, reason=f"ended after {whole_s} s")
                except (SandboxError, OSError) as exc:
                    ended = Ended(outcome=Outcome.LOST, reason=f"it was lost: {exc}")
                finally:
                    await self.adopted.end()
                    _done, late = await asyncio.wait(pumps, timeout=_DRAIN_S)
                    for pump in late:
                        pump.cancel()
        finally:
            for fd in self.pipes:
                os.close(fd)
            forget(self.id)
        took_s = whole_s - left_s + (boot_time() - began)
        return Ended(
            outcome=ended.outcome,
            status=ended.status,
            reason=ended.reason,
            duration_ms=round(took_s * 1000),
            output_bytes=output.total,
            truncated=output.total > JOB_OUTPUT_BYTES,
            foreign=self.adopted.foreign,
        )

    def _streams(self) -> list[tuple[int, str]]:
        return list(zip(self.pipes, ("stdout", "stderr"), strict=True))

    def _ended(self, status: int) -> Ended:
        if not self.facts["last"]:
            reason = "the guard was started anew meanwhile: what follows in its line was not begun"
            return Ended(outcome=Outcome.LOST, status=status, reason=reason)
        over = self.adopted.over_memory
        reason = f"it used more memory than {over} allows and was ended" if over else ""
        return Ended(outcome=Outcome.FAILED if status else Outcome.DONE, status=status, reason=reason)

"""The record replayed against a proposed policy: what would have been decided otherwise.

Only what stands whole in the record can be judged again: a record whose text was cut or redacted is counted, not
guessed. The proposed policy is compared with what was decided then, by whatever policy was in force.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from aiosd.guard.people import find_principal
from aiosd.policy import CommandAction, Policy
from aiosd.types import JsonObject, Principal, RunAs, Tier


@dataclass(slots=True)
class Backtest:
    """What came of it: `flips` by the tiers before and after with each line, `same`, and `skipped` records."""

    same: int = 0
    skipped: int = 0
    flips: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def rows(self) -> list[JsonObject]:
        """The flips, loosened ones first, then by how often."""
        order = list(Tier)
        ranked = sorted(
            self.flips.items(),
            key=lambda item: (order.index(Tier(item[0][1])) > order.index(Tier(item[0][0])), -item[1], item[0]),
        )
        return [
            {"before": before, "after": after, "command": line, "count": count}
            for (before, after, line), count in ranked
        ]


def replay(policy: Policy, records: Iterable[Mapping[str, object]]) -> Backtest:
    """Judge each recorded command again."""
    found = Backtest()
    people: dict[int, Principal] = {}
    for record in records:
        if record.get("kind") != "decided" or record.get("tool") != "bash":
            continue
        line, uid, before = _read_line(record), int(str(record["uid"])), str(record["tier"])
        if not _is_whole(line, str(record["digest"])):
            found.skipped += 1
            continue
        if uid not in people:
            people[uid] = find_principal(uid, uid)
        action = CommandAction(line=line, cwd=str(record["cwd"]) or "/", run_as=RunAs(str(record["run_as"])))
        after = policy.evaluate(action, people[uid]).tier.value
        if after == before:
            found.same += 1
        else:
            found.flips[before, after, line] += 1
    return found


def render_backtest(found: Backtest, escape: Callable[[str], str]) -> str:
    """For a terminal."""
    rows = found.rows()
    out = "".join(
        f"{row['before']!s:16} -> {row['after']!s:16} {row['count']:>5}x  {escape(str(row['command']))}\n"
        for row in rows
    )
    changed = sum(found.flips.values())
    skipped = f", {found.skipped} not judged (cut or redacted in the record)" if found.skipped else ""
    return f"{out}{changed} would change, {found.same} would not{skipped}\n"


def _read_line(record: Mapping[str, object]) -> str:
    """The line by its bytes, where they stand beside what is shown of it."""
    if raw := record.get("raw"):
        return base64.b64decode(str(raw)).decode("utf-8", "surrogateescape")
    return str(record["action"])


def _is_whole(line: str, digest: str) -> bool:
    """Whether the recorded text is the whole of what was proposed: the digest is over the line and no arguments."""
    return hashlib.sha256(f"{line}\0\0".encode("utf-8", "surrogateescape")).hexdigest() == digest

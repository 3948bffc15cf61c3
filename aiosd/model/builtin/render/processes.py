"""Processes by CPU and by memory, the load, and how long the machine is up."""

import re
from dataclasses import dataclass

from aiosd.model.builtin.render.outcome import Reading, Seen, caveats, no_answer, trouble
from aiosd.model.builtin.text import Answer, Table, clip, render_size

_BUSY = 0.7  # load per CPU from which a machine is called busy; from 1 on, work waits
_NAME_COLUMNS = 40
_PS_LINE = re.compile(r"\s*(\d+)\s+(\S+)\s+(\d+\.?\d*)\s+(\d+\.?\d*)\s+(\d+)\s+(?:(\d+)\s+)?(\S.*)")
# proc_loadavg(5): three averages, runnable/all, the last pid.
_LOADAVG = re.compile(r"(\d+\.\d+) (\d+\.\d+) (\d+\.\d+) \d+/\d+ \d+")
_UPTIME = re.compile(r"(\d+\.\d+) \d+\.\d+")  # proc_uptime(5): seconds up, and idle over all CPUs
_OURS = "ps"  # the command that looked is not what the person asks about
_YOUNG_S = 2  # nor what was started for looking; and an average over less says nothing
_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    pid: str
    user: str
    cpu: str
    memory: str
    rss: int
    name: str


def top_cpu(seen: Seen) -> Answer:
    """From `ps`, /proc/loadavg and `nproc`: the load, who uses most, then the list."""
    processes, odd = parse_ps(seen["ps"])
    sentences, notes = _load(seen)
    if not processes:
        return Answer(sentences=(*sentences, trouble(seen, seen["ps"])), notes=notes, failed=True)
    first = processes[0]
    if float(first.cpu) > 0:
        sentences = (*sentences, seen.say("most_cpu", **_fields(first), share=f"{first.cpu}%"))
    else:
        sentences = (*sentences, seen.say("nobody_busy"))
    notes = (seen.say("cpu_is_average"), *caveats(seen, seen["ps"], odd_lines=odd), *notes)
    return Answer(sentences=sentences, table=_table(seen, processes), notes=notes)


def top_memory(seen: Seen) -> Answer:
    """From `ps` sorted by rss: who uses most, then the list."""
    processes, odd = parse_ps(seen["ps"])
    if not processes:
        return no_answer(seen, seen["ps"])
    first = processes[0]
    fields = {**_fields(first), "size": render_size(first.rss), "share": f"{first.memory}%"}
    return Answer(
        sentences=(seen.say("most_memory", **fields),),
        table=_table(seen, processes),
        notes=caveats(seen, seen["ps"], odd_lines=odd),
    )


def uptime(seen: Seen) -> Answer:
    """From /proc/uptime and /proc/loadavg."""
    reading, say = seen["proc"], seen.say
    up = next((match for line in reading.lines if (match := _UPTIME.fullmatch(line.strip()))), None)
    load = _parse_load(reading)
    if up is None and load is None:
        return no_answer(seen, reading)
    sentences = []
    if up:
        sentences.append(say("up_for", span=say.duration(float(up[1]))))
    if load:
        sentences.append(say("load_averages", one=load[0], five=load[1], fifteen=load[2]))
    notes = caveats(seen, reading)
    if not (up and load) and not notes:
        notes = (trouble(seen, reading),)
    return Answer(sentences=tuple(sentences), notes=notes)


def _load(seen: Seen) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The sentence about the load, and notes on what of it could not be read."""
    say = seen.say
    load = _parse_load(seen["load"])
    if load is None:
        return (), (trouble(seen, seen["load"]),)
    cpus = seen["nproc"].out.strip()
    if not cpus.isdigit() or cpus == "0":
        return (say("load_averages", one=load[0], five=load[1], fifteen=load[2]),), (trouble(seen, seen["nproc"]),)
    share = float(load[0]) / int(cpus)
    level = "load_low" if share < _BUSY else "load_busy" if share <= 1 else "load_over"
    return (say.count(level, int(cpus), load=load[0]),), ()


def _parse_load(reading: Reading) -> tuple[str, str, str] | None:
    for line in reading.lines:
        if match := _LOADAVG.fullmatch(line.strip()):
            return match[1], match[2], match[3]
    return None


def parse_ps(reading: Reading) -> tuple[list[Process], int]:
    """The processes, and how many lines are none."""
    processes, odd = [], 0
    for line in reading.lines:
        match = _PS_LINE.fullmatch(line)
        if match is None:
            odd += line.split()[0] != "PID"
        elif match[7] != _OURS and int(match[6] or _YOUNG_S) >= _YOUNG_S:
            pid, user, cpu, memory, rss, _age, name = match.groups()
            processes.append(Process(pid=pid, user=user, cpu=cpu, memory=memory, rss=int(rss) * 1024, name=name))
    return processes, odd


def _fields(process: Process) -> dict[str, str]:
    return {
        "name": clip(process.name, _NAME_COLUMNS),
        "pid": process.pid,
        "user": clip(process.user, _NAME_COLUMNS),
    }


def _table(seen: Seen, processes: list[Process]) -> Table:
    say = seen.say
    return Table(
        headings=(say("col_cpu"), say("col_memory"), say("col_pid"), say("col_user"), say("col_command")),
        rows=tuple(
            (
                f"{process.cpu}%",
                render_size(process.rss),
                process.pid,
                clip(process.user, _NAME_COLUMNS),
                clip(process.name, _NAME_COLUMNS),
            )
            for process in processes[:_SHOWN]
        ),
        right=frozenset((0, 1, 2)),
    )

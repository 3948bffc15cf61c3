"""What one command may use up, as resource limits of its processes and as the files of its cgroup. Pure.

Where a cgroup counts for the whole command it decides; resource limits stand behind it and, where there is no cgroup to
be had, alone: then memory is counted for each process, and processes for the sandbox's own user namespace.

Source: getrlimit(2), user_namespaces(7), cgroups(7), Documentation/admin-guide/cgroup-v2.rst.
"""

from dataclasses import dataclass

_MIB = 1024 * 1024
_CPU, _FSIZE, _DATA, _CORE, _NPROC, _NOFILE = 0, 1, 2, 4, 6, 7
CONTROLLERS = ("memory", "pids", "cpu", "io")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one command may use, under the names of its keys in `[guard]`, which are nowhere else.

    Memory and the largest file in MiB, processes at once, seconds of processor time, open files of a process, and its
    weight beside others for processor and disk (1 to 10000).
    """

    command_memory_mib: int = 4096
    command_processes: int = 512
    command_cpu_s: int = 1200
    command_file_mib: int = 8192
    command_open_files: int = 4096
    command_cpu_weight: int = 100
    command_io_weight: int = 100


@dataclass(frozen=True, kw_only=True)  # without slots: a class can have one base with them
class SessionLimits:
    """What all commands of one session may use together, where PID 1 is asked for its slice; keys in `[guard]` too."""

    session_memory_mib: int = 8192
    session_processes: int = 2048


def render_resources(limits: Limits, *, counted: bool) -> tuple[tuple[int, int], ...]:
    """Resource limits by number; `counted` where a cgroup counts memory for the whole command."""
    out = [
        (_CPU, limits.command_cpu_s),
        (_FSIZE, limits.command_file_mib * _MIB),
        (_CORE, 0),
        (_NPROC, limits.command_processes),
        (_NOFILE, limits.command_open_files),
    ]
    return (*out, *(() if counted else ((_DATA, limits.command_memory_mib * _MIB),)))


def render_group(limits: Limits) -> tuple[tuple[str, str], ...]:
    """A cgroup's files and what to write to them, as far as they are there."""
    return (
        ("memory.max", str(limits.command_memory_mib * _MIB)),
        ("memory.swap.max", "0"),
        ("memory.oom.group", "1"),
        ("pids.max", str(limits.command_processes)),
        ("cpu.weight", str(limits.command_cpu_weight)),
        ("io.weight", f"default {limits.command_io_weight}"),
    )

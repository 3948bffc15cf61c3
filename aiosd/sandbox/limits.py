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
    """What a command may use: memory and the largest file in MiB, processor time in seconds, weights of 1 to 10000."""

    memory_mib: int = 4096
    processes: int = 512
    cpu_s: int = 1200
    file_mib: int = 8192
    open_files: int = 4096
    cpu_weight: int = 100
    io_weight: int = 100


def render_resources(limits: Limits, *, counted: bool) -> tuple[tuple[int, int], ...]:
    """Resource limits by number; `counted` where a cgroup counts memory for the whole command."""
    out = [
        (_CPU, limits.cpu_s),
        (_FSIZE, limits.file_mib * _MIB),
        (_CORE, 0),
        (_NPROC, limits.processes),
        (_NOFILE, limits.open_files),
    ]
    return (*out, *(() if counted else ((_DATA, limits.memory_mib * _MIB),)))


def render_group(limits: Limits) -> tuple[tuple[str, str], ...]:
    """A cgroup's files and what to write to them, as far as they are there."""
    return (
        ("memory.max", str(limits.memory_mib * _MIB)),
        ("memory.swap.max", "0"),
        ("memory.oom.group", "1"),
        ("pids.max", str(limits.processes)),
        ("cpu.weight", str(limits.cpu_weight)),
        ("io.weight", f"default {limits.io_weight}"),
    )

"""The filters in the kernel: calls that root can make without it fail with them, each with the stated error."""

import errno
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from aiosd.sandbox.parts import default_interpreter, put_in_memory
from aiosd.sandbox.seccomp import SocketPolicy, render_filters
from tests.daemon.people import needs_root

pytestmark = needs_root

_PROBES = Path(__file__).with_name("probes.py")
_KILLED = -signal.SIGSYS
# The first of these says ENOSYS by itself on most kernels, the second does what it says; neither kills.
_NUMBERINGS = ("the x32 numbers", "the i386 numbers") if os.uname().machine == "x86_64" else ()
_FINE = ("clone plain", "personality asked", "prlimit own", "kill own child", "socketpair unix", *_NUMBERINGS)
_REFUSED = (
    *("TIOCSTI", "TIOCSTI with high bits", "clone NEWUSER", "clone NEWNS", "clone NEWNET", "clone NEWPID"),
    *("unshare user", "unshare mounts", "unshare nothing", "setns net", "setns uts", "ptrace traceme", "ptrace seize"),
    *("keyctl", "add_key", "bpf", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "prlimit of another"),
    *("personality no randomisation", "fsopen", "open_tree", "mount_setattr", "setpriority", "sched_setscheduler"),
    *("ioprio_set", "perf_event_open", "userfaultfd", "kcmp", "mount", "umount2", "reboot"),
)
_SOCKETS = ("socket UNIX", "socket INET", "socket INET6", "socket PACKET")
_NETLINK = tuple(f"netlink {protocol}" for protocol in (0, 4, 9, 12, 15, 16))
# Without the filter: done, or (what would do harm is asked for wrongly) an error of the call's own.
_OWN_ERRORS = {"mount": errno.ENOENT, "umount2": errno.ENOENT, "reboot": errno.EINVAL, "clone3": errno.EINVAL}
_OWN_ERRORS |= {"socketpair inet": errno.EOPNOTSUPP}
WITHOUT = dict.fromkeys((*_FINE, *_REFUSED, *_SOCKETS, *_NETLINK, "io_uring_setup"), 0) | _OWN_ERRORS

ALLOWED = {
    SocketPolicy.NONE: (),
    SocketPolicy.NETLINK: ("netlink 0", "netlink 4"),
    SocketPolicy.UNIX: ("socket UNIX",),
    SocketPolicy.LOOPBACK: ("socket INET", "socket INET6"),
    SocketPolicy.LOOPBACK_UNIX: ("socket UNIX", "socket INET", "socket INET6"),
    SocketPolicy.INTERNET: ("socket UNIX", "socket INET", "socket INET6", "netlink 0"),
}


def expected(policy: SocketPolicy) -> dict[str, int]:
    return {
        **dict.fromkeys(_FINE, 0),
        **dict.fromkeys(_REFUSED, errno.EPERM),
        **dict.fromkeys((*_SOCKETS, *_NETLINK, "socketpair inet"), errno.EAFNOSUPPORT),
        **dict.fromkeys(ALLOWED[policy], 0),
        **dict.fromkeys(("io_uring_setup", "clone3"), errno.ENOSYS),
        **dict.fromkeys(_NUMBERINGS, _KILLED),
    }


def probe(*options: str, programs: tuple[bytes, ...] = ()) -> Mapping[str, int]:
    """What becomes of every probe under bubblewrap with root's rights, with the filters that there are."""
    fds = tuple(put_in_memory(program) for program in programs)
    words = ["bwrap", "--dev-bind", "/", "/", "--unshare-pid", "--proc", "/proc", "--cap-add", "ALL", *options]
    for fd in fds:
        words += ["--add-seccomp-fd", str(fd)]
    try:
        ran = subprocess.run(
            [*words, default_interpreter(), "-I", str(_PROBES)], capture_output=True, check=True, pass_fds=fds
        )
    finally:
        for fd in fds:
            os.close(fd)
    said: dict[str, int] = json.loads(ran.stdout)
    return said


def test_without_the_filter_every_probe_reaches_the_kernel() -> None:
    assert probe() == WITHOUT


@pytest.mark.parametrize("policy", SocketPolicy)
def test_with_the_filter_each_call_is_allowed_or_refused_as_stated(policy: SocketPolicy) -> None:
    assert probe(programs=render_filters(policy, machine=os.uname().machine)) == expected(policy)

"""Profiles as data: the exact bubblewrap arguments, sockets, environment and words of every one."""

import itertools
from dataclasses import replace

import pytest

from aiosd.sandbox.profile import (
    HOME_SECRETS,
    HostFacts,
    Profile,
    ProfileError,
    ProfileName,
    name_sockets,
    render_bwrap,
    render_environment,
    sees_white_list,
    shares_pids,
)
from aiosd.sandbox.seccomp import SocketPolicy
from aiosd.types import Facet

HOST = HostFacts(
    bwrap="/usr/bin/bwrap",
    direct_masks=True,
    fresh_proc=True,
    machine="x86_64",
    landlock=0,
    interpreter="/usr/bin/python3",
)
CONTAINER = HostFacts(
    bwrap="/usr/bin/bwrap",
    direct_masks=True,
    fresh_proc=False,
    machine="x86_64",
    landlock=0,
    interpreter="/usr/bin/python3",
)
WITH_PROXY = HostFacts(
    bwrap="/usr/bin/bwrap",
    direct_masks=True,
    fresh_proc=True,
    machine="x86_64",
    landlock=0,
    interpreter="/opt/python/bin/python3",
    extra=("/opt/python",),
    bus_proxy="/run/aios/bus/system",
)
SHARED = (
    "--unshare-pid --as-pid-1 --die-with-parent --unshare-ipc --unshare-uts --unshare-cgroup-try --new-session "
    "--cap-drop ALL --clearenv"
)
PLACE = "--perms 0700 --size 67108864 --tmpfs /dev/session"
DEV = f"--dev /dev --perms 1777 --size 268435456 --tmpfs /dev/shm {PLACE} --remount-ro /dev"
OWN_PROC, HOST_PROC = "--proc /proc --remount-ro /proc", "--ro-bind /proc /proc"
RUN = "--perms 0755 --size 268435456 --tmpfs /run --perms 1777 --size 268435456 --tmpfs /run/tmp"
RUN_ALWAYS = (
    "/run/udev/data",
    "/run/systemd/resolve/resolv.conf",
    "/run/systemd/resolve/stub-resolv.conf",
)
RUN_JOURNAL = ("/run/log/journal",)
RUN_LOGINS = (
    "/run/utmp",
    "/run/systemd/sessions",
    "/run/systemd/users",
    "/run/systemd/seats",
    "/run/systemd/machines",
)
BUS = " ".join(
    (
        SHARED,
        "--unshare-net --ro-bind /usr /usr --ro-bind /etc /etc --ro-bind /sys /sys --ro-bind /opt/python /opt/python",
        "--symlink usr/bin /bin --symlink usr/sbin /sbin --symlink usr/lib /lib --symlink usr/lib64 /lib64",
        DEV,
        HOST_PROC,
        "--perms 0755 --size 268435456 --tmpfs /run --perms 0755 --size 268435456 --tmpfs /var",
        "--perms 0755 --size 268435456 --tmpfs /tmp --perms 1777 --size 268435456 --tmpfs /run/tmp",
        "--symlink /run /var/run",
        *(
            f"--ro-bind-try {path} {path}"
            for path in (
                *("/run/systemd/system", "/run/systemd/units", "/run/systemd/transient", "/run/systemd/generator"),
                *("/run/systemd/generator.late", "/run/systemd/sessions", "/run/systemd/users", "/run/systemd/seats"),
                *("/run/systemd/machines", "/run/udev/data", "/run/log/journal", "/run/utmp", "/var/log/journal"),
            )
        ),
        "--ro-bind /run/aios/bus/system /run/dbus/system_bus_socket",
        "--remount-ro /run --remount-ro /var --remount-ro /tmp --remount-ro /",
    )
)
SUBSETS = tuple(
    frozenset(facets) for count in range(len(Facet) + 1) for facets in itertools.combinations(sorted(Facet), count)
)


def read_only(*facets: Facet) -> Profile:
    return Profile(name=ProfileName.READ_ONLY, facets=frozenset(facets))


def words(*pieces: str) -> tuple[str, ...]:
    return tuple(" ".join(pieces).split())


def view(facets: frozenset[Facet], *, proc: str) -> tuple[str, ...]:
    """The arguments of a read-only profile without the bus."""
    shown = [*RUN_ALWAYS]
    shown += RUN_JOURNAL if Facet.JOURNAL in facets else ()
    shown += RUN_LOGINS if Facet.LOGINS in facets else ()
    net = "" if Facet.SOCKETS in facets else "--unshare-net"
    binds = " ".join(f"--ro-bind-try {path} {path}" for path in shown)
    return words(SHARED, net, "--ro-bind / /", DEV, proc, RUN, binds, "--remount-ro /run")


def test_the_closed_view() -> None:
    assert render_bwrap(read_only(), HOST) == words(
        "--unshare-pid --as-pid-1 --die-with-parent --unshare-ipc --unshare-uts --unshare-cgroup-try --new-session",
        "--cap-drop ALL --clearenv --unshare-net --ro-bind / / --dev /dev --perms 1777 --size 268435456",
        "--tmpfs /dev/shm --perms 0700 --size 67108864 --tmpfs /dev/session",
        "--remount-ro /dev --proc /proc --remount-ro /proc --perms 0755 --size 268435456",
        "--tmpfs /run --perms 1777 --size 268435456 --tmpfs /run/tmp --ro-bind-try /run/udev/data /run/udev/data",
        "--ro-bind-try /run/systemd/resolve/resolv.conf /run/systemd/resolve/resolv.conf",
        "--ro-bind-try /run/systemd/resolve/stub-resolv.conf /run/systemd/resolve/stub-resolv.conf --remount-ro /run",
    )


@pytest.mark.parametrize("facets", SUBSETS, ids=lambda facets: "+".join(sorted(facets)) or "closed")
def test_every_read_only_view(facets: frozenset[Facet]) -> None:
    profile = read_only(*facets)
    if {Facet.BUS, Facet.SOCKETS} <= facets:
        with pytest.raises(ProfileError, match="cannot be seen from one sandbox"):
            render_bwrap(profile, WITH_PROXY)
    elif Facet.BUS in facets:
        assert render_bwrap(profile, WITH_PROXY) == words(BUS)
        with pytest.raises(ProfileError, match="there is no proxy of the system bus"):
            render_bwrap(profile, HOST)
    else:
        proc = HOST_PROC if Facet.PROCESSES in facets else OWN_PROC
        assert render_bwrap(profile, HOST) == view(facets, proc=proc)
        assert render_bwrap(profile, CONTAINER) == view(facets, proc=HOST_PROC)


def test_what_an_approved_action_gets() -> None:
    user = Profile(name=ProfileName.USER)
    assert render_bwrap(user, HOST) == words(SHARED, "--bind / / --dev /dev", PLACE, OWN_PROC)
    assert render_bwrap(user, CONTAINER) == words(SHARED, "--bind / / --dev /dev", PLACE, HOST_PROC)


@pytest.mark.parametrize("facets", SUBSETS, ids=lambda facets: "+".join(sorted(facets)) or "closed")
def test_the_sockets_of_a_view_and_who_sees_a_white_list(facets: frozenset[Facet]) -> None:
    profile = read_only(*facets)
    expected = (
        SocketPolicy.UNIX
        if Facet.BUS in facets
        else SocketPolicy.NETLINK
        if Facet.SOCKETS in facets
        else SocketPolicy.NONE
    )
    assert (profile.sockets, sees_white_list(profile, HOST)) == (expected, Facet.BUS in facets)
    assert profile.writable == ("/dev", "/run/tmp")
    assert Profile(name=ProfileName.USER, facets=facets).sockets is SocketPolicy.INTERNET
    assert Profile(name=ProfileName.USER, facets=facets).writable == ()


@pytest.mark.parametrize(
    ("profile", "text"),
    [
        (read_only(), "sandbox 'read-only': no file of the host can change, no network, secrets hidden"),
        (
            read_only(Facet.SOCKETS, Facet.PROCESSES),
            f"{read_only().describe()}, sees the host's processes, sockets",
        ),
        (
            Profile(name=ProfileName.USER),
            "sandbox 'user': files and network as the user, no new privileges, own process tree",
        ),
    ],
)
def test_a_profile_in_words(profile: Profile, text: str) -> None:
    assert profile.describe() == text


def test_a_socket_is_named_to_programs_by_the_variable_of_its_rule() -> None:
    named = name_sockets(("SSH_AUTH_SOCK=/run/user/%U/agent", "~/db=1", "PATH=/run/x"), 1001)
    assert named == (("SSH_AUTH_SOCK", "/run/user/1001/agent"), ("", "~/db=1"), ("PATH", "/run/x"))
    profile = Profile(name=ProfileName.WORKSPACE, named=named)
    environment = dict(render_environment(profile, user="alice", home="/home/alice"))
    assert environment == COMMON | {"SSH_AUTH_SOCK": "/run/user/1001/agent", "TMPDIR": "/run/tmp"}
    assert ", Unix sockets /run/user/1001/agent, ~/db=1, /run/x only" in profile.describe()


COMMON = {
    "GIT_PAGER": "cat",
    "HOME": "/home/alice",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "LESSSECURE": "1",
    "LOGNAME": "alice",
    "NO_COLOR": "1",
    "PAGER": "cat",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SHELL": "/bin/bash",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_PAGERSECURE": "1",
    "TERM": "dumb",
    "USER": "alice",
}
OBSERVING = {
    "GIT_CONFIG_COUNT": "5",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_KEY_1": "core.hooksPath",
    "GIT_CONFIG_KEY_2": "safe.bareRepository",
    "GIT_CONFIG_KEY_3": "protocol.ext.allow",
    "GIT_CONFIG_KEY_4": "core.pager",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_VALUE_1": "/dev/null",
    "GIT_CONFIG_VALUE_2": "explicit",
    "GIT_CONFIG_VALUE_3": "never",
    "GIT_CONFIG_VALUE_4": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "SYSTEMCTL_FORCE_BUS": "1",
    "TMPDIR": "/run/tmp",
}


def test_the_whole_environment() -> None:
    observing = render_environment(read_only(Facet.PROCESSES), user="alice", home="/home/alice")
    acting = render_environment(Profile(name=ProfileName.USER), user="alice", home="/home/alice")
    assert dict(observing) == COMMON | OBSERVING
    assert dict(acting) == COMMON
    assert [list(observing), list(acting)] == [sorted(observing), sorted(acting)]


def test_secrets_are_named_below_the_home_folder() -> None:
    assert len(set(HOME_SECRETS)) == len(HOME_SECRETS)
    assert [name for name in HOME_SECRETS if name.startswith("/") or ".." in name or name.endswith("/")] == []
    assert {".ssh", ".gnupg", ".netrc", ".aws", ".config/syui/ai", ".bash_history"} <= set(HOME_SECRETS)


def test_processes_share_the_hosts_pids_where_landlock_keeps_signals_in() -> None:
    alone, scoped = read_only(Facet.PROCESSES), replace(HOST, landlock=6)
    assert not shares_pids(alone, replace(HOST, landlock=5))
    assert shares_pids(alone, scoped)
    pids = {"--unshare-pid", "--as-pid-1", "--die-with-parent"}
    assert not pids & set(render_bwrap(alone, scoped))
    assert [word for word in render_bwrap(alone, HOST) if word not in pids] == list(render_bwrap(alone, scoped))


def test_nothing_but_processes_shares_the_hosts_pids() -> None:
    scoped = replace(WITH_PROXY, landlock=7)
    for facets in SUBSETS:
        assert shares_pids(read_only(*facets), scoped) is (Facet.PROCESSES in facets)
    assert not shares_pids(Profile(name=ProfileName.USER), scoped)

"""What a sandbox shows and shares, as data, and the bubblewrap arguments that make it so. Pure.

A profile follows from a verdict (and never from a request): `read_only` with its observing facets; `workspace`, in
which only what a rule names can be written; `user`, in which an approved action runs with what its user may do anyway.
Every profile has its own pid namespace, so that what is outside cannot even be named, and the whole tree ends with its
first process. One does not: `processes` shares the host's where Landlock keeps signals in (Linux 6.12), as `ps` and
`pgrep` look themselves up by their own number; on older kernels it has its own too. What the launcher alone can know
(descriptors, the user namespace, masks, the mounts of a fence) it adds.

Order matters to bubblewrap: the last mount wins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aiosd.sandbox.bundle import PLACE
from aiosd.sandbox.folders import expand_home
from aiosd.sandbox.landlock import RESOLVE_ABI, SCOPE_ABI
from aiosd.sandbox.launch import SOCKETS_HERE
from aiosd.sandbox.seccomp import SocketPolicy
from aiosd.types import Facet

_TMPFS_BYTES = 256 * 1024 * 1024
# Where a confined command may write: its own scratch. /tmp is the host's, read-only, as answers are about the host.
_SCRATCH = "/run/tmp"
# What a session keeps there in all, by the kernel's word; what is carried on is less (`guard.session_files_mib`).
_PLACE_BYTES = 64 * 1024 * 1024

# What of /run the read-only profile shows; nothing else of it, sockets least of all.
_RUN_ALWAYS = ("/run/udev/data", "/run/systemd/resolve/resolv.conf", "/run/systemd/resolve/stub-resolv.conf")
_RUN_OF_FACET = {
    Facet.JOURNAL: ("/run/log/journal",),
    Facet.LOGINS: (
        "/run/utmp",
        "/run/systemd/sessions",
        "/run/systemd/users",
        "/run/systemd/seats",
        "/run/systemd/machines",
    ),
}
# Where a Unix socket can be reached the view is a white list: a read-only mount does not stop a connect(2).
SHOWN_FOLDERS = ("/usr", "/etc", "/sys")
_LINKS = (("usr/bin", "/bin"), ("usr/sbin", "/sbin"), ("usr/lib", "/lib"), ("usr/lib64", "/lib64"))
_BUS_RUN = (
    "/run/systemd/system",
    "/run/systemd/units",
    "/run/systemd/transient",
    "/run/systemd/generator",
    "/run/systemd/generator.late",
    "/run/systemd/sessions",
    "/run/systemd/users",
    "/run/systemd/seats",
    "/run/systemd/machines",
    "/run/udev/data",
    "/run/log/journal",
    "/run/utmp",
    "/var/log/journal",
)
BUS_SOCKET = "/run/dbus/system_bus_socket"

# Secrets of a user, below the home folder, that the read-only profile hides.
HOME_SECRETS = (
    ".ssh",
    ".gnupg",
    ".password-store",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".pki",
    ".aws",
    ".azure",
    ".kube",
    ".docker/config.json",
    ".config/gcloud",
    ".config/gh",
    ".config/hub",
    ".config/rclone",
    ".config/op",
    ".config/syui/ai",
    ".config/aios/credentials",
    ".netrc",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".vault-token",
    ".mozilla",
    ".thunderbird",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".bash_history",
    ".zsh_history",
    ".local/share/fish/fish_history",
    ".python_history",
    ".psql_history",
    ".mysql_history",
    ".node_repl_history",
)


# Where a sandbox that may reach somebody finds its proxy, in its own network.
PROXY_PORT = 3128
PROXY = f"127.0.0.1:{PROXY_PORT}"
_THROUGH = Path(__file__).with_name("through.py")
_SSH = f"ssh -o BatchMode=yes -o ProxyCommand='/usr/bin/python3 -I -S {_THROUGH} %h %p'"


class ProfileName(StrEnum):
    """How an action is confined."""

    READ_ONLY = "read-only"
    WORKSPACE = "workspace"
    USER = "user"
    ROOT = "root"  # no sandbox: a unit of its own


class ProfileError(Exception):
    """The profile cannot be built here; the message says why. Nothing runs in a lesser one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One kind of sandbox. `writes` are the paths of a workspace, absolute or below `~/`; `network` whom it reaches.

    `named` are the Unix sockets that it reaches, by path, each with the variable that names it inside ("" for none).
    `programs` are the only files, or folders of them, that it may start; None for any.
    """

    name: ProfileName
    facets: frozenset[Facet] = frozenset()
    writes: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    named: tuple[tuple[str, str], ...] = ()
    programs: tuple[str, ...] | None = None

    @property
    def bus(self) -> tuple[str, ...]:
        """The socket of the bus, where it is in view."""
        return (BUS_SOCKET,) if Facet.BUS in self.facets else ()

    @property
    def sockets(self) -> SocketPolicy:
        """Which sockets a process in it may make."""
        if self.name is ProfileName.USER:
            return SocketPolicy.INTERNET
        if self.network:
            return SocketPolicy.LOOPBACK_UNIX if self.named else SocketPolicy.LOOPBACK
        if Facet.BUS in self.facets or self.named:
            return SocketPolicy.UNIX
        return SocketPolicy.NETLINK if Facet.SOCKETS in self.facets else SocketPolicy.NONE

    @property
    def writable(self) -> tuple[str, ...]:
        """The folders below which a file may be opened for writing; empty where the mounts alone decide."""
        return () if self.name is ProfileName.USER else ("/dev", _SCRATCH)

    def describe(self) -> str:
        """In words, for a card and the record."""
        return self._describe() + ("" if self.programs is None else ", starts listed programs only")

    def _describe(self) -> str:
        if self.name is ProfileName.ROOT:
            unit = "no sandbox: as root in a systemd unit of its own, ended as a whole"
            written = f"writes below {', '.join(self.writes)} only"
            return f"{unit}, {written}" if self.writes else unit
        box, walls = (
            f"sandbox '{self.name}'",
            ["files and network as the user", "no new privileges", "own process tree"],
        )
        if self.name is not ProfileName.USER:
            written = f"writes below {', '.join(self.writes)} only" if self.writes else "no file of the host can change"
            reached = f"network to {', '.join(self.network)} only" if self.network else "no network"
            named = [f"Unix sockets {', '.join(path for _, path in self.named)} only"] if self.named else []
            kept = ["what others trust kept"] if self.name is ProfileName.WORKSPACE else []
            seen = [f"sees the host's {', '.join(sorted(self.facets))}"] if self.facets else []
            walls = [written, reached, *named, "secrets hidden", *kept, *seen]
        return f"{box}: {', '.join(walls)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What the host lets a sandbox have, as probed at the guard's start.

    `trouble` is why nothing can be confined, "" where it can; `bwrap` is bubblewrap's path; `direct_masks` says that
    its version may mount below folders a user can write (0.12); `fresh_proc` that a new /proc can be mounted (not in
    every container); `bus_proxy` is the filtering proxy's socket, "" where there is none; `landlock` is the version the
    kernel has, 0 for none; `interpreter` is the Python that runs launcher and worker, `extra` where else it lies.
    """

    bwrap: str
    direct_masks: bool
    fresh_proc: bool
    machine: str
    landlock: int
    interpreter: str
    extra: tuple[str, ...] = ()
    bus_proxy: str = ""
    trouble: str = ""


def shares_pids(profile: Profile, host: HostFacts) -> bool:
    """Whether its processes have the host's pids, kept from signalling anything by Landlock instead of by name."""
    return Facet.PROCESSES in profile.facets and host.landlock >= SCOPE_ABI


def sees_white_list(profile: Profile, host: HostFacts) -> bool:
    """Whether its view holds listed folders only, no home among them: where the kernel cannot tell sockets apart."""
    return Facet.BUS in profile.facets or (bool(profile.named) and host.landlock < RESOLVE_ABI)


def shows(profile: Profile, host: HostFacts, path: str) -> bool:
    """Whether its view holds what the host has at `path`; what it does not hold needs no hiding."""
    if profile.name is ProfileName.USER:
        return True
    return not sees_white_list(profile, host) and not path.startswith("/run/")


def name_sockets(granted: tuple[str, ...], uid: int) -> tuple[tuple[str, str], ...]:
    """The sockets that a rule grants, each with its variable; `%U` is the user's number."""
    pairs = (text.rpartition("=") if text[:1] not in "/~" else ("", "", text) for text in granted)
    return tuple((name, path.replace("%U", str(uid))) for name, _, path in pairs)


def render_bwrap(profile: Profile, host: HostFacts) -> tuple[str, ...]:
    """The arguments for `profile`, but for descriptors, masks and the command. ProfileError where it has no sandbox."""
    if profile.name is ProfileName.ROOT:
        raise ProfileError("what runs as root has no sandbox")
    # fmt: off
    shared = [
        *(() if shares_pids(profile, host) else ("--unshare-pid", "--as-pid-1", "--die-with-parent")),
        "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--new-session", "--cap-drop", "ALL", "--clearenv",
    ]
    # fmt: on
    if profile.name is ProfileName.USER:
        return (*shared, "--bind", "/", "/", "--dev", "/dev", *_PLACED, *_proc(fresh=host.fresh_proc))
    if Facet.BUS in profile.facets:
        if Facet.SOCKETS in profile.facets:
            raise ProfileError("the system bus and the host's sockets cannot be seen from one sandbox; ask separately")
        if not host.bus_proxy:
            raise ProfileError("there is no proxy of the system bus")
        bound = ("--ro-bind", host.bus_proxy, BUS_SOCKET)
        return (*shared, "--unshare-net", *_render_white_list(host, _BUS_RUN, bound, proc=_proc(fresh=False)))
    if sees_white_list(profile, host):
        _refuse_unclear_sockets(profile, host)
        view = _render_white_list(host, _RUN_ALWAYS, (SOCKETS_HERE,), proc=_proc(fresh=host.fresh_proc))
        return (*shared, "--unshare-net", *view)
    out = [*shared, *(() if Facet.SOCKETS in profile.facets else ("--unshare-net",))]
    bind = "--bind" if profile.name is ProfileName.WORKSPACE else "--ro-bind"  # its mounts are read-only already
    out += [bind, "/", "/", "--dev", "/dev", *_tmpfs("/dev/shm"), *_PLACED, "--remount-ro", "/dev"]
    out += _proc(fresh=host.fresh_proc and Facet.PROCESSES not in profile.facets)
    out += [*_tmpfs("/run"), *_tmpfs(_SCRATCH)]
    for path in (*_RUN_ALWAYS, *(path for facet in sorted(profile.facets) for path in _RUN_OF_FACET.get(facet, ()))):
        out += ["--ro-bind-try", path, path]
    return (*out, *((SOCKETS_HERE,) if profile.named else ()), "--remount-ro", "/run")


def _refuse_unclear_sockets(profile: Profile, host: HostFacts) -> None:
    """A view holds a named socket only beside what nobody but root can put another into."""
    if profile.writes:
        raise ProfileError(
            "a command that reaches Unix sockets can have no folder to write in before Linux 7.1 (Landlock 9), "
            "as any socket in it could be reached too: grant sockets and writes by two rules"
        )
    if host.extra:
        raise ProfileError(f"named sockets need the system's own Python; {host.extra[0]} would be in view")


def _render_white_list(host: HostFacts, run: tuple[str, ...], bound: tuple[str, ...], *, proc: list[str]) -> list[str]:
    out: list[str] = []
    for folder in (*SHOWN_FOLDERS, *host.extra):
        out += ["--ro-bind", folder, folder]
    for target, link in _LINKS:
        out += ["--symlink", target, link]
    out += ["--dev", "/dev", *_tmpfs("/dev/shm"), *_PLACED, "--remount-ro", "/dev", *proc]
    for folder in ("/run", "/var", "/tmp", _SCRATCH):
        out += _tmpfs(folder)
    out += ["--symlink", "/run", "/var/run"]
    for path in run:
        out += ["--ro-bind-try", path, path]
    out += bound
    return [*out, *(word for folder in ("/run", "/var", "/tmp", "/") for word in ("--remount-ro", folder))]


_PLACED = ("--perms", "0700", "--size", str(_PLACE_BYTES), "--tmpfs", PLACE)


def _proc(*, fresh: bool) -> list[str]:
    """/proc, read-only always: /proc/1/mem of the worker and /proc/sys are not to be written."""
    return ["--proc", "/proc", "--remount-ro", "/proc"] if fresh else ["--ro-bind", "/proc", "/proc"]


def _tmpfs(path: str) -> list[str]:
    mode = "1777" if path in (_SCRATCH, "/dev/shm") else "0755"
    return ["--perms", mode, "--size", str(_TMPFS_BYTES), "--tmpfs", path]


_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_PAGERSECURE": "1",
    "SYSTEMD_COLORS": "0",
    "LESSSECURE": "1",
    "NO_COLOR": "1",
}
# Observing: configuration found in a folder must not choose programs, and root's systemctl must take the bus.
_READ_ONLY_ENVIRONMENT = {
    "TMPDIR": _SCRATCH,
    "SYSTEMCTL_FORCE_BUS": "1",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_COUNT": "5",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "core.hooksPath",
    "GIT_CONFIG_VALUE_1": "/dev/null",
    "GIT_CONFIG_KEY_2": "safe.bareRepository",
    "GIT_CONFIG_VALUE_2": "explicit",
    "GIT_CONFIG_KEY_3": "protocol.ext.allow",
    "GIT_CONFIG_VALUE_3": "never",
    "GIT_CONFIG_KEY_4": "core.pager",
    "GIT_CONFIG_VALUE_4": "cat",
}


def render_environment(
    profile: Profile, *, user: str, home: str, besides: Mapping[str, str] | None = None
) -> tuple[tuple[str, str], ...]:
    """A command's whole environment, built from nothing and what is `besides`, sorted by name."""
    values = {**(besides or {}), **_ENVIRONMENT, "USER": user, "LOGNAME": user, "HOME": home, "SHELL": "/bin/bash"}
    if profile.name is ProfileName.READ_ONLY:
        values |= _READ_ONLY_ENVIRONMENT
    if profile.name is ProfileName.WORKSPACE:
        values["TMPDIR"] = _SCRATCH
    if profile.network:
        values |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), f"http://{PROXY}")
        values |= dict.fromkeys(("all_proxy", "ALL_PROXY"), f"socks5h://{PROXY}")
        values |= {"no_proxy": "", "NO_PROXY": "", "GIT_SSH_COMMAND": _SSH}
    for name, path in profile.named:
        if name:
            values.setdefault(name, expand_home(path, home))
    return tuple(sorted(values.items()))

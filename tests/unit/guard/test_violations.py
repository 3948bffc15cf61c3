"""What stopped a command is named by what programs really say; what no wall stopped is blamed on none."""

import pytest

from aiosd.guard.violations import explain_violation
from aiosd.policy.folders import NO_FOLDERS, FolderRule, Folders
from aiosd.sandbox.profile import Profile, ProfileName

READ_ONLY = Profile(name=ProfileName.READ_ONLY)
WORKSPACE = Profile(name=ProfileName.WORKSPACE, writes=("~/src",))
REACHING = Profile(name=ProfileName.WORKSPACE, network=("example.org",))
NAMED = Profile(name=ProfileName.WORKSPACE, named=(("", "/run/db"),))
LISTED = Profile(name=ProfileName.READ_ONLY, programs=("/usr/bin/env",))
FILTER = "which no setting gives a sandbox; what an administrator approves to run as root has none"
DOCKER = 'sockets = ["/var/run/docker.sock"]'
USER = Profile(name=ProfileName.USER)
WHO = "an administrator can change that in /etc/aios/policy.d"
NO_NETWORK = f"sandbox 'read-only' has no network; a rule with network = [...] gives it one, and {WHO}"


@pytest.mark.parametrize(
    "said",
    [
        "curl: (6) Could not resolve host: example.org",
        "curl: (7) Failed to connect to 192.0.2.1 port 443 after 0 ms: Couldn't connect to server",
        "ping: connect: Network is unreachable",
        "wget: unable to resolve host: Temporary failure in name resolution",
        "nc: getaddrinfo for host: Name or service not known",
        "socket: Address family not supported by protocol",
    ],
)
def test_what_wanted_the_network_is_told_of_it(said: str) -> None:
    assert explain_violation(READ_ONLY, NO_FOLDERS, "/home/bob", "/", f"{said}\n") == NO_NETWORK


@pytest.mark.parametrize(
    "said",
    [
        "",
        "ls: cannot access 'x': No such file or directory",
        "Failed to connect to bus: Host is down",
        "Failed to connect to system scope bus via local transport: No such file or directory",
        "System has not been booted with systemd as init system (PID 1). Can't operate.",
        "cat: /etc/shadow: Permission denied",
    ],
)
def test_what_failed_by_itself_is_blamed_on_no_wall(said: str) -> None:
    assert explain_violation(READ_ONLY, NO_FOLDERS, "/home/bob", "/", f"{said}\n") == ""


@pytest.mark.parametrize(
    ("profile", "said", "sentence"),
    [
        (
            READ_ONLY,
            "touch: cannot touch 'made': Read-only file system",
            (
                "sandbox 'read-only' refused writing to /srv/made; "
                f"a rule with writes = [...] or an approval allows it, and {WHO}"
            ),
        ),
        (
            WORKSPACE,
            "sh: 1: cannot create /etc/x: Read-only file system",
            f"sandbox 'workspace' does not let it write to /etc/x: below ~/src only; {WHO}",
        ),
        (
            READ_ONLY,
            "cat: /srv/secret/key: Permission denied",
            f"a folder policy for /srv/secret denies /srv/secret/key; {WHO}",
        ),
        (
            REACHING,
            "curl: (6) Could not resolve host: example.com",
            f"the network reaches example.org only, through the proxy; {WHO}",
        ),
        (
            READ_ONLY,
            "bash: fork: retry: Resource temporarily unavailable",
            (
                "it may have no more processes at once; guard.command_processes is the limit, guard.session_processes"
                " the one of its session, and both are an administrator's"
            ),
        ),
        (
            LISTED,
            "aios: uname: Permission denied",
            f"the policy's only_programs does not let it start uname; {WHO}",
        ),
        (
            LISTED,
            "env: 'uname': Permission denied",
            f"the policy's only_programs does not let it start uname; {WHO}",
        ),
        (
            LISTED,
            "bash: line 1: /usr/bin/uname: Permission denied",
            f"the policy's only_programs does not let it start /usr/bin/uname; {WHO}",
        ),
        (USER, "unshare: unshare failed: Operation not permitted", f"the system-call filter refused unshare, {FILTER}"),
        (READ_ONLY, "mount: /mnt: must be superuser to use mount.", f"the system-call filter refused mount, {FILTER}"),
        (
            READ_ONLY,
            "strace: test_ptrace_get_syscall_info: PTRACE_TRACEME: Operation not permitted",
            f"the system-call filter refused ptrace, {FILTER}",
        ),
        (
            WORKSPACE,
            "chroot: cannot change root directory to '/x': Operation not permitted",
            f"the system-call filter refused chroot, {FILTER}",
        ),
        (USER, "chown: changing ownership of 'mount.txt': Operation not permitted", ""),
        (USER, "cat: /mnt/mounts/x: Permission denied", ""),
        (
            REACHING,
            "nc: connect to 127.0.0.1 port 80 (tcp) failed: Permission denied",
            "inside, TCP reaches its proxy's port alone and nothing is served, which no setting changes (Landlock)",
        ),
        (REACHING, "cat: connect/x: Permission denied", ""),
        (LISTED, "ls: cannot open directory '/root': Permission denied", ""),
        (
            READ_ONLY,
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            f"sandbox 'read-only' reaches no Unix socket; a rule with {DOCKER} names one, and {WHO}",
        ),
        (
            WORKSPACE,
            "Error connecting to agent: Address family not supported by protocol",
            f"sandbox 'workspace' reaches no Unix socket; a rule with sockets = [\"PATH\"] names one, and {WHO}",
        ),
        (
            NAMED,
            'psql: error: connection to server on socket "/run/other" failed: No such file or directory',
            f"of Unix sockets it reaches /run/db only; {WHO}",
        ),
        (NAMED, 'psql: error: connection to server on socket "/run/db" failed: Connection refused', ""),
        (USER, "touch: cannot touch 'made': Read-only file system", ""),
    ],
)
def test_a_wall_is_named_with_the_setting_and_who_may_change_it(profile: Profile, said: str, sentence: str) -> None:
    folders = Folders((FolderRule(path="/srv/secret", read=False),))
    assert explain_violation(profile, folders, "/home/bob", "/srv", f"{said}\n") == sentence


def test_a_command_that_no_proxy_serves_is_told_so() -> None:
    said = "curl: (7) Failed to connect to 127.0.0.1 port 3128 after 0 ms: Couldn't connect to server"
    for served, words in (
        (True, "the network reaches example.org only"),
        (False, "the network is served in turns alone"),
    ):
        assert explain_violation(REACHING, NO_FOLDERS, "/", "/", said, served=served).startswith(words)

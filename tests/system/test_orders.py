"""Orders on the installed service: what is stopped stands still by its cgroup, and root's word is for everybody."""

from tests.system.guest import Guest


def _frozen(guest: Guest) -> str:
    found = guest.enter(
        ["sh", "-c", "grep -lx 1 /sys/fs/cgroup/aios.slice/aios-work.slice/*/cgroup.freeze"], check=False
    )
    return found.stdout


def test_root_stops_everybody_by_the_cgroup_and_lets_them_go_on(installed: Guest) -> None:
    naps = ["pgrep", "-x", "sleep"]
    with installed.start(["sh", "-c", "aios ask 'run: sleep 1000' </dev/null"], user="bob"):
        installed.wait_for(naps, deadline_s=60)
        assert _frozen(installed) == ""
        stopped = installed.enter(["aios", "stop"])
        assert "nothing more begins until: aios thaw" in stopped.stderr
        assert "aios-sandbox-" in _frozen(installed)
        refused = installed.run(["aios", "ask", "run: id"], user="alice", check=False)
        assert "stopped by a person" in refused.stdout + refused.stderr
        assert installed.enter(["aios", "thaw"]).status == 0
        assert _frozen(installed) == ""
        assert installed.run(["aios", "ask", "run: id"], user="alice").status == 0
        installed.enter(["aios", "stop", "--kill"])
        installed.wait_for(lambda: installed.enter(naps, check=False).status != 0)
        installed.enter(["aios", "thaw"])

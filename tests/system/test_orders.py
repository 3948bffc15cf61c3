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


def test_a_hung_guard_is_passed_by_by_root_and_told_of_to_others(installed: Guest) -> None:
    naps = ["pgrep", "-x", "sleep"]
    slice_of_all = ["grep", "-x", "1", "/sys/fs/cgroup/aios.slice/aios-work.slice/cgroup.freeze"]
    with installed.start(["sh", "-c", "aios ask 'run: sleep 1000' </dev/null"], user="bob"):
        installed.wait_for(naps, deadline_s=60)
        installed.enter(["systemctl", "kill", "--signal=STOP", "aios-guard.service"])
        told = installed.run(["aios", "stop"], user="bob", check=False)
        assert told.status == 69
        assert "root stops all agent work by its cgroup: sudo aios stop" in told.stderr
        assert installed.enter(slice_of_all, check=False).status != 0
        stopped = installed.enter(["aios", "stop"])
        assert "all agent work was stopped by its cgroup" in stopped.stderr
        assert installed.enter(slice_of_all).status == 0
        installed.wait_for(["grep", "-q", "frozen 1", "/sys/fs/cgroup/aios.slice/aios-work.slice/cgroup.events"])
        installed.enter(["aios", "stop", "--kill"])
        installed.wait_for(lambda: installed.enter(naps, check=False).status != 0)
        installed.enter(["systemctl", "kill", "--signal=CONT", "aios-guard.service"])
    installed.enter(["aios", "thaw"])
    assert installed.enter(slice_of_all, check=False).status != 0
    assert installed.run(["aios", "ask", "run: id"], user="alice").status == 0

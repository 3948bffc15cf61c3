"""The fresh machine proves itself: nothing on it that a newcomer's would not have, and all that a clone's tests need.

With this, a clone of ours is tried elsewhere: `testbed.fresh("bookworm", ["make", "test"], keep="twice")`.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.system.guest import Testbed
from tests.system.traces import traces

pytestmark = [
    pytest.mark.soak,
    pytest.mark.fresh,
    pytest.mark.skipif(os.environ.get("AIOS_FRESH") == "1", reason="this is the fresh machine"),
]
SUITES = pytest.mark.parametrize("suite", ["bookworm", "trixie"])

# What `make try` and `make test` do there, in small.
NEEDS = """\
set -eux
apt-get update -qq
apt-get install -y -qq --no-install-recommends python3-venv bubblewrap iproute2
python3 -m venv .venv
.venv/bin/pip install --quiet sdnotify
.venv/bin/python -c 'import sdnotify'
useradd --create-home someone
view='bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp'
$view true
su someone -c "$view true"
ip netns add probe
ip netns exec probe true
mkdir /sys/fs/cgroup/probe
"""

# One user without root, with pipx: AIOS_FRESH is no setting of the daemon's.
PIPX = """\
set -eu
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends pipx bubblewrap xdg-dbus-proxy >/dev/null
useradd --create-home someone
cp -r . /home/someone/clone
chown -R someone: /home/someone/clone
cat >/home/someone/asks <<'END'
set -eu
unset AIOS_FRESH
export XDG_RUNTIME_DIR=/tmp/runtime PATH="$PATH:$HOME/.local/bin"
mkdir -m 700 $XDG_RUNTIME_DIR
cd ~/clone
pipx install '.[chat]' >&2
aiosd --standalone &
for _ in $(seq 100); do aios status >/dev/null 2>&1 && break; sleep 0.1; done
aios ask '$ id -un'
kill $!
wait $!
END
su someone -c 'sh ~/asks'
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "Makefile").write_text("try:\n\t@echo tried\n")
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
        subprocess.run(["git", *identity, "-C", str(tmp_path), *command], check=True, timeout=30)
    return tmp_path


@SUITES
def test_a_fresh_machine_has_debians_base_and_a_clone(testbed: Testbed, repository: Path, suite: str) -> None:
    script = """\
        . /etc/os-release; echo "$VERSION_CODENAME"; id -un; git log --format=%s; git status --porcelain
        for tool in make git apt-get python3 pip bwrap gcc curl systemctl; do
            command -v $tool >/dev/null && echo $tool
        done
        exit 7
    """
    done = testbed.fresh(suite, ["sh", "-c", script], repository=repository, limit_s=60)
    assert (done.status, done.stdout.split()) == (7, [suite, "root", "first", "make", "git", "apt-get"]), done.stderr


@SUITES
def test_what_a_clone_needs_works(testbed: Testbed, repository: Path, suite: str) -> None:
    testbed.fresh(suite, ["bash", "-c", NEEDS], repository=repository, limit_s=600).checked()


@SUITES
def test_pipx_installs_it_for_one_user(testbed: Testbed, suite: str) -> None:
    done = testbed.fresh(suite, ["bash", "-c", PIPX], limit_s=600).checked()
    assert done.stdout == "someone\n"


def test_changes_are_kept_only_when_asked(testbed: Testbed, repository: Path) -> None:
    (repository / "new").write_text("not committed\n")
    (repository / "Makefile").unlink()
    mark = ["sh", "-c", "ls; date +%N >> /var/lib/mark; wc -l < /var/lib/mark"]
    kept = f"sysx{os.getpid()}"
    try:
        runs = [
            testbed.fresh("bookworm", mark, repository=repository, limit_s=60).checked().stdout.split(),
            testbed.fresh("bookworm", mark, repository=repository, limit_s=60, keep=kept).checked().stdout.split(),
            testbed.fresh("bookworm", mark, repository=repository, limit_s=60, keep=kept).checked().stdout.split(),
            testbed.fresh("bookworm", mark, repository=repository, limit_s=60, dirty=True).checked().stdout.split(),
        ]
    finally:
        testbed.drop_fresh(kept)
    assert runs == [["Makefile", "1"], ["Makefile", "1"], ["Makefile", "2"], ["new", "1"]]
    assert not (testbed.folder / "fresh" / kept).exists()


def test_a_run_past_its_limit_is_killed_and_leaves_nothing(testbed: Testbed, repository: Path) -> None:
    kept = f"sysx{os.getpid()}"
    try:
        done = testbed.fresh("bookworm", ["sleep", "98768"], repository=repository, limit_s=3, keep=kept)
        assert done.status == 137
        assert traces(kept) == []
        assert traces("98768") == []
    finally:
        testbed.drop_fresh(kept)

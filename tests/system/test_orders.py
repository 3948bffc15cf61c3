"""Orders on the installed service: what is stopped stands still by its cgroup, and root's word is for everybody."""

import json
from typing import Any

import pytest

from tests.system.guest import Guest


def _frozen(guest: Guest) -> str:
    found = guest.enter(
        ["sh", "-c", "grep -lx 1 /sys/fs/cgroup/aios.slice/aios-work.slice/*/*/cgroup.freeze"], check=False
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


def test_a_hung_guard_is_passed_by_and_takes_the_order_when_it_is_back(installed: Guest) -> None:
    naps = ["pgrep", "-x", "sleep"]
    slice_of_all = ["grep", "-x", "1", "/sys/fs/cgroup/aios.slice/aios-work.slice/cgroup.freeze"]
    installed.enter(["systemctl", "restart", "aios-guard.service"])  # with it go alice's sandboxes that stayed warm
    with installed.start(["sh", "-c", "aios ask 'run: sleep 1000' </dev/null"], user="bob"):
        installed.wait_for(naps, deadline_s=60)
        installed.enter(["systemctl", "kill", "--signal=STOP", "aios-guard.service"])
        told = installed.run(["aios", "stop"], user="bob")
        assert "of yours that the AI runs were stopped" in told.stderr
        assert "sudo aios stop" in told.stderr
        installed.wait_for(lambda: installed.enter(["ps", "-C", "sleep", "-o", "stat="]).stdout.strip().startswith("T"))
        assert installed.run(["aios", "stop"], user="alice", check=False).status == 69  # nothing of hers runs
        assert installed.enter(slice_of_all, check=False).status != 0
        stopped = installed.enter(["aios", "stop"])
        assert "all agent work was stopped by its cgroup" in stopped.stderr
        assert "approvals and leases are over as soon as it answers again" in stopped.stderr
        assert installed.enter(slice_of_all).status == 0
        installed.wait_for(["grep", "-q", "frozen 1", "/sys/fs/cgroup/aios.slice/aios-work.slice/cgroup.events"])
        installed.enter(["aios", "stop", "--kill"])
        installed.wait_for(lambda: installed.enter(naps, check=False).status != 0)
        installed.enter(["systemctl", "kill", "--signal=CONT", "aios-guard.service"])
    refused = installed.run(["aios", "ask", "run: id"], user="alice", check=False)
    assert "stopped by a person" in refused.stdout + refused.stderr
    assert installed.enter(["test", "-e", "/var/lib/aios-guard/stop-everything"], check=False).status != 0
    assert "-- root: kill (everybody: " in installed.enter(["aios", "log"]).stdout
    installed.enter(["aios", "thaw"])
    assert installed.enter(slice_of_all, check=False).status != 0
    assert installed.run(["aios", "ask", "run: id"], user="alice").status == 0


# What `curl -sN --unix-socket` does; the machine has no curl.
_CURL = """
import socket, sys
with socket.socket(socket.AF_UNIX) as daemon:
    daemon.connect("/run/aios/aiosd.sock")
    head = "POST /v1/ask HTTP/1.0\\r\\nHost: aios\\r\\nAccept: application/x-ndjson\\r\\n"
    body = sys.argv[1].encode()
    daemon.sendall(f"{head}Content-Type: application/json\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n".encode() + body)
    said = b""
    while piece := daemon.recv(65536):
        said += piece
print(said.partition(b"\\r\\n\\r\\n")[2].decode())
"""


def _varlink(guest: Guest, method: str, **parameters: object) -> dict[str, Any]:
    """One call of bob's by systemd's own client; its answer, or its complaint as `error`."""
    words = ["varlinkctl", "call", "-j", "/run/aios/guard.sock", f"io.aios.Guard.{method}", json.dumps(parameters)]
    ran = guest.enter(["runuser", "-u", "bob", "--", *words], check=False)
    found: dict[str, Any] = json.loads(ran.stdout) if ran.status == 0 else {"error": ran.stderr}
    return found


@pytest.mark.parametrize(
    ("answer", "made", "outcome"),
    [
        ({"decision": "approve"}, ["/home/bob/asked"], "done"),
        ({"decision": "edit", "command": "id -un"}, [], "done"),
        ({"decision": "skip"}, [], "skipped"),
        ({"decision": "deny", "reason": "not now"}, [], "denied"),
    ],
    ids=lambda value: value["decision"] if isinstance(value, dict) else "",
)
def test_who_asks_over_the_socket_answers_by_varlinkctl(
    installed: Guest, answer: dict[str, str], made: list[str], outcome: str
) -> None:
    asked = json.dumps({"prompt": "run `touch /home/bob/asked`", "cwd": "/home/bob"})
    installed.put("/home/bob/curl.py", _CURL)
    with installed.start(["sh", "-c", f"python3 curl.py '{asked}' >/home/bob/said"], user="bob"):
        cards = installed.wait_for(lambda: _varlink(installed, "ListPending").get("approvals", []), deadline_s=60)
        (card,) = cards
        assert card["action"] == "touch /home/bob/asked"
        wrong = _varlink(installed, "Answer", id=card["id"], digest="0" * 64, **answer)
        assert "DigestDiffers" in wrong["error"]
        assert _varlink(installed, "Answer", id=card["id"], digest=card["digest"], **answer) in ({}, {"lease": None})
        installed.wait_for(["grep", "-q", "turn_done", "/home/bob/said"])
    told = installed.enter(["cat", "/home/bob/said"]).stdout.splitlines()
    events = [json.loads(each) for each in told if each.startswith("{")]
    (done,) = [event for event in events if event["type"] == "call_done"]
    assert (done["outcome"], done["command"]) == (outcome, answer.get("command", ""))
    assert installed.enter(["sh", "-c", "ls -d /home/bob/asked"], check=False).stdout.split() == made
    installed.enter(["rm", "-f", "/home/bob/asked"])

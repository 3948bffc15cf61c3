"""What names lead to, by a name server of our own in a network of its own: asked once, and every address checked."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from aiosd.egress.bounds import make_bounds
from aiosd.egress.given import Held, Lists
from aiosd.egress.rules import parse_entry

_ROOT = Path(__file__).parents[3]
_TRY = """
import asyncio, json, socket, struct, sys, threading
from aiosd.egress.connect import NotConnectedError, open_connection
from aiosd.egress.rules import Ruling

answers = [list(each) for each in json.loads(sys.argv[1])]
asked = []

def serve(server):
    while True:
        query, client = server.recvfrom(512)
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
        found = []
        if kind == 1:
            asked.append(".".join(labels))
            found = answers[min(len(asked), len(answers)) - 1]
        head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(found), 0, 0)
        body = b"".join(b"\\xc0\\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(each) for each in found)
        server.sendto(head + query[12 : at + 5] + body, client)

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
threading.Thread(target=serve, args=(server,), daemon=True).start()
listener = socket.create_server(("127.0.0.1", 8000))

async def main():
    try:
        connected = await open_connection("far.example", 8000, Ruling(internal=sys.argv[2] == "internal"), parent=None)
    except NotConnectedError as exc:
        return str(exc), exc.refused
    connected.socket.close()
    return connected.address, False

said, refused = asyncio.run(main())
listener.setblocking(False)
try:
    listener.accept()
    reached = True
except BlockingIOError:
    reached = False
print(json.dumps([said, refused, len(asked), reached]))
"""
_NOWHERE = "8.8.8.8: Network is unreachable"  # it was tried, and this network has no way out


def _resolve(tmp_path: Path, answers: list[list[str]], internal: str = "") -> tuple[str, bool, int, bool]:
    """What a name that leads to `answers`, one after the other, gives: words, whether by rule, questions, reached."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:5 attempts:1\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: dns\n")
    (tmp_path / "try.py").write_text(_TRY)
    (tmp_path / "empty").mkdir(exist_ok=True)
    # fmt: off
    done = subprocess.run(
        ["bwrap", "--unshare-user", "--unshare-net", "--uid", "0", "--gid", "0", "--cap-add", "CAP_NET_BIND_SERVICE",
         "--ro-bind", "/", "/", "--dev", "/dev",
         "--ro-bind", str(tmp_path / "resolv.conf"), os.path.realpath("/etc/resolv.conf"),
         "--ro-bind", str(tmp_path / "nsswitch.conf"), "/etc/nsswitch.conf",
         "--setenv", "PYTHONPATH", str(_ROOT), "--die-with-parent",
         sys.executable, str(tmp_path / "try.py"), json.dumps(answers), internal],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # fmt: on
    assert done.returncode == 0, done.stderr
    said, refused, asked, reached = json.loads(done.stdout)
    return said, refused, asked, reached


@pytest.mark.parametrize(
    ("answers", "internal", "said", "refused"),
    [
        ([["8.8.8.8"]], "", _NOWHERE, False),
        ([["8.8.8.8"], ["127.0.0.1"]], "", _NOWHERE, False),  # another answer the next time
        ([["127.0.0.1"]], "", "far.example leads to 127.0.0.1, this machine itself", True),
        ([["8.8.8.8", "127.0.0.1"]], "", "far.example leads to 127.0.0.1, this machine itself", True),
        ([["8.8.8.8", "169.254.169.254"]], "", "on the link, where cloud metadata lies", True),
        ([["10.1.2.3"]], "", "a private address; an administrator can name it in egress.internal", True),
        ([["10.1.2.3"]], "internal", "10.1.2.3: Network is unreachable", False),
        ([["127.0.0.1"]], "internal", "far.example leads to 127.0.0.1, this machine itself", True),
        ([["169.254.169.254"]], "internal", "on the link, where cloud metadata lies", True),
    ],
)
def test_a_name_is_asked_for_once_and_every_address_is_checked(
    tmp_path: Path, answers: list[list[str]], internal: str, said: str, refused: bool
) -> None:
    got = _resolve(tmp_path, answers, internal)
    assert said in got[0]
    assert got[1:] == (refused, 1, False)


def test_each_word_of_the_configuration_is_in_the_bounds_of_a_connection() -> None:
    plain = make_bounds(Lists())
    held = Held(placeholder="p", credential="c", hosts=("a.org",), headers=("authorization",))
    entry = (parse_entry("a.org"),)
    cases = [
        (Lists(allow=("a.org",)), replace(plain, rules=replace(plain.rules, allow=entry))),
        (Lists(deny=("a.org",)), replace(plain, rules=replace(plain.rules, deny=entry))),
        (Lists(internal=("a.org",)), replace(plain, rules=replace(plain.rules, internal=entry))),
        (Lists(unknown="ask"), replace(plain, asks=True)),
        (Lists(parent="http://proxy.example:3128/"), replace(plain, parent=("proxy.example", 3128))),
        (Lists(idle_s=7), replace(plain, idle_s=7)),
        (Lists(max_mib=2), replace(plain, max_bytes=2 * 1024 * 1024)),
        (Lists(max_s=2), replace(plain, max_s=2)),
        (Lists(secrets=(held,)), replace(plain, secrets=(held,))),
    ]
    for lists, bounds in cases:
        assert make_bounds(lists) == bounds != plain

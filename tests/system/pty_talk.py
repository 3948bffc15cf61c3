"""pty_talk.py [[WAIT, SEND], ...] ARGV...: run ARGV on a pseudo-terminal and answer, as a person would.

Prints all that the terminal showed. Exits 0 if every WAIT came, each after the answer before it, and ARGV then ended.
login(1) hangs its terminal up and opens it anew, so reading gives EIO for a moment; only the program's end is an end.
"""

import json
import os
import pty
import select
import signal
import sys
import time

DEADLINE_S = 20


def main() -> int:
    steps = json.loads(sys.argv[1])
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    shown = [b""]  # what came after each answer
    until = time.monotonic() + DEADLINE_S
    ended = False
    while not ended and time.monotonic() < until:
        ended = os.waitpid(pid, os.WNOHANG)[0] != 0
        while select.select([master], [], [], 0.02)[0]:
            try:
                shown[-1] += os.read(master, 4096)
            except OSError:
                time.sleep(0.02)
                break
        if steps and steps[0][0].encode() in shown[-1]:
            os.write(master, steps.pop(0)[1].encode() + b"\r")
            shown.append(b"")
    if not ended:
        os.kill(pid, signal.SIGKILL)
    sys.stdout.write(b"".join(shown).decode(errors="replace").replace("\r\n", "\n"))
    return 0 if ended and not steps else 1


if __name__ == "__main__":
    sys.exit(main())

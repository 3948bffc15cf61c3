#!/usr/bin/python3
"""ptylogin.py USER PASSWORD COMMAND: log in by login(1) on a pseudo-terminal, as a person would; run COMMAND there.

Prints all that the terminal showed; exits 0 if the shell was reached and left. login(1) hangs its terminal up and opens
it anew, so reading the master gives EIO for a moment; expect(1) takes that for the end one time in three, this doesn't.
"""

import os
import pty
import select
import sys
import time

DEADLINE_S = 30


def main() -> int:
    user, password, command = sys.argv[1:4]
    steps = [(b"login:", user), (b"assword:", password), (b"$ ", f"{command}; exit $?")]
    pid, master = pty.fork()
    if pid == 0:
        os.execvp("login", ["login"])
    shown: list[bytes] = [b""]  # what came after each answer
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until and not os.waitpid(pid, os.WNOHANG)[0]:
        if not select.select([master], [], [], 0.05)[0]:
            continue
        try:
            shown[-1] += os.read(master, 4096)
        except OSError:  # hung up for a moment, or ended: waitpid tells which
            time.sleep(0.02)
            continue
        if steps and steps[0][0] in shown[-1]:
            os.write(master, steps.pop(0)[1].encode() + b"\r")
            shown.append(b"")
    sys.stdout.write(b"".join(shown).decode(errors="replace"))
    return 1 if steps or time.monotonic() >= until else 0


if __name__ == "__main__":
    sys.exit(main())

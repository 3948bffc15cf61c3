"""A leading `cd`: where it goes and what is left, and what it is not: a table."""

import pytest

from aiosd.guard.place import follow_cd
from aiosd.policy import CommandAction
from aiosd.types import RunAs

# The line, in /srv/desk of somebody whose home is /home/ann: the folder and the line that become of it.
TAKEN = {
    "cd build && make": ("/srv/desk/build", "make"),
    "cd build&&make": ("/srv/desk/build", "make"),
    "  cd   ../x  &&  ls -l | wc ": ("/srv/x", "ls -l | wc"),
    "cd /etc && cat passwd && cat group": ("/etc", "cat passwd && cat group"),
    "cd /etc": ("/etc", "true"),
    "cd": ("/home/ann", "true"),
    "cd ~": ("/home/ann", "true"),
    "cd ~/a && ls": ("/home/ann/a", "ls"),
    "cd 'a b' && ls": ("/srv/desk/a b", "ls"),
    'cd "a b/../c" && ls': ("/srv/desk/c", "ls"),
    "cd '~' && ls": ("/srv/desk", "cd '~' && ls"),
    "cd .. && cd x && ls": ("/srv", "cd x && ls"),
    "cd //etc//x/ && ls": ("/etc/x", "ls"),
    "cd a\\ b && ls": None,
    "cd - && ls": None,
    "cd -P x && ls": None,
    "cd $HOME && ls": None,
    "cd `x` && ls": None,
    'cd "$x" && ls': None,
    "cd a; ls": None,
    "cd a | ls": None,
    "cd a || ls": None,
    "cd a & ls": None,
    "cd a && ": None,
    "cd a b && ls": None,
    "cd a* && ls": None,
    "cd ~bob && ls": None,
    "cd a >x && ls": None,
    "cdx && ls": None,
    "cd a\nls": None,
    "cd 'a'b && ls": None,
    "cd {a,b} && ls": None,
    "echo cd a && ls": None,
}


@pytest.mark.parametrize("line", TAKEN)
def test_a_plain_cd_is_where_the_rest_is_done(line: str) -> None:
    action = CommandAction(line=line, cwd="/srv/desk")
    became = follow_cd(action, "/home/ann")
    assert (became.cwd, became.line) == (TAKEN[line] or ("/srv/desk", line))


def test_what_runs_as_root_is_left_as_it_was_written() -> None:
    action = CommandAction(line="cd /etc && ls", cwd="/", run_as=RunAs.ROOT)
    assert follow_cd(action, "/root") == action

"""Policy files: every fault names file, line and fix; nobody but the owners can have written what is loaded; layers."""

import grp
import os
import pwd
import tempfile
from pathlib import Path

import pytest

from aiosd.policy import CommandAction, Policy, PolicyError, Unmatched, load_policy, tighten_policy
from aiosd.types import Tier
from tests.unit.policy.samples import ALICE, DEFAULTS, OWNERS, shipped_policy, verdict, write_policy

_GOOD = '[permissions]\nauto_allow = ["ls"]\n'


def load(*dirs: Path) -> Policy:
    return load_policy(dirs, owner_uids=OWNERS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "policy.d"
    directory.mkdir(mode=0o755)
    return directory


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("auto_allow = [", 1, "is not TOML", "correct the line"),
        ("unmatched = 'deny'\nunmatched = 'deny'\n", 2, "is not TOML: Cannot overwrite a value", "correct"),
        ("[permissions]\na = 1\n\n[permissions]\n", 4, "is not TOML: Cannot declare", "correct"),
        ("x = \n", 1, "is not TOML", "correct"),
        ("# fine\nunmached = 'deny'\n", 2, "unknown key `unmached`", "mean `unmatched`? the keys here are preset"),
        ("unmatched = 'allow'", 1, "unmatched is 'allow'", "confine, require_approval, deny"),
        ("unmatched = 1", 1, "unmatched is 1", "confine, require_approval, deny"),
        ("permissions = 1", 1, "permissions is not a table", "[permissions]"),
        ("[permissions]\nautoallow = []", 2, "unknown list `autoallow`", "auto_allow, notify"),
        ("[permissions]\ndeny = 'rm'", 2, "deny is 'rm'", "list of texts"),
        ("[permissions]\ndeny = [\n  'rm',\n  1,\n]", 4, "1 is not a text", "list of texts"),
        ("[permissions]\ndeny = [\n  'rm',\n  ' ',\n]", 4, "' ' is not a text", "list of texts"),
        ("[permissions]\nnotify = ['ls',\n'*']", 3, "names no command", "begin with the name"),
        ("[permissions]\nnotify = ['ls * x']", 2, "in the middle", "at the end"),
        ("[permissions]\nnotify = ['ls; rm']", 2, "; in a pattern", "one simple command"),
        ("[permissions]\nauto_allow = ['/bin/ls']", 2, "is a path", "without its directory"),
        ("[permissions]\nauto_allow = ['sort -o']", 2, "auto_allow cannot cover `sort -o`: `-o` writes", "use notify"),
        ("[permissions]\nauto_allow = ['rm']", 2, "`rm` destroys data", "use notify"),
        ("[permissions]\nauto_allow = ['sudo']", 2, "`sudo` runs other programs", "use notify"),
        ("[permissions]\nauto_allow = ['git push*']", 2, "`git push` uses the network", "use notify"),
        ("[permissions]\nauto_allow = ['mytool -v']", 2, "`-v` is not known to be harmless", "use notify"),
        ("[permissions]\nauto_allow = ['ls --colo']", 2, "abbreviates `--color`", "use notify"),
        ("rule = 1", 1, "rule is not an array of tables", "[[rule]]"),
        ("[rule]\ntier = 'deny'", 1, "rule is not an array of tables", "[[rule]]"),
        ("[[rule]]\ncommand = 'rm'", 1, "a rule without tier", "add tier"),
        ("[[rule]]\ncommand = 'rm'\ntier = 'never'", 3, "tier is `never`", "auto_allow, notify"),
        ("[[rule]]\ncommand = 'rm'\ntier = 1", 3, "tier is 1", "a text in quotes"),
        ("[[rule]]\ncommand = 'rm'\nteir = 'deny'", 3, "unknown key `teir`", "pattern, command, tool, tier"),
        ("[[rule]]\ntier = 'deny'\ncommand = 'rm -r'", 3, "one bare name", "use pattern"),
        ("[[rule]]\ntier = 'deny'\npattern = 'rm'\ncommand = 'rm'", 4, "one bare name", "use pattern"),
        ("[[rule]]\ntier = 'deny'\npattern = ['rm',\n 2]", 4, "2 is not a text", "list of texts"),
        ("[[rule]]\ntier = 'deny'\npattern = ['rm',\n '*']", 4, "names no command", "begin with"),
        ("[[rule]]\ntier = 'deny'\npattern = ''", 3, "pattern is ''", "a text in quotes"),
        ("[[rule]]\ntier = 'deny'\npattern = 'rm'\ntool = 'glob'", 4, "commands or about tools", "two rules"),
        ("[[rule]]\ntier = 'deny'\ntool = 'readfile'", 3, "unknown tool `readfile`", "read_file, write_file"),
        ("[[rule]]\ntier = 'deny'\ntool = 'read_file:etc'", 3, "not an absolute path", "/a/file"),
        ("[[rule]]\ntier = 'deny'\ntool = 'mcp:git'", 3, "names no tool of a server", "mcp:SERVER/TOOL"),
        ("[[rule]]\ntier = 'auto_allow'\ntool = 'mcp:git/log'", 2, "mcp cannot be auto_allow", "use notify"),
        ("[[rule]]\ntier = 'deny'\ntool = 'web_fetch:A b'", 3, "`A b` is no host", "web_fetch:HOST"),
        ("[[rule]]\ntier = 'auto_allow'\ntool = 'web_fetch'", 2, "web_fetch cannot be auto_allow", "use notify"),
        ("[[rule]]\ntier = 'deny'\ntool = 'writefile'", 3, "unknown tool", "did you mean `write_file`?"),
        ("[[rule]]\ntier = 'deny'\ncommand = 'rm'\nmachine = 'a b'", 4, "machine `a b`", "name of a machine"),
        ("[[rule]]\ntier = 'notify'\ncommand = 'rm'\nwrites = 'x'", 4, "writes `x`", "a path from /"),
        ("[[rule]]\ntier = 'notify'\ncommand = 'rm'\nsockets = ['x']", 4, "sockets `x`", "write its path from /"),
        ("[[rule]]\ntier = 'auto_allow'\ncommand = 'ls'\nsockets = ['/x']", 4, "sockets in a rule", "only a notify"),
        ("[[rule]]\ntier = 'notify'\ntool = 'grep'\nsockets = ['/x']", 4, "connects to no socket", "are for commands"),
        ("[[rule]]\ntier = 'notify'\ncommand = 'rm'\nnetwork = ['a.b',\n'EVIL/']", 5, "network `EVIL/`", "*.domain"),
        ("[[rule]]\ntier = 'deny'\ncommand = 'rm'\nwrites = '/x'", 4, "writes in a rule that is deny", "only a notify"),
        ("[[rule]]\ncommand = 'rm'\ntier = 'notfy'", 3, "tier is `notfy`", "did you mean `notify`?"),
        ("[permissions]\nauto_alow = []", 2, "unknown list `auto_alow`", "did you mean `auto_allow`?"),
        ("[[rule]]\ncommand = 'rm'\ntier = 'deny'\nreson = 'x'", 4, "unknown key `reson`", "did you mean `reason`?"),
        ("preset = 'paranoi'", 1, "preset is 'paranoi'", "did you mean `paranoid`?"),
        ("least = 'ask'", 1, "least is 'ask'", "auto_allow, notify"),
        ("only_simple = 1", 1, "only_simple is 1", "true or false"),
        ("only_programs = '/bin/ls'", 1, "only_programs is '/bin/ls'", "a list of absolute paths"),
        ("\nonly_programs = ['ls']", 2, "only_programs is ['ls']", "a list of absolute paths"),
        ("[[rule]]\ntier = 'auto_allow'\ntool = 'write_file'", 2, "write_file cannot be auto_allow", "use notify"),
        ("[[rule]]\ntier = 'notify'\nuser = 'bob'", 1, "a rule that allows must say what", "add pattern"),
        ("[[rule]]\ntier = 'deny'\ncommand = 'rm'\nuser = 1", 4, "user is 1", "list of texts"),
        ("[[rule]]\ntier = 'deny'\ncommand = 'rm'\ncwd = 'src'", 4, "cwd `src` is not absolute", "from /"),
        ("[[rule]]\ntier = 'deny'\ncommand = 'rm'\ndefault = 1", 4, "default is 1", "true or false"),
        ("[[rule]]\ntier = 'deny'\ncommand = 'rm'\ndefault = true", 4, "a default that is deny", "require_approval"),
        ("[[rule]]\ntier = 'deny'\ncommand = 'rm'\nrun_as = 'bob'", 4, "run_as is `bob`", "user, root"),
        (
            "[[rule]]\ntier = 'auto_allow'\ncommand = 'ls'\nrun_as = 'root'",
            4,
            "nothing runs as root unannounced",
            'tier = "notify"',
        ),
        (
            "[[rule]]\ntier = 'deny'\npattern = 'rm -r'\nmatch = ['rm -rf x',\n'rm x']",
            5,
            "does not match its example `rm x`",
            "correct the pattern or match",
        ),
        (
            "[[rule]]\ntier = 'deny'\npattern = 'rm'\nno_match = 'env rm x'",
            4,
            "matches its example `env rm x`",
            "correct the pattern or no_match",
        ),
        (
            "[[rule]]\ntier = 'auto_allow'\npattern = 'sort'\nmatch = 'sort -o x'",
            4,
            "does not match its example `sort -o x`",
            "correct",
        ),
        (
            "[[rule]]\ntier = 'deny'\ntool = 'write_file:/etc/*'\nmatch = 'write_file:/etcx'",
            4,
            "does not match its example",
            "correct",
        ),
    ],
)  # fmt: skip
def test_a_fault_names_file_line_and_fix(folder: Path, text: str, line: int, message: str, hint: str) -> None:
    write_policy(folder, _GOOD, "00-good.toml")
    file = write_policy(folder, text, "50-faulty.toml")
    with pytest.raises(PolicyError) as caught:
        load(folder)
    fault = caught.value
    assert (fault.file, fault.line) == (str(file), line), fault
    assert message in fault.message
    assert hint in fault.hint
    assert str(fault) == f"{file}:{line}: {fault.message}; {fault.hint}"


def test_text_that_is_not_utf_8_is_refused_with_its_line(folder: Path) -> None:
    write_policy(folder, "").write_bytes(b"# a\n# \xff\n")
    with pytest.raises(PolicyError, match=r"test.toml:2: is not UTF-8 text"):
        load(folder)


def test_lines_may_end_as_on_windows(folder: Path) -> None:
    write_policy(folder, "").write_bytes(b"[permissions]\r\n\r\nauto_allow = ['ls']\r\n")
    [rule] = verdict(load(folder), "ls").rules
    assert rule.line == 3


def test_every_rule_knows_its_file_and_line(folder: Path) -> None:
    file = write_policy(
        folder,
        '''# "[permissions]" is not one
unmatched = "deny"
[permissions]
auto_allow = ["ls", # "cat"
  "cat", "head"]
deny = [ """
rm""" ]

[[rule]]
tier = "notify"
pattern = ["ps aux", "ps -ef",
           "mkdir"]
[[rule]]
command = "touch"
tier = "notify"
''',
    )
    policy = load(folder)
    lines = {
        "ls": 4,
        "cat": 5,
        "head": 5,
        "rm x": 6,
        "ps aux": 11,
        "ps -ef": 11,
        "mkdir x": 12,
        "touch x": 14,
        "foo": 2,
    }
    found = {line: verdict(policy, line).rules for line in lines}
    assert {line: [(rule.file, rule.line) for rule in rules] for line, rules in found.items()} == {
        line: [(str(file), number)] for line, number in lines.items()
    }
    assert found["rm x"][0].name == "rm"


_OF_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="the group of a user may be the user alone")


@pytest.mark.parametrize("mode", [pytest.param(0o664, marks=_OF_ROOT), 0o646, 0o666, 0o777])
def test_a_file_that_others_can_write_is_refused_and_one_they_cannot_is_read(folder: Path, mode: int) -> None:
    file = write_policy(folder, _GOOD)
    file.chmod(mode)
    with pytest.raises(PolicyError) as caught:
        load(folder)
    assert (caught.value.file, caught.value.hint) == (str(file), f"chmod go-w {file}")
    file.chmod(mode & ~0o022)
    assert verdict(load(folder), "ls").tier is Tier.AUTO_ALLOW


@pytest.mark.parametrize("mode", [pytest.param(0o775, marks=_OF_ROOT), 0o757, 0o1777])
def test_a_folder_that_others_can_write_is_refused_and_one_they_cannot_is_read(folder: Path, mode: int) -> None:
    write_policy(folder, _GOOD)
    folder.chmod(mode)
    with pytest.raises(PolicyError) as caught:
        load(folder)
    assert (caught.value.file, caught.value.hint) == (str(folder), f"chmod go-w {folder}")
    folder.chmod(0o755)
    assert verdict(load(folder), "ls").tier is Tier.AUTO_ALLOW


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_above_that_others_can_write_is_refused_unless_it_is_sticky(tmp_path: Path, *, there: bool) -> None:
    above = tmp_path / "above"
    above.mkdir()
    if there:
        write_policy(above / "policy.d", _GOOD)
    above.chmod(0o757)
    with pytest.raises(PolicyError) as caught:
        load(above / "policy.d")
    assert (caught.value.file, caught.value.hint) == (str(above), f"chmod go-w {above}")
    for mode in (0o1757, 0o755):
        above.chmod(mode)
        load(above / "policy.d")


def test_a_file_of_somebody_else_is_refused_and_ones_own_is_read(folder: Path) -> None:
    file = write_policy(folder, _GOOD)
    stranger = os.getuid() + 4242
    with pytest.raises(PolicyError, match=rf"belongs to uid {os.getuid()}, not to (0 or )?{stranger}"):
        load_policy([folder], owner_uids=frozenset((stranger,)))
    assert verdict(load(folder), "ls").rules[0].file == str(file)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_given_away_is_refused_in_a_folder_of_ones_own(folder: Path) -> None:
    file = write_policy(folder, _GOOD)
    os.chown(file, 4242, 4242)
    with pytest.raises(PolicyError, match="belongs to uid 4242, not to 0; chown 0"):
        load(folder)
    os.chown(file, 0, 0)
    assert verdict(load(folder), "ls").tier is Tier.AUTO_ALLOW


def test_links_pipes_and_folders_are_refused_and_other_names_are_ignored(folder: Path, tmp_path: Path) -> None:
    write_policy(folder, _GOOD)
    target = tmp_path / "elsewhere.toml"
    target.write_text(_GOOD)
    target.chmod(0o644)
    for strange in ("link.toml", "fifo.toml", "folder.toml"):
        path = folder / strange
        if strange == "link.toml":
            path.symlink_to(target)
        elif strange == "fifo.toml":
            os.mkfifo(path, 0o600)
        else:
            path.mkdir(mode=0o700)
        with pytest.raises(PolicyError) as caught:
            load(folder)
        assert caught.value.file == str(path)
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    (folder / "README").write_text("not policy")
    (folder / "x.toml.bak").write_text("not policy")
    assert verdict(load(folder), "ls").tier is Tier.AUTO_ALLOW


def test_a_file_that_is_too_large_is_refused(folder: Path) -> None:
    write_policy(folder, _GOOD + "#" * 1024 * 1024)
    with pytest.raises(PolicyError, match="larger than 1 MiB"):
        load(folder)


def test_a_folder_that_is_a_file_is_refused_and_one_that_is_missing_adds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "policy.d"
    file.write_text("")
    with pytest.raises(PolicyError, match="cannot be read"):
        load(file)
    policy = load(tmp_path / "missing")
    assert (policy.unmatched, policy.rules) == (Unmatched.REQUIRE_APPROVAL, ())
    assert verdict(policy, "ls").tier is Tier.REQUIRE_APPROVAL


def test_unmatched_is_the_later_layers_choice_and_the_strictest_within_one(tmp_path: Path) -> None:
    vendor, admin = tmp_path / "vendor", tmp_path / "admin"
    write_policy(vendor, "unmatched = 'deny'")
    assert load(vendor).unmatched is Unmatched.DENY
    write_policy(admin, "unmatched = 'confine'", "00.toml")
    assert load(vendor, admin).unmatched is Unmatched.CONFINE
    write_policy(admin, "unmatched = 'require_approval'", "10.toml")
    write_policy(admin, "unmatched = 'confine'", "20.toml")
    policy = load(vendor, admin)
    assert policy.unmatched is Unmatched.REQUIRE_APPROVAL
    assert verdict(policy, "foo").rules[0].file == str(admin / "10.toml")
    write_policy(admin, _GOOD, "10.toml")
    write_policy(admin, _GOOD, "20.toml")
    write_policy(admin, _GOOD, "00.toml")
    assert load(vendor, admin).unmatched is Unmatched.DENY


def test_rules_of_all_layers_count_alike(tmp_path: Path) -> None:
    vendor, admin = tmp_path / "vendor", tmp_path / "admin"
    write_policy(vendor, "[permissions]\nauto_allow = ['ls', 'cat']\ndeny = ['rm']")
    write_policy(admin, "[permissions]\nrequire_approval = ['ls']\nnotify = ['rm']")
    policy = load(vendor, admin)
    assert [verdict(policy, line).tier.value for line in ("ls", "cat x", "rm x")] == [
        "require_approval",
        "auto_allow",
        "deny",
    ]


def test_the_digest_changes_with_every_file(folder: Path) -> None:
    write_policy(folder, _GOOD)
    first = load(folder).digest
    assert load(folder).digest == first
    write_policy(folder, _GOOD + "# more\n")
    second = load(folder).digest
    write_policy(folder, _GOOD, "other.toml")
    assert len({first, second, load(folder).digest}) == 3


def test_the_shipped_policy_loads_and_confines_what_it_does_not_know() -> None:
    assert shipped_policy().unmatched is Unmatched.CONFINE
    assert sorted(path.name for path in DEFAULTS.glob("*.toml")) == ["00-defaults.toml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_a_group_that_is_the_owner_alone_may_write_and_no_other() -> None:
    user = next(
        user
        for user in pwd.getpwall()
        if user.pw_uid and (user.pw_gid, "") == (_find_group(user.pw_name), "".join(grp.getgrgid(user.pw_gid).gr_mem))
    )
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        folder = Path(place) / "policy.d"
        folder.mkdir()
        write_policy(folder, _GOOD)
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
            path.chmod(0o775)
        load_policy([folder], owner_uids=frozenset((user.pw_uid,)))
        os.chown(folder, user.pw_uid, 0)
        with pytest.raises(PolicyError, match="can be written by others than its owner"):
            load_policy([folder], owner_uids=frozenset((user.pw_uid,)))
        os.chown(folder, user.pw_uid, user.pw_gid)
        folder.chmod(0o777)
        with pytest.raises(PolicyError, match="can be written by others than its owner"):
            load_policy([folder], owner_uids=frozenset((user.pw_uid,)))


def _find_group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return -1


def test_what_several_files_list_is_what_all_of_them_name(tmp_path: Path) -> None:
    def programs(*lists: str) -> tuple[str, ...] | None:
        for number, each in enumerate(lists):
            (tmp_path / f"{number}.toml").write_text(f"only_programs = {each}\n")
        policy = load_policy([tmp_path], owner_uids=OWNERS)
        return policy.evaluate(CommandAction(line="id", cwd="/"), ALICE).programs

    assert programs() is None
    assert programs("['/bin/id', '/opt']") == ("/bin/id", "/opt")
    assert programs("['/bin/id', '/opt']", "['/opt', '/srv']") == ("/opt",)
    assert programs("['/bin/id', '/opt']", "[]") == ()


def test_a_persons_own_file_can_make_the_list_shorter_and_not_longer() -> None:
    def programs(vendor: bytes, own: bytes) -> tuple[str, ...] | None:
        return tighten_policy(tighten_policy(shipped_policy(), "a.toml", vendor), "own.toml", own).manner.programs

    assert programs(b"", b"only_programs = ['/bin/id']") == ("/bin/id",)
    assert programs(b"only_programs = ['/bin/id', '/opt']", b"only_programs = ['/opt', '/srv']") == ("/opt",)

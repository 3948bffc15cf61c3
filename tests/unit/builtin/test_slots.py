"""What a person names is data: one quoted word on the command line, or not understood. Exact commands stay exact."""

import shlex
import subprocess
from pathlib import Path

import pytest

from aiosd.model.builtin.intents import SlotSpec, load_knowledge
from aiosd.model.builtin.slots import fill_slot
from aiosd.model.builtin.understand import NotUnderstood, Understood, understand
from tests.unit.builtin.conversation import ask, printing, real

KNOWLEDGE = load_knowledge()


def proposed(question: str) -> str:
    """The first command line for `question`, or nothing."""
    found = understand(question, KNOWLEDGE)
    if not isinstance(found, Understood):
        return ""
    line = next(iter(found.intent.run.values()))
    return line.format(**{name: slot.quoted for name, slot in found.slots.items()})


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("what eats /var", "/var"),
        ("what eats ~", "~"),
        ("what eats ~/Downloads", "~/Downloads"),
        ('what eats "/home/anna/My Files"', "'/home/anna/My Files'"),
        ('what eats "~/My Files"', "~/'My Files'"),
        ("what eats ~bob", "'~bob'"),
        ("what eats /a;reboot", "'/a;reboot'"),
        ("what eats /$HOME", "'/$HOME'"),
        ('what eats "/a`reboot`"', "'/a`reboot`'"),
        ('what eats "/a\'b"', "'/a'\"'\"'b'"),
        ("what eats /a*", "'/a*'"),
        ("「/home/太郎/資料（最終）」を圧迫しているのは", "'/home/太郎/資料（最終）'"),
        ("what eats ../x", "../x"),
    ],
)
def test_a_folder_is_one_word_and_plain_ones_stay_plain(question: str, word: str) -> None:
    assert proposed(question) == f"du -x -B1 -d 1 {word}"


@pytest.mark.parametrize(
    ("question", "unit"),
    [
        ("is nginx running", "nginx.service"),
        ("is nginx.service running", "nginx.service"),
        ("status of fstrim.timer", "fstrim.timer"),
        ("is getty@tty1 running", "getty@tty1.service"),
        (r"is dev-disk-by\x2duuid.device active", r"'dev-disk-by\x2duuid.device'"),
        ("is my_app-2.0 running", "my_app-2.0.service"),
        ("ＮＧＩＮＸの状態", "NGINX.service"),
    ],
)
def test_a_service_is_one_word(question: str, unit: str) -> None:
    assert proposed(question).startswith(f"systemctl show {unit} --no-pager -p Id,LoadState,")


@pytest.mark.parametrize(
    "question",
    [
        "status of ..;rm -rf",
        "is ..;rm running",
        "is nginx;reboot running",
        "is $(reboot) running",
        "is `reboot` running",
        "is nginx&&reboot running",
        "status of --version",
        "status of -H",
        "status of /etc",
        "is ./x running",
        "nginx;rebootの状態",
        "what eats --files0-from=/etc/shadow",
        "what eats '/a\nb'",
    ],
)
def test_a_name_that_cannot_be_one_is_not_understood(question: str) -> None:
    assert proposed(question) == ""


async def test_a_hostile_folder_runs_nothing_else(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("slots")
    hostile = folder / "a';touch marked;'$(touch marked)`touch marked`"
    hostile.mkdir(parents=True)
    (hostile / "big").write_bytes(b"x" * 3_000_000)
    (folder / "twin").mkdir()

    def run(command: str) -> str:
        return f"cd {shlex.quote(str(folder))} && {command}"

    exchange = await ask(f'biggest files in "{hostile}"', lambda command: real(run(command)))
    assert exchange.answer == f"The biggest file in {hostile} is {hostile}/big with 2.9 MiB.\n"
    assert sorted(path.name for path in folder.iterdir()) == [hostile.name, "twin"]
    # The twin: without quoting, such a name does run.
    real(run(f"ls {hostile}"))
    assert (folder / "marked").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("run:  echo  'a  b' ", "echo  'a  b'"),
        ("run: echo ＡＢＣ：「全角」　終わり", "echo ＡＢＣ：「全角」　終わり"),
        ("run： ls", "ls"),
        ("ＲＵＮ: ls", "ls"),
        ("$ echo $HOME; ls", "echo $HOME; ls"),
        ("run `echo 「x」`", "echo 「x」"),
        ("echo こんにちは を実行して", "echo こんにちは"),
        ("Please execute the following command: true", "true"),
        ("run grep -r 'run: x' /etc", "grep -r 'run: x' /etc"),
        ("run ./build.sh --all", "./build.sh --all"),
        ("run /usr/bin/id", "/usr/bin/id"),
        ("run frobnicate --now", "frobnicate --now"),
        ("run this\n```bash\necho a\n\necho b\n```", "echo a\n\necho b"),
        ("run: ```ls -l```", "ls -l"),
        ("run: printf '%s' x", "printf '%s' x"),
        ("run: show 'x'", "show 'x'"),
        ("run find `pwd`", "find `pwd`"),
        ("run: `a` and `b`", "`a` and `b`"),
        ('run: "my tool" -x', '"my tool" -x'),
        ("次を実行: 「ls」", "ls"),
        ('ls "a  b" を実行して', 'ls "a  b"'),
        ("コマンド (id) を実行して", "(id)"),
        ("次を実行: echo 「ls」", "echo 「ls」"),
    ],
)
def test_an_exact_command_is_cut_out_byte_by_byte(text: str, line: str) -> None:
    assert proposed(text) == line


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("run frobnicate", "hint_mark"),
        ("run nginx", "hint_mark"),
        ("run ls please", "hint_mark"),
        ("can you run df -h?", "hint_mark"),
        ("run the command `ls` on the other host", "hint_mark"),
        ("run 'ls' or something", "hint_mark"),
        ("frobnicateを実行して", "hint_mark"),
        ('"my tool" x を実行して', "hint_mark"),
        ("run: cat\nrm -rf /", "hint_lines"),
        ("run: cat\n\nsome text from standard input", "hint_lines"),
        ("df -h を実行して\nrm -rf /", "hint_lines"),
    ],
)
def test_where_the_ends_of_a_command_are_in_doubt_it_says_how_to_mark_it(text: str, hint: str) -> None:
    found = understand(text, KNOWLEDGE)
    assert isinstance(found, NotUnderstood)
    assert (found.hint, [intent.name for intent in found.nearest]) == (hint, ["run"])


async def test_the_line_below_a_command_is_never_run() -> None:
    exchange = await ask("run: cat\nrm -rf /", printing({}))
    assert exchange.steps == ()
    assert exchange.verdict == "not_understood"
    assert exchange.answer == (
        "There is more text below the command, so I ran nothing. Put a command of several lines between ``` fences; "
        "text on standard input is not used:\n\n"
        "About                     For example\n"
        "run exactly this command  run: ls -l /tmp\n"
    )


HOSTILE = (
    "a b", "$(touch x)", "`touch x`", "a;touch x", "a'b\"c;touch x", "~/a b", "*", "-rf", "a|touch x", "&", ">x",
    "日本 語", "${IFS}", "a\ttouch x", "!x", "{a,b}", "#x", "\\",
)  # fmt: skip


def test_whatever_fills_a_slot_is_one_word_to_bash(tmp_path: Path) -> None:
    kinds = {slot.kind for intent in KNOWLEDGE.intents.values() for slot in intent.slots.values()} - {"command"}
    words = [fill_slot(SlotSpec(kind=kind), text, KNOWLEDGE).quoted for kind in sorted(kinds) for text in HOSTILE]
    script = "".join(f"set -- {word}; echo $#\n" for word in words)
    ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (ran.stdout.split(), ran.stderr) == (["1"] * len(words), "")
    assert list(tmp_path.iterdir()) == []
    # The twin: unquoted, they do more.
    unquoted = subprocess.run(["bash", "-c", "set -- $(touch x)"], cwd=tmp_path, check=True)
    assert (unquoted.returncode, [path.name for path in tmp_path.iterdir()]) == (0, ["x"])


@pytest.mark.parametrize(
    ("question", "size"),
    [("look for files larger than 500 MB in /var", "500MB"), ("/varで2 GB以上のファイルを探して", "2GB")],
)
def test_a_size_may_stand_apart_from_its_unit(question: str, size: str) -> None:
    found = understand(question, KNOWLEDGE)
    assert isinstance(found, Understood)
    assert (found.intent.name, found.slots["size"].value) == ("find_file", size)


@pytest.mark.parametrize("question", ["copy /etc to /srv", "what eats /var and /home and /srv", "move /a to /b"])
def test_a_path_that_no_slot_takes_is_not_passed_over(question: str) -> None:
    assert not isinstance(understand(question, KNOWLEDGE), Understood)

"""The catalogue: whose language, every text shown and no other, and English told again without what it quotes."""

import posix
import re
from collections.abc import Iterator

import pytest

from aiosd.cli.show import width
from aiosd.sandbox.profile import Profile, ProfileName
from aiosd.types import Facet
from aiosd.words import is_japanese, render_note, retell, say
from aiosd.words.retelling import JAPANESE
from tests.unit.words.shown import read_shown

_VARIABLES = (b"LC_ALL", b"LC_MESSAGES", b"LANG")
_FIELD = re.compile(r"\{(\w*)\}")


@pytest.fixture
def environment() -> Iterator[dict[bytes, bytes]]:
    """The variables of the process as the client reads them, without any that names a language."""
    kept = {name: posix.environ[name] for name in _VARIABLES if name in posix.environ}
    for name in _VARIABLES:
        posix.environ.pop(name, None)
    yield posix.environ
    for name in _VARIABLES:
        posix.environ.pop(name, None)
    posix.environ.update(kept)


@pytest.fixture
def japanese(environment: dict[bytes, bytes]) -> None:
    """A person who wants Japanese."""
    environment[b"LC_MESSAGES"] = b"ja_JP.UTF-8"


def test_every_text_that_people_are_shown_has_its_japanese() -> None:
    shown = read_shown()
    assert len(shown) > 690
    missing = {text: place for text, place in shown.items() if text not in JAPANESE}
    assert not missing, f"write the Japanese of these into aiosd/words/*.txt, behind a tab on the line below: {missing}"


def test_no_entry_is_dead() -> None:
    dead = set(JAPANESE) - set(read_shown())
    assert not dead, f"nobody says these any more; take them out of aiosd/words/*.txt: {dead}"


def test_what_is_asked_on_a_card_leaves_room_for_an_answer_in_80_columns() -> None:
    asked = [text for pair in JAPANESE.items() if pair[0].startswith("[y]") for text in pair]
    assert len(asked) >= 8
    assert {text: width(text) for text in asked if width(text) > 76} == {}


def test_a_translation_has_the_fields_of_its_text() -> None:
    def fields(text: str) -> list[str]:
        return sorted("" if name.isdecimal() else name for name in _FIELD.findall(text))

    assert [english for english, told in JAPANESE.items() if fields(english) != fields(told)] == []


def test_japanese_is_japanese_but_for_names_and_command_lines() -> None:
    plain = [english for english, told in JAPANESE.items() if told.isascii()]
    assert plain == []


@pytest.mark.parametrize(
    ("variables", "japanese"),
    [
        ({}, False),
        ({b"LANG": b"ja_JP.UTF-8"}, True),
        ({b"LANG": b"ja"}, True),
        ({b"LANG": b"ja.UTF-8"}, True),
        ({b"LANG": b"en_US.UTF-8"}, False),
        ({b"LANG": b"jam_JM"}, False),
        ({b"LANG": b"en_US.UTF-8", b"LC_MESSAGES": b"ja_JP.UTF-8"}, True),
        ({b"LANG": b"ja_JP.UTF-8", b"LC_MESSAGES": b"C"}, False),
        ({b"LANG": b"ja_JP.UTF-8", b"LC_ALL": b"C.UTF-8"}, False),
        ({b"LC_MESSAGES": b"C", b"LC_ALL": b"ja_JP.UTF-8"}, True),
        ({b"LANG": b"ja_JP.UTF-8", b"LC_ALL": b""}, True),
    ],
)
def test_the_first_variable_that_is_set_decides(
    environment: dict[bytes, bytes], variables: dict[bytes, bytes], japanese: bool
) -> None:
    environment.update(variables)
    assert is_japanese() is japanese
    assert say("approved") == ("許可しました" if japanese else "approved")
    assert retell("a person said no") == ("人が断りました" if japanese else "a person said no")


def test_what_stands_in_a_field_is_never_read_as_a_format(environment: dict[bytes, bytes]) -> None:
    assert say("root, for {who}", who="{claim} {0}") == "root, for {claim} {0}"
    environment[b"LANG"] = b"ja_JP.UTF-8"
    assert say("root, for {who}", who="{claim} {0}") == "root（依頼者: {claim} {0}）"
    assert retell("there is no session {0}") == "セッション {0} はありません"


@pytest.mark.usefixtures("japanese")
@pytest.mark.parametrize(
    ("english", "told"),
    [
        (
            "It changes which services run. It runs as root; a person must approve it.",
            "どのサービスが動くかを変えます。root で動くため、人の承認が必要です。",
        ),
        (
            "No rule allows this: `foo` is not a command that the option data knows. A person must approve it.",
            "これを許可する規則はありません: `foo` はオプションデータにないコマンドです。人の承認が必要です。",
        ),
        (
            "No rule allows this: `shred` destroys data.",
            "これを許可する規則はありません: `shred` はデータを破壊します。",
        ),
        ("there is no verb statsu; did you mean status?", "動詞 statsu はありません。status のことですか"),
        (
            "there is no verb xx; a question goes after: aios ask",
            "動詞 xx はありません。質問は aios ask の後に書きます",
        ),
        ("aios: a person said no\n  ask again later", "aios: 人が断りました\n  後でもう一度尋ねてください"),
        (
            "ok      sandbox: works, and nothing could be written",
            "正常    サンドボックス: 動作し、何も書き込めませんでした",
        ),
        (
            "weaker  Landlock: version 4: namespaces alone keep signals and sockets apart",
            "弱い    Landlock: バージョン 4: シグナルとソケットは名前空間だけで隔てられます",
        ),
        (
            "nothing was run: the record cannot be written: No space left on device",
            "何も実行していません: 記録に書き込めません: No space left on device",
        ),
        (
            "only root and members of wheel are shown the firewall's rules",
            "ファイアウォールの規則が見られるのは root と wheel のメンバーだけです",
        ),
        (
            (
                "to pass: As root (`sudo` before it) a rule could allow it: "
                '[[rule]] pattern = "kill 3", run_as = "root", tier = "notify".'
            ),
            (
                "通すには: root として（前に `sudo` を付けて）許可する規則の例: "
                '[[rule]] pattern = "kill 3", run_as = "root", tier = "notify"。'
            ),
        ),
        (
            "                   instead: Look first, with lsblk -f and findmnt.",
            "                   代わりに: まず lsblk -f と findmnt で確かめてください。",
        ),
        ("aios: lease revoke needs ID", "aios: lease revoke には ID が必要です"),
        ("MODEL      PROVIDER  ABOUT", "モデル     提供元    説明"),
        ("builtin *  builtin   Rules of somebody's own", "builtin *  builtin   Rules of somebody's own"),
    ],
)
def test_english_of_ours_is_told_again_by_its_template(english: str, told: str) -> None:
    assert retell(english) == told


@pytest.mark.usefixtures("japanese")
@pytest.mark.parametrize(
    ("profile", "told"),
    [
        (
            Profile(name=ProfileName.READ_ONLY, facets=frozenset({Facet.PROCESSES, Facet.BUS})),
            (
                "サンドボックス 'read-only': ホストのファイルは変わらない、ネットワークなし、秘密は見えない、"
                "ホストの bus, processes が見えます"
            ),
        ),
        (
            Profile(
                name=ProfileName.WORKSPACE,
                writes=("/srv/a", "/srv/b"),
                network=("example.org", "*.example.net"),
                named=(("", "/run/a"), ("", "/run/b")),
            ),
            (
                "サンドボックス 'workspace': 書き込みは /srv/a, /srv/b の下だけ、"
                "ネットワークは example.org, *.example.net だけ、Unix ソケットは /run/a, /run/b だけ、"
                "秘密は見えない、ほかの人が信頼するものは保護"
            ),
        ),
        (
            Profile(name=ProfileName.USER),
            "サンドボックス 'user': ファイルとネットワークは利用者の権限、権限の追加なし、専用のプロセスツリー",
        ),
        (
            Profile(name=ProfileName.ROOT),
            "サンドボックスなし: 専用の systemd ユニットで root として動き、終わるときは全体が終わります",
        ),
    ],
)
def test_the_confinement_on_a_card_is_told_whole(profile: Profile, told: str) -> None:
    assert retell(profile.describe()) == told


@pytest.mark.usefixtures("japanese")
def test_a_command_that_reads_like_a_text_of_ours_stays_as_it_is() -> None:
    assert retell("`a person said no` needs a value") == "`a person said no` には値が必要です"
    assert retell("what is unknown stays, whole: a person said no, it seems") == (
        "what is unknown stays, whole: a person said no, it seems"
    )
    assert retell("run") == "実行"
    assert retell("no: run it") == "no: run it"


def test_a_line_about_a_call_keeps_what_it_quotes(environment: dict[bytes, bytes]) -> None:
    assert render_note(b"  denied: no {x}") == b"  denied: no {x}"
    environment[b"LANG"] = b"ja_JP.UTF-8"
    assert render_note(b"  denied: a person said no").decode() == "  拒否しました: 人が断りました"
    assert render_note(b"  ended with status 3").decode() == "  終了ステータス 3"
    assert render_note("› a person said no".encode()).decode() == "› a person said no"

"""Why a connection was not made, as people see it in Japanese: by itself, and in the reason of a call."""

import ipaddress
import posix
import re
from collections.abc import Iterator

import pytest

from aiosd.egress.connect import NotConnectedError, check_address
from aiosd.egress.hosts import HostError
from aiosd.egress.relay import Moved, over_all_time, over_bytes, over_time
from aiosd.egress.rules import decide, parse_entry, read_rules
from aiosd.words import retell

RULES = read_rules(["a.example"], ["bad.example until May", "*.worse.example"])
_ENGLISH = re.compile(r"[a-z]+ [a-z]+ [a-z]+")
LEADS = "x.example の行き先は"
NO_NAME = "です。名前でそこへは届きません。管理者はアドレスそのものを egress.allow に書けます"


@pytest.fixture(autouse=True)
def japanese() -> Iterator[None]:
    """A person who wants Japanese."""
    kept = posix.environ.get(b"LC_ALL")
    posix.environ[b"LC_ALL"] = b"ja_JP.UTF-8"
    yield
    posix.environ.pop(b"LC_ALL")
    if kept is not None:
        posix.environ[b"LC_ALL"] = kept


def _told(refused: str) -> str:
    """What is told of it, which is the same in the reason of a call, twice."""
    told = retell(refused)
    assert not _ENGLISH.search(told)
    reason = f"failed: the network: {refused}; the network: {refused}"
    assert retell(reason) == f"失敗: ネットワーク: {told}。ネットワーク: {told}"
    return told


@pytest.mark.parametrize(
    ("host", "granted", "told"),
    [
        ("bad.example", ["*"], " egress.deny で拒否されています (until May)。管理者は変更できます"),
        ("x.worse.example", ["*"], " egress.deny で拒否されています。管理者は変更できます"),
        ("b.example", ["*"], " egress.allow にありません。管理者は追加できます"),
        (
            "b.example",
            ["c.example", "d.example"],
            "許可されていません（規則の network: c.example, d.example）。管理者は /etc/aios/policy.d に追加できます",
        ),
    ],
)
def test_what_no_list_allows(host: str, granted: list[str], told: str) -> None:
    assert _told(decide(RULES, granted, host, 443).refused) == f"{host}:443 は{told}"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1", f"（このマシン自身）{NO_NAME}"),
        ("169.254.169.254", f"（クラウドのメタデータがあるリンク上）{NO_NAME}"),
        ("224.0.0.1", f"（マルチキャストアドレス）{NO_NAME}"),
        ("0.0.0.0", f"（宛先にならないアドレス）{NO_NAME}"),
        ("100.64.0.1", f"（公開ネットワークの外）{NO_NAME}"),
        ("10.0.0.1", "（プライベートアドレス）です。管理者は egress.internal にその名前を書けます"),
    ],
)
def test_where_no_name_may_lead(address: str, told: str) -> None:
    with pytest.raises(NotConnectedError) as caught:
        check_address("x.example", ipaddress.ip_address(address), internal=False)
    assert _told(str(caught.value)) == f"{LEADS} {address}{told}"


@pytest.mark.parametrize(
    ("stopped", "told"),
    [
        (over_all_time(7), "7 秒（egress.max_s）で切断しました"),
        (over_bytes(Moved(sent=2, received=3)), "5 バイトで切断しました。egress.max_mib を超えるためです"),
        (over_time(7), "7 秒間（egress.idle_s）通信がなかったため切断しました"),
    ],
)
def test_what_ended_a_connection(stopped: str, told: str) -> None:
    assert _told(f"x.example:443 {stopped}").startswith(f"x.example:443: {told}。")


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("*.example", "'*.example' は範囲が広すぎます。*.example.org のようにドメインを指定してください"),
        ("a_b.example", "'a_b.example' はホスト名ではありません"),
        ("1.2.3.4.5", "'1.2.3.4.5' はアドレスではありません"),
        ("a.example:0", "'a.example:0' にポートの指定がありません"),
        ("", "ホストの指定がありません"),
    ],
)
def test_what_is_no_entry_of_a_list(entry: str, told: str) -> None:
    with pytest.raises(HostError) as caught:
        parse_entry(entry)
    assert retell(str(caught.value)) == told

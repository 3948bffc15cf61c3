"""Secrets do not get into the record, however they are spelled; what is none stays readable."""

import json
from dataclasses import replace

import pytest

from aiosd.audit.records import render_record
from aiosd.audit.redact import redact
from tests.unit.audit.test_log import DECIDED

SECRET = "Sup3r-Secret.Value"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAA\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        f"PASSWORD={SECRET} make",
        f"export DB_PASSWORD='{SECRET}'",
        f'export API_KEY="{SECRET}"',
        f"mysql --password={SECRET}",
        f"mysql --password {SECRET}",
        f"tool --api-key {SECRET}",
        f"tool --access_key={SECRET}",
        f"curl -d 'password={SECRET}&user=ann' https://example.org",
        f'curl -d \'{{"password": "{SECRET}"}}\' https://example.org',
        f"curl https://example.org/?token={SECRET}",
        f"curl -H 'Authorization: Bearer {SECRET}'",
        f"curl -H 'authorization: basic {SECRET}='",
        f"curl https://ann:{SECRET}@example.org/",
        f"git clone https://{SECRET}@example.org/x",
        f"postgres://ann:{SECRET}@db/x",
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"passphrase: {SECRET}",
        f"Passwd = {SECRET}",
        f"private-key={SECRET}",
        f"client_secret={SECRET}",
        f"curl -u ann:{SECRET} https://example.org",
        f"curl --user ann:{SECRET} https://example.org",
        f"sshpass -p {SECRET} ssh host",
        f"mysql -p{SECRET} x",
        f"PASSWORD='{SECRET} and more {SECRET}' make",
        f"curl -H 'X-Api-Key: {SECRET}'",
        f"curl -H 'X-Auth-Token: {SECRET}'",
        f"curl -H 'Cookie: session={SECRET}'",
    ],
)
def test_a_named_secret_is_not_recorded(text: str) -> None:
    assert SECRET not in redact(text)
    assert "[redacted]" in redact(text)


@pytest.mark.parametrize(
    "token",
    [
        "sk-ant-api03-" + "a" * 40,
        "sk-" + "A1" * 20,
        "ghp_" + "a" * 36,
        "github_pat_" + "a" * 30,
        "glpat-" + "a" * 20,
        "xoxb-1234567890-abcdef",
        "AKIA" + "ABCDEFGH" * 2,
        "AIza" + "a" * 35,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "hf_" + "a" * 34,
        KEY,
        KEY.replace("OPENSSH ", ""),
    ],
)
@pytest.mark.parametrize("around", ["echo {}", "X={}", "'{}'", "a,{};b", "{}"])
def test_the_shape_of_a_token_is_enough(token: str, around: str) -> None:
    assert redact(around.format(token)) == around.format("[redacted]")


def test_half_a_key_is_a_key() -> None:
    assert redact(f"echo {KEY.partition('-----END')[0]}") == "echo [redacted]"


@pytest.mark.parametrize(
    "text",
    [
        "docker run -u 1000:1000 x",
        "git clone ssh://git@example.org/x",
        "df -h /srv",
        "grep -r password /etc/pam.d",
        "systemctl status systemd-ask-password-wall.path",
        "cat /etc/passwd",
        "passwd --status ann",
        "journalctl -u sshd --since today",
        "ls ~/.ssh/id_ed25519.pub",
        "curl https://example.org/a:b@c",
        "echo token",
        "git log --author=ann",
        "ssh-keygen -l -f key.pub",
        "sk-8",
        "scp ann@example.org:/x .",
        "curl -u ann https://example.org",
        "ps -p 1234",
        "mysql -p x",
        "mkdir -p /srv/x/y",
        "echo -----BEGIN CERTIFICATE-----",
        "メモリの空きは？",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_secrets_are_gone_from_every_text_of_a_record_before_it_is_cut() -> None:
    text = "x" * 3000 + f" PASSWORD={SECRET}"
    record = replace(
        DECIDED, action=f"PASSWORD={SECRET} make", cwd=f"/token={SECRET}", reason=text, rules=(f"--password {SECRET}",)
    )  # fmt: skip
    told = json.dumps(render_record(record))
    assert SECRET not in told
    assert render_record(record)["action"] == "PASSWORD=[redacted] make"


@pytest.mark.parametrize(
    "piece",
    [
        "password",
        "password ",
        "--token-",
        "token=",
        "=",
        "a:",
        "-----BEGIN ",
        "eyJ",
        "://a:",
        "http://",
        "-u a",
        "mysql ",
        "'",
    ],
)
def test_a_text_of_any_kind_takes_time_by_its_length_alone(piece: str) -> None:
    """What would be quadratic takes minutes here, and holds up the guard, which takes lines of 64 KiB."""
    text = piece * (1_000_000 // len(piece))
    assert redact(f"{text} ") is not None

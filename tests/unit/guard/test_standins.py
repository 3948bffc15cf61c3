"""The tables of secrets that stay outside: what they must say, and what a command of whom sees of them."""

from pathlib import Path

import pytest

from aiosd.config import load_config
from aiosd.errors import ConfigError
from aiosd.guard.standins import find_environment, find_files, load_secrets

WHOLE = """
[secrets.forge]
credential = "forge-token"
hosts = ["forge.example", "http://lab.example:8080", "https://mirror.example:8443/"]
headers = ["Authorization", "X-Api-Key"]
users = ["ann"]
variable = "GITHUB_TOKEN"
file = "~/.netrc"
text = "machine forge.example password {}"
"""


def test_a_command_sees_placeholders_of_whose_it_is(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(WHOLE)
    secrets = load_secrets([tmp_path], {})
    assert find_environment(secrets, "ann") == {
        "GITHUB_TOKEN": "aios-secret-forge",
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "url.http://forge.example/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://forge.example/",
        "GIT_CONFIG_KEY_1": "url.http://mirror.example:8443/.insteadOf",
        "GIT_CONFIG_VALUE_1": "https://mirror.example:8443/",
    }
    assert find_files(secrets, "ann") == (("~/.netrc", "machine forge.example password aios-secret-forge"),)
    assert (find_environment(secrets, "bob"), find_files(secrets, "bob")) == ({}, ())
    (tmp_path / "config.toml").write_text(WHOLE.replace('"ann"', '"any"'))
    assert find_environment(load_secrets([tmp_path], {}), "bob")["GITHUB_TOKEN"] == "aios-secret-forge"


def test_each_key_is_shown_with_its_origin_and_no_value_is_there(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(WHOLE)
    loaded = load_config([tmp_path], {})
    shown = {each.key: each.value for each in loaded.entries if each.key.startswith("secrets.")}
    assert shown["secrets.forge.credential"] == '"forge-token"'
    assert sorted(key.rpartition(".")[2] for key in shown) == [
        "credential", "file", "headers", "hosts", "text", "users", "variable",
    ]  # fmt: skip
    assert loaded.config.secrets == load_secrets([tmp_path], {})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('credential = "forge-token"\n', "", "secrets.forge.credential is missing"),
        ('"forge-token"', '"ghp secret"', "secrets.forge.credential is no name of a credential"),
        ('users = ["ann"]\n', "", "secrets.forge.users is missing"),
        ('users = ["ann"]', "users = []", "secrets.forge.users must be a list of texts"),
        ('users = ["ann"]', 'users = "ann"', "secrets.forge.users must be a list of texts"),
        ('"~/.netrc"', '".netrc"', "secrets.forge.file must be an absolute path"),
        ('"GITHUB_TOKEN"', '"LD_PRELOAD"', "secrets.forge.variable is no variable that may hold one"),
        ('"GITHUB_TOKEN"', '"http_proxy"', "secrets.forge.variable is no variable that may hold one"),
        ("password {}", "password", "secrets.forge.text must have one {}"),
        ('variable = "GITHUB_TOKEN"\nfile = "~/.netrc"\n', "", "secrets.forge.variable is missing, and so is file"),
        ("[secrets.forge]", "[secrets.Forge]", "belongs to a table whose name cannot be"),
        ("credential =", "credentials =", "unknown key 'secrets.forge.credentials'"),
        ('variable = "GITHUB_TOKEN"', "variable = 1", "secrets.forge.variable must be text"),
    ],
)
def test_what_is_missing_or_wrong_is_said_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in WHOLE
    (tmp_path / "config.toml").write_text(WHOLE.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_secrets([tmp_path], {})
    assert message in caught.value.message
    assert str(tmp_path / "config.toml") in caught.value.message


@pytest.mark.parametrize("host", ["*.example", "any", "forge.example:0", "http://", "evil.example\\u0000"])
def test_a_secret_is_for_single_hosts(tmp_path: Path, host: str) -> None:
    (tmp_path / "config.toml").write_text(WHOLE.replace("forge.example", host, 1) + "\n")
    if host == "any":
        assert load_config([tmp_path], {}).config.secrets[0].hosts[0] == "any"  # a host of that name
        return
    with pytest.raises(ConfigError) as caught:
        load_config([tmp_path], {})
    assert "secrets.forge.hosts" in caught.value.message

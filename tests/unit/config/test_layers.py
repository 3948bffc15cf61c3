"""Configuration files in layers: which word wins, where it came from, and what is said of what cannot be read."""

import os
import re
from pathlib import Path

import pytest

from aiosd.errors import ConfigError
from aiosd.layers import Setting, check_keys, config_folders, read_layers
from tests.daemon.people import IS_ROOT, acting_as, needs_root

KNOWN = ("daemon.drain_s", "daemon.idle_exit_s", "limits.body_bytes", "agent.model")


def _write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_last_word_wins_key_by_key_and_says_where_it_stands(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    main = _write(first, "config.toml", "[a]\none = 1\ntwo = 1\nthree = 1\nfour = 1\nfive = 1\n")
    early = _write(first, "config.d/10-early.toml", "[a]\ntwo = 2\nthree = 2\nfour = 2\nfive = 2\n")
    late = _write(first, "config.d/20-late.toml", "[a]\nthree = 3\nfour = 3\nfive = 3\n")
    _write(first, "config.d/30-not-read.conf", "[a]\nthree = 9\n")
    other = _write(second, "config.toml", "[a]\nfour = 4\nfive = 4\n")
    assert read_layers([first, second], {"AIOS_A__FIVE": "5", "HOME": "/root"}) == {
        "a.one": Setting(value=1, origin=main),
        "a.two": Setting(value=2, origin=early),
        "a.three": Setting(value=3, origin=late),
        "a.four": Setting(value=4, origin=other),
        "a.five": Setting(value=5, origin="environment variable AIOS_A__FIVE"),
    }


def test_folders_and_files_that_are_absent_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert read_layers([tmp_path / "absent", tmp_path / "empty"], {}) == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("true", True),
        ('["wheel", "adm"]', ["wheel", "adm"]),
        ('"5"', "5"),
        ("builtin", "builtin"),
        ("", ""),
        ("[not json", "[not json"),
        ('{"a": 1}', '{"a": 1}'),
    ],
)
def test_a_variable_is_json_where_it_is_json_and_else_text(text: str, value: object) -> None:
    origin = "environment variable AIOS_A__B_C"
    assert read_layers([], {"AIOS_A__B_C": text}) == {"a.b_c": Setting(value=value, origin=origin)}  # type: ignore[arg-type] # the table's


def test_variables_that_tell_clients_where_to_look_are_no_keys() -> None:
    names = ("AIOS_SOCKET", "AIOS_GUARD_SOCKET", "AIOS_CONFIG_DIR")
    assert read_layers([], dict.fromkeys(names, "x")) == {}
    assert read_layers([], {"AIOS_SOCKETS": "x"}) == {
        "sockets": Setting(value="x", origin="environment variable AIOS_SOCKETS")
    }


def test_tables_in_any_spelling_give_the_same_keys(tmp_path: Path) -> None:
    path = _write(tmp_path, "config.toml", 'a = {b = 1}\nc.d = [1, 2]\n[e.f]\ng = "h"\n[empty]\n')
    assert read_layers([tmp_path], {}) == {
        "a.b": Setting(value=1, origin=path),
        "c.d": Setting(value=[1, 2], origin=path),
        "e.f.g": Setting(value="h", origin=path),
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[a\n", "not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 3)"),
        (b"a = 1\na = 2\n", "not valid TOML: Cannot overwrite a value (at line 2, column 6)"),
        (b"a = '\xff'\n", "not valid TOML: 'utf-8' codec can't decode byte 0xff in position 5: invalid start byte"),
    ],
)
def test_a_file_that_is_not_toml_is_named_with_the_place(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_layers([tmp_path], {})
    assert (caught.value.message, caught.value.hint) == (f"{tmp_path}/config.toml: {said}", "correct that line")


def test_a_file_that_cannot_be_opened_is_named_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigError) as caught:
        read_layers([tmp_path], {})
    assert caught.value.message == f"{tmp_path}/config.toml: Is a directory"
    assert caught.value.hint == "make it readable for this daemon"


@needs_root
def test_a_folder_of_files_that_may_not_be_looked_into_is_not_passed_over(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    _write(tmp_path, "config.d/10-limits.toml", "[limits]\nbody_bytes = 1\n")
    (tmp_path / "config.d").chmod(0o700)
    with acting_as(64001), pytest.raises(ConfigError) as caught:
        read_layers([tmp_path], {})
    assert caught.value.message == f"{tmp_path}/config.d: Permission denied"
    assert list(read_layers([tmp_path], {})) == ["limits.body_bytes"]


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("daemon.idle_exit", "did you mean 'daemon.idle_exit_s'?"),
        ("deamon.drain_s", "did you mean 'daemon.drain_s'?"),
        ("body_bytes", "did you mean 'limits.body_bytes'?"),
        ("daemon", "did you mean 'daemon.drain_s'?"),
        ("xyzzy", "the keys are: agent.model, daemon.drain_s, daemon.idle_exit_s, limits.body_bytes"),
    ],
)
def test_an_unknown_key_is_an_error_with_its_file_and_the_nearest_right_one(key: str, hint: str) -> None:
    found = {"daemon.drain_s": Setting(value=1, origin="/a"), key: Setting(value=1, origin="/etc/aios/config.toml")}
    with pytest.raises(ConfigError) as caught:
        check_keys(found, KNOWN)
    assert caught.value.message == f"/etc/aios/config.toml: unknown key {key!r}"
    assert caught.value.hint == hint


def test_known_keys_are_no_error() -> None:
    check_keys({key: Setting(value=1, origin="x") for key in KNOWN}, KNOWN)


def test_the_administrators_folder_is_read_and_for_a_users_own_daemon_theirs_too() -> None:
    system = [Path("/etc/aios")]
    own = [*system, Path("/home/ann/.config/aios")]
    home = {"HOME": "/home/ann"}
    assert config_folders(home, standalone=False) == system
    assert config_folders(home, standalone=True) == (system if IS_ROOT else own)
    if IS_ROOT:
        with acting_as(64001):
            assert config_folders(home, standalone=True) == own
            assert config_folders(home, standalone=False) == system
            moved = config_folders({**home, "XDG_CONFIG_HOME": "/srv/ann"}, standalone=True)
        assert moved == [*system, Path("/srv/ann/aios")]


def test_one_variable_replaces_all_folders() -> None:
    assert config_folders({"AIOS_CONFIG_DIR": "/srv/x", "HOME": "/h"}, standalone=True) == [Path("/srv/x")]


@pytest.mark.parametrize("name", ["", "config.toml", "config.d", "config.d/10-a.toml"])
def test_what_others_can_write_is_refused_and_what_they_cannot_is_read(tmp_path: Path, name: str) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "config.d").mkdir(mode=0o755)
    for path, text in ("config.toml", "[a]\nb = 1\n"), ("config.d/10-a.toml", "[a]\nc = 2\n"):
        (tmp_path / path).write_text(text)
        (tmp_path / path).chmod(0o644)
    spoiled = tmp_path / name
    mode = spoiled.stat().st_mode & 0o777
    spoiled.chmod(mode | 0o002)
    with pytest.raises(ConfigError, match=re.escape(f"{spoiled} can be written by others than its owner")) as caught:
        read_layers([tmp_path], {})
    assert caught.value.hint == f"chmod go-w {spoiled}"
    spoiled.chmod(mode)
    assert sorted(read_layers([tmp_path], {})) == ["a.b", "a.c"]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
@pytest.mark.parametrize("name", ["", "config.toml", "config.d"])
def test_what_belongs_to_somebody_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.d").mkdir()
    (tmp_path / "config.toml").write_text("[a]\nb = 1\n")
    os.chown(tmp_path / name, 4242, 0)
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path / name} belongs to uid 4242, not to 0")):
        read_layers([tmp_path], {})
    os.chown(tmp_path / name, 0, 0)
    assert list(read_layers([tmp_path], {})) == ["a.b"]

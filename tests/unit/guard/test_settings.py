"""The guard's settings: every key by what it does to the settings in force, and every wrong value named."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from aiosd.errors import ConfigError
from aiosd.guard.settings import GuardSettings, load_guard_settings

NUMBERS = {each.name for each in dataclasses.fields(GuardSettings) if isinstance(each.default, int)}
LISTS = {"policy_dirs": ["/a", "/b"], "admin_groups": ["ops"]}
OTHER: dict[str, Any] = {**dict.fromkeys(NUMBERS, 2), **LISTS, "observe_user": "watcher"}


def _load(folder: Path, table: str = "", **environment: str) -> GuardSettings:
    (folder / "config.toml").write_text(f"[guard]\n{table}\n", encoding="utf-8")
    return load_guard_settings([folder], environment)


def _render(value: object) -> str:
    return json.dumps(value)


def test_there_is_a_value_for_every_key() -> None:
    assert OTHER.keys() == {each.name for each in dataclasses.fields(GuardSettings)}


def test_nothing_written_is_the_defaults(tmp_path: Path) -> None:
    assert load_guard_settings([tmp_path / "none"], {}) == GuardSettings()
    assert _load(tmp_path) == GuardSettings()


@pytest.mark.parametrize("name", OTHER)
def test_each_key_changes_its_own_setting_from_a_file_and_from_the_environment(tmp_path: Path, name: str) -> None:
    value = OTHER[name]
    extra = "timeout_s = 1\n" if name == "max_timeout_s" else ""
    changed: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value}
    wanted = dataclasses.replace(GuardSettings(timeout_s=1) if extra else GuardSettings(), **changed)
    assert _load(tmp_path, f"{extra}{name} = {_render(value)}") == wanted
    text = value if isinstance(value, str) else _render(value)
    assert _load(tmp_path, extra, **{f"AIOS_GUARD__{name.upper()}": text}) == wanted
    assert _load(tmp_path, f"{extra}{name} = {_render(value)}", AIOS_SOCKET="/x", AIOS_LIMITS__X="1") == wanted


@pytest.mark.parametrize("name", sorted(NUMBERS))
@pytest.mark.parametrize("value", ["-1", "1.5", "true", '"5"', "[1]"])
def test_a_number_is_a_whole_one_of_at_least_its_least(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"config\.toml: guard\.{name} must be a whole number of at least [01]"):
        _load(tmp_path, f"{name} = {value}")


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_only_what_can_be_none_can_be_none(tmp_path: Path, name: str) -> None:
    if name in ("worker_idle_s", "spare_workers", "least_landlock"):
        assert getattr(_load(tmp_path, f"{name} = 0"), name) == 0
    else:
        with pytest.raises(ConfigError, match=f"guard.{name} must be a whole number of at least 1"):
            _load(tmp_path, f"{name} = 0")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('policy_dirs = "/a"', "guard.policy_dirs must be a list of absolute paths"),
        ('policy_dirs = ["a"]', "guard.policy_dirs must be a list of absolute paths"),
        ("policy_dirs = [1]", "guard.policy_dirs must be a list of absolute paths"),
        ('observe_user = ""', "guard.observe_user must be text"),
        ("observe_user = 5", "guard.observe_user must be text"),
        ("timeout_s = 601", "guard.timeout_s is over guard.max_timeout_s"),
        ("max_timeout_s = 59", "guard.timeout_s is over guard.max_timeout_s"),
        ("timeout = 5", "unknown key 'guard.timeout'"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, table: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, table)
    assert told in caught.value.message
    assert caught.value.hint


def test_a_wrong_variable_is_named_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"environment variable AIOS_GUARD__TIMEOUT_S: guard\.timeout_s must be"):
        _load(tmp_path, AIOS_GUARD__TIMEOUT_S="soon")


def test_a_near_miss_is_told_the_right_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, "timout_s = 5")
    assert caught.value.hint == "did you mean 'guard.timeout_s'?"

"""aiosd's configuration: every key with its default, its bounds and its origin."""

import json
from pathlib import Path
from typing import Any

import pytest

from aiosd.config import load_config
from aiosd.errors import ConfigError

DEFAULTS: dict[str, Any] = {
    "access.groups": [],
    "agent.fallback": [],
    "agent.local_only": False,
    "agent.max_cost": 0.0,
    "agent.max_session_tokens": 0,
    "agent.max_day_tokens": 0,
    "agent.question_wait_s": 300,
    "agent.careful": True,
    "agent.summarise": True,
    "agent.notes": "",
    "agent.downloads": ["~/Downloads", "~/ダウンロード"],
    "agent.max_day_cost": 0.0,
    "agent.max_seconds": 900,
    "agent.max_session_cost": 0.0,
    "agent.max_steps": 25,
    "agent.max_tokens": 200_000,
    "agent.model": "builtin",
    "agent.result_bytes": 32 * 1024,
    "daemon.drain_s": 60,
    "daemon.idle_exit_s": 600,
    "egress.allow": [],
    "egress.deny": [],
    "egress.idle_s": 120,
    "egress.internal": [],
    "egress.max_mib": 1024,
    "egress.max_s": 3600,
    "egress.parent": "",
    "egress.unknown": "deny",
    "guard.admin_groups": ["wheel", "sudo"],
    "guard.approval_wait_s": 300,
    "guard.command_cpu_s": 1200,
    "guard.command_cpu_weight": 100,
    "guard.command_file_mib": 8192,
    "guard.command_io_weight": 100,
    "guard.command_memory_mib": 4096,
    "guard.command_open_files": 4096,
    "guard.command_processes": 512,
    "guard.denials_in_a_row": 5,
    "guard.connections_per_user": 64,
    "guard.idle_exit_s": 600,
    "guard.job_s": 28_800,
    "guard.session_files_mib": 16,
    "guard.least_landlock": 0,
    "guard.max_timeout_s": 600,
    "guard.observe_user": "aios-observe",
    "guard.output_bytes": 1024 * 1024,
    "guard.policy_dirs": ["/etc/aios/policy.d"],
    "guard.session_memory_mib": 8192,
    "guard.session_processes": 2048,
    "guard.spare_workers": 3,
    "guard.timeout_s": 60,
    "guard.worker_idle_s": 20,
    "limits.body_bytes": 1024 * 1024,
    "limits.connections_per_user": 64,
    "limits.events_per_session": 10_000,
    "limits.request_s": 10,
    "limits.turns_per_user": 8,
    "sessions.keep_days": 90,
    "sessions.keep_mib": 256,
}

MODEL: dict[str, Any] = {  # of each [models.NAME]
    "base_url": "",
    "cached_price": 0.0,
    "connect_s": 10,
    "context_tokens": 128_000,
    "effort": "",
    "first_byte_s": 120,
    "idle_s": 60,
    "input_price": 0.0,
    "key": "",
    "max_output_tokens": 4096,
    "model": "m-1",
    "output_price": 0.0,
    "provider": "openai",
    "retries": 3,
}


def _load(folder: Path, text: str) -> None:
    (folder / "config.toml").write_text(text, encoding="utf-8")
    load_config([folder], {})


def test_without_a_file_every_key_has_its_default_and_says_so(tmp_path: Path) -> None:
    entries = load_config([tmp_path], {}).entries
    assert {entry.key: json.loads(entry.value) for entry in entries} == DEFAULTS
    assert [entry.key for entry in entries] == sorted(DEFAULTS)
    assert {entry.origin for entry in entries} == {"default"}


def test_each_value_says_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[limits]\nbody_bytes = 1\nrequest_s = 1\n[guard]\ntimeout_s = 7\n")
    (tmp_path / "config.d").mkdir()
    (tmp_path / "config.d/10.toml").write_text("[limits]\nrequest_s = 2\nturns_per_user = 2\n")
    loaded = load_config([tmp_path], {"AIOS_LIMITS__TURNS_PER_USER": "3"})
    origins = {entry.key: (entry.value, entry.origin) for entry in loaded.entries if entry.origin != "default"}
    assert origins == {
        "guard.timeout_s": ("7", f"{tmp_path}/config.toml"),
        "limits.body_bytes": ("1", f"{tmp_path}/config.toml"),
        "limits.request_s": ("2", f"{tmp_path}/config.d/10.toml"),
        "limits.turns_per_user": ("3", "environment variable AIOS_LIMITS__TURNS_PER_USER"),
    }
    limits = loaded.config.limits
    assert (limits.body_bytes, limits.request_s, limits.turns_per_user) == (1, 2, 3)
    assert loaded.guard.timeout_s == 7


def _other(key: str, value: Any) -> Any:
    """A value of the same kind that is not the default."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case list():
            return (
                ["other"]
                if key.startswith("egress.") or key in ("access.groups", "guard.admin_groups", "agent.fallback")
                else ["/x"]
            )
        case _ if key == "egress.parent":
            return "http://proxy.example:3128"
        case _ if key == "egress.unknown":
            return "ask"
        case _:
            return {"effort": "low", "provider": "anthropic", "base_url": "https://example.org/v1"}.get(key, "other")


def test_every_key_can_be_set(tmp_path: Path) -> None:
    """A value other than the default, for each key there is, arrives."""
    changed = {key: _other(key, value) for key, value in DEFAULTS.items()}
    changed |= {f"models.other.{name}": _other(name, value) for name, value in MODEL.items()}
    lines = []
    for key, value in changed.items():
        table, _, name = key.rpartition(".")
        lines.append(f"[{table}]\n{name} = {json.dumps(value)}\n")
    for number, line in enumerate(lines):
        (tmp_path / "config.d").mkdir(exist_ok=True)
        (tmp_path / f"config.d/{number:02}.toml").write_text(line)
    entries = load_config([tmp_path], {}).entries
    assert {entry.key: json.loads(entry.value) for entry in entries} == changed
    assert "default" not in {entry.origin for entry in entries}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[limits]\nbody_byte = 1", "unknown key 'limits.body_byte'", "did you mean 'limits.body_bytes'?"),
        ("[guard]\ntimeout = 1", "unknown key 'guard.timeout'", "did you mean 'guard.timeout_s'?"),
        ("[limit]\nrequest_s = 1", "unknown key 'limit.request_s'", "did you mean 'limits.request_s'?"),
        ("drain_s = 1", "unknown key 'drain_s'", "did you mean 'daemon.drain_s'?"),
        (
            "[daemon]\ndrain_s = 0",
            "daemon.drain_s: Input should be greater than or equal to 1 (it is 0)",
            "correct daemon.drain_s",
        ),
        (
            "[limits]\nevents_per_session = 99",
            "limits.events_per_session: Input should be greater than or equal to 100 (it is 99)",
            "correct limits.events_per_session",
        ),
        (
            "[agent]\nresult_bytes = 1023",
            "agent.result_bytes: Input should be greater than or equal to 1024 (it is 1023)",
            "correct agent.result_bytes",
        ),
        (
            "[daemon]\nidle_exit_s = true",
            "daemon.idle_exit_s: Input should be a valid integer (it is True)",
            "correct daemon.idle_exit_s",
        ),
        (
            '[daemon]\nidle_exit_s = "600"',
            "daemon.idle_exit_s: Input should be a valid integer (it is '600')",
            "correct daemon.idle_exit_s",
        ),
        (
            "[agent]\nmax_steps = 2.0",
            "agent.max_steps: Input should be a valid integer (it is 2.0)",
            "correct agent.max_steps",
        ),
        ('[agent]\nmodel = "gpt"', "agent.model: there is no model 'gpt'", "there are: builtin"),
        ('[agent]\nmodel = "bultin"', "agent.model: there is no model 'bultin'", "did you mean 'builtin'?"),
        ('[agent]\nfallback = ["x"]', "agent.fallback: there is no model 'x'", "there are: builtin"),
        (
            "[agent]\nmax_cost = -1",
            "agent.max_cost: Input should be greater than or equal to 0 (it is -1)",
            "correct agent.max_cost",
        ),
        ("[agent]\nmodel = 1", "agent.model: Input should be a valid string (it is 1)", "correct agent.model"),
        (
            '[access]\ngroups = "wheel"',
            "access.groups: Input should be a valid tuple (it is 'wheel')",
            "correct access.groups",
        ),
        (
            '[access]\ngroups = ["wheel", 1]',
            "access.groups: Input should be a valid string (it is 1)",
            "correct access.groups",
        ),
        (
            "[guard]\ntimeout_s = true",
            "guard.timeout_s must be a whole number of at least 1",
            "correct guard.timeout_s",
        ),
        (
            "[guard]\nspare_workers = -1",
            "guard.spare_workers must be a whole number of at least 0",
            "correct guard.spare_workers",
        ),
        (
            '[guard]\npolicy_dirs = ["etc"]',
            "guard.policy_dirs must be a list of absolute paths",
            "correct guard.policy_dirs",
        ),
        ('[guard]\nobserve_user = ""', "guard.observe_user must be text", "correct guard.observe_user"),
    ],
)
def test_what_is_wrong_is_told_with_file_key_and_what_to_do(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text)
    assert (caught.value.message, caught.value.hint) == (f"{tmp_path}/config.toml: {message}", hint)


@pytest.mark.parametrize(
    ("name", "text", "message", "hint"),
    [
        ("x", 'modell = "m"', "unknown key 'models.x.modell'", "did you mean 'models.x.model'?"),
        (
            "x",
            'provider = "acme"',
            "models.x.provider: Input should be 'anthropic' or 'openai' (it is 'acme')",
            "correct models.x.provider",
        ),
        ("x", "key = ''", "models.x.model is missing", "write the name that the server has for it"),
        (
            "builtin",
            'model = "m"',
            "models.builtin.model belongs to a table whose name cannot be",
            "use small letters, digits and -, not builtin",
        ),
        (
            "x",
            'model = "m"\nkey = "sk-abcdef"',
            "models.x.key is no name of a credential",
            "the key itself is never written here; see docs/models.md",
        ),
        (
            "x",
            'model = "m"\nkey = "a b"',
            "models.x.key is no name of a credential",
            "the key itself is never written here; see docs/models.md",
        ),
        (
            "x",
            'model = "m"\nbase_url = "https://ann:pw@example.org"',
            "models.x.base_url is no http or https address",
            "write https://HOST/PATH and nothing else",
        ),
        (
            "x",
            'model = "m"\nbase_url = "example.org:99999"',
            "models.x.base_url is no http or https address",
            "write https://HOST/PATH and nothing else",
        ),
        (
            "x",
            'model = "m"\nkey = "k"\nbase_url = "http://example.org/v1"',
            "models.x.base_url would send the key unencrypted",
            "use https, or a model that needs no key",
        ),
    ],
)
def test_what_is_wrong_with_a_model_is_told(tmp_path: Path, name: str, text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, f"[models.{name}]\n{text}\n")
    assert (caught.value.message, caught.value.hint) == (f"{tmp_path}/config.toml: {message}", hint)
    assert "abcdef" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_a_key_may_go_unencrypted_to_this_machine_and_none_to_any(tmp_path: Path) -> None:
    _load(tmp_path, '[models.x]\nmodel = "m"\nkey = "k"\nbase_url = "http://127.0.0.1:8080/v1"\n')
    _load(tmp_path, '[models.x]\nmodel = "m"\nbase_url = "http://example.org/v1"\n')


OPENAI = {"OPENAI_API_KEY": "topmost-secret", "OPENAI_BASE_URL": "http://localhost:1/v1", "OPENAI_MODEL": "qwen"}


def test_variables_that_others_use_name_models_for_a_standalone_daemon_alone() -> None:
    environment = {**OPENAI, "ANTHROPIC_API_KEY": "topmost-secret"}
    assert load_config([], environment).config.models == {}
    loaded = load_config([], environment, standalone=True)
    assert loaded.config.agent.model == "openai"
    assert {name: (each.provider, each.key) for name, each in loaded.config.models.items()} == {
        "anthropic": ("anthropic", "ANTHROPIC_API_KEY"),
        "openai": ("openai", "OPENAI_API_KEY"),
    }
    table = loaded.config.models["openai"]
    assert (table.model, table.base_url) == ("qwen", "http://localhost:1/v1")
    assert "topmost" not in repr(loaded)
    origins = {entry.key: entry.origin for entry in loaded.entries}
    assert origins["agent.model"] == origins["models.openai.key"] == "environment variable OPENAI_API_KEY"
    assert origins["models.openai.model"] == "environment variable OPENAI_MODEL"


def test_the_configuration_wins_over_those_variables(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[agent]\nmodel = "builtin"\n[models.openai]\nmodel = "mine"\n')
    config = load_config([tmp_path], OPENAI, standalone=True).config
    assert (config.agent.model, config.models["openai"].model) == ("builtin", "mine")
    assert load_config([], {"OPENAI_MODEL": "qwen"}, standalone=True).config.models == {}


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config([tmp_path], {"AIOS_DAEMON__DRAIN_S": "soon"})
    assert caught.value.message == (
        "environment variable AIOS_DAEMON__DRAIN_S: daemon.drain_s: Input should be a valid integer (it is 'soon')"
    )


def test_the_guards_times_have_to_agree(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, "[guard]\ntimeout_s = 700\n")
    assert caught.value.message == "guard.timeout_s is over guard.max_timeout_s"
    _load(tmp_path, "[guard]\ntimeout_s = 700\nmax_timeout_s = 700\n")


def test_an_env_file_of_a_working_directory_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("AIOS_DAEMON__DRAIN_S=1\nDAEMON='{\"drain_s\": 1}'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAEMON", '{"drain_s": 1}')
    assert load_config([], {}).config.daemon.drain_s == 60

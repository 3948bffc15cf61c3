"""What people would use instead, where it is installed, each told to ask the scripted server."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FUNCTION = """
import subprocess
def run(command: str) -> str:
    "Run a shell command."
    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout
"""
NAMES = ("codex", "claude", "llm", "pi")
_DEADLINE_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A program: its words before the question, and its environment."""

    name: str
    words: tuple[str, ...]
    environment: Mapping[str, str]

    def run(self, question: str) -> None:
        """One turn. RuntimeError, with its own words, where that is none."""
        ran = subprocess.run(
            [*self.words, question],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_DEADLINE_S,
        )
        if ran.returncode or "done" not in ran.stdout:
            raise RuntimeError(f"{self.name} ended with {ran.returncode}: {(ran.stderr or ran.stdout)[-300:].strip()}")


def find_rivals(place: Path, port: int) -> list[Rival]:
    """Those that are installed, with a home below `place`."""
    url = f"http://127.0.0.1:{port}"
    home = place / "home"
    (home / ".pi" / "agent").mkdir(parents=True)
    (home / "llm").mkdir()
    provider = {"baseUrl": f"{url}/v1", "api": "openai-completions", "apiKey": "x", "models": [{"id": "m"}]}
    (home / ".pi" / "agent" / "models.json").write_text(json.dumps({"providers": {"bench": provider}}))
    listed = [{"model_id": "m", "model_name": "m", "api_base": f"{url}/v1", "supports_tools": True, "can_stream": True}]
    (home / "llm" / "extra-openai-models.yaml").write_text(json.dumps(listed))
    (home / "functions.py").write_text(_FUNCTION)
    codex = f'{{name="b",base_url="{url}/v1",wire_api="responses",env_key="OPENAI_API_KEY"}}'
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LLM_USER_PATH": str(home / "llm"),
        "OPENAI_API_KEY": "x",
        "ANTHROPIC_API_KEY": "x",
        "ANTHROPIC_BASE_URL": url,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "PI_OFFLINE": "1",
        "NO_COLOR": "1",
    }
    # fmt: off
    known = {
        "codex": (
            "exec", "--skip-git-repo-check", "-c", "model_provider=b", "-c", f"model_providers.b={codex}",
        ),
        "claude": ("-p", "--allowedTools", "Bash", "--model", "claude-sonnet-4-5", "--"),
        "llm": ("-n", "-m", "m", "--key", "x", "--chain-limit", "0", "--functions", str(home / "functions.py")),
        "pi": ("-p", "--provider", "bench", "--model", "m"),
    }
    # fmt: on
    return [
        Rival(name=name, words=(program, *words), environment=environment)
        for name, words in known.items()
        if (program := shutil.which(name))
    ]

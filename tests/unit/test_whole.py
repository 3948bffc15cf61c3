"""`make test` is red when a part of it is, and shows each part's report."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole import parts_of

RUN = """\
import sys
from tests.whole import run
sys.exit(run({"one": [sys.argv[1]], "other": [sys.argv[2]]}, ["-c", "/dev/null", "-p", "no:cacheprovider"]))
"""
PASSES = "def test_it() -> None:\n    pass\n"
FAILS = "def test_that() -> None:\n    assert 'this' == 'that'\n"


@pytest.mark.parametrize(("one", "other", "status"), [
    (PASSES, PASSES, 0),
    (PASSES, FAILS, 1),
    (PASSES, "", 5),  # no test was found
])  # fmt: skip
def test_the_status_is_that_of_the_worst_part(tmp_path: Path, one: str, other: str, status: int) -> None:
    files = [tmp_path / "test_one.py", tmp_path / "test_other.py"]
    for file, content in zip(files, (one, other), strict=True):
        file.write_text(content)
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, files)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert ("assert 'this' == 'that'" in done.stdout) == (FAILS in (one, other))


def test_every_module_is_in_one_part() -> None:
    modules = sorted(str(path) for path in Path("tests/system").glob("test_*.py"))
    machines = parts_of(system_alone=True)
    assert sorted(path for paths in machines.values() for path in paths) == modules
    whole = parts_of(system_alone=False)
    assert {name: paths for name, paths in whole.items() if name in machines} == machines
    assert whole["daemons"] == ["tests/daemon"]
    assert whole["kernels"] == ["tests/system/kernels"]
    assert {path.parent.name for path in Path("tests/system").rglob("test_*.py")} == {"system", "kernels"}
    assert whole["others"] == ["tests", "--ignore=tests/system", "--ignore=tests/daemon"]

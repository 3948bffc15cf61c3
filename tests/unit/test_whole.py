"""`make test` is red when a part of it is, and shows each part's report."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """\
import sys
from tests.whole import main
sys.exit(main(["-c", "/dev/null", "-p", "no:cacheprovider"], {"one": [sys.argv[1]], "other": [sys.argv[2]]}))
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
    assert (
        done.stdout.count("assert 'this' == 'that'") == (one, other).count(FAILS) * 2
    )  # the line, and what pytest says of it

"""A distribution's own kernel, in QEMU without KVM: every wall at once, and limits that hold."""

import json
import os
from pathlib import Path

import pytest

from tests.system.command import PATIENCE_S, CompletedGuest, bounded
from tests.system.conftest import lacking
from tests.system.guest import SCRIPTS, UNAVAILABLE, Testbed

pytestmark = pytest.mark.soak

_LIMIT_S = 900
_JOB = """\
set -eu
{ pacman -U --noconfirm ./aios-*.pkg.tar.zst; systemctl enable --now aiosd.socket; } >/dev/null 2>&1
printf '[guard]\\ncommand_memory_mib = 64\\ntimeout_s = 120\\n' >/etc/aios/config.d/50-small.toml
cd /home/bob
as_bob() { runuser -u bob -- "$@" </dev/null || true; }
# The processor is emulated: the first tries start everything, and may take longer than a client waits.
for _ in 1 2 3 4 5; do as_bob aios doctor >doctor; grep -q MISSING doctor || break; done
as_bob aios ask '$ head -c 300M /dev/zero | tail -c 290M | wc -c' >hungry 2>&1
as_bob aios ask '$ head -c 30M /dev/zero | tail -c 20M | wc -c' >modest 2>&1
aios log --json -n 50 >record
tail -n +1 doctor hungry modest record
echo '==> end <=='
aios log --verify
"""


def _run(testbed: Testbed, script: Path, *files: Path) -> CompletedGuest:
    environment = {**os.environ, "AIOS_TESTBED": str(testbed.folder), "TB_LIMIT": str(_LIMIT_S)}
    built = bounded([str(SCRIPTS / "qemu-build.sh")], env=environment, timeout_s=10 * PATIENCE_S)
    if built.status == UNAVAILABLE:
        lacking(built.stderr.strip().splitlines()[-1])
    built.checked()
    command = [str(SCRIPTS / "qemu-run.sh"), str(script), *map(str, files)]
    return bounded(command, env=environment, timeout_s=_LIMIT_S + PATIENCE_S)


def test_on_a_stock_kernel_every_wall_stands_and_limits_hold(testbed: Testbed, package: Path, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(_JOB)
    done = _run(testbed, script, package).checked()
    (_, doctor), (_, hungry), (_, modest), (_, record), (_, end) = (
        part.split(" <==\n", 1) for part in done.stdout.split("==> ")[1:]
    )
    assert {line.split()[0] for line in doctor.splitlines() if line} == {"ok"}, doctor
    assert "limits: cgroup (memory, pids, cpu, io)" in doctor
    assert "304087040" not in hungry
    assert "memory" in hungry
    assert "20971520" in modest
    levels = {entry["landlock"] for entry in map(json.loads, record.splitlines()) if "landlock" in entry}
    assert levels == {6}
    assert end == "the record is whole\n"

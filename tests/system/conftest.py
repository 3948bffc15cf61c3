"""Fixtures for tests on a booted machine: `testbed`, `package` for the whole run; `guest`, `installed` for a module.

Where the machine that runs the tests cannot have guests they skip, with the reason; with CI or AIOS_REQUIRE_SYSTEM=1
set they fail.
"""

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pytest

from tests.system.guest import Guest, GuestError, GuestUnavailableError, Testbed
from tests.system.packages import built_package, installed_layer

HERE = Path(__file__).resolve().parent


def required() -> bool:
    """Whether a missing tool is a failure here, rather than a reason to skip."""
    return bool(os.environ.get("CI")) or os.environ.get("AIOS_REQUIRE_SYSTEM") == "1"


def lacking(reason: str) -> NoReturn:
    """Skip, or fail where everything must run."""
    if required():
        pytest.fail(f"no test machine: {reason}", pytrace=False)
    pytest.skip(f"no test machine: {reason}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fresh: needs a container with Debian's base, and the network")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def terminated_gently() -> Iterator[None]:
    """SIGTERM and SIGINT end the run through each fixture's end, so guests power off; the next is ignored."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(signal.Signals(number).name)

    # SIGINT too, which is ignored in what a script has started in the background.
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def testbed(terminated_gently: None) -> Testbed:
    """The cached root, built now if its recipe changed (a minute)."""
    if os.geteuid() != 0:
        lacking("needs root")
    try:
        return Testbed.build()
    except GuestUnavailableError as exc:
        lacking(str(exc))


@pytest.fixture(scope="module")
def guest(testbed: Testbed) -> Iterator[Guest]:
    """A machine for the module's tests, fresh at its start and gone at its end."""
    with testbed.boot() as guest:
        yield guest


@pytest.fixture(scope="session")
def package(testbed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the working tree, built by makepkg; kept until what it is made of changes."""
    return built_package(testbed, tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="session")
def layer(testbed: Testbed, package: Path) -> Path:
    """What the package and its enabled socket add to the root: `testbed.boot(layer=layer)` has them from the start."""
    return installed_layer(testbed, package)


@pytest.fixture(scope="module")
def installed(testbed: Testbed, layer: Path) -> Iterator[Guest]:
    """A machine of its own with our package, and its sockets enabled as the package's message says."""
    with testbed.boot(layer=layer) as guest:
        yield guest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the machine's last words under a failed test."""
    report = yield
    given = getattr(item, "funcargs", {})
    machine = given.get("guest") or given.get("installed")
    if report.failed and isinstance(machine, Guest):
        try:
            said = machine.enter(["journalctl", "--no-pager", "-n", "40"], check=False, timeout_s=30).stdout
        except GuestError as exc:
            said = str(exc)
        report.sections.append((f"journal of {machine.name}", said))
    return report

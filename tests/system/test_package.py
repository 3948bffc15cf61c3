"""The package: each rule of docs/packaging.md, as pacman and the installed machine show it."""

from tests.system.guest import Guest


def test_an_ordinary_user_asks_the_installed_service(installed: Guest) -> None:
    assert installed.run(["aios", "ask", "which services failed?"], user="bob").stdout == "No unit has failed.\n"
    assert installed.unit("aiosd.service")["ActiveState"] == "active"
    assert installed.unit("aios-guard.service")["ActiveState"] == "active"

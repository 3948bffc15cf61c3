"""Without a repository of ours: a release and its signatures, the installer script, and pip for one user alone."""

import io
import subprocess
import tarfile
from collections.abc import Iterator

import pytest

from tests.system.command import PATIENCE_S
from tests.system.guest import REPOSITORY, Guest, Testbed
from tests.system.packages import bare_package, copy_tree, fetch

_REPOSITORY = "/home/builder/aios"
_DIST = f"{_REPOSITORY}/dist"
_KEY = "release@example.org"
_MAKE_KEY = f"gpg --batch --quiet --passphrase '' --quick-generate-key {_KEY} ed25519 sign 1d"
_FILES = [
    "SHA256SUMS",
    "SHA256SUMS.asc",
    "aios-0.1.0-1-any.pkg.tar.zst",
    "aios-0.1.0-1-any.pkg.tar.zst.sig",
    "aios-0.1.0-makepkg.tar.gz",
    "aiosd-0.1.0-py3-none-any.whl",
    "aiosd-0.1.0.tar.gz",
    "install.sh",
]
_PACKAGE = f"{_DIST}/aios-0.1.0-1-any.pkg.tar.zst"


@pytest.fixture(scope="module")
def released(testbed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A machine with a clone, tagged, and a release made of it by `builder` with a key that is thrown away."""
    tree = tmp_path_factory.mktemp("clone") / "tree"
    copy_tree(REPOSITORY, tree)
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "all"], ["tag", "v0.1.0"]):
        identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
        subprocess.run(["git", *identity, "-C", str(tree), *words], check=True, timeout=60)
    bundle = ["git", "-C", str(tree), "bundle", "create", "--quiet", str(tree.parent / "bundle"), "--all"]
    subprocess.run(bundle, check=True, timeout=60)
    with testbed.boot() as guest:
        guest.put("/home/builder/bundle", (tree.parent / "bundle").read_bytes(), owner="builder")
        _as_builder(guest, f"git clone --quiet bundle {_REPOSITORY} && {_MAKE_KEY}")
        guest.enter(["chmod", "755", "/home/builder"])
        _release(guest, _KEY)
        yield guest


def _as_builder(guest: Guest, script: str, *, check: bool = True) -> tuple[int, str]:
    done = guest.run(["sh", "-c", f"cd; {script} 2>&1"], user="builder", check=check, timeout_s=3 * PATIENCE_S)
    return done.status, done.stdout


def _release(guest: Guest, key: str = "", *, check: bool = True) -> tuple[int, str]:
    return _as_builder(guest, f"cd {_REPOSITORY} && MAKEPKG_OPTIONS=--nocheck packaging/release {key}", check=check)


# make release


def test_make_runs_it_with_the_key_that_one_names() -> None:
    for words, runs in (["release", "KEY=me"], "packaging/release me\n"), (["package"], "packaging/makepkg-here\n"):
        command = ["env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "-n", *words]
        said = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=60)
        assert said.stdout == runs


def test_it_has_everything_with_checksums_and_good_signatures(released: Guest) -> None:
    assert released.enter(["ls", _DIST]).stdout.split() == _FILES
    _, said = _as_builder(released, f"cd {_DIST} && sha256sum -c SHA256SUMS && gpg --verify SHA256SUMS.asc SHA256SUMS")
    assert said.count(": OK\n") == 5
    assert "Good signature" in said
    assert "Good signature" in _as_builder(released, f"gpg --verify {_PACKAGE}.sig {_PACKAGE}")[1]
    _as_builder(released, f"cp {_PACKAGE} altered && printf x >> altered")
    status, said = _as_builder(released, f"gpg --verify {_PACKAGE}.sig altered", check=False)
    assert status != 0
    assert "BAD signature" in said


def test_sdist_and_wheel_made_elsewhere_of_what_makepkg_takes_are_the_same(released: Guest) -> None:
    script = (
        f"umask 077 && mkdir elsewhere && cd elsewhere && tar -xpzf {_DIST}/aios-0.1.0-makepkg.tar.gz && "
        "tar -xpzf aios-0.1.0.tar.gz && cd aios-0.1.0 && export TZ=Asia/Tokyo PYTHONHASHSEED=7 && "
        f"export SOURCE_DATE_EPOCH=$(git -C {_REPOSITORY} show --no-patch --format=%ct) && "
        "packaging/python-packages /usr/bin/python3 ~/elsewhere/made >/dev/null && cd ../made && "
        f"for file in *; do cmp $file {_DIST}/$file || exit 1; done; ls"
    )
    made = _as_builder(released, script)[1].split()
    assert made[-2:] == ["aiosd-0.1.0-py3-none-any.whl", "aiosd-0.1.0.tar.gz"]


@pytest.mark.soak
def test_made_again_it_is_the_same(released: Guest) -> None:
    before = released.read(f"{_DIST}/SHA256SUMS")
    _release(released, _KEY)
    assert released.read(f"{_DIST}/SHA256SUMS") == before


@pytest.mark.parametrize(
    ("spoil", "restore", "key", "words"),
    [
        ("echo >> README.md", "git checkout --quiet README.md", "", "commit first"),
        ("true", "true", "nobody@example.org", "gpg has no secret key nobody@example.org"),
        ("git tag -d v0.1.0; git tag v0.2.0", "git tag -d v0.2.0; git tag v0.1.0", "", "the tag says 0.2.0"),
    ],
)
def test_what_would_be_a_wrong_release_is_none(released: Guest, spoil: str, restore: str, key: str, words: str) -> None:
    before = released.read(f"{_DIST}/SHA256SUMS")
    _as_builder(released, f"cd {_REPOSITORY} && {spoil}")
    status, said = _release(released, key, check=False)
    _as_builder(released, f"cd {_REPOSITORY} && {restore}")
    assert status == 1
    assert words in said
    assert released.read(f"{_DIST}/SHA256SUMS") == before


def test_what_makepkg_takes_is_whole(released: Guest) -> None:
    script = f"rm -rf again && mkdir again && tar -C again -xzf {_DIST}/aios-0.1.0-makepkg.tar.gz && cd again && "
    assert "Passed" in _as_builder(released, script + "makepkg --verifysource --nodeps")[1]


def test_sdist_and_wheel_have_code_data_and_licence_alone(released: Guest) -> None:
    with tarfile.open(fileobj=io.BytesIO(fetch(released, f"{_DIST}/aiosd-0.1.0.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "aiosd/guard/io.aios.Guard.varlink"} <= names
    assert {name for name in names if name.startswith(("tests", "bench", "build"))} == set()
    listed = _as_builder(released, f"python3 -m zipfile -l {_DIST}/aiosd-0.1.0-py3-none-any.whl")[1]
    assert "aiosd/policy/defaults/00-defaults.toml" in listed
    assert "LICENSE" in listed
    assert "tests/" not in listed


# install.sh


def _install_sh(guest: Guest, *words: str, user: str | None = None) -> tuple[int, str]:
    script = ["sh", "-c", '"$0" "$@" 2>&1', f"{_DIST}/install.sh", *words]
    done = guest.run(script, user=user, check=False)
    return done.status, done.stdout


def test_it_installs_twice_as_once_and_uninstalls_twice_as_once(released: Guest) -> None:
    assert _install_sh(released, "--check") == (0, "this machine can have aios\n")
    status, said = _install_sh(released, _PACKAGE)
    assert (status, "systemctl enable --now aiosd.socket" in said) == (0, True)
    assert released.unit("aiosd.socket")["ActiveState"] == "inactive"
    assert _install_sh(released, _PACKAGE) == (0, "aios 0.1.0-1 is installed already\n")
    released.enter(["rm", "/usr/lib/aios/aiosd/wire.py"])
    assert _install_sh(released, _PACKAGE)[0] == 0
    assert released.exists("/usr/lib/aios/aiosd/wire.py")
    released.enter(["systemctl", "enable", "--now", "--quiet", "aiosd.socket"])
    assert released.run(["aios", "ask", "which services failed?"], user="bob").stdout == "No unit has failed.\n"
    status, said = _install_sh(released, "--uninstall")
    assert (status, ":: Sessions, the record and your settings stay" in said) == (0, True)
    assert _install_sh(released, "--uninstall") == (0, "aios is not installed\n")
    assert not released.exists("/usr/bin/aios")
    assert released.exists("/var/lib/aios-guard")


def test_only_root_installs_and_others_are_told_how(released: Guest) -> None:
    status, said = _install_sh(released, _PACKAGE, user="bob")
    assert status == 77
    assert f"sudo {_DIST}/install.sh {_PACKAGE}\n" in said
    assert not released.exists("/usr/bin/aios")


@pytest.fixture(scope="module")
def spoiled(released: Guest) -> Guest:
    """The machine with files that are no package of ours, or are not what their checksums say."""
    bare_package(released, "other", "1-1", "/root/other-1-1-any.pkg.tar.zst")
    released.enter(["sh", "-c", f"cp {_DIST}/* /root; sed -i 's/^0/1/; t; s/^./0/' /root/SHA256SUMS"])
    checked = released.enter(["sh", "-c", "cd /root && sha256sum --check SHA256SUMS 2>/dev/null"], check=False).stdout
    assert "any.pkg.tar.zst: FAILED" in checked
    return released


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 64, "usage: install.sh PACKAGE"),
        (["--frob"], 64, "there is no option --frob"),
        (["/root/none.pkg.tar.zst"], 65, "there is no file /root/none.pkg.tar.zst to read"),
        ([f"{_DIST}/SHA256SUMS"], 65, "is no package"),
        (["/root/aios-0.1.0-1-any.pkg.tar.zst"], 65, "is not what /root/SHA256SUMS says"),
        (["/root/other-1-1-any.pkg.tar.zst"], 65, "is the package other, not aios"),
    ],
)
def test_what_is_no_package_of_ours_is_not_installed(spoiled: Guest, words: list[str], status: int, said: str) -> None:
    got, text = _install_sh(spoiled, *words)
    assert (got, said in text) == (status, True), text
    assert not spoiled.exists("/usr/bin/aios")
    assert spoiled.enter(["pacman", "-Q", "other"], check=False).status == 1


@pytest.mark.parametrize(
    ("hide", "words"),
    [
        ("ln -sf /bin/false /usr/local/bin/python3", "there is no Python 3.11 or later"),
        ("printf '#!/bin/sh\\necho systemd 252 x\\n' > /usr/local/bin/systemctl; chmod 755 /usr/local/bin/systemctl",
         "systemd is 252, and 257 is needed"),
        ("mv /usr/bin/pacman /usr/bin/pacman.hidden", "there is no pacman"),
    ],
)  # fmt: skip
def test_a_machine_that_cannot_have_it_is_told_what_it_lacks_and_what_else_to_do(
    released: Guest, hide: str, words: str
) -> None:
    released.enter(["sh", "-c", hide])
    status, said = _install_sh(released, _PACKAGE)
    released.enter(
        [
            "sh",
            "-c",
            "rm -f /usr/local/bin/*; ! test -e /usr/bin/pacman.hidden || mv /usr/bin/pacman.hidden /usr/bin/pacman",
        ]
    )
    assert (status, words in said) == (69, True), said
    assert said.count("\n") == 2
    assert not released.exists("/usr/bin/aios")
    assert _install_sh(released, "--check")[0] == 0


# pip, for one user alone


def test_the_wheel_in_an_environment_of_its_own_answers_standalone(released: Guest) -> None:
    # The dependencies are this machine's, as it has no network; pip checks that they are there.
    script = (
        "python3 -m venv --without-pip --system-site-packages ~/venv && "
        "python3 -m pip --python ~/venv/bin/python install --quiet --no-index "
        f"{_DIST}/aiosd-0.1.0-py3-none-any.whl && ls ~/venv/bin"
    )
    programs = released.run(["sh", "-c", script], user="carol").stdout.split()
    assert {"aios", "aiosd", "aios-guard"} <= set(programs)
    with released.start(["/home/carol/venv/bin/aiosd", "--standalone"], user="carol") as daemon:
        released.wait_for(["sh", "-c", "test -S /run/user/$(id -u carol)/aios/aiosd.sock"])
        said = released.run(["/home/carol/venv/bin/aios", "ask", "which services failed?"], user="carol")
        assert said.stdout == "No unit has failed.\n"
        assert "(standalone)" in released.run(["/home/carol/venv/bin/aios", "status"], user="carol").stdout
        log = released.run(["/home/carol/venv/bin/aios", "log"], user="carol").stdout
        assert "systemctl list-units" in log
        refused = released.run(["/home/carol/venv/bin/aios", "ask", "$ rm -rf /"], user="carol", check=False)
        assert refused.status == 77
        daemon.kill()
    nobody = released.run(["/home/carol/venv/bin/aios", "status"], user="carol", check=False)
    assert (nobody.status, "aiosd --standalone" in nobody.stderr) == (69, True)

"""A session's files as one text of bytes: what goes in comes out, and nothing else is taken for one."""

import os
from pathlib import Path

import pytest

from aiosd.sandbox.bundle import MAX_FILES, BundleError, is_path, look, make_place, pack, parse_bundle, unpack

FILES = [
    ("outputs/a b.txt", 0o644, b"one\n"),
    ("outputs/deep/er/x", 0o755, b"\0\n5 644 outputs/y\n"),
    ("uploads/u", 0o644, b""),
]


def _bundle(*files: tuple[str, int, bytes]) -> bytes:
    return b"".join(b"%d %o %s\n%s" % (len(data), mode, path.encode(), data) for path, mode, data in files)


@pytest.fixture
def place(tmp_path: Path) -> str:
    make_place(str(tmp_path))
    return str(tmp_path)


def test_what_was_made_is_packed_and_lies_there_again_elsewhere(place: str, tmp_path: Path) -> None:
    unpack(_bundle(*FILES), place)
    assert (tmp_path / "outputs/deep/er/x").read_bytes() == FILES[1][2]
    assert (tmp_path / "outputs/deep/er/x").stat().st_mode & 0o777 == 0o755
    packed = pack(1000, place)
    assert parse_bundle(packed) == FILES[:2]
    os.symlink("/etc/passwd", tmp_path / "outputs/link")
    os.mkfifo(tmp_path / "outputs/pipe")
    (tmp_path / "left").write_text("x")
    assert pack(1000, place) == packed
    unpack(packed, place)
    assert sorted(os.listdir(tmp_path)) == ["outputs", "uploads"]
    assert sorted(os.listdir(tmp_path / "outputs")) == ["a b.txt", "deep"]
    assert os.listdir(tmp_path / "uploads") == []


def test_a_change_shows(place: str, tmp_path: Path) -> None:
    assert look(place) == ()
    made = tmp_path / "outputs/a"
    made.write_text("1")
    first = look(place)
    assert len(first) == 1
    assert look(place) == first
    made.write_text("22")
    assert look(place) != first
    assert look(str(tmp_path / "nowhere")) == ()


def test_what_is_too_much_is_not_packed(place: str, tmp_path: Path) -> None:
    (tmp_path / "outputs/a").write_bytes(b"x" * 600)
    (tmp_path / "outputs/b").write_bytes(b"x" * 400)
    assert len(parse_bundle(pack(1000, place))) == 2
    with pytest.raises(BundleError, match="over 0 MiB"):
        pack(999, place)
    for number in range(MAX_FILES):
        (tmp_path / f"outputs/{number}").touch()
    with pytest.raises(BundleError, match="over 1000 files"):
        pack(10_000, place)


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"5 644 outputs/a\nfour",
        b"-1 644 outputs/a\n",
        b"1 999 outputs/a\nx",
        b"1 outputs/a\nx",
        b"1 644 /etc/passwd\nx",
        b"1 644 outputs/../../x\nx",
        b"1 644 other/a\nx",
        b"0 644 outputs/a\n" * (MAX_FILES + 1),
    ],
)
def test_what_is_no_bundle_is_refused(data: bytes, place: str) -> None:
    with pytest.raises(BundleError):
        parse_bundle(data)
    with pytest.raises(BundleError):
        unpack(data, place)


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("outputs/a", True),
        ("uploads/日本語.txt", True),
        ("outputs/" + "d/" * 14 + "a", True),
        ("outputs", False),
        ("outputs/", False),
        ("outputs//a", False),
        ("outputs/./a", False),
        ("/outputs/a", False),
        ("outputs/a\nb", False),
        ("outputs/" + "d/" * 16 + "a", False),
        ("outputs/" + "x" * 1000, False),
    ],
)
def test_which_paths_there_are(path: str, may: bool) -> None:
    assert is_path(path) is may

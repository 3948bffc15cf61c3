"""Folder rules as they are written, and what they say of a path: tables."""

import json
import tomllib
from pathlib import Path

import pytest

from aiosd.policy import PolicyError, load_policy_file
from aiosd.policy.folders import FolderImportError, translate_json
from aiosd.sandbox.folders import find_hold, make_fence

FOUNDING = {
    "FolderPolicies": [
        {
            "Path": "/home/user/projects",
            "Access": "ReadWrite",
            "Network": "Allow",
            "Execute": "Inherit",
            "AllowedExtensions": [".py", "*.TXT"],
            "DeniedExtensions": None,
            "MaxFileSizeMB": 10,
            "EnableAudit": True,
            "Name": "work",
            "Description": 'all "of" it',
        },
        {"Path": "/home/user/projects/secret", "Access": "Deny"},
        {"Path": "/data", "Access": "ReadOnly", "Execute": "Deny"},
        {"Path": "/tmp/x/", "Access": "FullControl", "Network": "Deny"},
        {"Path": "/plain"},
    ]
}


def load(tmp_path: Path, text: str):  # type: ignore[no-untyped-def] # the policy, as it is asked below
    file = tmp_path / "policy.toml"
    file.write_text(text, encoding="utf-8")
    return load_policy_file(file)


def test_the_founding_json_becomes_tables_that_load_and_say_the_same(tmp_path: Path) -> None:
    text = translate_json(json.dumps(FOUNDING), "folders.json")
    tables = tomllib.loads(text)["folder"]
    assert tables[0] == {
        "path": "/home/user/projects",
        "access": "read-write",
        "network": "allow",
        "execute": "inherit",
        "allowed_extensions": [".py", "*.TXT"],
        "denied_extensions": [],
        "max_file_size_mb": 10,
        "audit": True,
        "name": "work",
        "description": 'all "of" it',
    }
    assert [table["access"] for table in tables] == ["read-write", "deny", "read-only", "full-control", "read-write"]
    fence = load(tmp_path, text).folders.fence("/home/user")
    said = {
        path: (hold.read, hold.write, hold.execute, hold.network)
        for path in (
            "/home/user/projects/a",
            "/home/user/projects/secret/a",
            "/data/a",
            "/tmp/x/a",
            "/plain/a",
            "/other",
        )
        for hold in (find_hold(fence, path),)
    }
    assert said == {
        "/home/user/projects/a": (True, True, True, True),
        "/home/user/projects/secret/a": (False, False, True, True),
        "/data/a": (True, False, False, None),
        "/tmp/x/a": (True, True, True, False),
        "/plain/a": (True, True, True, None),
        "/other": (True, None, True, None),
    }
    hold = find_hold(fence, "/home/user/projects/a")
    assert (hold.refuses("x.txt"), hold.refuses("x.PY"), hold.refuses("x.sh")) == (False, False, True)
    assert hold.max_bytes == 10 * 1024 * 1024


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "has no list FolderPolicies"),
        ('{"FolderPolicies": [{"Access": "Deny"}]}', "without path"),
        ('{"FolderPolicies": [{"Path": "/a", "Acess": "Deny"}]}', "unknown key Acess"),
        ('{"FolderPolicies": [{"Path": "/a", "Access": "deny"}]}', "Access has the value 'deny'"),
        ('{"FolderPolicies": [{"Path": "/a", "Network": "ReadOnly"}]}', "network is `read-only`"),
        ('{"FolderPolicies": [{"Path": "a"}]}', "is not an absolute path"),
        ('{"FolderPolicies": [{"Path": "/a/*"}]}', "holds a pattern"),
        ('{"FolderPolicies": [{"Path": "/a", "MaxFileSizeMB": -1}]}', "max_file_size_mb is -1"),
        ('{"FolderPolicies": [{"Path": "/a"}, {"Path": "/a/"}]}', "folders 1 and 2 have one path"),
    ],
)
def test_a_json_that_could_not_be_meant_is_refused(document: str, message: str) -> None:
    with pytest.raises(FolderImportError) as caught:
        translate_json(document, "f.json")
    assert message in str(caught.value.args[0])


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('[[folder]]\naccess = "deny"\n', 1, "a folder without path"),
        ('[[folder]]\npath = "/a"\nacess = "deny"\n', 3, "unknown key `acess`"),
        ('[[folder]]\npath = "/a"\naccess = "write"\n', 3, "access is `write`"),
        ('[[folder]]\npath = "/a"\nexecute = "no"\n', 3, "execute is `no`"),
        ('[[folder]]\npath = "a"\n', 2, "`a` is not an absolute path"),
        ('[[folder]]\npath = "/a"\naudit = "yes"\n', 3, "audit is 'yes'"),
        ('[[folder]]\npath = "/a"\ndenied_extensions = ["a/b"]\n', 3, "`a/b` is not the end of a name"),
        ('[folders]\ndeny = ["/a"]\n', 2, "unknown list `deny`"),
        ('[folders]\ndeny_read = "/a"\n', 2, "deny_read is '/a'"),
        ('folder = "x"\n', 1, "folder is not an array of tables"),
    ],
)
def test_a_fault_names_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path, text)
    assert (caught.value.line, caught.value.message) == (line, message)


@pytest.mark.parametrize("spelled", [True, False], ids=["camel", "snake"])
def test_the_four_lists_say_who_reads_and_writes(tmp_path: Path, spelled: bool) -> None:
    lists = {"deny_read": "/a", "allow_read": "/a/b", "allow_write": "/c", "deny_write": "/c/d"}
    camel = {"deny_read": "denyRead", "allow_read": "allowRead", "allow_write": "allowWrite", "deny_write": "denyWrite"}
    text = "[folders]\n" + "".join(f'{camel[key] if spelled else key} = ["{path}"]\n' for key, path in lists.items())
    fence = load(tmp_path, text).folders.fence("/home/user")
    said = {
        path: (find_hold(fence, path).read, find_hold(fence, path).write)
        for path in ("/a/x", "/a/b/x", "/c/x", "/c/d/x")
    }
    assert said == {"/a/x": (False, False), "/a/b/x": (True, False), "/c/x": (True, True), "/c/d/x": (True, False)}


def test_two_entries_for_one_path_give_the_stricter_whatever_the_order() -> None:
    loose = ("/a", True, True, False, True, True, (), (), 0)
    strict = ("/a", True, False, False, False, None, (), (".x",), 5)
    for entries in ((loose, strict), (strict, loose)):
        hold = find_hold(make_fence(entries), "/a/b")
        assert (hold.read, hold.write, hold.execute, hold.max_bytes, hold.denied) == (True, False, False, 5, (".x",))

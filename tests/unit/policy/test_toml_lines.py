"""Lines of TOML keys and elements: by example, and by agreement with tomllib over generated documents."""

import json
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from aiosd.policy.toml_lines import Path, locate


def test_every_key_and_element_has_its_line() -> None:
    text = '''# a comment with [brackets] and "quotes
unmatched = "deny"

[permissions]
deny = [
    "a", # "not this"
    'b',

    "c # d", "e",
]
auto_allow = ["x"]
"quoted key" = """
[not a table]
""" # done

[[rule]]
tier = 'deny'
match = [ "a [b]", \'\'\'c
d\'\'\', "e" ]

[[rule]]
tool.name = "x"
point = { x = 1, y = [1, 2] }
'''
    assert locate(text) == {
        ("unmatched",): 2,
        ("permissions",): 4,
        ("permissions", "deny"): 5,
        ("permissions", "deny", 0): 6,
        ("permissions", "deny", 1): 7,
        ("permissions", "deny", 2): 9,
        ("permissions", "deny", 3): 9,
        ("permissions", "auto_allow"): 11,
        ("permissions", "auto_allow", 0): 11,
        ("permissions", "quoted key"): 12,
        ("rule", 0): 16,
        ("rule", 0, "tier"): 17,
        ("rule", 0, "match"): 18,
        ("rule", 0, "match", 0): 18,
        ("rule", 0, "match", 1): 18,
        ("rule", 0, "match", 2): 19,
        ("rule", 1): 21,
        ("rule", 1, "tool", "name"): 22,
        ("rule", 1, "point"): 23,
        ("rule", 1, "point", "x"): 23,
        ("rule", 1, "point", "y"): 23,
        ("rule", 1, "point", "y", 0): 23,
        ("rule", 1, "point", "y", 1): 23,
    }


_KEYS = st.sampled_from(["a", "b-c", "D_1", "42"])
_TEXTS = st.one_of(
    st.text("ab#[]{}'\"\\=,.\n \t", max_size=8).map(json.dumps),
    st.text('ab#[]{}"\\=,. ', max_size=8).map(lambda text: f"'{text}'"),
    st.text("ab#[]{}=,\n", max_size=8).map(lambda text: f'"""{text}"""'),
    st.text("ab#[]{}=,\n", max_size=8).map(lambda text: f"'''{text}'''"),
)
_SCALARS = st.one_of(_TEXTS, st.sampled_from(["1", "-2.5", "true", "1979-05-27 07:32:00", "1e3", "inf", "0xff"]))
_SPACES = st.sampled_from(["", " ", "\n", " # x ] \" '\n", "\n\n  "])


def _array(items: list[str], space: str) -> str:
    return "[" + space + ("," + space).join(items) + space + "]"


_VALUES = st.recursive(_SCALARS, lambda inner: st.builds(_array, st.lists(inner, max_size=3), _SPACES), max_leaves=6)
_PAIRS = st.dictionaries(_KEYS, _VALUES, max_size=3).map(
    lambda pairs: "".join(f"{k} = {v}\n" for k, v in pairs.items())
)
_TABLES = st.lists(st.tuples(st.sampled_from(["[t{}]\n", "[ 'q{}' ]\n", "[[r]]\n", "[[r.s]]\n"]), _PAIRS), max_size=4)


@given(_PAIRS, _TABLES)
def test_what_is_located_is_what_tomllib_reads(top: str, tables: list[tuple[str, str]]) -> None:
    text = top + "[[r]]\n" + "".join(header.format(number) + pairs for number, (header, pairs) in enumerate(tables))
    found = locate(text)
    assert _leaves(tomllib.loads(text)) <= found.keys()
    assert list(found.values()) == sorted(found.values())


def _leaves(value: object, path: Path = ()) -> set[Path]:
    """The paths of all keys and elements that are not tables (a table may have no line of its own)."""
    if isinstance(value, dict):
        return {leaf for key, inner in value.items() for leaf in _leaves(inner, (*path, key))}
    own = set() if isinstance(value, list) and value and isinstance(value[0], dict) else {path}
    if isinstance(value, list):
        return own | {leaf for index, inner in enumerate(value) for leaf in _leaves(inner, (*path, index))}
    return own

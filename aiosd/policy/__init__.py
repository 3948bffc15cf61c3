"""The policy room: from a proposed action to a verdict, and to exactly what then runs. Pure but for loading its files.

Read in this order: `recogniser` (a shell line → simple commands, or opaque), `judge` (what an argv does, by the data in
`options/`), `rules` and `wide` (what a rule covers), `deny_scan` (what hides in wrappers and text), `engine` (the
strictest decides), `files` (where rules come from).
"""

from aiosd.policy.engine import Policy
from aiosd.policy.errors import PolicyError
from aiosd.policy.explain import Unmatched
from aiosd.policy.files import load_policy, load_policy_file, tighten_policy
from aiosd.policy.program import (
    DiscardTo,
    DuplicateTo,
    Joiner,
    Opaque,
    Pipeline,
    Program,
    ReadFrom,
    Redirect,
    Simple,
    Word,
)
from aiosd.policy.recogniser import recognise
from aiosd.policy.verdict import Action, CommandAction, FetchAction, FileAction, Part, RuleRef, ToolAction, Verdict
from aiosd.policy.web import UrlError, parse_url

__all__ = [
    "Action",
    "CommandAction",
    "DiscardTo",
    "DuplicateTo",
    "FetchAction",
    "FileAction",
    "Joiner",
    "Opaque",
    "Part",
    "Pipeline",
    "Policy",
    "PolicyError",
    "Program",
    "ReadFrom",
    "Redirect",
    "RuleRef",
    "Simple",
    "ToolAction",
    "Unmatched",
    "UrlError",
    "Verdict",
    "Word",
    "load_policy",
    "load_policy_file",
    "parse_url",
    "recognise",
    "tighten_policy",
]

"""The policy in force, rule by rule with where it stands and how often it spoke; and whether the examples hold."""

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from aiosd.policy import Policy, PolicyError, load_policy_file
from aiosd.policy.rules import Rule
from aiosd.types import JsonObject, RunAs, Tier


def list_rules(policy: Policy, hits: Mapping[str, int] | None) -> list[JsonObject]:
    """Each rule as plain values, by file and line; `hits` by place and name, None where nobody could be asked."""
    return [_describe(rule, hits) for rule in sorted(policy.rules, key=lambda rule: (rule.ref.file, rule.ref.line))]


def count_hits(records: Iterable[Mapping[str, object]]) -> Counter[str]:
    """How often each rule decided something, from the guard's records."""
    spoke: Counter[str] = Counter()
    for record in records:
        rules = record.get("rules")
        if record.get("kind") == "decided" and isinstance(rules, list):
            spoke.update(str(rule) for rule in rules)
    return spoke


def render_rules(policy: Policy, rules: Iterable[JsonObject], escape: Callable[[str], str]) -> str:
    """The rules under their files, and the choices that are no rules."""
    choice, ref = policy.unmatched_choice
    manner = policy.manner
    where = f"  ({ref.file}:{ref.line})" if ref.file else ""
    out = f"unmatched    {choice.value}{escape(where)}\n"
    out += f"least        {manner.least.value}\nonly_simple  {str(manner.only_simple).lower()}\n"
    out += f"questions    {str(manner.questions).lower()}\ndigest       {policy.digest}\n"
    if manner.programs is not None:
        out += f"only_programs  {escape(', '.join(manner.programs) or 'none')}\n"
    file = None
    for rule in rules:
        if rule["file"] != file:
            file = rule["file"]
            out += f"\n{escape(str(file))}\n"
        hits = "" if rule["hits"] is None else f"{rule['hits']:>6}  "
        tier = f"{rule['tier']}{' (default)' if rule['default'] else ''}"
        out += f"{rule['line']:>6}  {hits}{tier:26}  {escape(str(rule['name']))}"
        conditions = [f"{key} {rule[key]}" for key in ("run_as", "user", "group", "cwd", "machine") if rule[key]]
        out += f"  [{escape('; '.join(conditions))}]\n" if conditions else "\n"
    for folder in policy.folders.rules:
        out += f"\n{escape(folder.describe())}\n"
    return out


def check_examples(files: Iterable[str]) -> tuple[str, bool]:
    """What is wrong with each file, or how many of its examples hold; and whether all is well."""
    out, well = "", True
    for file in files:
        try:
            rules = load_policy_file(Path(file)).rules
            held = _count_examples(Path(file))
        except PolicyError as exc:
            out, well = f"{out}{exc}\n", False
        else:
            own = sum(rule.ref.file == file for rule in rules)
            out += f"{file}: {own} rules, {held} examples hold\n"
    return out, well


def _count_examples(file: Path) -> int:
    tables = tomllib.loads(file.read_text(encoding="utf-8")).get("rule", [])
    examples = (table.get(key, []) for table in tables for key in ("match", "no_match"))
    return sum(1 if isinstance(each, str) else len(each) for each in examples)


def _describe(rule: Rule, hits: Mapping[str, int] | None) -> JsonObject:
    ref = rule.ref
    return {
        "name": ref.name,
        "tier": Tier(ref.tier).value,
        "default": rule.default,
        "file": ref.file,
        "line": ref.line,
        "run_as": RunAs(rule.run_as).value if rule.run_as else "",
        "user": " ".join(sorted(rule.users)),
        "group": " ".join(sorted(rule.groups)),
        "cwd": rule.cwd,
        "machine": " ".join(sorted(rule.machines)),
        "reason": rule.reason,
        "hits": None if hits is None else hits.get(f"{ref.file}:{ref.line} {ref.name}", 0),
    }

"""A verdict as it crosses a wire: plain values for JSON."""

from aiosd.policy.verdict import RuleRef, Verdict
from aiosd.types import JsonObject, JsonValue


def render_verdict(verdict: Verdict, confinement: str) -> JsonObject:
    """The verdict, its parts and the rules of each; `confinement` says in words where it would run."""
    opaque = verdict.opaque
    return {
        "tier": verdict.tier.value,
        "reason": verdict.reason,
        "confinement": confinement,
        "run_as": verdict.run_as.value,
        "opaque": {"position": opaque.position, "reason": opaque.reason} if opaque else None,
        "parts": [
            {
                "text": part.text,
                "tier": part.tier.value,
                "reason": part.reason,
                "suggest": part.suggest,
                "remedy": part.remedy,
                "facets": list[JsonValue](sorted(facet.value for facet in part.facets)),
                "rules": [render_rule(rule) for rule in part.rules],
            }
            for part in verdict.parts
        ],
    }


def render_rule(rule: RuleRef) -> JsonObject:
    """A rule: its pattern or name, its tier, and where it stands."""
    return {"name": rule.name, "tier": rule.tier.value, "file": rule.file, "line": rule.line}

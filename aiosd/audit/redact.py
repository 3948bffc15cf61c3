"""Keeping secrets out of the record: values that look like one are replaced by `[redacted]` on the way in.

A filter for accidents, not a proof: what is named a password, or has the shape of a well-known token, goes.
"""

import re

_MARK = "[redacted]"
_NAMES = "(?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
_NAMED = re.compile(
    rf"""(?ix)
    ( (?: {_NAMES} [\w-]* ["']? \s* [=:] \s* | --[\w-]*{_NAMES}[\w-]* \s+ ) ["']? )
    ( [^\s"'&;|]{{4,}} )
    """
)
_SHAPES = re.compile(
    r"""(?x)
    \b(?: sk-[\w-]{16,} | gh[pousr]_\w{20,} | github_pat_\w{20,} | glpat-[\w-]{16,} | xox[abprs]-[\w-]{10,}
        | AKIA[0-9A-Z]{16} | AIza[\w-]{30,} | eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+ )
    | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    """,
    re.DOTALL,
)
_BEARER = re.compile(r"(?i)(\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}")


def redact(text: str) -> str:
    """`text` without what looks like a secret."""
    text = _SHAPES.sub(_MARK, text)
    text = _BEARER.sub(rf"\1{_MARK}", text)
    return _NAMED.sub(lambda match: match[1] + _MARK, text)

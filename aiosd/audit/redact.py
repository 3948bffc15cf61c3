"""Keeping secrets out of the record: values that look like one are replaced by `[redacted]` on the way in.

A filter for accidents, not a proof: what is named a password, or has the shape of a well-known token, goes. A model
chooses the text, so every repetition that could be tried from many places has a bound: the time is linear.
"""

import re

_MARK = "[redacted]"
_NAMES = "(?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
_NAMED = re.compile(
    rf"""(?ix)
    (?P<name> {_NAMES} [\w-]{{0,40}} \\?["']? \s{{0,8}} [=:] \s{{0,8}}
        | --[\w-]{{0,40}}{_NAMES}[\w-]{{0,40}} \s{{1,8}} )
    (?: (?P<quote>\\?["']) (?: (?<=") [^"]{{4,}} | (?<=') [^']{{4,}} ) | [^\s"'&;|\\]{{4,}} )
    """
)
_SHAPES = re.compile(
    r"""(?x)
    \b(?: sk-[\w-]{16,} | gh[pousr]_\w{20,} | github_pat_\w{20,} | glpat-[\w-]{16,} | xox[abprs]-[\w-]{10,}
        | AKIA[0-9A-Z]{16} | AIza[\w-]{30,} | hf_\w{20,} | eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+ )
    | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)
    | (?<=http://)[^/\s:@]{12,}(?=@) | (?<=https://)[^/\s:@]{12,}(?=@)
    | -----BEGIN[ ][A-Z ]{0,40}PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]{0,40}PRIVATE[ ]KEY-----|\Z)
    """,
    re.DOTALL,
)
_COOKIE = re.compile(r"(?i)(\bcookie:[ ]?)[^\s\"'][^\"'\n]*")
_BEHIND = re.compile(  # headers, and options of well-known programs
    r"""(?ix)
    ( \b(?:bearer|basic)\s{1,8} (?=[\w.~+/=-]{8})
    | (?<!\S)(?:-u|--user)[\s=] [^\s:"']{1,64} : (?!\d+(?:\s|$)) (?=\S{4})
    | \bsshpass\s{1,8}-p\s{0,8}
    | \b(?:mysql|mariadb)\w{0,16}\b [^|;&\n]{0,200}? \s-p )
    [^\s"']+
    """
)


def redact(text: str) -> str:
    """`text` without what looks like a secret."""
    text = _SHAPES.sub(_MARK, text)
    text = _COOKIE.sub(rf"\1{_MARK}", text)
    text = _BEHIND.sub(rf"\1{_MARK}", text)
    return _NAMED.sub(lambda match: f"{match['name']}{match['quote'] or ''}{_MARK}", text)

"""What is wrong with a policy file, said so that its author can put it right."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: object, known: Iterable[str]) -> str:
    """`did you mean X? ` where something known is near to what was written; else empty."""
    near = get_close_matches(str(word), list(known), n=1)
    return f"did you mean `{near[0]}`? " if near else ""


class PolicyError(Exception):
    """A policy that cannot be used: where (`line` 0 is the file as a whole), what is wrong, and what to do."""

    def __init__(self, file: str, line: int, message: str, hint: str) -> None:
        place = f"{file}:{line}" if line else file
        super().__init__(f"{place}: {message}; {hint}")
        self.file = file
        self.line = line
        self.message = message
        self.hint = hint

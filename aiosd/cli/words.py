"""What the client says, in the language of the person: LC_ALL, LC_MESSAGES or LANG, as in locale(7).

The English is the text in the code; the Japanese is in one catalogue, `japanese`, read only where it is wanted. What
comes from elsewhere (a command, a reason, the model's words) is shown as it is.
"""

import posix


def say(text: str, **fields: object) -> str:
    """`text` in the person's language, with its fields filled in; what stands in a field is never read as a format."""
    if is_japanese():
        from aiosd.cli.japanese import JAPANESE  # read by those alone who want it

        text = JAPANESE.get(text, text)
    return text.format(**fields) if fields else text


def is_japanese() -> bool:
    """Whether the first of the three variables that is set names Japanese."""
    for name in (b"LC_ALL", b"LC_MESSAGES", b"LANG"):
        if value := posix.environ.get(name):
            return value == b"ja" or value.startswith(b"ja_")
    return False


def render_note(note: bytes) -> bytes:
    """A line of the daemon's about a call, its first words in the person's language."""
    if is_japanese():
        from aiosd.cli.japanese import NOTES

        for english, japanese in NOTES.items():
            if note.startswith(english.encode()):
                return japanese.encode() + note[len(english) :]
    return note

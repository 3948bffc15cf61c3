"""What people are told, in their language: LC_ALL, LC_MESSAGES or LANG, as in locale(7).

The one catalogue of both languages: the English is the text in the code, by which its Japanese is found; what the model
of rules says is in the files of its intents, in both languages. Records, reasons and the API are English, as facts
are; clients tell them again. English costs nothing: Japanese is read by those alone who want it.
"""

import posix

_LANGUAGES = (b"LC_ALL", b"LC_MESSAGES", b"LANG")


def is_japanese() -> bool:
    """Whether the first of the three variables that is set names Japanese."""
    for name in _LANGUAGES:
        if value := posix.environ.get(name):
            return value[:2] == b"ja" and value[2:3] in (b"", b"_", b".")
    return False


def say(text: str, **fields: object) -> str:
    """`text` in the person's language, with its fields filled in; what stands in a field is never read as a format."""
    if is_japanese():
        from aiosd.words.retelling import translate

        return translate(text, fields)
    return text.format(**fields) if fields else text


def retell(text: str) -> str:
    """English of ours with its values filled in, in the person's language; what is not ours stays as it is."""
    if is_japanese():
        from aiosd.words.retelling import retell_lines

        return retell_lines(text)
    return text


def render_note(note: bytes) -> bytes:
    """A line of the daemon's about a call, in the person's language; what it calls stays."""
    if is_japanese() and not note.startswith("› ".encode()):
        return retell(note.decode()).encode()
    return note

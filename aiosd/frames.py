"""The terminal's rendering of the event stream: a tag, a length, a newline, that many bytes; over and over.

For clients that want to print an answer and import nothing (`Accept: application/vnd.aios.frames`). The question may
come the same way (`Content-Type: application/vnd.aios.frames`): one frame per field of a request.
"""

MEDIA_TYPE = "application/vnd.aios.frames"

# From the daemon.
TEXT = "t"  # a piece of the answer, for standard output
VOID = "v"  # the text since the last call is void: it comes again; no content
NOTE = "n"  # a line about what is happening, for standard error
SESSION = "s"  # "ID NAME"
APPROVAL = "a"  # "ID EXPIRES_AT": fetch the card from the guard, answer to the guard
REVIEW = "r"  # "ID ID ...": several at once, each as by APPROVAL
QUESTION = "u"  # JSON {"call", "text", "choices"}: ask the person, POST the answer
EXIT = "x"  # the exit status; the last frame

# To the daemon: the fields of an AskRequest.
PROMPT = "q"
INPUT = "i"
CWD = "d"
WANTED = "w"  # a session's id or name
NEWEST = "c"  # continue the newest session; no content
WAIT = "p"  # seconds to wait for an approval
NAME = "l"  # what a new session is called
FORK = "f"  # go on in a copy of the session; no content
PLAN = "y"  # run nothing that changes something; no content
CARRY_OUT = "e"  # begin with what the turn before left undone as a plan; no content
YES_TO = "k"  # the strictest tier that runs; what is above it asks nobody
TIMEOUT = "o"  # seconds for the turn
BUDGET = "b"  # money for the turn
SCHEMA = "j"  # the JSON Schema of the answer
IMAGE = "g"  # a picture: media type, blank, base64; may come several times
FILE = "z"  # a file: its name, a zero byte, what it holds; may come several times
MODEL = "m"  # the model to ask

# The arguments of a call that say what it is about, in this order.
CALL_WORDS = ("do", "state", "path", "url", "pattern", "what", "unit", "name", "question", "prompt")


def render(tag: str, content: bytes) -> bytes:
    """One frame."""
    return b"%s%d\n%s" % (tag.encode(), len(content), content)

"""What aiosd's proxy tells of a command's connection, as a record."""

from aiosd.audit.records import Connected
from aiosd.guard.sessions import GuardSession
from aiosd.guard.varlink import Call

_MOST_BYTES = 1 << 53  # what JSON's numbers hold exactly


def parse_connected(call: Call, session: GuardSession) -> Connected:
    """The record of a connection in `session`. Raises VarlinkError for what cannot be."""
    return Connected(
        session=session.id,
        call=call.text("call", limit=100),
        uid=session.principal.uid,
        user=session.principal.user,
        host=call.text("host"),
        port=call.optional_integer("port", default=0, least=0, most=65535),
        address=call.optional_text("address"),
        sent_bytes=call.optional_integer("sent", default=0, least=0, most=_MOST_BYTES),
        received_bytes=call.optional_integer("received", default=0, least=0, most=_MOST_BYTES),
        reason=call.optional_text("refused"),
    )

"""aiosd: the system service that lets an AI manage a Linux machine.

Empty but for the version, as the thin clients import this package before they answer.
"""

__version__ = "0.1.0"

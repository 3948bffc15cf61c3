"""Functions of the C library by the thinnest way there is, for what every session waits for.

The full ctypes takes longer to import than all else that the launcher does before it is bubblewrap.
"""

from __future__ import annotations

import _ctypes

_HANDLE = _ctypes.dlopen(None, 0)  # type: ignore[arg-type] # None is this process, as in dlopen(3)


def call(name: str, *arguments: int | bytes | None) -> int:
    """A function of the C library; numbers of 32 bits."""
    return int(_ctypes.call_function(_ctypes.dlsym(_HANDLE, name), arguments))


def explain(name: str, *arguments: int | bytes | None) -> str:
    """Why a call fails that does nothing when it fails: it is made once more, where its error is kept."""
    import ctypes  # noqa: PLC0415 - the full one
    import os  # noqa: PLC0415

    getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)
    return os.strerror(ctypes.get_errno())

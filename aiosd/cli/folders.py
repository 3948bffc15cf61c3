"""`aios policy import`: the folder policies of another program, as ours. It prints; who may, puts it in its place."""

from __future__ import annotations

from aiosd import exits
from aiosd.cli.reach import write_all
from aiosd.cli.show import escape
from aiosd.cli.transport import tell
from aiosd.setup.importing import ImportRefusedError, translate_folders

_MAX_BYTES = 256 * 1024


def import_folders(path: str) -> int:
    """Print the tables; the exit status."""
    with open(path, "rb") as file:
        data = file.read(_MAX_BYTES + 1)
    try:
        if len(data) > _MAX_BYTES:
            raise ImportRefusedError(f"{path} is larger than {_MAX_BYTES} bytes", "is it the right file?")
        text = translate_folders(data.decode("utf-8", "replace"), path)
    except ImportRefusedError as exc:
        tell(2, f"aios: {escape(str(exc))}\n  {escape(exc.hint)}\n")
        return exits.BAD_INPUT
    write_all(1, text.encode())
    return exits.OK

"""People as the user database has them."""

import os
import pwd
from grp import getgrgid

from aiosd.types import Principal


def find_principal(uid: int, gid: int) -> Principal:
    """The person of that uid; an unknown one is a uid without name, home and groups."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Principal(uid=uid, gid=gid, user=str(uid), home="/")
    names = tuple(_group_name(group) for group in os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Principal(uid=uid, gid=entry.pw_gid, user=entry.pw_name, home=entry.pw_dir or "/", groups=names)


def _group_name(gid: int) -> str:
    try:
        return getgrgid(gid).gr_name
    except KeyError:
        return str(gid)

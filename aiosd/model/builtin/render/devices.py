"""The machine itself: mounts, disks, devices, temperatures, battery."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

from aiosd.model.builtin.render.network import dicts
from aiosd.model.builtin.render.outcome import More, Reading, Seen, caveats, no_answer, trouble
from aiosd.model.builtin.render.packages import is_missing
from aiosd.model.builtin.text import Answer, Table, clip, clip_path, render_size

_MOST_ROWS = 40
_NAME_COLUMNS = 60
_HOT = 85.0  # °C from which a sensor is told as hot; a CPU slows itself down at 90 to 105
_LOW = 15  # percent of a battery
_USB_DEVICE = re.compile(r"\d+-[\d.]+")
_GRAPHICS = ("VGA compatible controller", "3D controller", "Display controller")
_STATES = {
    "Charging": "charging",
    "Discharging": "discharging",
    "Full": "charge_full",
    "Not charging": "not_charging",
}


def _load(reading: Reading, key: str) -> list[dict[str, Any]] | None:
    """The list under `key` of what a tool printed as JSON; None where it is none."""
    try:
        value = json.loads(reading.out)
    except (ValueError, RecursionError):
        return None
    found = value.get(key) if isinstance(value, dict) else None
    return dicts(found) if isinstance(found, list) else None


def _flatten(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        yield entry
        yield from _flatten(dicts(entry.get("children")))


def _text(entry: dict[str, Any], key: str, columns: int = _NAME_COLUMNS) -> str:
    return clip(str(entry.get(key) or "").strip(), columns)


def mounts(seen: Seen) -> Answer:
    """From `findmnt`, as the host's first process has it: what is mounted where, and which only for reading.

    The sandbox mounts all of them for reading alone, which a newer `findmnt` shows nevertheless: so it is the file
    system's own options that count.
    """
    say, found = seen.say, _load(seen["mounts"], "filesystems")
    if not found:
        return no_answer(seen, seen["mounts"])
    read_only = tuple(
        dict.fromkeys(
            clip_path(str(entry.get("target")))
            for entry in found
            if "ro" in str(entry.get("fs-options")).split(",") and entry.get("fstype") not in {"squashfs", "iso9660"}
        )
    )
    rows = tuple(
        dict.fromkeys(
            (clip_path(str(entry.get("target"))), _text(entry, "source"), _text(entry, "fstype")) for entry in found
        )
    )
    sentences = [say.count("mounts_some", len(rows))]
    if read_only:
        sentences.append(say("mounts_read_only", names=say.list(read_only[:5])))
    return Answer(
        sentences=tuple(sentences),
        table=Table(headings=(say("col_mount"), say("col_source"), say("col_type")), rows=rows[:_MOST_ROWS]),
        notes=caveats(seen, seen["mounts"]),
    )


def hardware(seen: Seen) -> Answer:
    """From `lscpu`, /proc/meminfo, DMI and `lsblk`: each is told as far as it could be read."""
    say, sentences = seen.say, []
    cpu = {
        _text(entry, "field").rstrip(":"): _text(entry, "data", 100)
        for entry in _flatten(_load(seen["cpu"], "lscpu") or [])
    }
    threads = cpu.get("CPU(s)", "")
    if threads.isdigit():
        model = cpu.get("Model name") or cpu.get("Vendor ID") or "?"
        sentences.append(say.count("hardware_cpu", int(threads), model=model, machine=cpu.get("Architecture", "?")))
    total = re.search(r"^MemTotal:\s+(\d+) kB", seen["memory"].out, re.MULTILINE)
    if total:
        sentences.append(say("hardware_memory", size=render_size(int(total[1]) * 1024)))
    board = [line.partition(":")[2].strip() for line in seen["board"].lines if line.startswith("/sys/")]
    if board:
        sentences.append(say("hardware_board", name=clip(" ".join(dict.fromkeys(board)), _NAME_COLUMNS)))
    disks = [disk for disk in _load(seen["disks"], "blockdevices") or [] if _is_drive(disk)]
    if disks:
        sentences.append(say("hardware_disks", disks=say.list(tuple(map(_disk, disks[:8])))))
    if not sentences:
        return no_answer(seen, seen["cpu"])
    notes = () if threads.isdigit() else (trouble(seen, seen["cpu"]),)
    return Answer(sentences=tuple(sentences), notes=notes)


def _is_drive(entry: dict[str, Any]) -> bool:
    return entry.get("type") == "disk" and entry.get("size") != 0


def _disk(disk: dict[str, Any]) -> str:
    size = disk.get("size")
    shown = render_size(size) if isinstance(size, int) else "?"
    model = _text(disk, "model", 40)
    return f"{_text(disk, 'name', 20)} {shown}" + (f" ({model})" if model else "")


def disks(seen: Seen) -> Answer:
    """From `lsblk`: the disks, then what is on them."""
    say, found = seen.say, _load(seen["disks"], "blockdevices")
    if found is None:
        return no_answer(seen, seen["disks"])
    found = [entry for entry in found if entry.get("type") != "loop" and entry.get("size") != 0]
    drives = [entry for entry in found if _is_drive(entry)]
    if not found:
        return Answer(sentences=(say("disks_none"),))
    rows = []
    for entry in _flatten(found):
        size = entry.get("size")
        rows.append(
            (
                _text(entry, "name", 30),
                render_size(size) if isinstance(size, int) else "?",
                _text(entry, "fstype", 20) or _text(entry, "type", 20),
                clip_path(str(entry.get("mountpoint") or "-"), 60),
            )
        )
    headings = (say("col_device"), say("col_size"), say("col_type"), say("col_mount"))
    sentence = (
        say.count("disks_some", len(drives), disks=say.list(tuple(map(_disk, drives[:8]))))
        if drives
        else say("disks_none")
    )
    return Answer(
        sentences=(sentence,), table=Table(headings=headings, rows=tuple(rows[:_MOST_ROWS]), right=frozenset((1,)))
    )


def _values(reading: Reading) -> dict[str, dict[str, str]]:
    """What `grep -Hs .` printed of files, by folder and file name."""
    found: dict[str, dict[str, str]] = {}
    for line in reading.lines:
        path, colon, value = line.partition(":")
        folder, _, name = path.rpartition("/")
        if colon and folder:
            found.setdefault(folder, {}).setdefault(name, value.strip())
    return found


def _files(folders: list[str], names: tuple[str, ...]) -> dict[str, str]:
    return {"files": shlex.join(f"{folder}/{name}" for folder in folders[:30] for name in names)}


def usb(seen: Seen) -> Answer | More:
    """From /sys: the devices that are plugged in, hubs of the machine itself left out."""
    say, reading = seen.say, seen["paths"]
    devices = [line for line in reading.lines if _USB_DEVICE.fullmatch(line)]
    if not devices:
        gone = reading.result.outcome == "failed" and "No such file" in reading.err
        settled = gone or (reading.result.outcome == "done" and not reading.complaints)
        return Answer(sentences=(say("usb_none"),)) if settled else no_answer(seen, reading)
    if "each" not in seen.readings:
        folders = [f"/sys/bus/usb/devices/{name}" for name in devices]
        return More(command="each", fill=_files(folders, ("product", "manufacturer", "idVendor", "idProduct")))
    rows = []
    for folder, values in _values(seen["each"]).items():
        ids = f"{values.get('idVendor', '?')}:{values.get('idProduct', '?')}"
        name = f"{values.get('manufacturer', '')} {values.get('product', '')}".strip() or ids
        rows.append((folder.rpartition("/")[2], clip(name, _NAME_COLUMNS), clip(ids, 20)))
    if not rows:
        return no_answer(seen, seen["each"])
    names = say.list(tuple(row[1] for row in rows[:6]))
    table = Table(headings=(say("col_port"), say("col_device"), "ID"), rows=tuple(rows[:_MOST_ROWS]))
    return Answer(sentences=(say.count("usb_some", len(rows), names=names),), table=table)


def pci(seen: Seen) -> Answer:
    """From `lspci`: graphics first, then all."""
    say, reading = seen.say, seen["pci"]
    rows = []
    for line in reading.lines:
        place, _, rest = line.partition(" ")
        kind, colon, name = rest.partition(": ")
        if colon:
            rows.append((clip(place, 16), clip(kind, 40), clip(name, 80)))
    if not rows and (reading.lines or reading.complaints or reading.result.outcome != "done"):
        return no_answer(seen, reading)
    if not rows:
        return Answer(sentences=(say("pci_none"),))
    graphics = tuple(name for _, kind, name in rows if kind.startswith(_GRAPHICS))
    sentences = [say("pci_graphics", names=say.list(graphics))] if graphics else []
    sentences.append(say.count("pci_some", len(rows)))
    table = Table(headings=("", say("col_type"), say("col_device")), rows=tuple(rows[:_MOST_ROWS]))
    return Answer(sentences=tuple(sentences), table=table)


def temperature(seen: Seen) -> Answer | More:
    """From hwmon and the thermal zones in /sys, the hottest first. Source: kernel, hwmon/sysfs-interface."""
    say = seen.say
    folders = [line for line in seen["paths"].lines if re.search(r"/(hwmon|thermal_zone)\d+$", line)]
    if not folders:
        settled = seen["paths"].result.outcome in {"done", "failed"} and not is_missing(seen["paths"])
        return Answer(sentences=(say("temperature_none"),)) if settled else no_answer(seen, seen["paths"])
    if "sensors" not in seen.readings:
        inputs = tuple(f"temp{number}_{part}" for number in range(1, 9) for part in ("input", "label"))
        return More(command="sensors", fill=_files(folders, ("name", "type", "temp", *inputs)))
    found: list[tuple[float, str]] = []
    for folder, values in _values(seen["sensors"]).items():
        chip = values.get("name") or values.get("type") or folder.rpartition("/")[2]
        for name, value in values.items():
            if (name == "temp" or name.endswith("_input")) and value.lstrip("-").isdigit():
                label = values.get(name.replace("_input", "_label"), "") if name != "temp" else ""
                found.append((int(value) / 1000, clip(f"{chip} {label}".strip(), 40)))
    found = [entry for entry in found if -40 < entry[0] < 150]
    if not found:
        return Answer(sentences=(say("temperature_none"),))
    found.sort(reverse=True)
    degrees, name = found[0]
    key = "temperature_hot" if degrees >= _HOT else "temperature_fine"
    rows = tuple((sensor, f"{value:.0f}") for value, sensor in found[:_MOST_ROWS])
    return Answer(
        sentences=(say(key, name=name, degrees=f"{degrees:.0f}"),),
        table=Table(headings=(say("col_sensor"), say("col_degrees")), rows=rows, right=frozenset((1,))),
    )


def battery(seen: Seen) -> Answer | More:
    """From /sys/class/power_supply. Source: kernel, ABI/testing/sysfs-class-power."""
    say, reading = seen.say, seen["paths"]
    folders = [line for line in reading.lines if line.startswith("/sys/")]
    if not folders:
        settled = reading.result.outcome in {"done", "failed"} and not is_missing(reading)
        return Answer(sentences=(say("battery_none"),)) if settled else no_answer(seen, reading)
    if "supplies" not in seen.readings:
        return More(command="supplies", fill=_files(folders, ("type", "capacity", "status", "online", "scope")))
    sentences, mains = [], ""
    for folder, values in _values(seen["supplies"]).items():
        if values.get("type") == "Battery" and values.get("capacity", "").isdigit() and values.get("scope") != "Device":
            state = say(_STATES.get(values.get("status", ""), "charge_unknown"))
            name = clip(folder.rpartition("/")[2], 20)
            sentences.append(say("battery_is", name=name, percent=values["capacity"], state=state))
            if int(values["capacity"]) <= _LOW and values.get("status") == "Discharging":
                sentences.append(say("battery_low"))
        elif values.get("type") == "Mains" and values.get("online") in {"0", "1"}:
            mains = say("mains_on" if values["online"] == "1" else "mains_off")
    if not sentences:
        sentences = [say("battery_none")]
    return Answer(sentences=(*sentences, *((mains,) if mains else ())))

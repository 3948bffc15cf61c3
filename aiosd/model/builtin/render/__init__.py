"""The renderers, by the name under which the intents' data calls them: from what commands gave to an answer."""

from collections.abc import Mapping

from aiosd.model.builtin.render.command import command
from aiosd.model.builtin.render.disk import big_files, big_folders, disk_space
from aiosd.model.builtin.render.help import abilities, greeting
from aiosd.model.builtin.render.memory import memory
from aiosd.model.builtin.render.network import addresses
from aiosd.model.builtin.render.outcome import Renderer
from aiosd.model.builtin.render.processes import top_cpu, top_memory, uptime
from aiosd.model.builtin.render.services import failed_services, service_state
from aiosd.model.builtin.render.system import system

__all__ = ["RENDERERS"]

RENDERERS: Mapping[str, Renderer] = {
    "abilities": abilities,
    "addresses": addresses,
    "big_files": big_files,
    "big_folders": big_folders,
    "command": command,
    "disk_space": disk_space,
    "failed_services": failed_services,
    "greeting": greeting,
    "memory": memory,
    "service_state": service_state,
    "system": system,
    "top_cpu": top_cpu,
    "top_memory": top_memory,
    "uptime": uptime,
}

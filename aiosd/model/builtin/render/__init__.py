"""The renderers, by the name under which the intents' data calls them: from what commands gave to an answer."""

from collections.abc import Mapping

from aiosd.model.builtin.render.changes import change_service, find_process, kill_process, set_timezone
from aiosd.model.builtin.render.command import command
from aiosd.model.builtin.render.connectivity import dns_servers, hostname, network_check
from aiosd.model.builtin.render.devices import battery, disks, hardware, mounts, pci, temperature, usb
from aiosd.model.builtin.render.disk import big_files, big_folders, disk_space
from aiosd.model.builtin.render.files import environment, file_user, find_file, text_in_files, time
from aiosd.model.builtin.render.help import abilities, greeting
from aiosd.model.builtin.render.installing import install_package, remove_package, update_packages
from aiosd.model.builtin.render.journal import boot_time, kernel_messages, recent_errors, service_logs
from aiosd.model.builtin.render.memory import memory
from aiosd.model.builtin.render.network import addresses
from aiosd.model.builtin.render.outcome import Renderer
from aiosd.model.builtin.render.own import pending_approvals, record
from aiosd.model.builtin.render.packages import (
    file_owner,
    orphans,
    package_count,
    package_files,
    package_history,
    package_info,
    pending_updates,
    search_package,
)
from aiosd.model.builtin.render.people import failed_logins, groups, last_logins, logged_in, user_info, users
from aiosd.model.builtin.render.ports import connections, firewall, listening_ports, port_user
from aiosd.model.builtin.render.processes import top_cpu, top_memory, uptime
from aiosd.model.builtin.render.security import fix_finding, security_check
from aiosd.model.builtin.render.services import failed_services, service_state
from aiosd.model.builtin.render.system import system
from aiosd.model.builtin.render.units import enabled_services, running_services, scheduled_jobs, timers

__all__ = ["RENDERERS"]

RENDERERS: Mapping[str, Renderer] = {
    "abilities": abilities,
    "addresses": addresses,
    "battery": battery,
    "big_files": big_files,
    "big_folders": big_folders,
    "boot_time": boot_time,
    "change_service": change_service,
    "command": command,
    "connections": connections,
    "disk_space": disk_space,
    "disks": disks,
    "dns_servers": dns_servers,
    "enabled_services": enabled_services,
    "environment": environment,
    "failed_logins": failed_logins,
    "failed_services": failed_services,
    "file_owner": file_owner,
    "file_user": file_user,
    "find_file": find_file,
    "find_process": find_process,
    "firewall": firewall,
    "fix_finding": fix_finding,
    "greeting": greeting,
    "groups": groups,
    "hardware": hardware,
    "hostname": hostname,
    "install_package": install_package,
    "kernel_messages": kernel_messages,
    "kill_process": kill_process,
    "last_logins": last_logins,
    "listening_ports": listening_ports,
    "logged_in": logged_in,
    "memory": memory,
    "mounts": mounts,
    "network_check": network_check,
    "orphans": orphans,
    "package_count": package_count,
    "package_files": package_files,
    "package_history": package_history,
    "package_info": package_info,
    "pci": pci,
    "pending_approvals": pending_approvals,
    "pending_updates": pending_updates,
    "port_user": port_user,
    "recent_errors": recent_errors,
    "record": record,
    "remove_package": remove_package,
    "running_services": running_services,
    "scheduled_jobs": scheduled_jobs,
    "search_package": search_package,
    "security_check": security_check,
    "service_logs": service_logs,
    "service_state": service_state,
    "set_timezone": set_timezone,
    "system": system,
    "temperature": temperature,
    "text_in_files": text_in_files,
    "time": time,
    "timers": timers,
    "top_cpu": top_cpu,
    "top_memory": top_memory,
    "update_packages": update_packages,
    "uptime": uptime,
    "usb": usb,
    "user_info": user_info,
    "users": users,
}

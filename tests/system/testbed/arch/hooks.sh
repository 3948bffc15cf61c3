#!/bin/bash
# hooks.sh ROOT: what Arch's systemd package does after each pacman transaction, written anew (same triggers and order as Arch's
# 20-, 21- and 30-systemd-*.hook), as Debian's pacman comes with none.
set -euo pipefail
folder=$1/usr/share/libalpm/hooks
mkdir -p "$folder"

hook() { # FILE DESCRIPTION COMMAND TARGET...
  local file=$folder/$1 description=$2 command=$3
  shift 3
  {
    printf '[Trigger]\nType = Path\nOperation = Install\nOperation = Upgrade\nOperation = Remove\n'
    printf 'Target = %s\n' "$@"
    printf '\n[Action]\nDescription = %s\nWhen = PostTransaction\nExec = %s\n' "$description" "$command"
  } > "$file"
}

hook 20-systemd-sysusers.hook 'Creating system user accounts...' /usr/bin/systemd-sysusers 'usr/lib/sysusers.d/*.conf'
hook 21-systemd-tmpfiles.hook 'Creating temporary files...' '/usr/bin/systemd-tmpfiles --create' 'usr/lib/tmpfiles.d/*.conf'
hook 30-systemd-daemon-reload.hook 'Reloading system manager configuration...' \
  "/bin/sh -c 'test ! -d /run/systemd/system || /usr/bin/systemctl daemon-reload'" \
  'usr/lib/systemd/system/*' 'usr/lib/systemd/system/*/*'
hook 30-systemd-catalog.hook 'Updating journal message catalog...' '/usr/bin/journalctl --update-catalog' 'usr/lib/systemd/catalog/*'
hook 30-systemd-restart-marked.hook 'Restarting marked services...' \
  "/bin/sh -c 'test ! -d /run/systemd/system || /usr/bin/systemctl reload-or-restart --marked'" 'usr/*'
hook 35-dbus-reload.hook 'Reloading system bus configuration...' \
  "/bin/sh -c 'test ! -S /run/dbus/system_bus_socket || /usr/bin/busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig'" \
  'usr/share/dbus-1/system.d/*' 'usr/share/dbus-1/system-services/*' 'etc/dbus-1/system.d/*'

#!/bin/bash
# uml-stop.sh NAME [--kill]: power the User-Mode Linux guest off, or kill it (a power cut), and drop its changes (TB_KEEP=1 keeps its disk).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
session=$TB/uml/${1:?name}
[ -d "$session" ] || exit 0
if [ "${2:-}" != --kill ] && [ -e "$session/share/up" ]; then
  echo 'systemctl poweroff' > "$session/share/off.new"
  mv "$session/share/off.new" "$session/share/off.req"
  end=$((SECONDS + 60))
  while alive "$session/pid" && [ $SECONDS -lt $end ]; do sleep 0.05; done
fi
if alive "$session/pid"; then # its end is the end of its pid namespace
  read -r pid _ < "$session/pid"
  kill -KILL "$pid"
  end=$((SECONDS + 20))
  while alive "$session/pid"; do [ $SECONDS -lt $end ] || die "$1 cannot be killed"; sleep 0.02; done
fi
rm -f "$session/pid" "$session/share/up"
[ -n "${TB_KEEP:-}" ] || rm -rf --one-file-system "$session"

#!/bin/bash
# stop.sh NAME [--kill]: power the session off, or kill it, and remove what it left (TB_KEEP=1 keeps the changes on disk).
# Does nothing where there is no such session.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
name=${1:?name}
session=$RUN/$name
[ -d "$session" ] || exit 0

gone() { # DEADLINE_S: is the whole session gone by then?
  local end=$((SECONDS + $1))
  while alive "$session/pid" || alive "$session/leader"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.02
  done
}
if [ "${2:-}" != --kill ] && alive "$session/pid" && "$HERE/enter.sh" "$name" true; then
  read -r leader _ < "$session/leader"
  kill -s RTMIN+4 "$leader" 2>/dev/null || : # systemd(1): poweroff.target
  gone 60 || { say "$name does not power off:"; tail -5 "$session/console.log" >&2; }
fi
if alive "$session/pid"; then # its end is the end of its pid namespace
  read -r pid _ < "$session/pid"
  kill -KILL "$pid" 2>/dev/null || :
  gone 150 || die "$name cannot be killed"
fi
if alive "$session/lifeline"; then
  read -r lifeline _ < "$session/lifeline"
  [ "$lifeline" = $$ ] || kill "$lifeline" 2>/dev/null || :
fi
drop_cgroup "$name"
rm -f "$session"/{pid,leader,lifeline}
[ -n "${TB_KEEP:-}" ] || rm -rf --one-file-system "$session"

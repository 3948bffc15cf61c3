#!/bin/bash
# boot.sh NAME [nspawn option ...]: start a session: the pristine root under a fresh overlay, booted by systemd-nspawn with the
# root's own systemd as PID 1. Returns when the guest is up; a boot that fails is taken down again, its console shown.
#
#   TB_UPPER=disk     keep the overlay's changes on disk, not in memory; with TB_KEEP=1 at stop.sh the next boot of NAME has them
#   TB_LAYER=FOLDER  what is between the root and the overlay: changes that an earlier session kept
#   TB_LIFELINE=FD    an open descriptor to read from: at its end of file the session is killed, so a killed test leaves no guest
#   TB_LOG=info       what the guest's PID 1 writes to the console log
#
# $TB/run/NAME/host on this machine is /run/host/testbed in the guest, read-only there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
name=${1:?name}
shift
need_root
need_folder
session=$RUN/$name
[[ $name =~ ^[a-z][a-z0-9-]{0,40}$ ]] || die "no name for a session: $name"
! alive "$session/pid" || die "$name runs already"
# what an earlier session of that name left
if [ "${TB_UPPER:-}" = disk ]; then TB_KEEP=1 "$HERE/stop.sh" "$name"; else "$HERE/stop.sh" "$name"; fi
root=$TB/root-$(recipe_stamp)
[ -e "$root/.stamp" ] || die "no root: run build-root.sh"
mkdir -p "$session/host"

# Namespaces of its own: no mount leaks to this machine, and the end of this one process is the end of all in the session.
# 9 is a lock on the root for as long as the session lives.
exec 9<>"$root.lock"
flock -s 9
[ -e "$root/.stamp" ] || die "the root was just removed: run build-root.sh"
touch "$root.lock"
setsid unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
  bash "$HERE/boot-inner.sh" "$session" "${TB_LAYER:+$TB_LAYER:}$root" "$name" "${TB_UPPER:-memory}" "$@" </dev/null >"$session/console.log" 2>&1 &
pid=$!
exec 9<&-
record "$pid" "$session/pid" || die "the session did not start: $(tail -5 "$session/console.log")"

if [ -n "${TB_LIFELINE:-}" ]; then
  # shellcheck disable=SC2016  # for the inner shell
  setsid bash -c 'while read -r _; do :; done; exec "$1/stop.sh" "$2" --kill' _ "$HERE" "$name" \
    <&"$TB_LIFELINE" >/dev/null 2>&1 &
  record $! "$session/lifeline"
fi

fail() {
  tail -20 "$session/console.log" >&2
  "$HERE/stop.sh" "$name" --kill || :
  die "$name: $*"
}
end=$((SECONDS + ${TB_BOOT_DEADLINE:-120}))
state=
until [ "$state" = running ]; do
  alive "$session/pid" || fail "ended while booting"
  [ $SECONDS -lt $end ] || fail "not up in ${TB_BOOT_DEADLINE:-120} s (${state:-no PID 1})"
  if [ ! -e "$session/leader" ]; then
    leader=$(find_leader "$pid") && [ "$(cat "/proc/$leader/comm" 2>/dev/null)" = systemd ] && record "$leader" "$session/leader"
  else
    state=$(timeout 5 "$HERE/enter.sh" "$name" systemctl is-system-running 2>/dev/null) || :
    if [ "$state" = degraded ]; then
      "$HERE/enter.sh" "$name" systemctl --failed --plain --no-legend --no-pager >&2 || :
      fail "degraded"
    fi
  fi
  [ "$state" = running ] || sleep 0.02
done
say "$name is running, leader $leader"

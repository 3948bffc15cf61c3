#!/bin/bash
# boot-inner.sh: the inside of a session, PID 1 of a pid namespace and alone in a mount namespace. boot.sh calls it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
session=$1 lower=$2 name=$3 upper=$4
shift 4
exec 8<&9 9<&- # the lock on the root stays with this shell, and is not the guest's to see
mkdir -p "$session/changes" "$session/tree"
[ "$upper" != memory ] || mount -t tmpfs -o mode=755,size=8g testbed "$session/changes"
mkdir -p "$session/changes/"{upper,work}
mount -t overlay -o "lowerdir=$lower,upperdir=$session/changes/upper,workdir=$session/changes/work" testbed "$session/tree"
[ -s "$session/tree/etc/machine-id" ] || tr -d - < /proc/sys/kernel/random/uuid > "$session/tree/etc/machine-id"
# nspawn wants its run-time folder on a tmpfs, and leaves folders behind where /run is on a disk
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=755 testbed /run/systemd/nspawn
own_cgroup "$name"
own=/sys/fs/cgroup/aios-$name

devices=()
for device in /dev/loop-control /dev/loop[0-7] /dev/fuse; do [ ! -e "$device" ] || devices+=(--bind="$device"); done
while :; do
  # After a reboot: empty the cgroup's controllers, or nobody may enter it.
  read -ra controllers < "$own/cgroup.subtree_control" || :
  for controller in "${controllers[@]}"; do echo "-$controller" > "$own/cgroup.subtree_control" || :; done
  status=0
  # A machine's root, not a container's: no system-call filter (nspawn's denies Landlock, and all that is younger than itself), every
  # capability but those by which a test would change the clock and the kernel of this machine.
  # PID 1 reads at most 5 mount changes a second, which makes a boot 1.4 s long; the variable lifts that (systemd's ENVIRONMENT.md).
  (
    echo "$BASHPID" > "$own/cgroup.procs"
    SYSTEMD_SECCOMP=0 exec systemd-nspawn --quiet --directory="$session/tree" --machine="$name" --keep-unit --register=no --boot \
      --private-network --resolv-conf=off --timezone=off --link-journal=no \
      --capability=all --drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE --console=read-only --kill-signal=SIGRTMIN+3 \
      --setenv=SYSTEMD_DEFAULT_MOUNT_RATE_LIMIT_BURST=200 \
      --bind-ro="$session/host:/run/host/testbed" "${devices[@]}" "$@" \
      systemd.log_level="${TB_LOG:-notice}" systemd.show_status=error 8<&-
  ) || status=$?
  [ "$status" = 133 ] || exit "$status" # 133: the guest asked for a reboot, which --keep-unit leaves to us
done

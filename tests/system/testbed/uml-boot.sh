#!/bin/bash
# uml-boot.sh NAME [kernel argument ...]: boot the User-Mode Linux image under a copy-on-write file of its own; returns when it is up.
#   TB_MEM=1G          its memory
#   TB_KEEP=1          with the disk that uml-stop.sh kept
# $TB/uml/NAME/share on this machine is /run/h in the guest, to read and to write.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
name=${1:?name}
shift
need_root
need_folder
session=$TB/uml/$name
root=$TB/root-$(recipe_stamp)
image=$TB/uml/$(image_stamp "$HERE"/uml-{build,agent}.sh).img
[[ $name =~ ^[a-z][a-z0-9-]{0,40}$ ]] || die "no name for a session: $name"
[ -e "$image" ] || die "no image: run uml-build.sh"
! alive "$session/pid" || die "$name runs already"
[ -n "${TB_KEEP:-}" ] || rm -rf --one-file-system "$session"
rm -rf --one-file-system "$session/share"
mkdir -p "$session/share"
# The kernel wants the root's own libc: it runs in a chroot of the pristine root, read-only, with mounts of its own.
# shellcheck disable=SC2016  # for the inner shell
setsid unshare --mount --propagation private --pid --fork --kill-child --mount-proc bash -euc '
  uml=$1 root=$2 session=$3 image=$4
  shift 4
  mount --bind "$root" "$root"
  mount -o remount,bind,ro "$root"
  mount --bind "$session" "$root/mnt"
  mount -t tmpfs testbed "$root/opt"
  mkdir "$root/opt/uml"
  mount --bind "$uml" "$root/opt/uml"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs -o size=4g,mode=1777 testbed "$root/tmp"
  mount -t tmpfs testbed "$root/root"
  cd /
  exec chroot "$root" env -i HOME=/root TMPDIR=/tmp PATH=/usr/bin /opt/uml/kernel/usr/bin/linux.uml "ubd0=/mnt/cow,/opt/uml/$image" "$@"
' _ "$TB/uml" "$root" "$session" "$(basename "$image")" "umid=$name" "mem=${TB_MEM:-1G}" root=/dev/ubda rw \
  con=null con0=null,fd:1 ssl=null loglevel=4 systemd.show_status=error SYSTEMD_DEFAULT_MOUNT_RATE_LIMIT_BURST=200 "$@" \
  </dev/null >"$session/console.log" 2>&1 &
record $! "$session/pid" || die "the kernel did not start: $(tail -5 "$session/console.log")"
end=$((SECONDS + ${TB_BOOT_DEADLINE:-180}))
until [ -e "$session/share/up" ]; do
  if [ $SECONDS -ge $end ] || ! alive "$session/pid"; then
    tail -5 "$session/console.log" >&2
    "$HERE/uml-stop.sh" "$name" --kill
    die "$name: not up"
  fi
  sleep 0.05
done
say "$name is up"

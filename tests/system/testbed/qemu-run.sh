#!/bin/bash
# qemu-run.sh SCRIPT [FILE ...]: boot the disk, run SCRIPT (bash) in /run/job beside the FILEs, print its output, exit with its
# status (124: not within TB_LIMIT, 240 s unless told). What it changes on the disk is thrown away.
#   TB_CPU=Nehalem TB_SMP=1 TB_MEM=1536     other models hang or die now and then without KVM: try a job twice
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_root
script=${1:?script}
shift
disk=$TB/qemu/$(image_stamp "$HERE/qemu-build.sh")
[ -e "$disk/base.img" ] || die "no disk: run qemu-build.sh"
work=$(mktemp -d "$TB/cache/job.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/files"
cp "$script" "$work/files/job.sh"
[ $# = 0 ] || cp "$@" "$work/files/"
tar -C "$work/files" -cf "$work/job.tar" .
truncate -s %512 "$work/job.tar"
: > "$work/out"
status=0
timeout -k 2 "${TB_LIMIT:-240}" qemu-system-x86_64 -M pc -accel tcg -cpu "${TB_CPU:-Nehalem}" -smp "${TB_SMP:-1}" -m "${TB_MEM:-1536}" \
  -display none -nodefaults -no-reboot -serial "file:$work/console" -serial "file:$work/out" \
  -kernel "$disk/vmlinuz" -initrd "$disk/initrd" -drive "file=$disk/base.img,format=raw,if=virtio,snapshot=on,cache=unsafe" \
  -drive "file=$work/job.tar,format=raw,if=virtio,readonly=on" \
  -append "console=ttyS0 root=/dev/vda rw quiet panic=-1 mitigations=off systemd.show_status=error SYSTEMD_DEFAULT_MOUNT_RATE_LIMIT_BURST=200" \
  </dev/null >"$work/qemu" 2>&1 || status=$?
grep -av '^TESTBED-STATUS=' "$work/out" | tr -d '\r' || :
if answer=$(grep -ao '^TESTBED-STATUS=[0-9]*' "$work/out"); then exit "${answer#*=}"; fi
cat "$work/qemu" >&2
tail -c 1500 "$work/console" >&2
[ "$status" != 124 ] || exit 124
die "the machine ended without an answer (qemu: $status)"

#!/bin/bash
# qemu-build.sh: the pristine root as a disk for a virtual machine under QEMU without KVM, with Debian's stock cloud kernel: slow, but
# everything that a bare machine has (Landlock, PSI, all controllers).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_root
need_folder
need_tools qemu-system-x86=qemu-system-x86_64 mmdebstrap=mmdebstrap e2fsprogs=mke2fs
root=$TB/root-$(recipe_stamp)
[ -e "$root/.stamp" ] || die "no root: run build-root.sh"
stamp=$(image_stamp "$HERE/qemu-build.sh")
disk=$TB/qemu/$stamp
[ ! -e "$disk/base.img" ] || { say "disk $stamp is up to date"; exit 0; }
mkdir -p "$TB/qemu"
exec 9>"$TB/qemu.lock"
flock -w 1800 9 || die "another build does not end"
[ ! -e "$disk/base.img" ] || exit 0

kernel=$TB/qemu/kernel-$SUITE.tar
if [ ! -e "$kernel" ]; then
  say "kernel and initrd"
  mapfile -t mirrors < <(debian_sources "$SUITE")
  unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Languages "none"' \
    --include=linux-image-cloud-amd64,initramfs-tools,systemd,kmod \
    --customize-hook="cd \"\$1\" && tar -cf '$kernel.part' --dereference boot/vmlinuz-* boot/initrd.img-* \
      && tar -rf '$kernel.part' usr/lib/modules" "$SUITE" /dev/null "${mirrors[@]}" || unavailable "no kernel: no network"
  mv "$kernel.part" "$kernel"
fi

say "disk"
find "$TB/qemu" -mindepth 1 -maxdepth 1 -type d -exec rm -rf --one-file-system {} +
mkdir -p "$disk"
# shellcheck disable=SC2016  # for the inner shell
unshare --mount --propagation private --pid --fork --kill-child --mount-proc bash -euc '
  disk=$1 root=$2 kernel=$3
  mkdir -p "$disk/mnt"
  mount -t tmpfs testbed "$disk/mnt"
  mkdir "$disk/mnt/"{upper,work,tree}
  tree=$disk/mnt/tree
  mount -t overlay -o "lowerdir=$root,upperdir=$disk/mnt/upper,workdir=$disk/mnt/work" testbed "$tree"
  tar -C "$tree" -xf "$kernel"
  mv "$tree"/boot/vmlinuz-* "$disk/vmlinuz"
  mv "$tree"/boot/initrd.img-* "$disk/initrd"
  printf "overlay\nloop\nfuse\nbtrfs\n" > "$tree/etc/modules-load.d/testbed.conf"
  rm -f "$tree/etc/systemd/system/systemd-modules-load.service" # masked elsewhere
  tr -d - < /proc/sys/kernel/random/uuid > "$tree/etc/machine-id"
  cat > "$tree/usr/local/sbin/testbed-job" <<A
#!/bin/bash
# The second disk is a tar with job.sh. Its output goes to a serial port of its own, then the machine ends: on the console
# the terminal queries of systemd swallow lines.
exec >/dev/ttyS1 2>&1 </dev/null
stty -F /dev/ttyS1 raw -echo
mkdir -p /run/job
tar -C /run/job -xf /dev/vdb
cd /run/job
bash job.sh
echo "TESTBED-STATUS=\$?"
sleep 0.2
systemctl poweroff --force
A
  chmod +x "$tree/usr/local/sbin/testbed-job"
  printf "[Unit]\nAfter=dbus.service systemd-logind.service\n[Service]\nExecStart=/usr/local/sbin/testbed-job\nKillMode=process\n" \
    > "$tree/etc/systemd/system/testbed-job.service"
  ln -sfn ../testbed-job.service "$tree/etc/systemd/system/multi-user.target.wants/testbed-job.service"
  truncate -s 4G "$disk/new.img"
  mke2fs -q -F -t ext4 -O ^has_journal -E lazy_itable_init=1,nodiscard -d "$tree" "$disk/new.img"
  mv "$disk/new.img" "$disk/base.img"' _ "$disk" "$root" "$kernel"
say "disk $stamp: $(du -sh "$disk" | cut -f1)"

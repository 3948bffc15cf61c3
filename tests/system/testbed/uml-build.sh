#!/bin/bash
# uml-build.sh: the pristine root as a disk image for User-Mode Linux, Debian's kernel built as an ordinary program. It needs no KVM
# and no module of this machine, and has a cgroup v2 tree of its own with cpu, io, memory and pids: limits that hold, even where
# this machine's v1 hierarchies leave nspawn none. No Landlock and no PSI in it; each exec is about ten times slower.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_root
need_folder
need_tools e2fsprogs=mke2fs
root=$TB/root-$(recipe_stamp)
[ -e "$root/.stamp" ] || die "no root: run build-root.sh"
stamp=$(image_stamp "$HERE"/uml-{build,agent}.sh)
image=$TB/uml/$stamp.img
[ ! -e "$image" ] || { say "image $stamp is up to date"; exit 0; }
mkdir -p "$TB/uml"
exec 9>"$TB/uml.lock"
flock -w 1800 9 || die "another build does not end"
[ ! -e "$image" ] || exit 0
rm -rf --one-file-system "$TB"/uml/*.img "$TB/uml/apt" "$TB/uml/kernel.new"

if [ ! -e "$TB/uml/kernel/usr/bin/linux.uml" ]; then
  say "kernel"
  apt=$TB/uml/apt # an apt of its own: this machine's sources and lists stay as they are
  mkdir -p "$apt"/{lists/partial,cache/archives/partial,etc}
  debian_sources "$SUITE" > "$apt/etc/sources.list"
  [ -s "$apt/etc/sources.list" ] || unavailable "apt here knows no mirror of Debian"
  options=(-o "Dir::Etc::sourcelist=$apt/etc/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists"
    -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update -qq || unavailable "no package lists: no network"
  (cd "$apt" && apt-get "${options[@]}" download -qq user-mode-linux)
  dpkg-deb -x "$apt"/user-mode-linux_*.deb "$TB/uml/kernel.new"
  rm -rf "$apt"
  mv "$TB/uml/kernel.new" "$TB/uml/kernel"
fi

say "image"
# shellcheck disable=SC2016  # for the inner shell
unshare --mount --propagation private --pid --fork --kill-child --mount-proc bash -euc '
  uml=$1 root=$2 image=$3 scripts=$4
  mkdir -p "$uml/mnt"
  mount -t tmpfs testbed "$uml/mnt"
  mkdir "$uml/mnt/"{upper,work,tree}
  tree=$uml/mnt/tree
  mount -t overlay -o "lowerdir=$root,upperdir=$uml/mnt/upper,workdir=$uml/mnt/work" testbed "$tree"
  modules=$uml/kernel/usr/lib/uml/modules
  version=$(ls "$modules")
  mkdir -p "$tree/usr/lib/modules"
  cp -a "$modules/$version" "$tree/usr/lib/modules/"
  find "$tree/usr/lib/modules" -name "*.ko*" \
    | grep -vE "/(overlay|loop|fuse|squashfs|veth|bridge|stp|llc|tun|autofs4)\.ko" | xargs rm -f
  chroot "$tree" depmod "$version"
  printf "overlay\nloop\nfuse\n" > "$tree/etc/modules-load.d/testbed.conf"
  rm -f "$tree/etc/systemd/system/systemd-modules-load.service" # masked elsewhere
  tr -d - < /proc/sys/kernel/random/uuid > "$tree/etc/machine-id"
  install -m755 "$scripts/uml-agent.sh" "$tree/usr/local/sbin/testbed-agent"
  printf "[Unit]\nAfter=dbus.service systemd-logind.service\n[Service]\nExecStart=/usr/local/sbin/testbed-agent\nKillMode=process\n" \
    > "$tree/etc/systemd/system/testbed-agent.service"
  ln -sfn ../testbed-agent.service "$tree/etc/systemd/system/multi-user.target.wants/testbed-agent.service"
  rm -f "$image.new"
  truncate -s 4G "$image.new"
  mke2fs -q -F -t ext4 -O ^has_journal -E lazy_itable_init=1,nodiscard -d "$tree" "$image.new"
  mv "$image.new" "$image"' _ "$TB/uml" "$root" "$image" "$HERE"
say "image $stamp: $(du -sh "$image" | cut -f1)"

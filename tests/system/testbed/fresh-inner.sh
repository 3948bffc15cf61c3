#!/bin/bash
# fresh-inner.sh NAME BASE REPOSITORY COMMAND...: the container of a fresh run, alone in its pid and mount namespaces. fresh.sh
# calls it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
name=$1 base=$2 repo=$3
shift 3
run=$TB/fresh/$name
tree=$run/tree

# Folders of this machine that pip's settings name: a local index ("…/simple") with the files beside it, or one of wheels.
pip_folders() {
  local word
  { cat /etc/pip.conf ~/.config/pip/pip.conf ~/.pip/pip.conf 2>/dev/null || :; env | sed -n 's/^PIP_[A-Z_]*=//p'; } \
    | { grep -oE "(file://)?/[^[:space:]\"',]+" || :; } | sed 's,^file://,,; s,/simple/\?$,,' | sort -u \
    | while read -r word; do if [ -d "$word" ]; then echo "$word"; fi; done
}

settings() { # what it takes here to reach the registries
  local file
  cp -L --remove-destination /etc/resolv.conf "$tree/etc/resolv.conf"
  echo fresh > "$tree/etc/hostname"
  printf '127.0.0.1 localhost fresh\n::1 localhost\n' > "$tree/etc/hosts"
  apt-config dump 2>/dev/null | grep -E '^Acquire::(https?::|Check-|Retries|ForceIPv)' > "$tree/etc/apt/apt.conf.d/99host" || :
  for file in /etc/pip.conf ~/.config/pip/pip.conf ~/.pip/pip.conf; do
    [ ! -e "$file" ] || install -Dm644 "$file" "$tree${file/#$HOME//root}"
  done
  for file in /usr/local/share/ca-certificates/*.crt; do
    [ ! -e "$file" ] || install -Dm644 "$file" "$tree$file"
  done
  chroot "$tree" update-ca-certificates >/dev/null 2>&1
}

mkdir -p "$run"/{upper,work,tree,var-tmp}
chmod 1777 "$run/var-tmp"
mount -t overlay -o "lowerdir=$base,upperdir=$run/upper,workdir=$run/work" fresh "$tree"
settings
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=755 fresh /run/systemd/nspawn
own_cgroup "fresh-$name"

# A worktree's repository lies elsewhere: its common folder is a repository in any case.
options=(
  --bind-ro="$(git -C "$repo" rev-parse --path-format=absolute --git-common-dir):/run/clone/repository.git"
  --bind-ro="$HERE/fresh-clone.sh:/run/clone/fresh-clone.sh"
)
for file in dirty.tar deleted; do [ ! -e "$run/$file" ] || options+=(--bind-ro="$run/$file:/run/clone/$file"); done
while read -r folder; do options+=(--bind-ro="$folder"); done < <(pip_folders)
for device in /dev/loop-control /dev/loop[0-7] /dev/fuse; do [ ! -e "$device" ] || options+=(--bind="$device"); done
for variable in "${!PIP_@}" http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY TERM; do
  [ -z "${!variable:-}" ] || options+=(--setenv="$variable=${!variable}")
done
if [ -t 0 ] && [ -t 1 ]; then options+=(--console=interactive); else options+=(--console=pipe); fi

# /var/tmp is a folder of the disk: a nested testbed's overlays would be one too many on top of this one.
# As to the filter and the capabilities see boot-inner.sh.
echo $$ > "/sys/fs/cgroup/aios-fresh-$name/cgroup.procs"
SYSTEMD_SECCOMP=0 exec systemd-nspawn --quiet --directory="$tree" --machine="fresh-$name" --hostname=fresh --as-pid2 \
  --keep-unit --register=no --resolv-conf=off --timezone=off --link-journal=no \
  --capability=all --drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE --bind="$run/var-tmp:/var/tmp" \
  --setenv=LANG=C.UTF-8 --setenv=AIOS_FRESH=1 "${options[@]}" -- \
  /bin/bash /run/clone/fresh-clone.sh "$(basename "$repo")" "$(git -C "$repo" rev-parse HEAD)" "$@"

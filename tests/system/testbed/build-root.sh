#!/bin/bash
# build-root.sh: build and cache the pristine root: Debian with systemd as PID 1, D-Bus, polkit, PAM, the daemon's Python
# dependencies, pacman and makepkg. Does nothing when the recipe (this file, packages.txt, arch/) is unchanged.
#
#   TB_PYPI='mcp …'   what Debian lacks: pip puts it into the root's /opt/pypi (none by default)
#
# Two builds at once: the second waits for the first. A killed build leaves nothing running and nothing mounted, and the next
# one goes on from the cached Debian part. Exit status 69: this machine lacks a tool or the network.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
read -ra pypi <<<"${TB_PYPI:-}"
stamp=$(recipe_stamp)
root=$TB/root-$stamp

outer() {
  need_root
  need_folder
  [ ! -e "$root/.stamp" ] || { say "root $stamp is up to date"; exit 0; }
  need_tools "${BUILD_TOOLS[@]}"
  exec 9>"$TB/build.lock"
  flock -n 9 || { say "waiting for another build"; flock -w "${TB_BUILD_DEADLINE:-1800}" 9 || die "the other build does not end"; }
  [ ! -e "$root/.stamp" ] || { say "root $stamp was built meanwhile"; exit 0; }
  # In namespaces of its own: when this process is killed, so is all it started, and its mounts are gone.
  TB_INSIDE=1 exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$0"
}

debian() { # the Debian part, cached as a tar
  [ ! -e "$tar" ] || return 0
  say "mmdebstrap $SUITE"
  # PID 1 of a namespace owns it: what an earlier build left is nobody's
  rm -rf --one-file-system "$TB"/cache/*.part.tar "$TB"/cache/tmp.*
  # mmdebstrap takes the format from the name, so the unfinished file ends in .tar too
  TMPDIR=$(mktemp -d "$TB/cache/tmp.XXXXXX"); export TMPDIR; chmod 755 "$TMPDIR"
  local mirrors
  mapfile -t mirrors < <(debian_sources "$SUITE")
  mmdebstrap --quiet --variant=minbase \
    --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --include="$(packages "$HERE/packages.txt" | paste -sd,)" "$SUITE" "${tar%.tar}.part.tar" "${mirrors[@]}" \
    || unavailable "mmdebstrap failed: no network, or no such package"
  rm -rf --one-file-system "$TMPDIR"; unset TMPDIR
  rm -f "$TB/cache/$SUITE"-????????????????.tar # of earlier package lists
  mv "${tar%.tar}.part.tar" "$tar"
}

from_pypi() {
  [ ${#pypi[@]} -gt 0 ] || return 0
  say "from PyPI: ${pypi[*]}"
  # Fetched by this machine's pip settings, installed by the root's own python: the resolver sees Debian's versions
  # and adds a newer one only where a package asks for it.
  mkdir -p "$R/opt/pypi"
  cp -L /etc/resolv.conf "$R/etc/resolv.conf"
  cp -aL --parents /etc/ssl/certs "$R/" 2>/dev/null || :
  [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$R/etc/pip.conf"
  chroot "$R" env -u PIP_FIND_LINKS HOME=/root python3 -m pip install --quiet --disable-pip-version-check \
    --no-cache-dir --break-system-packages --no-compile --root-user-action=ignore --target /opt/pypi "${pypi[@]}"
  # The whole closure comes along and must go first, or a new package meets Debian's older typing_extensions.
  echo "import sys; sys.path.insert(0, '/opt/pypi')" > "$R/usr/lib/python3/dist-packages/zz-pypi.pth"
  rm -f "$R/etc/pip.conf"
}

like_arch() {
  # Arch installs pure Python to site-packages, which Debian's python neither reads nor offers.
  sed -i "/^def _get_preferred_schemes/,/^def get_preferred_scheme/s/'posix_local'/'posix_prefix'/" "$R"/usr/lib/python3.*/sysconfig/__init__.py
  local version
  version=$(chroot "$R" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  mkdir -p "$R/usr/lib/python$version/site-packages"
  echo "/usr/lib/python$version/site-packages" > "$R/usr/lib/python3/dist-packages/zz-arch-site.pth"
  # pacman: an empty database, no remote repository, no signatures. DisableSandbox: 7.x wants Landlock as root, not in every container.
  printf '%s\n' '[options]' 'HoldPkg = pacman glibc' 'Architecture = auto' 'SigLevel = Never' 'LocalFileSigLevel = Never' \
    'DisableSandbox' > "$R/etc/pacman.conf"
  mkdir -p "$R"/var/lib/pacman/{local,sync} "$R/var/cache/pacman/pkg"
  sed -i 's/^#\?PKGEXT=.*/PKGEXT=".pkg.tar.zst"/; s/^#\?COMPRESSZST=.*/COMPRESSZST=(zstd -c -T0 -3 -)/' "$R/etc/makepkg.conf"
  bash "$HERE/arch/hooks.sh" "$R"
  bash "$HERE/arch/mkdeps.sh" "$R"
}

settle() { # what a first boot would do, and what has no place in a test machine
  local unit
  for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer man-db.timer e2scrub_all.timer \
    ssh.service sshd-keygen.service machines.target remote-fs.target getty@tty1.service systemd-pstore.service \
    systemd-networkd.service systemd-resolved.service systemd-journal-upload.service; do
    systemctl --root="$R" disable -q "$unit" 2>/dev/null || :
  done
  systemctl --root="$R" mask -q systemd-firstboot.service console-getty.service ldconfig.service \
    systemd-journal-catalog-update.service systemd-update-done.service systemd-binfmt.service systemd-timesyncd.service \
    systemd-modules-load.service 'modprobe@.service' e2scrub_reap.service sys-kernel-debug.mount sys-kernel-tracing.mount 2>/dev/null
  systemctl --root="$R" set-default -q multi-user.target
  mkdir -p "$R/var/log/journal" # makes the journal persistent, as on Arch
  : > "$R/etc/machine-id"
  : > "$R/etc/default/locale" # pam_env complains at each login without it
  : > "$R/etc/resolv.conf"
  echo testbed > "$R/etc/hostname"
  printf '127.0.0.1 localhost testbed\n::1 localhost\n' > "$R/etc/hosts"
  touch "$R/etc/.updated" "$R/var/.updated"
  # A nested user namespace may mount a /proc or /sys only where a wholly visible one is mounted already. nspawn covers parts
  # of both, so whole ones are shown here: unprivileged bubblewrap needs it.
  local fs
  for fs in proc sysfs; do
    printf '[Unit]\nDefaultDependencies=no\n[Mount]\nWhat=%s\nWhere=/run/full/%s\nType=%s\n' $fs $fs $fs \
      > "$R/etc/systemd/system/run-full-$fs.mount"
    systemctl --root="$R" add-wants -q multi-user.target "run-full-$fs.mount"
  done
}

people() { # alice administers; bob and carol do not; builder runs makepkg. Each one's password is the name.
  local user
  chroot "$R" groupadd -r -f wheel
  for user in alice bob carol builder; do chroot "$R" useradd -m -s /bin/bash "$user"; done
  printf '%s:%s\n' alice alice bob bob carol carol builder builder root root | chroot "$R" chpasswd
  chroot "$R" usermod -aG wheel,sudo,systemd-journal alice
}

# Roots of other recipes go, but for the one booted last (two checkouts may take turns), unless a session still holds its lock.
sweep() {
  local lock spare='' others=()
  for lock in "$TB"/root-????????????????.lock; do
    if [ ! -e "$lock" ] || [ "$lock" = "$root.lock" ]; then continue; fi
    others+=("$lock")
    if [ -z "$spare" ] || [ "$lock" -nt "$spare" ]; then spare=$lock; fi
  done
  for lock in "${others[@]}"; do
    [ "$lock" != "$spare" ] || continue
    flock -n "$lock" rm -rf --one-file-system "${lock%.lock}" && rm -f "$lock" # in use: left to the next build
  done
}

inside() {
  tar=$TB/cache/$SUITE-$({ echo "$SUITE"; packages "$HERE/packages.txt"; } | sha256sum | cut -c1-16).tar
  R=$TB/new-root
  debian
  say "unpack"
  rm -rf --one-file-system "$R"
  mkdir -p "$R"
  tar -C "$R" --numeric-owner --xattrs --xattrs-include='*' -xpf "$tar"
  mount --rbind /dev "$R/dev"
  mount -t proc proc "$R/proc"
  from_pypi
  say "settle"
  settle
  people
  like_arch
  umount -l "$R/dev" "$R/proc"
  echo "$stamp" > "$R/.stamp"
  touch "$root.lock"
  mv "$R" "$root"
  sweep
  say "root $stamp: $(du -sh "$root" | cut -f1)"
}

if [ -n "${TB_INSIDE:-}" ]; then unset TB_INSIDE; inside; else outer; fi

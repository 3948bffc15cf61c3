#!/bin/bash
# mkdeps.sh ROOT: install one package without files for each row of deps.txt, so that `pacman -U` of ours checks its real
# depends=(). Honest: each carries the version that is really in the root, and a row whose software is missing fails.
# The packages are written as pacman reads them (.PKGINFO and .MTREE); makepkg would take a second for each.
set -euo pipefail
root=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$root/root/stand-ins
mkdir -p "$work"

while read -r arch source _; do
  case $arch in '' | '#'*) continue ;; esac
  # shellcheck disable=SC2016  # ${Version} is dpkg-query's own notation
  case $source in
    dpkg:*) full=$(chroot "$root" dpkg-query -W -f '${Version}' "${source#*:}") ;;
    pypi:*) full=$(chroot "$root" python3 -c 'import importlib.metadata as m, sys; print(m.version(sys.argv[1]))' "${source#*:}" 2>/dev/null) || continue ;;
    *) full= ;;
  esac
  [ -n "$full" ] || { echo "mkdeps: $source is not in the root" >&2; exit 1; }
  version=${full#*:} version=${version%%-*} version=${version%%+*} version=${version%%\~*} # no epoch, revision, repack marks
  mkdir -p "$work/$arch"
  cat > "$work/$arch/.PKGINFO" <<P
pkgname = $arch
pkgbase = $arch
pkgver = $version-1
pkgdesc = Stand-in without files for $source $full, which the test root has
builddate = 1
packager = testbed
size = 0
arch = any
license = 0BSD
xdata = pkgtype=pkg
P
done < "$here/deps.txt"

# shellcheck disable=SC2016  # for the inner shell
chroot "$root" bash -euo pipefail -c '
  cd /root/stand-ins
  for name in *; do
    cd "$name"
    bsdtar --uid 0 --gid 0 -czf .MTREE --format=mtree --options="!all,use-set,type,uid,gid,mode,time,size,sha256,link" .PKGINFO
    bsdtar --uid 0 --gid 0 -cf - .PKGINFO .MTREE | zstd -q -3 -o "../$name-stand-in.pkg.tar.zst"
    cd ..
  done
  pacman -U --noconfirm --noprogressbar ./*.pkg.tar.zst >/dev/null'
rm -rf "$work"

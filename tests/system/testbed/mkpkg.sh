#!/bin/bash
# mkpkg.sh NAME FOLDER [makepkg option ...]: copy FOLDER into the session, build it there with makepkg as the user builder
# (dependencies are checked, check() runs), and bring the package to $TB/pkgs; its path is printed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
name=${1:?name}
folder=$(cd "${2:?folder}" && pwd)
shift 2
as_builder() { "$HERE/run.sh" "$name" -p User=builder "$@"; }
tar -C "$folder" --exclude=.git --exclude=__pycache__ -cf - . \
  | as_builder -- sh -c 'rm -rf ~/build ~/made; mkdir -p ~/build ~/made; tar -C ~/build -xf -'
as_builder -p WorkingDirectory=/home/builder/build -e PKGDEST=/home/builder/made \
  -- makepkg --force --cleanbuild "$@" >&2
as_builder -- sh -c 'cd ~/made; tar -cf - *.pkg.tar.zst' | tar -C "$TB/pkgs" -xvf - | sed "s:^:$TB/pkgs/:"

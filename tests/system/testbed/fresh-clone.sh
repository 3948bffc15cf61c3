#!/bin/bash
# fresh-clone.sh NAME COMMIT COMMAND...: inside the fresh container: make the clone, unless an earlier run did, and run COMMAND
# in it. fresh-inner.sh calls it.
set -euo pipefail
clone=/root/$1 commit=$2
shift 2
# Unprivileged bubblewrap mounts a /proc and a /sys only where whole ones are in sight; nspawn covers parts of its own.
mkdir -p /run/full/proc /run/full/sys
mount -t proc proc /run/full/proc
mount -t sysfs sysfs /run/full/sys
if [ ! -d "$clone" ]; then
  printf '[safe]\n\tdirectory = *\n' > /run/clone/gitconfig # the folder may be another user's: trusted for this clone alone
  GIT_CONFIG_GLOBAL=/run/clone/gitconfig git clone --quiet /run/clone/repository.git "$clone"
  [ "$(git -C "$clone" rev-parse HEAD)" = "$commit" ] || git -C "$clone" checkout --quiet "$commit"
fi
cd "$clone"
if [ -e /run/clone/dirty.tar ]; then
  tar --no-same-owner -xf /run/clone/dirty.tar
  xargs -r0 rm -f < /run/clone/deleted
fi
# What nspawn gives its payload and no machine has: a socket to report to, inheritable capabilities.
unset NOTIFY_SOCKET "${!container_@}"
exec setpriv --inh-caps=-all "$@"

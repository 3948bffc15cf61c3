# shellcheck shell=bash
# What the testbed's scripts share: where things lie, which process is which, cgroups, locks. Sourced, never run.
#
#   $TB                 everything big: cached roots, sessions, packages. Root's own, 0700: what lies in it gets booted
#   $TB/root-STAMP      a pristine root, named by its recipe, never changed and never booted itself: the lower layer of sessions
#   $TB/run/NAME        a running session: pid, leader ("PID START-TIME", a name that no other process can take over), console.log
#   AIOS_TESTBED moves $TB; TB_SUITE and TB_PYPI change the recipe.

TB=${AIOS_TESTBED:-/var/tmp/aios-testbed}
SUITE=${TB_SUITE:-trixie}
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RUN=$TB/run
# shellcheck disable=SC2034  # for the scripts that build
BUILD_TOOLS=(mmdebstrap=mmdebstrap systemd-container=systemd-nspawn
  debian-archive-keyring=/usr/share/keyrings/debian-archive-keyring.gpg)
EX_UNAVAILABLE=69 # sysexits(3): something this machine lacks, so a caller may skip

_begun=${EPOCHREALTIME/[.,]/}
say() {
  local us=$((${EPOCHREALTIME/[.,]/} - _begun))
  printf '[%4d.%02ds] %s\n' $((us / 1000000)) $((us / 10000 % 100)) "$*" >&2
}
die() { printf 'testbed: %s\n' "$*" >&2; exit 1; }
unavailable() { printf 'testbed: %s\n' "$*" >&2; exit "$EX_UNAVAILABLE"; }

need_root() { [ "$(id -u)" = 0 ] || unavailable "needs root"; }

# Root's own folder: what somebody else put there would be booted and trusted.
need_folder() {
  mkdir -p "$TB"
  if [ -L "$TB" ] || [ ! -O "$TB" ]; then die "$TB is not a folder of root's own"; fi
  chmod 0700 "$TB"
  mkdir -p "$RUN" "$TB/cache" "$TB/pkgs"
}

# need_tools PACKAGE=COMMAND-OR-FILE...: install what is missing, where there is an apt to do it.
need_tools() {
  local pair missing=()
  for pair; do
    [ -e "${pair#*=}" ] || command -v "${pair#*=}" >/dev/null || missing+=("${pair%%=*}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || unavailable "not installed here: ${missing[*]}"
  say "installing ${missing[*]}"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${missing[@]}"; } >"$TB/apt.log" 2>&1 \
    || { tail -5 "$TB/apt.log" >&2; unavailable "could not be installed: ${missing[*]}"; }
}

# packages FILE: the words of a list with comments.
packages() { sed 's/#.*//' "$1" | xargs -n1; }

# recipe_stamp: the name of the root that the files here describe.
recipe_stamp() {
  { printf '%s\n' "$SUITE" "${TB_PYPI:-}"; cat "$HERE"/{build-root.sh,packages.txt} "$HERE"/arch/*; } | sha256sum | cut -c1-16
}

# image_stamp FILE...: the name of an image that the FILEs make of that root.
image_stamp() { { recipe_stamp; cat "$@"; } | sha256sum | cut -c1-16; }

# debian_sources SUITE: apt lines for SUITE from the mirrors that this machine itself uses; none where it has none of Debian's
# (mmdebstrap then takes its own default). Before the first `apt-get update` a mirror has no label, only a path.
debian_sources() {
  local uri label main='' security='' key='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] '
  [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || key=
  # shellcheck disable=SC2016  # $(LABEL) is apt's own notation
  while read -r uri label; do
    case $label:$uri in
      Debian-Security:* | :*/debian-security/) security=$uri ;;
      Debian:* | :*/debian/) main=$uri ;;
    esac
  done < <(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' 2>/dev/null | sort -ru)
  [ -z "$main" ] || printf 'deb %s%s %s main\n' "$key" "$main" "$1" "$key" "$main" "$1-updates"
  [ -z "$security" ] || printf 'deb %s%s %s main\n' "$key" "$security" "$1-security"
}

# started PID: its start time in clock ticks (proc(5), field 22 of stat); fails where there is no such process, or only its zombie.
started() {
  local stat fields
  { read -r stat < "/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }"
  case ${fields[0]} in Z | X) return 1 ;; esac
  echo "${fields[19]}"
}

# record PID FILE / alive FILE: a process that is meant by its pid and start time, so a reused pid is never taken for it.
record() { local at; at=$(started "$1") && echo "$1 $at" > "$2"; }
alive() {
  local pid at
  { read -r pid at < "$1"; } 2>/dev/null && [ -n "$at" ] && [ "$(started "$pid")" = "$at" ]
}

# find_leader PID: the guest's PID 1: below the session's process PID, two pid namespaces further in (the session's own, nspawn's).
find_leader() {
  local children nspid child
  read -ra children < <(cat "/proc/$1/task/"*/children 2>/dev/null)
  for child in "${children[@]}"; do
    read -ra nspid < <(sed -n 's/^NSpid://p' "/proc/$child/status" 2>/dev/null)
    if [ "${#nspid[@]}" = 3 ] && [ "${nspid[2]}" = 1 ]; then echo "$child"; return 0; fi
    find_leader "$child" && return 0
  done
  return 1
}

# own_cgroup NAME, in a private mount namespace: show a pure v2 tree, with whatever controllers the host's v1 hierarchies
# leave to it, and make the cgroup aios-NAME. The caller moves to a leaf of it: a cgroup with processes cannot pass controllers on.
own_cgroup() {
  umount -R /sys/fs/cgroup 2>/dev/null || :
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir -p "/sys/fs/cgroup/aios-$1/outer"
  echo $$ > "/sys/fs/cgroup/aios-$1/outer/cgroup.procs"
}

# drop_cgroup NAME: remove the cgroup aios-NAME, deepest first; the last process may take a moment to leave it.
drop_cgroup() {
  # shellcheck disable=SC2016  # for the inner shell
  unshare --mount --propagation private bash -c '
    umount -R /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 1
    for _ in {1..200}; do
      [ -d "/sys/fs/cgroup/aios-$1" ] || exit 0
      find "/sys/fs/cgroup/aios-$1" -depth -type d -exec rmdir {} + 2>/dev/null && exit 0
      sleep 0.025
    done; exit 1' _ "$1" || say "cgroup aios-$1 could not be removed"
}

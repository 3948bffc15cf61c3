#!/bin/bash
# fresh.sh [option ...] SUITE COMMAND...: clone the repository in a machine that has nothing but Debian's base, make, git and
# ca-certificates (SUITE: bookworm, trixie), and run COMMAND there as root, in the clone. The exit status is COMMAND's.
#
#   --repo FOLDER      what to clone (default: the checkout this script is in); only what is committed
#   --dirty            with the working tree's uncommitted and new files on top
#   --keep NAME        keep what the run changes, for the next run with the same name (which does not clone again)
#   --drop NAME        drop such a run's changes; needs no SUITE
#   --limit SECONDS    kill it all after so long (default 3600); exit status 137
#
# The network and this machine's ways to reach registries are shared: DNS, pip's settings with the folders they name, apt's
# mirrors and proxy, extra certificates. The rest is the container's: packages, home, /proc, /sys, /dev, a cgroup v2 tree. User
# namespaces, bubblewrap (as any user), network namespaces and systemd-nspawn work inside. AIOS_FRESH=1 tells that one is inside.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
BASE_PACKAGES=make,git,ca-certificates
NAMESPACES=(--mount --propagation private --pid --fork --kill-child --mount-proc)

usage() { sed -n '2,/^set/{/^#/s/^# \?//p}' "$0" >&2; exit 2; }

drop() {
  drop_cgroup "fresh-$1"
  rm -rf --one-file-system "${TB:?}/fresh/$1" "$TB/fresh/$1.lock"
}

build_base() {
  exec 9>"$TB/fresh.lock"
  flock -w 1800 9 || die "another build of the base does not end"
  [ ! -d "$base" ] || { exec 9>&-; return; }
  say "mmdebstrap $suite"
  rm -rf --one-file-system "$TB"/fresh-base-*.new "$TB"/cache/fresh.*
  local temporary mirrors
  mapfile -t mirrors < <(debian_sources "$suite")
  temporary=$(mktemp -d "$TB/cache/fresh.XXXXXX")
  chmod 755 "$temporary"
  TMPDIR=$temporary unshare "${NAMESPACES[@]}" mmdebstrap --quiet --variant=minbase --include="$BASE_PACKAGES" \
    "$suite" "$base.new" "${mirrors[@]}" \
    || unavailable "mmdebstrap failed: no network, or no such suite"
  rm -rf --one-file-system "$temporary"
  mv "$base.new" "$base"
  say "base $suite: $(du -sh "$base" | cut -f1)"
  exec 9>&-
}

repo=$HERE dirty='' keep='' limit=3600
need_root
need_folder
while :; do
  case ${1:-} in
    --repo) repo=${2:?folder}; shift 2 ;;
    --dirty) dirty=1; shift ;;
    --keep) keep=${2:?name}; shift 2 ;;
    --drop)
      [ -e "$TB/fresh/${2:?name}" ] || exit 0
      flock -n "$TB/fresh/$2.lock" true || die "$2 runs"
      drop "$2"
      exit
      ;;
    --limit) limit=${2:?seconds}; shift 2 ;;
    -*) usage ;;
    *) break ;;
  esac
done
[ $# -ge 2 ] || usage
suite=$1
shift
name=${keep:-run-$$}
[[ $name =~ ^[a-z][a-z0-9-]{0,40}$ ]] || die "no name for a run: $name"
repo=$(git -C "$repo" rev-parse --show-toplevel)
run=$TB/fresh/$name
base=$TB/fresh-base-$suite-$({ debian_sources "$suite"; echo "$BASE_PACKAGES"; } | sha256sum | cut -c1-16)

need_tools "${BUILD_TOOLS[@]}"
[ -d "$base" ] || build_base
for lock in "$TB"/fresh/run-*.lock; do # what killed runs left
  if [ -e "$lock" ] && flock -n "$lock" true; then lock=${lock##*/}; drop "${lock%.lock}"; fi
done
mkdir -p "$run"
exec 9>"$run.lock"
flock -n 9 || die "$name runs already"
# shellcheck disable=SC2317  # the trap calls it
finish() { if [ -n "$keep" ]; then drop_cgroup "fresh-$name"; else drop "$name"; fi; }
trap finish EXIT

rm -f "$run"/{dirty.tar,deleted}
if [ -n "$dirty" ]; then
  git -C "$repo" ls-files -z --deleted > "$run/deleted"
  git -C "$repo" ls-files -z --cached --others --exclude-standard | sort -z | comm -z -23 - <(sort -z "$run/deleted") \
    | tar -C "$repo" --null --no-recursion --ignore-failed-read -T - -cf "$run/dirty.tar" || [ $? = 1 ] # 1: one changed meanwhile
elif [ -n "$(git -C "$repo" status --porcelain)" ]; then
  say "note: what is not committed is not in the clone (--dirty)"
fi
say "$suite: $*"
# In the background, as a shell waits for a foreground child before it heeds a signal. Each link dies with the one before.
bound=(setpriv --pdeathsig KILL)
"${bound[@]}" timeout --foreground -s KILL "$limit" "${bound[@]}" unshare "${NAMESPACES[@]}" \
  "$HERE/fresh-inner.sh" "$name" "$base" "$repo" "$@" <&0 9>&- &
child=$!
trap 'kill -TERM "$child" 2>/dev/null || :; wait "$child" || :; exit 143' TERM INT HUP
status=0
wait "$child" || status=$?
say "$suite: status $status"
exit "$status"

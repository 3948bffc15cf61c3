#!/bin/bash
# enter.sh NAME COMMAND...: run COMMAND as the guest's root in its namespaces: a few milliseconds, no PAM, no unit. For set-up and
# for asking systemd. stdin, stdout, stderr and the exit status are COMMAND's; 125: no such guest.
set -u
. "$(dirname "$0")/lib.sh"
name=${1:?name}
shift
session=$RUN/$name
if ! alive "$session/leader"; then # the guest rebooted: its PID 1 is another one now
  { alive "$session/pid" && read -r pid _ < "$session/pid" && leader=$(find_leader "$pid") \
    && record "$leader" "$session/leader"; } || { echo "testbed: no guest $name" >&2; exit 125; }
fi
read -r leader _ < "$session/leader"
# Join the guest's cgroup too, so that its journal and logind see a member of the machine.
{ echo $$ > "/proc/$leader/root/sys/fs/cgroup/init.scope/cgroup.procs"; } 2>/dev/null
# Bounded as all else in the guest is (boot-inner.sh): who enters from here would bring the right to set this machine's clock.
exec setpriv --bounding-set -sys_time,-sys_module nsenter -t "$leader" -m -u -i -n -p -C -r -w env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin \
  HOME=/root USER=root LOGNAME=root SHELL=/bin/bash LANG=C.UTF-8 TERM="${TERM:-dumb}" "$@"

"""What real tools printed: coreutils 9.1, procps 4.0, iproute2 6.1 and systemd 257, stdout and then stderr."""

DF_ONE = """\
Filesystem     Type     1-blocks        Used   Available Capacity Mounted on
/dev/vda       ext4 270553174016 24362237952 84582055936      23% /
"""

DF_MANY = """\
Filesystem                Type      1-blocks          Used     Available Capacity Mounted on
/dev/nvme0n1p2            ext4  502392610816  467225128960    9572352000      98% /
/dev/nvme0n1p1            vfat     535805952       6377472     529428480       2% /boot/efi
/dev/sda1                 xfs  4000785960960 1511157780480 2489628180480      38% /srv/data
/dev/sda1                 xfs  4000785960960 1511157780480 2489628180480      38% /srv/data/exports/nfs
//nas.example/team share  cifs 7999376588800 3999688294400 3999688294400      50% /mnt/team share
/dev/sr0                  iso9660  661127168     661127168             0     100% /media/cdrom
portal                    fuse.portal        0             0             0        - /run/user/1000/doc
"""

DF_ABSENT = "[stderr]\ndf: /nope: No such file or directory\n"

FREE_NO_SWAP = """\
               total        used        free      shared  buff/cache   available
Mem:     25274793984   333926400 24985886720    21540864   183492608 24940867584
Swap:              0           0           0
"""

FREE_SWAPPING = """\
               total        used        free      shared  buff/cache   available
Mem:      8201863168  7634345984   150994944   268435456   524288000   567517184
Swap:     2147479552  1288486912   858992640
"""

FREE_IDLE_SWAP = """\
               total        used        free      shared  buff/cache   available
Mem:     16641110016  4123168768  9126805504   402653184  3391135744 12517941248
Swap:     8589930496           0  8589930496
"""

PS_CPU = """\
  PID USER                             %CPU %MEM   RSS ELAPSED COMMAND
20999 nobody                           33.0  0.0  1972       0 bwrap
20618 root                             17.6  0.0 14028    4711 frontend
  815 1001                              9.5  0.0 12200   91021 systemd
 1204 systemd-timesync                  0.3  1.2 296040   91001 Web Content
  882 root                              0.0  0.0  5276       0 ps
  460 messagebus                        0.0  0.0  5112   91022 dbus-daemon
"""

PS_IDLE = """\
    PID USER                             %CPU %MEM   RSS COMMAND
      1 root                              0.0  0.0 13992 systemd
     52 root                              0.0  0.0  8500 systemd-logind
"""

LOADAVG_LOW = "0.01 0.04 0.08 2/95 225\n"
LOADAVG_HIGH = "5.53 4.62 3.17 7/310 27367\n"
UPTIME = "1976.21 3719.77\n0.01 0.04 0.08 2/95 217\n"

OS_DEBIAN = """\
PRETTY_NAME="Debian GNU/Linux 13 (trixie)"
NAME="Debian GNU/Linux"
VERSION_ID="13"
VERSION="13 (trixie)"
VERSION_CODENAME=trixie
DEBIAN_VERSION_FULL=13.7
ID=debian
HOME_URL="https://distribution.example/"
SUPPORT_URL="https://distribution.example/support"
BUG_REPORT_URL="https://bugs.distribution.example/"
"""

OS_ARCH = """\
NAME="Arch Linux"
PRETTY_NAME="Arch Linux"
ID=arch
BUILD_ID=rolling
ANSI_COLOR="38;2;23;147;209"
"""

UNAME = "Linux 6.12.57-1-lts x86_64\n"

FIND_VAR = """\
401477120\t/var/tmp/build/cache/base-system.tar
95715012\t/var/cache/apt/archives/opencv-doc_4.6.0+dfsg-12_all.deb
80885280\t/var/cache/apt/archives/chromium_155.0.8059.79-1~deb12u1_amd64.deb
"""

FIND_DENIED = (
    FIND_VAR
    + """\
[stderr]
find: ‘/var/log/private’: Permission denied
find: ‘/var/cache/ldconfig’: Permission denied
find: ‘/var/lib/private’: Permission denied
"""
)

DU_VAR = """\
4096\t/var/backups
663552\t/var/log
2358009856\t/var/cache
871153664\t/var/tmp
53874688\t/var/lib
3283726336\t/var
"""

DU_DENIED = (
    DU_VAR
    + """\
[stderr]
du: cannot read directory '/var/log/private': Permission denied
"""
)

IP_ADDR = (
    '[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"qdisc":"noqueue",'
    '"operstate":"UNKNOWN","group":"default","txqlen":1000,"link_type":"loopback","address":"00:00:00:00:00:00",'
    '"broadcast":"00:00:00:00:00:00","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host",'
    '"label":"lo","valid_life_time":4294967295,"preferred_life_time":4294967295},{"family":"inet6","local":"::1",'
    '"prefixlen":128,"scope":"host","valid_life_time":4294967295,"preferred_life_time":4294967295}]},{"ifindex":2,'
    '"ifname":"ifb0","flags":["BROADCAST","NOARP"],"mtu":1500,"qdisc":"noop","operstate":"DOWN","group":"default",'
    '"txqlen":32,"link_type":"ether","address":"32:ae:0e:85:96:bd","broadcast":"ff:ff:ff:ff:ff:ff","addr_info":[]},'
    '{"ifindex":4,"ifname":"eth0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1400,"qdisc":"pfifo_fast",'
    '"operstate":"UP","group":"default","txqlen":1000,"link_type":"ether","address":"02:fc:00:00:00:01",'
    '"broadcast":"ff:ff:ff:ff:ff:ff","addr_info":[{"family":"inet6","local":"fd00::2","prefixlen":64,"scope":"global",'
    '"nodad":true,"valid_life_time":4294967295,"preferred_life_time":4294967295},{"family":"inet","local":"192.0.2.2",'
    '"prefixlen":24,"broadcast":"192.0.2.255","scope":"global","label":"eth0","valid_life_time":4294967295,'
    '"preferred_life_time":4294967295},{"family":"inet6","local":"fe80::fc:ff:fe00:1","prefixlen":64,"scope":"link",'
    '"valid_life_time":4294967295,"preferred_life_time":4294967295}]}]\n'
)

IP_LOOPBACK_ONLY = (
    '[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"qdisc":"noqueue",'
    '"operstate":"UNKNOWN","group":"default","txqlen":1000,"link_type":"loopback","address":"00:00:00:00:00:00",'
    '"broadcast":"00:00:00:00:00:00","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host",'
    '"label":"lo","valid_life_time":4294967295,"preferred_life_time":4294967295},{"family":"inet6","local":"::1",'
    '"prefixlen":128,"scope":"host","noprefixroute":true,"valid_life_time":4294967295,'
    '"preferred_life_time":4294967295}]}]\n'
)

IP_ROUTE = (
    '[{"dst":"default","gateway":"192.0.2.1","dev":"eth0","flags":[]},{"dst":"192.0.2.0/24","dev":"eth0",'
    '"protocol":"kernel","scope":"link","prefsrc":"192.0.2.2","flags":[]}]\n'
)

FAILED_UNITS = """\
data.mount         loaded failed failed /data
killed.service     loaded failed failed Killed by a signal
old-export.service loaded failed failed 夜間エクスポート
shop-sync.service  loaded failed failed Sync the shop's stock
"""

NO_SYSTEMD = """\
[stderr]
System has not been booted with systemd as init system (PID 1). Can't operate.
Failed to connect to bus: Host is down
"""

NO_BUS = "[stderr]\nFailed to connect to system scope bus via local transport: No such file or directory\n"

SHOW_RUNNING = """\
MainPID=51
Result=success
NRestarts=0
ExecMainCode=0
ExecMainStatus=0
MemoryCurrent=[not set]
Id=dbus.service
Description=D-Bus System Message Bus
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=static
StateChangeTimestamp=Sat 2026-11-21 09:13:26 UTC
"""

SHOW_WITH_MEMORY = """\
MainPID=812
Result=success
NRestarts=0
ExecMainCode=0
ExecMainStatus=0
MemoryCurrent=12849152
Id=nginx.service
Description=A high performance web server and a reverse proxy server
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
StateChangeTimestamp=Sat 2026-11-21 09:13:26 UTC
"""

SHOW_FAILED = """\
MainPID=0
Result=exit-code
NRestarts=3
ExecMainCode=1
ExecMainStatus=3
MemoryCurrent=[not set]
Id=shop-sync.service
Description=Sync the shop's stock
LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=enabled
StateChangeTimestamp=Sat 2026-11-21 09:15:36 UTC
"""

JOURNAL_FAILED = """\
2026-11-21T09:15:36+00:00 shop1 systemd[1]: shop-sync.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED
2026-11-21T09:15:36+00:00 shop1 systemd[1]: shop-sync.service: Failed with result 'exit-code'.
2026-11-21T09:15:36+00:00 shop1 systemd[1]: shop-sync.service: Start request repeated too quickly.
2026-11-21T09:15:36+00:00 shop1 systemd[1]: shop-sync.service: Failed with result 'exit-code'.
2026-11-21T09:15:36+00:00 shop1 systemd[1]: Failed to start shop-sync.service - Sync the shop's stock.
"""

SHOW_NOT_EXECUTED = """\
MainPID=0
Result=exit-code
NRestarts=0
ExecMainCode=1
ExecMainStatus=203
MemoryCurrent=[not set]
Id=old-export.service
Description=夜間エクスポート
LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=static
StateChangeTimestamp=Sat 2026-11-21 09:15:35 UTC
"""

SHOW_SIGNAL = """\
MainPID=0
Result=signal
NRestarts=0
ExecMainCode=2
ExecMainStatus=11
MemoryCurrent=[not set]
Id=killed.service
Description=Killed by a signal
LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=static
StateChangeTimestamp=Sat 2026-11-21 09:15:36 UTC
"""

SHOW_RETRYING = """\
MainPID=0
Result=exit-code
NRestarts=0
ExecMainCode=1
ExecMainStatus=1
MemoryCurrent=[not set]
Id=slow.service
Description=Restarts again and again
LoadState=loaded
ActiveState=activating
SubState=auto-restart
UnitFileState=static
StateChangeTimestamp=Sat 2026-11-21 09:16:12 UTC
"""

SHOW_MOUNT = """\
Result=exit-code
MemoryCurrent=[not set]
Id=data.mount
Description=/data
LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=static
StateChangeTimestamp=Sat 2026-11-21 09:15:36 UTC
"""

SHOW_INACTIVE = """\
MainPID=0
Result=success
NRestarts=0
ExecMainCode=0
ExecMainStatus=0
MemoryCurrent=[not set]
Id=ssh.service
Description=OpenBSD Secure Shell server
LoadState=loaded
ActiveState=inactive
SubState=dead
UnitFileState=disabled
StateChangeTimestamp=
"""

SHOW_ABSENT = """\
MainPID=0
Result=success
NRestarts=0
ExecMainCode=0
ExecMainStatus=0
MemoryCurrent=[not set]
Id=nosuch.service
Description=nosuch.service
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
StateChangeTimestamp=
"""

SHOW_MASKED = """\
MainPID=0
Result=success
NRestarts=0
ExecMainCode=0
ExecMainStatus=0
MemoryCurrent=[not set]
Id=ssh.service
Description=ssh.service
LoadState=masked
ActiveState=inactive
SubState=dead
UnitFileState=masked
StateChangeTimestamp=
"""

JOURNAL_EMPTY = "-- No entries --\n"

JOURNAL_NOT_ALLOWED = """\
[stderr]
Hint: You are currently not seeing messages from other users and the system.
      Users in groups 'adm', 'systemd-journal' can see all messages.
      Pass -q to turn off this notice.
No journal files were opened due to insufficient permissions.
"""

JOURNAL_HIDDEN = """\
-- No entries --
[stderr]
Hint: You are currently not seeing messages from other users and the system.
      Users in groups 'adm', 'systemd-journal' can see all messages.
      Pass -q to turn off this notice.
"""

NOT_SHOWN = "[denied: only root and members of wheel, sudo are shown the last entries of a unit's journal]"

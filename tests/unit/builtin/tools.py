"""What more of the real tools printed: pacman 7, dpkg 1.22, iproute2 6.15, util-linux 2.41, systemd 257, sshd 10."""

from tests.unit.builtin.conversation import Printed

# ruff: noqa: E501 - as it was printed

NO_COMMAND = Printed(text="[stderr]\nbash: line 1: it: command not found\n", outcome="failed", status=127)
NO_PACKAGE = Printed(text="[stderr]\nerror: package 'htop' was not found\n", outcome="failed", status=1)
NOT_ALLOWED = Printed(
    text="[denied: only root and members of wheel, sudo are shown which process listens on which port]",
    outcome="failed",
)
SILENT = Printed(outcome="failed", status=1)

SS = """\
tcp LISTEN 0      128    0.0.0.0:22   0.0.0.0:*
tcp LISTEN 0      5      0.0.0.0:8099 0.0.0.0:*
tcp LISTEN 0      244  127.0.0.1:5432 0.0.0.0:*
udp UNCONN 0      0    10.0.0.5%eth0:68 0.0.0.0:*
tcp LISTEN 0      128       [::]:22      [::]:*
"""
SS_OWNERS = """\
tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=179,fd=6)) cgroup:/system.slice/ssh.service
tcp LISTEN 0 5 0.0.0.0:8099 0.0.0.0:* users:(("python3",pid=175,fd=3)) cgroup:/system.slice/shop-web.service
tcp LISTEN 0 244 127.0.0.1:5432 0.0.0.0:* users:(("postgres",pid=88,fd=5)) cgroup:/system.slice/postgresql.service
udp UNCONN 0 0 10.0.0.5%eth0:68 0.0.0.0:* users:(("dhcpcd",pid=60,fd=9)) cgroup:/system.slice/dhcpcd.service
tcp LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=179,fd=7)) cgroup:/system.slice/ssh.service
"""
SS_ESTABLISHED = """\
0 0 10.0.0.5:22 10.0.0.9:51122
0 0 10.0.0.5:22 10.0.0.9:51124
0 0 [fd00::5]:48122 [fd00::9]:443
"""
NFT = """\
table inet filter {
\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\tct state established,related accept
\t\ttcp dport 22 accept
\t}
}
"""
SUDO_RULES = """\
/etc/sudoers.d/90-shop:1:carol ALL=(ALL) NOPASSWD: ALL
/etc/sudoers.d/90-shop:2:bob ALL=(root) NOPASSWD: /usr/bin/systemctl restart shop-web
/etc/sudoers.d/old.bak:1:dave ALL=(ALL) NOPASSWD: ALL
/etc/sudoers:9:Defaults:erin !authenticate
"""
SSHD = """\
port 22
permitrootlogin yes
passwordauthentication yes
permitemptypasswords no
x11forwarding no
"""
FAILED_LOGINS = """\
2026-11-21T16:39:57+00:00 testbed su[233]: pam_unix(su:auth): authentication failure; logname= uid=1001 euid=0 tty= ruser=bob rhost=  user=carol
2026-11-21T16:41:02+00:00 testbed sshd[311]: Failed password for invalid user admin from 203.0.113.9 port 41822 ssh2
2026-11-21T16:41:05+00:00 testbed sshd[311]: Failed password for invalid user admin from 203.0.113.9 port 41822 ssh2
"""
PACMAN_QI = """\
Name            : htop
Version         : 3.4.1-1
Description     : Interactive process viewer
Installed Size  : 365.83 KiB
Install Date    : Sat 21 Nov 2026 09:54:12 AM UTC
"""
DPKG_W = "htop\t3.4.1-5\tinstalled\t387\tinteractive processes viewer\n"
PACMAN_LOG = """\
[2026-11-20T08:00:01+0000] [ALPM] installed nginx (1.28.0-1)
[2026-11-21T09:54:12+0000] [ALPM] installed htop (3.4.1-1)
[2026-11-21T09:54:13+0000] [ALPM] upgraded openssl (3.5.1-1 -> 3.5.2-1)
[2026-11-21T09:55:00+0000] [ALPM] removed nano (8.4-1)
"""
DPKG_LOG = """\
2026-11-20 10:00:01 install jq:amd64 <none> 1.7.1-6
2026-11-21 10:00:01 upgrade curl:amd64 8.14.1-1 8.14.1-2
2026-11-21 10:00:02 status installed curl:amd64 8.14.1-2
"""
PACMAN_QU = "linux 6.12.1-1 -> 6.12.4-1\nopenssl 3.5.1-1 -> 3.5.2-1\nheld 1-1 -> 2-1 [ignored]\n"
APT_UPGRADABLE = "Listing...\ncurl/stable 8.14.1-2 amd64 [upgradable from: 8.14.1-1]\n"
AGES = "1795000000.5 /var/lib/pacman/sync/core.db\n1794000000.0 /var/lib/pacman/sync/extra.db\n"
GETENT_PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
alice:x:1000:1000:Alice:/home/alice:/bin/bash
bob:x:1001:1001:Bob:/home/bob:/bin/zsh
nobody:x:65534:65534:nobody:/:/usr/sbin/nologin
"""
GETENT_GROUP = "root:x:0:\nwheel:x:998:alice\nshop:x:1005:alice,bob\nalice:x:1000:\nbob:x:1001:\n"
LIST_TIMERS = """\
Sat 2026-11-21 16:54:36 UTC 4min left - - systemd-tmpfiles-clean.timer systemd-tmpfiles-clean.service
Sun 2026-11-22 00:00:00 UTC 7h left Sat 2026-11-21 00:00:02 UTC 16h ago logrotate.timer logrotate.service
n/a n/a n/a n/a fstrim.timer fstrim.service
"""
CRONTAB = "17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n@daily backup /usr/local/bin/backup\n"
ANALYZE = (
    "Startup finished in 2.1s (kernel) + 8.4s (userspace) = 10.5s \ngraphical.target reached after 8.4s in userspace.\n"
)
BLAME = "1min 2.004s fstrim.service\n     4.201s NetworkManager-wait-online.service\n      812ms docker.service\n"
JOURNAL_ERRORS = """\
2026-11-21T09:15:36+00:00 shop1 systemd[1]: Failed to start shop-sync.service - Sync the shop's stock.
2026-11-21T09:16:36+00:00 shop1 kernel: I/O error, dev sda, sector 2048
2026-11-21T09:17:36+00:00 shop1 systemd[1]: Failed to start other.service.
"""
SESSIONS = "  1 1000 alice seat0 812  user    tty1 no -\n 12 1001 bob   -     913  user    pts/0 no -\n  3 1000 alice -     820  manager -    no -\n"
LAST = "bob      pts/0        203.0.113.7      Sat Nov 21 16:00:12 2026   still logged in\nreboot   system boot  6.12.57          Sat Nov 21 09:00:01 2026   still running\n"
LSCPU = '{"lscpu":[{"field":"Architecture:","data":"x86_64"},{"field":"CPU(s):","data":"8"},{"field":"Vendor ID:","data":"AuthenticAMD","children":[{"field":"Model name:","data":"AMD Ryzen 7 5700U"}]}]}'
LSBLK = '{"blockdevices":[{"name":"nvme0n1","size":512110190592,"type":"disk","model":"Samsung 980","fstype":null,"mountpoint":null,"children":[{"name":"nvme0n1p2","size":502392610816,"type":"part","fstype":"ext4","mountpoint":"/","model":null}]},{"name":"zram0","size":0,"type":"disk","model":null,"fstype":null,"mountpoint":null}]}'
FINDMNT = '{"filesystems":[{"target":"/","source":"/dev/nvme0n1p2","fstype":"ext4","fs-options":"rw,errors=remount-ro"},{"target":"/boot","source":"/dev/nvme0n1p1","fstype":"vfat","fs-options":"ro,fmask=0077"}]}'
LINK_DOWN = '[{"ifname":"lo","flags":["LOOPBACK","UP"],"operstate":"UNKNOWN"},{"ifname":"eth0","flags":["BROADCAST","UP"],"operstate":"DOWN"}]'
LINK_UP = '[{"ifname":"lo","flags":["LOOPBACK","UP"],"operstate":"UNKNOWN"},{"ifname":"eth0","flags":["BROADCAST","UP","LOWER_UP"],"operstate":"UP"}]'
ADDRESS_NONE = '[{"ifname":"eth0","flags":["UP"],"addr_info":[]}]'
ADDRESS_ONE = '[{"ifname":"eth0","flags":["UP"],"addr_info":[{"family":"inet","local":"10.0.0.5","prefixlen":24,"scope":"global"}]}]'
ROUTE_ONE = '[{"dst":"default","gateway":"10.0.0.1","dev":"eth0"}]'
RECORDS = """\
{"kind":"decided","at":"2026-11-21T16:50:37.100Z","tier":"auto_allow","decision":"allowed","action":"free -b"}
{"kind":"done","at":"2026-11-21T16:50:37.200Z","tier":"auto_allow","outcome":"done"}
{"kind":"decided","at":"2026-11-21T16:51:00.000Z","tier":"require_approval","decision":"approved","action":"sudo systemctl restart nginx"}
{"kind":"decided","at":"2026-11-20T16:51:00.000Z","tier":"deny","decision":"denied","action":"rm -rf /"}
{"kind":"decided","at":"2026-11-20T16:52:00.000Z","tier":"notify","decision":"allowed","action":"kubectl get pods"}
{"kind":"decided","at":"2026-11-20T16:53:00.000Z","tier":"notify","tool":"observe","decision":"allowed","action":"observe sshd"}
{"kind":"decided","at":"2026-11-20T16:54:00.000Z","tier":"notify","tool":"observe","decision":"refused","action":"observe listeners"}
"""
FOUND = """\
92\t2025-04-07 10:38\t/etc/pam.d/chpasswd
1217\t2026-05-20 16:27\t/etc/passwd-
1217\t2026-05-20 16:27\t/etc/passwd
"""

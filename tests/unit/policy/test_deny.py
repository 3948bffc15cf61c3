"""Deny cannot be talked around: each evasion is denied by the shipped policy, and its benign twin is not."""

from pathlib import Path

import pytest

from aiosd.policy import Opaque, Program, recognise
from aiosd.types import Tier
from tests.unit.policy.samples import policy_of, shipped_policy, tiers, verdict

# evasion, benign twin
_TWINS: list[tuple[str, str]] = [
    # spelling of flags
    ("rm -rf /", "rm -rf /srv/app/build"),
    ("rm -fr /", "rm -f /tmp/x"),
    ("rm -r -f /", "rm -r -f build"),
    ("rm -R /", "rm -R build"),
    ("rm -Rf /", "rm -Rf ./build"),
    ("rm -rvf /", "rm -rvf build"),
    ("rm -vrf /", "rm -v x"),
    ("rm --recursive --force /", "rm --recursive --force build"),
    ("rm --recurs --fo /", "rm --recurs build"),
    ("rm --force --recursive -- /", "rm --force -- x"),
    ("rm / -rf", "rm build -rf"),
    ("rm -f / -r", "rm -f x -r"),
    ("rm -rf build /", "rm -rf build /srv/x"),
    ("rm -rf --one-file-system /", "rm -rf --one-file-system /srv/x"),
    ("rm --no-preserve-root -rf /srv", "rm -rf /srv/x"),
    ("rm --no-preserve -rf x", "rm --preserve-root -rf x"),
    ("rm -rf -- /", "rm -rf -- -"),
    # what the line itself sets, and the home
    ("X=/; rm -rf $X", "X=build; rm -rf $X"),
    ("T=/usr; rm -rf \"${T}\"", "T=/usr; du -s \"${T}\"; rm -rf build"),
    ("for d in / /tmp; do rm -rf $d; done", "for d in / /tmp; do ls $d; done; rm -rf build"),
    ("A=/; B=$A; rm -rf $B", "A=/; B=/srv/x; ls $A; rm -rf $B"),
    ("rm -rf $HOME/../..", "rm -rf $HOME/build"),
    # a text in the word of its option
    ("env -S'rm -rf /'", "env -S'rm -rf build'"),
    ("env --split-string='rm -rf /'", "env --split-string='rm -rf build'"),
    # a pattern that takes in what may not go
    ("rm -rf /u*", "rm -rf /srv/u*"),
    ("rm -rf /home/*", "rm -rf /home/alice/build/*"),
    ("rm -rf /var/*", "rm -rf /var/tmp/*"),
    ("chmod -R 777 /*", "chmod -R 755 /srv/*"),
    # spelling of paths
    ("rm -rf //", "rm -rf //srv//x"),
    ("rm -rf /.", "rm -rf /srv/."),
    ("rm -rf /./", "rm -rf ./"),
    ("rm -rf /..", "rm -rf /srv/x/.."),
    ("rm -rf /usr/../", "rm -rf /usr/local/x/../y"),
    ("rm -rf /home/alice/../..", "rm -rf /home/alice/src/.."),
    ("rm -rf ../../..", "rm -rf ../x"),
    ("rm -rf ~/../..", "rm -rf ~/x/.."),
    ("rm -rf /usr", "rm -rf /usr/local/share/x"),
    ("rm -rf /etc/", "rm -rf /etc/nginx/sites-enabled/x"),
    ("rm -rf /home", "rm -rf /home/alice/x"),
    ("rm -rf /proc/self/root", "rm -rf /proc/self/root/srv/x"),
    ("rm -rf '/'", "rm -rf '/srv/x'"),
    ('rm -rf "/"', 'rm -rf "/srv/x"'),
    ("rm -rf \\/", "rm -rf \\/srv/x"),
    ("rm -rf /*", "rm -rf /srv/x/*"),
    ("rm -rf /**", "rm -rf x/**"),
    ("rm -rf /?*", "rm -rf x/?*"),
    ("rm -rf /[a-z]*", "rm -rf x/[a-z]*"),
    ("rm -rf /*/*", "rm -rf /srv/*/x"),
    ("rm -rf /./*", "rm -rf ./*"),
    ("rm -rf //*", "rm -rf /srv/*"),
    # spelling of the command
    ("/bin/rm -rf /", "/bin/rm -rf /srv/x"),
    ("/usr/bin/../bin/rm -rf /", "/usr/bin/../bin/rm x"),
    ("'rm' -rf /", "'rm' -rf x"),
    ("r\\m -rf /", "r\\m -rf x"),
    ('r""m -rf /', 'r""m -rf x'),
    ("\"r\"'m' -rf /", "\"r\"'m' x"),
    ("/bin/r? -rf /", "/bin/l? -rf /"),
    ("/bin/[r]m -rf /", "/bin/[l]s -rf /"),
    ("$'rm' -rf /", "$'ls' -rf /"),
    ("$'\\x72\\x6d' -rf /", "$'\\x6c\\x73' -rf /"),
    ("$'\\162m' -rf /", "$'\\154s' -rf /"),
    ("r$@m -rf /", "l$@s -rf /"),
    ("r${x}m -rf /", "l${x}s -rf /"),
    ("${x:-rm} -rf /", "${x:-ls} -rf /"),
    ("${x=rm} -rf /", "${x=ls} -rf /"),
    ("r\\\nm -rf /", "l\\\ns -rf /"),
    ("rm \\\n-rf \\\n/", "rm \\\n-rf \\\n/srv/x"),
    ("$x/bin/rm -rf /", "$x/bin/ls -rf /"),
    ('"$x"rm -rf /', '"$x"ls -rf /'),
    ("rm${IFS}-rf${IFS}/", "ls${IFS}-rf${IFS}/"),
    ("rm$IFS-rf$IFS/", "ls$IFS-l$IFS/"),
    ("{rm,-rf,/}", "{ls,-rf,/}"),
    ("rm -r{f,v} /", "rm -r{f,v} x"),
    ("rm -rf /{,}", "rm -rf x{,}"),
    ("rm -rf /$x", "rm -rf /srv/$x"),
    ('rm -rf "/$x"', 'rm -rf "$x"'),
    ("rm -rf /${x:-}", "rm -rf /srv/${x:-y}"),
    # wrappers
    ("sudo rm -rf /", "sudo rm -rf /srv/x"),
    ("sudo -n -u root rm -rf /", "sudo -n ls /"),
    ("sudo -E rm -rf /", "sudo -E ls /"),
    ("sudo --preserve-env=A rm -rf /", "sudo --preserve-env=A ls /"),
    ("doas rm -rf /", "doas ls /"),
    ("env rm -rf /", "env ls /"),
    ("env A=b rm -rf /", "env A=b ls /"),
    ("env -i -u HOME rm -rf /", "env -i -u HOME ls /"),
    ("nice -n 5 rm -rf /", "nice -n 5 ls /"),
    ("nice -5 rm -rf /", "nice -5 ls /"),
    ("nohup rm -rf /", "nohup ls /"),
    ("timeout 5 rm -rf /", "timeout 5 ls /"),
    ("timeout -s KILL -k 5 10 rm -rf /", "timeout -s KILL 10 ls /"),
    ("timeout --signal=KILL 5 env nice rm -rf /", "timeout 5 env nice ls /"),
    ("timeout --unheard-of 5 rm -rf /", "timeout --unheard-of 5 ls /"),
    ("setsid -f rm -rf /", "setsid -f ls /"),
    ("stdbuf -oL rm -rf /", "stdbuf -oL ls /"),
    ("ionice -c 3 rm -rf /", "ionice -c 3 ls /"),
    ("/usr/bin/time -f %e rm -rf /", "/usr/bin/time -f %e ls /"),
    ("chroot / rm -rf /", "chroot / ls /"),
    ("flock /tmp/l rm -rf /", "flock /tmp/l ls /"),
    ("flock /tmp/l -c 'rm -rf /'", "flock /tmp/l -c 'ls /'"),
    ("unshare -r rm -rf /", "unshare -r ls /"),
    ("nsenter -t 1 -m rm -rf /", "nsenter -t 1 -m ls /"),
    ("busybox rm -rf /", "busybox ls /"),
    ("script -qc 'rm -rf /' /dev/null", "script -qc 'ls /' /dev/null"),
    ("watch -n 1 'rm -rf /'", "watch -n 1 'ls /'"),
    ("ssh host rm -rf /", "ssh host ls /"),
    ("su -c 'rm -rf /'", "su -c 'ls /'"),
    ("su - root -c 'rm -rf /'", "su - root -c 'ls /'"),
    ("systemd-run --scope rm -rf /", "systemd-run --scope ls /"),
    ("strace -f rm -rf /", "strace -f ls /"),
    ("echo / | xargs rm -rf", "echo /srv/x | xargs rm -rf"),
    ("printf '%s\\n' '-rf /' | xargs rm", "printf '%s\\n' x | xargs rm"),
    ("xargs -n 1 rm -rf / < x", "xargs -n 1 rm -rf < x"),
    ("find . -exec rm -rf / \\;", "find . -name x -exec rm {} \\;"),
    ("find . -name a -execdir rm -rf / {} +", "find . -name a -execdir ls {} +"),
    # shells and text
    ("sh -c 'rm -rf /'", "sh -c 'rm -rf x'"),
    ("bash -lc 'rm -rf /'", "bash -lc 'ls'"),
    ("bash -c 'cd x && rm -rf /'", "bash -c 'cd x && rm -rf y'"),
    ("bash -c \"sh -c 'rm -rf /'\"", "bash -c \"sh -c 'ls /'\""),
    ("bash -x -e -c 'rm -rf /' name", "bash -x -e -c 'ls' name"),
    ("sudo sh -c 'rm -rf /'", "sudo sh -c 'ls /'"),
    ("eval 'rm -rf /'", "eval 'ls /'"),
    ("eval rm -rf /", "eval ls /"),
    ("echo 'rm -rf /' | sh", "echo 'ls /' | sh"),
    ("echo rm -rf / | sudo bash", "echo ls / | sudo bash"),
    ("printf 'rm -rf /' | bash -s", "printf 'ls /' | bash -s"),
    ("bash <<< 'rm -rf /'", "bash <<< 'ls /'"),
    ("bash <<EOF\nrm -rf /\nEOF", "bash <<EOF\nls /\nEOF"),
    ("echo 'rm -rf /' | $SHELL", "echo 'ls /' | $SHELL"),
    # places in a line
    ("ls; rm -rf /", "ls; rm -rf x"),
    ("ls && rm -rf /", "ls && rm -rf x"),
    ("ls || rm -rf /", "ls || rm -rf x"),
    ("ls\nrm -rf /", "ls\nrm -rf x"),
    ("ls | rm -rf /", "ls | rm -rf x"),
    ("rm -rf / &", "rm -rf x &"),
    ("(rm -rf /)", "(rm -rf x)"),
    ("{ rm -rf /; }", "{ rm -rf x; }"),
    ("! rm -rf /", "! rm -rf x"),
    ("if true; then rm -rf /; fi", "if true; then rm -rf x; fi"),
    ("while true; do rm -rf /; done", "while true; do rm -rf x; done"),
    ("case x in x) rm -rf /;; esac", "case x in x) rm -rf y;; esac"),
    ("f() { rm -rf /; }; f", "f() { rm -rf x; }; f"),
    ("function f { rm -rf /; }", "function f { rm -rf x; }"),
    ("echo $(rm -rf /)", "echo $(rm -rf x)"),
    ("echo `rm -rf /`", "echo `rm -rf x`"),
    ('echo "$(rm -rf /)"', 'echo "$(rm -rf x)"'),
    ("cat <(rm -rf /)", "cat <(ls /)"),
    ("A=b rm -rf /", "A=b ls /"),
    ("A=b C=d rm -rf /", "A=b C=d ls /"),
    ("x='rm -rf /'; $x", "x='ls /'; $x"),
    ("$x rm -rf /", "$x ls /"),
    ("rm -rf / > log 2>&1", "rm -rf x > log 2>&1"),
    (">x rm -rf /", ">x ls /"),
    ("time rm -rf /", "time ls /"),
    ("exec rm -rf /", "exec ls /"),
    ("command rm -rf /", "command ls /"),
    ("trap 'rm -rf /' EXIT", "trap 'ls /' EXIT"),
    ("cd / && rm -rf *", "cd /srv/x && rm -rf *"),
    ("cd /; rm -rf .", "cd /srv; rm -rf ./x"),
    ("cd ..; cd /; rm -rf ./*", "cd build; rm -rf ./*"),
    # other rules
    ("mkfs /dev/sdb", "man mkfs"),
    ("mkfs.ext4 /dev/sdb1", "man mkfs.ext4"),
    ("/sbin/mkfs.xfs -f /dev/sdb", "ls -l /sbin/mkfs.xfs"),
    ("sudo mkfs -t ext4 /dev/sdb", "which mkfs"),
    ("for d in b c; do mkfs.ext4 /dev/sd$d; done", "for d in b c; do file /sbin/mkfs.ext$d; done"),
    ("wipefs --all /dev/sdb", "wipefs /dev/sdb"),
    ("wipefs -fa /dev/sdb", "wipefs -J /dev/sdb"),
    ("dd if=/dev/zero of=/dev/sda", "dd if=/dev/zero of=/tmp/x count=1"),
    ("dd of=/dev/sda bs=1M", "dd if=/dev/sda of=/tmp/mbr count=1"),
    ("dd if=x of=//dev/./sda", "dd if=x of=/dev/null"),
    ("dd if=x of=/dev/disk/by-id/x", "dd if=/dev/disk/by-id/x of=x"),
    ("cd /dev; dd if=x of=sda", "cd /tmp; dd if=x of=sda"),
    ("sudo dd if=x of=/dev/nvme0n1", "sudo dd if=/dev/nvme0n1 of=x count=1"),
    ("cat x > /dev/sda", "cat x > /dev/shm/x"),
    ("cat x >| /dev/sda", "cat x >| out"),
    ("cat x >/dev//sdb1", "cat /dev/sdb1 > x"),
    ("echo b > /proc/sysrq-trigger", "cat /proc/sysrq-trigger"),
    ("cat x | tee /dev/sda", "cat x | tee out"),
    ("shred -n1 /dev/sda", "shred -u /tmp/x"),
    (":(){ :|:& };:", "hello(){ echo hi; }; hello"),
    (":() { : | : & } ; :", "a() { b | c & }; a"),
    ("bomb(){ bomb|bomb& };bomb", "f(){ f2|f3& };f"),
    ("chmod -R 777 /", "chmod -R 755 /srv/x"),
    ("chmod 777 / -R", "chmod 755 /srv"),
    ("chown --recursive alice /", "chown --recursive alice /srv/x"),
    ("kill -9 -1", "kill -9 1234"),
    ("mv /* /tmp", "mv x/* /tmp"),
    # find over all that is there, and what narrows it
    ("find / -delete", "find ./build -delete"),
    ("find / -type f -delete", "find / -name '*.pyc' -type f -delete"),
    ("find / -mindepth 1 -xdev -delete", "find / -xdev -empty -delete"),
    ("find /etc -depth -delete", "find /etc -name '*.pacnew' -delete"),
    ("find / -delete -name core", "find / -name core -delete"),
    ("find / -name core -o -delete", r"find / \( -name core -o -name '*.core' \) -delete"),
    ("find / ! -name keep -delete", "find /srv/x ! -name keep -delete"),
    ("find / -name '*' -delete", "find / -name '*~' -delete"),
    ("find /usr /tmp -user root -delete", "find /usr /tmp -user alice -delete"),
    ("find /var/* -delete", "find /var/tmp/x -delete"),
    ("find / -exec rm -f {} +", "find / -name '*.tmp' -exec rm -f {} +"),
    ("find / -exec sudo rm {} \\;", "find / -exec ls {} \\;"),
    ("find /usr -type f -exec shred -u {} +", "find build -type f -exec shred -u {} +"),
    ("find / -print0 | xargs -0 rm -f", "find / -name '*.bak' -print0 | xargs -0 rm -f"),
    ("find /etc -type f | xargs chmod 777", "find /etc -type f | xargs ls -l"),
    ("sudo find / -delete", "sudo find /srv/cache -delete"),
    ("cd / && find . -delete", "cd /srv/x && find . -delete"),
    ("find / $x -delete", "find /srv/x $x -delete"),
    # what is written onto a disk by a command instead of a redirection
    ("cp x.img /dev/sda", "cp /dev/sda x.img"),
    ("cp x.img /dev/nvme0n1 -v", "cp x /dev/shm/y"),
    ("cp -t /dev/sda x", "cp -t /dev/shm x"),
    ("cp --target-dir=/dev/sda x", "cp --target-directory=/srv x /dev/sda"),
    ("cp -S .b x /dev/sda -S .c", "cp -S /dev/sda x y"),
    ("mv x /dev/sda", "mv /dev/sda.img x"),
    ("install -m 600 x /dev/vda", "install -m 600 x /usr/local/bin/x"),
    ("ln -sf /dev/null /dev/sda", "ln -s /dev/sda disk"),
    ("rsync -a x /dev/sda", "rsync -a /dev/sda x"),
    ("sort -o /dev/sda x", "sort -o x /dev/sda"),
    ("sort -ro/dev/sda x", "sort -k1o /dev/sda"),
    ("curl -o /dev/sda https://example.org/x", "curl -o x https://example.org/dev/sda"),
    ("curl --output=/dev/sda https://example.org/x", "curl -sO https://example.org/x"),
    ("wget -O /dev/sda https://example.org/x", "wget -O x https://example.org/x"),
    ("truncate -s 0 /dev/sda", "truncate -s 0 x"),
    ("tee -a x /dev/dm-0", "tee -a x /dev/null"),
    ("echo /dev/sda | xargs cp x", "echo /dev/shm/x | xargs cp x"),
    ("find . -fprint /dev/sda", "find /dev/sda -fprint x"),
    ("cp x /dev/block/8:0", "cp x /dev/null"),
    ("cat x | sponge /dev/sda", "cat /dev/sda | sponge x"),
    ("dcfldd if=x of=/dev/sda", "dcfldd if=/dev/sda of=x"),
    ("for d in a b; do cp x /dev/sd$d; done", "for d in a b; do cp /dev/sd$d x; done"),
    # what a program in another language plainly does
    ("python3 -c 'import os; os.system(\"rm -rf /\")'", "python3 -c 'import os; os.system(\"rm -rf build\")'"),
    ("python -c 'import shutil; shutil.rmtree(\"/\")'", "python -c 'import shutil; shutil.rmtree(\"/srv/x\")'"),
    ("python3 -c \"import shutil; shutil.rmtree('/etc', True)\"", "python3 -c \"print('rmtree(/etc)')\""),
    ("python3 -c 'subprocess.run([\"rm\", \"-rf\", \"/\"])'", "python3 -c 'print([\"rm\", \"-rf\", \"/\"])'"),
    ("python3 - <<'E'\nimport shutil\nshutil.rmtree('/')\nE", "cat > x.py <<'E'\nimport shutil\nshutil.rmtree('/')\nE"),
    ("perl -e 'system \"rm -rf /\"'", "perl -e 'system \"ls /\"'"),
    ("perl -e 'exec(\"rm\", \"-rf\", \"/\")'", "perl -ne 'print if /rm -rf/'"),
    ("perl -e '`rm -rf /`'", "perl -e '`ls /`'"),
    ("ruby -e 'require \"fileutils\"; FileUtils.rm_rf \"/\"'", "ruby -e 'puts \"rm_rf\"'"),
    ("node -e 'fs.rmSync(\"/\", {recursive: true})'", "node -e 'fs.rmSync(\"./dist\", {recursive: true})'"),
    ("awk 'BEGIN { system(\"rm -rf /\") }'", "awk 'BEGIN { system(\"ls /\") }'"),
    ("awk 'BEGIN { print 1 | \"rm -rf /\" }'", "awk 'BEGIN { print \"rm -rf /\" }'"),
    ("php -r 'shell_exec(\"mkfs.ext4 /dev/sda\");'", "php -r 'echo \"mkfs.ext4 /dev/sda\";'"),
    ("lua -e 'os.execute(\"dd if=x of=/dev/sda\")'", "lua -e 'print(\"dd of=/dev/sda\")'"),
    # rights on what the system stands on
    ("chmod -R 000 /etc", "chmod -R 000 /etc/nginx"),
    ("chmod -R a-x /usr", "chmod -R a-x /usr/local/share/x"),
    ("chown -R alice: /var", "chown -R alice: /home/alice"),
    ("chgrp -Rh users /etc/", "chgrp -Rh users /srv"),
    ("chmod 000 /", "chmod 000 x"),
    ("setfacl -R -m u:alice:rwx /", "setfacl -R -m u:alice:rwx /srv/x"),
    ("rm -rf /usr/lib", "rm -rf /usr/local/lib/x"),
    ("rm -rf /var/lib", "rm -rf /var/lib/x"),
    # other ways to erase a disk
    ("badblocks -wsv /dev/sdb", "badblocks -nsv /dev/sdb"),
    ("nvme format /dev/nvme0n1", "nvme list"),
    ("hdparm --security-erase p /dev/sda", "hdparm -I /dev/sda"),
    ("cryptsetup luksErase /dev/sda2", "cryptsetup luksDump /dev/sda2"),
]  # fmt: skip


def test_there_are_many_evasions_and_no_two_are_the_same() -> None:
    assert len(_TWINS) >= 100
    assert len({evasion for evasion, _ in _TWINS}) == len(_TWINS)


@pytest.mark.parametrize(("evasion", "twin"), _TWINS)
def test_an_evasion_is_denied_and_its_benign_twin_is_not(evasion: str, twin: str) -> None:
    denied = verdict(shipped_policy(), evasion)
    assert denied.tier is Tier.DENY, denied
    allowed = verdict(shipped_policy(), twin)
    assert allowed.tier is not Tier.DENY, allowed


@pytest.mark.parametrize(
    "line",
    [
        "echo 'rm -rf /'",
        "echo rm -rf /",
        "echo rm -rf / | cat",
        "printf '%s\\n' 'mkfs.ext4 /dev/sda'",
        "git commit -m 'mkfs: document rm -rf /'",
        "git log --grep 'rm -rf /'",
        "grep -rn 'rm -rf /' docs",
        "grep mkfs /etc/fstab",
        "timeout 5 grep mkfs /etc/fstab",
        "env LC_ALL=C grep 'rm -rf /' x",
        "nice -n 5 grep -r mkfs .",
        "find . -name 'mkfs*'",
        "find / -name rm",
        "awk '/mkfs/' x",
        "awk '/rm -rf \\//' x",
        "sed -n '/mkfs/p' x",
        "man mkfs.ext4",
        "which mkfs.ext4",
        "ls -l /sbin/mkfs.ext4 | sort",
        "pacman -Qo /usr/bin/rm",
        "bash -c 'echo \"rm -rf /\"'",
        "python3 -c 'print(\"rm -rf /\")'",
        "ls / -r",
        "echo / | xargs ls -r",
        "cat < /etc/fstab",
    ],
)
def test_text_that_is_only_an_argument_does_not_deny(line: str) -> None:
    assert isinstance(recognise(line), Program)
    assert verdict(shipped_policy(), line).tier is not Tier.DENY


def test_in_opaque_text_an_argument_in_the_middle_does_not_deny_either() -> None:
    line = 'git commit -m "$(date): document mkfs and rm -rf /"'
    assert isinstance(recognise(line), Opaque)
    assert verdict(shipped_policy(), line).tier is Tier.REQUIRE_APPROVAL


def test_the_working_directory_counts() -> None:
    policy = shipped_policy()
    lines = {"/": "rm -rf *", "/home": "rm -rf ..", "/usr/bin": "rm -rf ../../bin", "/dev": "dd if=x of=sda"}
    assert {cwd: verdict(policy, line, cwd=cwd).tier for cwd, line in lines.items()} == dict.fromkeys(lines, Tier.DENY)
    assert verdict(policy, "rm -rf *", cwd="/home/alice/src/build").tier is Tier.REQUIRE_APPROVAL


def test_a_deny_names_its_rule_and_line() -> None:
    denied = verdict(shipped_policy(), "ls; rm -rf /")
    [rule] = denied.rules
    assert (rule.name, rule.tier, rule.file.endswith("00-defaults.toml")) == ("rm -r /", Tier.DENY, True)
    with open(rule.file, encoding="utf-8") as file:
        assert '"rm -r /"' in file.read().splitlines()[rule.line - 1]


def test_deny_patterns_of_ones_own_are_as_wide(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path / "policy",
        """
        [permissions]
        auto_allow = ["git", "ls", "systemctl"]
        deny = [
            "curl", "git push --force", "systemctl poweroff", "docker run --privileged", "> /etc/*", "nc -e*",
            "iptables -F",
        ]
        """,
    )
    denied = [
        "curl x",
        "/usr/bin/curl x",
        "env curl x",
        "ls $(curl x)",
        "git push --force",
        "git push origin main --force",
        "git push --forc",
        "git -C /srv push --force",
        "systemctl --no-block poweroff",
        "sudo systemctl poweroff",
        "docker run -it --privileged x",
        "echo x > /etc/passwd",
        "echo x >>/etc//hosts",
        "nc -le /bin/sh",
        "iptables -t nat -F",
    ]
    others = [
        "ls curl",
        "git log --grep=push",
        "git push",
        "systemctl status poweroff.target",
        "docker run x",
        "echo x > /tmp/etc",
        "nc -l 80",
        "iptables -L",
    ]
    assert tiers(policy, denied) == dict.fromkeys(denied, "deny")
    assert "deny" not in tiers(policy, others).values()


def test_text_with_more_pieces_than_can_be_searched_is_denied_and_a_long_script_is_asked_about() -> None:
    assert verdict(shipped_policy(), "=cd a;" * 5000).tier is Tier.DENY
    assert verdict(shipped_policy(), "cat > x <<'E'\n" + "rm old\nls\n" * 200 + "E").tier is Tier.REQUIRE_APPROVAL


@pytest.mark.parametrize("again", ["rm x", "rm"])
def test_a_word_that_stands_again_counts_with_all_that_follows_it_anywhere(again: str) -> None:
    assert verdict(shipped_policy(), f"watch rm -rf / {again}").tier is Tier.DENY
    assert verdict(shipped_policy(), f"watch rm -rf x {again}").tier is Tier.REQUIRE_APPROVAL

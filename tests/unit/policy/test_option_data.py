"""The option data: it compiles, it says what the tools installed here say, and an argv is read by it rightly."""

import re
import shutil
import subprocess

import pytest

from aiosd.policy import Program, Word, recognise
from aiosd.policy.judge import Judgement, judge
from aiosd.policy.knowledge import Arity, Knowledge, KnowledgeError, Spec, load_knowledge
from aiosd.types import Facet

KNOWLEDGE = load_knowledge()


def judged(line: str) -> Judgement:
    program = recognise(line)
    assert isinstance(program, Program), f"{line!r}: {program}"
    [command] = program.commands()
    return judge(KNOWLEDGE, command.argv)


def every_spec(spec: Spec) -> list[Spec]:
    return [spec, *(inner for each in (*spec.subs.values(), *spec.forms) for inner in every_spec(each))]


@pytest.mark.parametrize("command", sorted(KNOWLEDGE.commands()))
def test_every_command_compiles(command: str) -> None:
    spec = KNOWLEDGE.spec(command)
    assert spec is not None
    for each in every_spec(spec):
        assert each.facets is None or not each.facets >= {Facet.BUS, Facet.SOCKETS}, "these two are never joined"


def test_there_is_data_for_the_everyday_commands() -> None:
    harmless = [name for name in KNOWLEDGE.commands() if judge(KNOWLEDGE, _words(name)).harmless]
    assert len(harmless) >= 80, len(harmless)


def _words(name: str) -> tuple[Word, ...]:
    return (Word(text=name),)


@pytest.mark.parametrize(
    "line",
    [
        "ls -la --color=never /etc",
        "ls -l -- -odd-name",
        "ls -Ihidden -I hidden -w80",
        "cat -n a b",
        "head -20 x",
        "head -n 5 -q a b",
        "tail -n +5 x",
        "stat -c %s x",
        "stat --format=%s x",
        "wc -l",
        "sort -t: -k2,2n -u -S 10M x",
        "sort -rnk 2",
        "uniq -c x",
        "cut -d, -f1-3 x",
        "tr -d '\\n'",
        "date +%F",
        "date -u -d '2 days ago' +%s",
        "date -Iseconds",
        "df -hT /",
        "du -sh --exclude=.git .",
        "du -d1 -x /var",
        "id -un alice",
        "uname -a",
        "printf '%s\\n' -a --b",
        "echo -e -n --anything",
        "test -f x -a -r x",
        "[ a = b ]",
        "env",
        "printenv PATH",
        "find . -name '*.py' -newermt yesterday -print0",
        "find / -xdev -type f \\( -perm -4000 -o -perm -2000 \\) -ls",
        "grep -rnE 'a|b' --include='*.c' src",
        "grep -A3 -B 2 -e -x file",
        "grep -c '' -- -x",
        "rg -n -g '*.rs' --hidden TODO",
        "sed -n '10,20p' x",
        "sed 's/a/b/g' x",
        "sed --sandbox -e 's/a/b/;y/abc/xyz/' x",
        "diff -u a b",
        "cmp -s a b",
        "tree -a -L 2 -d",
        "file -b --mime-type x",
        "strings -n 8 x",
        "xxd -l 16 x",
        "hexdump -C -n 64 x",
        "column -t -s: x",
        "jq -r '.a[] | .b' x",
        "jq --arg a b '.x' file",
        "ps aux",
        "ps -ef",
        "ps -eo pid,comm --sort=-rss",
        "ps -p 1 -o comm=",
        "top -b -n 1",
        "top -bn1 -o %MEM",
        "pgrep -a sshd",
        "pidof -s init",
        "pstree -p alice",
        "free -h",
        "uptime -p",
        "vmstat",
        "vmstat 1 3",
        "last -n 5",
        "who -b",
        "lscpu -J",
        "lsblk -o NAME,SIZE -J",
        "findmnt -t ext4 --json",
        "mount",
        "mount -l",
        "swapon --show",
        "dmesg -T --level=err",
        "hostname",
        "hostname -I",
        "getent passwd alice",
        "sysctl -n vm.swappiness",
        "sysctl vm.swappiness kernel.hostname",
        "which -a python3",
        "systemctl status nginx",
        "systemctl --no-pager --full list-timers --all",
        "systemctl list-units --type=service --state=running",
        "systemctl is-active sshd",
        "systemctl --failed",
        "systemctl show -p ActiveState,SubState --value nginx",
        "journalctl -u ssh -n 50 --no-pager --since '1 hour ago'",
        "journalctl -b -1 -p err",
        "journalctl -k -n20",
        "journalctl --disk-usage",
        "loginctl list-sessions",
        "timedatectl",
        "hostnamectl status",
        "systemd-analyze blame",
        "busctl tree org.freedesktop.systemd1",
        "udevadm info -q all -n /dev/sda",
        "ip a",
        "ip -br -c addr",
        "ip -4 addr show dev eth0",
        "ip -s link show eth0",
        "ip route get 1.1.1.1",
        "ip neigh",
        "ip netns list",
        "ss -tlnp",
        "ss -s",
        "ss -tn state established '( dport = :443 )'",
        "apt-get -s dist-upgrade",
        "apt-get --dry-run -y install vim",
        "apt upgrade --simulate",
        "nm -C ./*.o",
        "strings ./@more",
        "git for-each-ref --format='%(refname)' --sort=-committerdate",
        "git log --format='%h %an %s'",
        "bat --paging=never x",
        "tput cols",
        "lsof +D /srv",
        "test -f @x",
        "java -version",
        "netstat -rn",
        "ifconfig eth0",
        "git status --short --branch",
        "git --no-pager log --oneline -20 --stat",
        "git log --since=yesterday --author alice -S needle -- src",
        "git diff HEAD~1 --name-only",
        "git show --stat HEAD",
        "git branch -a -vv",
        "git branch --contains HEAD",
        "git remote -v",
        "git remote get-url origin",
        "git stash list",
        "git config --get user.name",
        "git rev-parse --abbrev-ref HEAD",
        "git ls-files -o --exclude-standard",
        "git blame -L 1,5 x",
        "git grep -n -e needle -- src",
        "pacman -Q",
        "pacman -Qi vim",
        "pacman -Qdtq",
        "pacman -Q -u",
        "pacman -Ss editor",
        "pacman -Si vim",
        "pacman -Fl vim",
        "apt list --installed",
        "apt show vim",
        "apt-cache policy vim",
        "apt-mark showmanual",
        "dpkg -l 'lib*'",
        "dpkg -L vim",
        "dpkg -S /bin/ls",
        "dpkg-query -W -f='x' vim",
        "rpm -qa",
        "rpm -ql vim",
        "pip list --format=json",
        "pip show pytest",
        "uniq x",
        "sha256sum -c sums",
        "coredumpctl list",
        "last -5",
    ],
)
def test_harmless_lines_are_known_to_be_harmless(line: str) -> None:
    assert judged(line) == Judgement(known=True, facets=judged(line).facets)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("sort -o out x", "`-o` writes files"),
        ("sort -oout x", "`-o` writes files"),
        ("sort -uo out x", "`-o` writes files"),
        ("sort --output=out x", "`--output` writes files"),
        ("sort --outp=out x", "`--outp` abbreviates `--output`"),
        ("sort --o=out x", "`--o` abbreviates `--output`"),
        ("sort x -o out", "`-o` writes files"),
        ("sort --compress-program=sh x", "runs other programs"),
        ("sort --comp=sh x", "abbreviates `--compress-program`"),
        ("sort -T /tmp x", "`-T` writes files"),
        ("sort --rev x", "abbreviates `--reverse`"),
        ("sort --reverse=x y", "takes no value"),
        ("sort -k", "needs a value"),
        ("sort --unheard-of", "`--unheard-of` is not known to be harmless"),
        ("ls -j", "`-j` is not known to be harmless"),
        ("uniq a b", "0 or 1 operands"),
        ("uniq *", "may become several operands"),
        ("xxd a b", "0 or 1 operands"),
        ("xxd -r a", "writes files"),
        ("shuf -o out", "writes files"),
        ("tee x", "writes files"),
        ("date -s tomorrow", "changes the state"),
        ("date --set=tomorrow", "changes the state"),
        ("date 010203042025", "may set the time"),
        ("hostname evil", "only with 0 operands"),
        ("hostname -F x", "changes the state"),
        ("hostname -y", "uses the network"),
        ("printf -v x y", "`-v` is not known"),
        ("env ls", "runs other programs"),
        ("env A=b", "runs other programs"),
        ("env -i ls", "runs other programs"),
        ("tail -f x", "does not end"),
        ("tail -F x", "does not end"),
        ("tail -fn5 x", "does not end"),
        ("tail --follow=name x", "does not end"),
        ("journalctl -f", "does not end"),
        ("journalctl -fu x", "does not end"),
        ("journalctl --follow", "does not end"),
        ("journalctl --vacuum-size=1M", "destroys data"),
        ("journalctl --vacuum-time 1s", "destroys data"),
        ("journalctl --rotate", "changes the state"),
        ("journalctl --cursor-file=x", "writes files"),
        ("journalctl --root=/mnt", "not known to be harmless"),
        ("find . -delete", "destroys data"),
        ("find . -exec id {} +", "runs other programs"),
        ("find . -execdir id \\;", "runs other programs"),
        ("find . -ok id \\;", "runs other programs"),
        ("find . -fprintf out x", "writes files"),
        ("find . -fls out", "writes files"),
        ("find . -name", "needs a value"),
        ("find -- .", "`--` is not known"),
        ("rg --pre sh x", "runs other programs"),
        ("rg -z x", "runs other programs"),
        ("rg --hostname-bin=x y", "runs other programs"),
        ("sed -i s/a/b/ x", "writes files"),
        ("sed -i.bak s/a/b/ x", "writes files"),
        ("sed -n -i p x", "writes files"),
        ("sed s/a/b/w x", "not one of the simple ones"),
        ("sed 1e x", "not one of the simple ones"),
        ("sed -e p -e 'w out' x", "not one of the simple"),
        ("sed -f script x", "runs other programs"),
        ("sed *", "not one of the simple ones"),
        ("awk 1 x", "runs other programs"),
        ("diff -l a b", "runs other programs"),
        ("tree -o out", "writes files"),
        ("tree -Po pattern out", "as two words"),
        ("file -C", "writes files"),
        ("file -z x", "runs other programs"),
        ("git -c core.pager=sh log", "`-c` runs other programs"),
        ("git -C /tmp log", "`-C` is not known"),
        ("git --git-dir=x log", "`--git-dir` is not known"),
        ("git -p log", "runs other programs"),
        ("git --exec-path=x log", "runs other programs"),
        ("git log --output=x", "writes files"),
        ("git diff --ext-diff", "runs other programs"),
        ("git show --textconv", "runs other programs"),
        ("git diff --outp=x", "abbreviates `--output`"),
        ("git difftool", "`git difftool` runs other programs"),
        ("git grep -O less x", "runs other programs"),
        ("git grep --open-files-in-pager x", "runs other programs"),
        ("git branch new", "only with 0 operands"),
        ("git branch -D old", "changes the state"),
        ("git tag v1", "only with 0 operands"),
        ("git stash", "writes files"),
        ("git stash list --output=x", "writes files"),
        ("git remote add x y", "changes the state"),
        ("git remote show origin", "uses the network"),
        ("git config user.name x", "only with --get"),
        ("git config --get --unset x", "changes the state"),
        ("git push", "uses the network"),
        ("git clone -u sh x", "runs other programs"),
        ("git frobnicate", "not a subcommand"),
        ("git *", "not a subcommand"),
        ("systemctl restart x", "changes the state"),
        ("systemctl -H host status", "uses the network"),
        ("systemctl -M c status", "`-M` is not known"),
        ("systemctl --root=/mnt list-unit-files", "`--root` is not known"),
        ("systemctl -p * show", "may become several words"),
        ("systemctl * show", "not a subcommand"),
        ("systemctl status --wait", "does not end"),
        ("systemctl show --now", "changes the state"),
        ("timedatectl set-time 1", "changes the state"),
        ("hostnamectl hostname evil", "only with 0 operands"),
        ("loginctl terminate-user x", "changes the state"),
        ("busctl call a b c d", "changes the state"),
        ("busctl monitor", "does not end"),
        ("ip link set eth0 down", "changes the state"),
        ("ip addr add 1.1.1.1/8 dev x", "changes the state"),
        ("ip addr flush dev x", "changes the state"),
        ("ip netns exec x id", "runs other programs"),
        ("ip -b file", "runs other programs"),
        ("ip -batch file", "runs other programs"),
        ("ip -n x addr", "changes the state"),
        ("ip -jso addr", "`-jso` is not known"),
        ("ip addr sho", "not a subcommand"),
        ("ip link s", "not a subcommand"),
        ("ip monitor", "does not end"),
        ("ss -K", "changes the state"),
        ("ss -tK", "changes the state"),
        ("ss --kill", "changes the state"),
        ("ss -D out", "writes files"),
        ("ss -E", "does not end"),
        ("ss -r", "uses the network"),
        ("ifconfig eth0 down", "0 or 1 operands"),
        ("route add default x", "only with 0 operands"),
        ("top", "only with -b"),
        ("top -b", "only with -n"),
        ("pgrep -f x", "would list its own process"),
        ("pgrep --full x", "would list its own process"),
        ("pidof -x a", "would list its own process"),
        ("free -s 1", "does not end"),
        ("vmstat 1", "0 or 2 operands"),
        ("mount /dev/sda1 /mnt", "`mount` needs root"),
        ("mount -a", "changes the state"),
        ("mount -o remount,rw /", "`mount` needs root"),
        ("swapon -a", "`-a` is not known"),
        ("dmesg -C", "changes the state"),
        ("dmesg -c", "changes the state"),
        ("dmesg -w", "does not end"),
        ("sysctl -w a=b", "changes the state"),
        ("sysctl a=b", "may set a value"),
        ("sysctl -p", "changes the state"),
        ("last -d", "uses the network"),
        ("getent hosts x", "uses the network"),
        ("getent passwd -s x/y alice", "`-s` runs other programs"),
        ("git --help log", "`--help` is not known"),
        ("git log --help", "`--help` is not known"),
        ("pacman -Syu", "changes the state"),
        ("pacman -S vim", "changes the state"),
        ("pacman -Ssy vim", "not known to be harmless"),
        ("pacman -Rns vim", "changes the state"),
        ("pacman -Q --config x", "runs other programs"),
        ("pacman -Qi --root /mnt vim", "`--root` is not known"),
        ("pacman -U x", "changes the state"),
        ("pacman -Fy", "changes the state"),
        ("apt install x", "changes the state"),
        ("apt -o a=b list", "runs other programs"),
        ("apt-cache -c x show y", "runs other programs"),
        ("dpkg -i x", "changes the state"),
        ("dpkg --pre-invoke=x -l", "runs other programs"),
        ("rpm -i x", "only with -q"),
        ("rpm -qa --pipe sh", "runs other programs"),
        ("rpm --eval x", "runs other programs"),
        ("pip install x", "runs other programs"),
        ("pip list --outdated", "uses the network"),
        ("pip --python x list", "runs other programs"),
        ("rm x", "destroys data"),
        ("dd if=a of=b", "destroys data"),
        ("timeout 5 ls", "runs other programs"),
        ("sh x", "runs other programs"),
        ("xargs ls", "runs other programs"),
        ("curl x", "uses the network"),
        ("ping x", "uses the network"),
        ("git clone ext::sh x", "`ext::sh` runs other programs"),
        ("git ls-remote ssh://-oProxyCommand=x/y", "runs other programs"),
        ("git push origin :main", "`:main` destroys data"),
        ("git push origin +main", "`+main` destroys data"),
        ("git stash drop", "destroys data"),
        ("tar -tvf a.tar --index-file=out", "writes files"),
        ("strings @more", "`@more` runs other programs"),
        ("objdump -d @more", "`@more` runs other programs"),
        ("readelf -h @more", "`@more` runs other programs"),
        ("size @more", "`@more` runs other programs"),
        ("ar t @more", "`@more` runs other programs"),
        ("nm -C @more", "`@more` runs other programs"),
        ("nm *.o", "`*.o` may become a word that runs other programs; write `./*.o`"),
        ("git log --format='%h %G?'", "`%h %G?` runs other programs"),
        ("git log --pretty=%GK", "`%GK` runs other programs"),
        ("git log --pretty=theirs", "`theirs` runs other programs"),
        ("git reflog --format theirs", "runs other programs"),
        ("git shortlog --format %G?", "`%G?` runs other programs"),
        ("git reflog --format=%G?", "runs other programs"),
        ("git stash list --format=%G?", "runs other programs"),
        ("git branch --sort=-signature", "`-signature` runs other programs"),
        ("git tag --format='%(signature)'", "runs other programs"),
        ("git for-each-ref --format='%(*signature:key)'", "runs other programs"),
        ("test ! -v 'a[$(id)]'", "`-v` runs other programs"),
        ("[ -v 'a[$(id)]' ]", "`-v` runs other programs"),
        ("lsof +r 2", "does not end"),
        ("tput init", "runs other programs"),
        ("tput -T x reset", "runs other programs"),
        ("tput -S", "runs other programs"),
        ("bat --paging=always x", "`always` runs other programs"),
        ("bat --paging always x", "`always` runs other programs"),
        ("xmllint --noout http://example.org/x", "uses the network"),
        ("pacman -Qp https://example.org/x.pkg", "uses the network"),
        ("rpm -qp ftp://example.org/x.rpm", "uses the network"),
        ("apt-get -s update", "`-s` is not known"),
        ("apt-get -s=no upgrade", "not known to be harmless"),
        ("apt-get -s -o a=b upgrade", "runs other programs"),
        ("apt-get -s --no-simulate upgrade", "not known to be harmless"),
        ("java -version -jar x", "runs other programs"),
        ("openssl x509 -noout -in org.openssl.engine:/tmp/x.so:k", "runs other programs"),
        ("rpm -qp --qf '%{SUMMARY:expand}' x.rpm", "runs other programs"),
        ("bzip2 -t -d x.bz2", "writes files"),
        ("bunzip2 -tk --decompress x.bz2", "writes files"),
        ("xz -l -d x.xz", "writes files"),
        ("unxz -td x.xz", "writes files"),
        ("zstd -l -d x.zst", "writes files"),
        ("zstd --test --decompress x.zst", "writes files"),
        ("npm --version false run build", "`--version` is a subcommand"),
        ("npm -v=false x", "not a subcommand"),
        ("docker --version run x", "`--version` is a subcommand"),
        ("npm help install --viewer=browser --browser=./x", "0 operands"),
        ("docker help plugin", "0 operands"),
        ("cargo help plugin", "0 operands"),
        ("kubectl help plugin", "0 operands"),
        ("uv version --bump minor", "writes files"),
        ("unheard-of", "is not a command that the option data knows"),
        ("./ls", "is not a command that the option data knows"),
        ("/bin/ls", "is not a command that the option data knows"),
    ],
)
def test_what_is_not_harmless_is_said_with_its_reason(line: str, reason: str) -> None:
    judgement = judged(line)
    assert any(reason in concern.text for concern in judgement.concerns), judgement
    assert not judgement.harmless


@pytest.mark.parametrize(
    "line",
    """openssl x509 -noout -in cert.pem; rpm -qp --qf %{NAME} x.rpm; bzip2 -tv x.bz2; bzip2 -c -d x.bz2; bunzip2 -t x
    xz -l x.xz; xz -t x.xz; xz -dc x.xz; unxz -c x; zstd -l x.zst; zstd -tq x.zst; zstd -d -c x.zst; npm --version
    git log --pretty=oneline; git log --format=%h; git reflog --pretty=fuller
    npm help; docker -v; docker help; cargo help; cargo --list; kubectl help; helm help; uv --version""".replace(
        "\n", ";"
    ).split(";"),
)
def test_the_same_tools_read_and_tell_their_version(line: str) -> None:
    assert judged(line.strip()).harmless, judged(line.strip())


@pytest.mark.parametrize(
    ("line", "facets"),
    [
        ("ps aux", {Facet.PROCESSES}),
        ("w", {Facet.LOGINS, Facet.PROCESSES}),
        ("who", {Facet.LOGINS}),
        ("ss -tln", {Facet.SOCKETS}),
        ("ip a", {Facet.SOCKETS}),
        ("hostname", set()),
        ("hostname -I", {Facet.SOCKETS}),
        ("systemctl list-units", {Facet.BUS}),
        ("systemctl status x", {Facet.BUS, Facet.JOURNAL, Facet.PROCESSES}),
        ("journalctl -n 5", {Facet.JOURNAL}),
        ("cat /proc/loadavg", set()),
        ("cat /proc/self/status", set()),
        ("cat /proc/1/status", {Facet.PROCESSES}),
        ("cat /proc/*/comm", {Facet.PROCESSES}),
        ("ls /proc", {Facet.PROCESSES}),
        ("ls /proc/", {Facet.PROCESSES}),
        ("cat /proc/net/dev", {Facet.SOCKETS}),
        ("cat /proc/self/net/tcp", {Facet.SOCKETS}),
        ("cat /process", set()),
        ("df -h", set()),
    ],
)
def test_commands_observe_what_the_data_says(line: str, facets: set[Facet]) -> None:
    assert judged(line).facets == facets


# Where --help is all there is to say of the options: their spelling and whether they take a value.
_HELPFUL = """
ls cat tac head tail stat wc sort uniq cut tr nl fold fmt paste join comm shuf numfmt seq base64 expand md5sum
b2sum cksum od basename dirname realpath readlink date id nproc uname printenv df du who rm mkdir touch cp mv
ln chmod tee truncate grep diff cmp free lscpu lsblk findmnt dmesg systemctl journalctl loginctl timedatectl
hostnamectl localectl busctl ss tar cpio nm readelf iconv
""".split()
# Newer than the tools of Debian 12 or older than those of 13, or known to a tool that does not tell; `findmnt --kernel`
# takes a value, if one is given, since util-linux 2.41: with one it is asked about.
_UNTOLD = frozenset(
    """--total --no-legend --kill-who --when --json --full --before --after --message --net --old-line-format
    --new-line-format --unchanged-line-format --old-group-format --new-group-format --unchanged-group-format
    --changed-group-format --ips --kernel""".split()
)


@pytest.mark.parametrize("tool", _HELPFUL)
def test_long_options_are_spelled_and_valued_as_the_tool_says(tool: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run([tool, "--help"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    told = done.stdout + done.stderr
    spec = KNOWLEDGE.spec(tool)
    assert spec is not None
    wrong = []
    for name, option in spec.options.items():
        if not name.startswith("--") or name in _UNTOLD:
            continue
        found = re.findall(re.escape(name) + r"(?![\w-])(\[=?|=| <| [A-Z]+\b)?", told)
        if not found:
            wrong.append(f"{name} is not in --help")
        elif option.arity is Arity.NONE and all(value.startswith(("=", " <", "[")) for value in found):
            wrong.append(f"{name} takes a value")
        elif option.arity is Arity.REQUIRED and not any(value and value != "[" for value in found):
            wrong.append(f"{name} takes no value")
        elif option.arity is Arity.OPTIONAL and not ({"[", "[="} & set(found) or {"", "="} <= set(found)):
            wrong.append(f"{name} takes no optional value")
    assert wrong == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"harmles": "-a"}, "unknown key harmles"),
        ({"options": "-a -a"}, "described twice"),
        ({"options": "a"}, "not an option"),
        ({"options": "-ab:"}, "a cluster of flags"),
        ({"facets": "everything"}, "everything"),
        ({"counts": "1"}, "counts and needs are lists"),
        ({"options": 1}, "options must be a string"),
        ({"style": "dos"}, "dos"),
    ],
)
def test_faulty_data_is_refused(table: dict[str, object], message: str) -> None:
    with pytest.raises(KnowledgeError, match=message):
        Knowledge({"x": table}).spec("x")


def test_the_options_of_over_120_commands_are_known_one_by_one() -> None:
    knowledge = load_knowledge()
    specs = {name: spec for name in knowledge.commands() if (spec := knowledge.spec(name))}

    def knows_options(spec: Spec) -> bool:
        deeper = [*spec.forms, *spec.subs.values()]
        return bool(spec.options) or any(knows_options(each) for each in deeper)

    by_options = {name for name, spec in specs.items() if knows_options(spec)}
    assert len(by_options) >= 240
    assert len(specs) >= 700
    families = "sort find sed git pacman apt dpkg systemctl journalctl ip ss ps tar curl wget docker npm pip cargo ssh"
    assert {*families.split(), "btrfs", "mount", "passwd"} <= specs.keys()

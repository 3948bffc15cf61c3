#!/bin/sh
# Install aios from a package file, without a repository of ours.
#   install.sh PACKAGE      check this machine, then install or upgrade; nothing is enabled
#   install.sh --check      check this machine only
#   install.sh --uninstall  remove it; sessions, the record and your settings stay
# Safe to run again. Beside the package, SHA256SUMS is held against it, and a PACKAGE.sig by pacman itself.
# Exit status: 0 done, 1 pacman failed, 64 the command line, 65 the file is no package of ours, 69 this machine lacks
# something, 77 not root.
set -eu
least_systemd=257

die() { # STATUS MESSAGE HINT
    printf 'install.sh: %s\n' "$2" >&2
    [ -z "${3:-}" ] || printf '  %s\n' "$3" >&2
    exit "$1"
}

check_machine() {
    command -v pacman >/dev/null || die 69 "there is no pacman: the package is for Arch and its kin" \
        "elsewhere, for one user and without root: pipx install .   then: aiosd --standalone"
    [ "$(cat /proc/1/comm)" = systemd ] || die 69 "systemd is not what runs this machine" \
        "in a container: aiosd --standalone"
    version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge "$least_systemd" ] || die 69 "systemd is ${version:-unknown}, and $least_systemd is needed" \
        "pacman -Syu, or for one user: pipx install .   then: aiosd --standalone"
    python3 -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        die 69 "there is no Python 3.11 or later" "pacman -Syu python"
    [ -e /proc/self/ns/user ] || die 69 "this kernel has no user namespaces" "commands could not be confined"
}

need_root() { [ "$(id -u)" = 0 ] || die 77 "only root may do that" "sudo $0 $*"; }

uninstall() {
    if ! pacman -Qq aios >/dev/null 2>&1; then
        echo "aios is not installed"
        return
    fi
    need_root --uninstall
    pacman -R --noconfirm --noprogressbar aios || die 1 "pacman could not remove it"
}

install_file() {
    file=$1
    [ -r "$file" ] || die 65 "there is no file $file to read"
    named=$(LC_ALL=C pacman -Qp "$file" 2>/dev/null) || die 65 "$file is no package" "download it again"
    [ "${named%% *}" = aios ] || die 65 "$file is the package ${named%% *}, not aios"
    folder=$(dirname "$file") name=$(basename "$file")
    if [ -e "$folder/SHA256SUMS" ]; then
        wanted=$(awk -v name="$name" '$2 == name || $2 == "*" name { print $1 }' "$folder/SHA256SUMS")
        [ "$wanted" = "$(sha256sum <"$file" | cut -d' ' -f1)" ] ||
            die 65 "$name is not what $folder/SHA256SUMS says" "download both again"
    fi
    if [ "$(LC_ALL=C pacman -Q aios 2>/dev/null)" = "$named" ] && pacman -Qkkq aios >/dev/null 2>&1; then
        echo "$named is installed already"
        return
    fi
    need_root "$file"
    pacman -U --noconfirm --noprogressbar "$file" || die 1 "pacman could not install it" "its own words are above"
}

[ $# = 1 ] || die 64 "usage: install.sh PACKAGE | --check | --uninstall"
case $1 in
    --check)
        check_machine
        echo "this machine can have aios"
        ;;
    --uninstall) uninstall ;;
    -*) die 64 "there is no option $1" "usage: install.sh PACKAGE | --check | --uninstall" ;;
    *)
        check_machine
        install_file "$1"
        ;;
esac

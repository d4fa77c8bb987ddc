#!/bin/sh
# Turn a stock Ubuntu or Debian machine, or a Deep Learning AMI, into one that runs workflows:
# Docker, rclone, Python 3 and, when asked, an NVIDIA driver with its container toolkit.
#
# Run as root, from user data, over SSH, or while an image is made. Idempotent: what is there is
# left alone, so a second run takes well under a second and changes nothing. Progress goes to
# standard output, one line a step.
#
# Environment:
#   NVIDIA_DRIVER      none (default), or the branch that the GPU needs: 470 for Kepler (K80),
#                      535 or 580 for Maxwell to Volta, 580 or newer for all after. Skipped where
#                      nvidia-smi and the container runtime's hook already work.
#   NVIDIA_TOOLKIT_REPOSITORY, NVIDIA_TOOLKIT_KEY
#                      URLs of the apt repository (flat) of the container toolkit and of its key,
#                      needed where no configured apt source has it
#   PROVISION_TIMEOUT  seconds to wait for another apt to finish (default 300)
#
# Exit code: 0 ready; 1 something could not be installed, the last line says what.
set -eu

driver="${NVIDIA_DRIVER:-none}"
patience="${PROVISION_TIMEOUT:-300}"
export DEBIAN_FRONTEND=noninteractive

say() { printf 'provision: %s\n' "$*"; }
fail() {
    say "failed: $*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
booted() { [ -d /run/systemd/system ]; }

case "$driver" in
    none | [0-9][0-9][0-9]) ;;
    *) fail "NVIDIA_DRIVER is a branch such as 535, or none; not '$driver'" ;;
esac
[ "$(id -u)" = 0 ] || fail 'needs root'
have apt-get || fail 'needs apt-get: only Debian, Ubuntu and images made from them are known'

# On a fresh cloud machine unattended-upgrades often holds apt's lock: wait for it, do not fail.
apt() { apt-get -q -y -o "DPkg::Lock::Timeout=$patience" -o Dpkg::Use-Pty=0 "$@"; }

lists_read=no
install_packages() {
    if [ "$lists_read" = no ]; then
        say 'reading package lists'
        # Lists that are already there may do: whether they did, the installation tells.
        apt update >/dev/null || say 'apt-get update failed; trying with the lists at hand'
        lists_read=yes
    fi
    say "installing $*"
    apt install --no-install-recommends "$@" >/dev/null || fail "apt-get install $*"
}

# package -> what proves that it, or a vendor's own build of it, is there
missing=''
have dockerd || missing="$missing docker.io iptables"
have rclone || missing="$missing rclone"
have python3 || missing="$missing python3"
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
# shellcheck disable=SC2086 # a list of words
if [ -n "$missing" ]; then install_packages $missing; fi

nvidia_ready() {
    have nvidia-smi && nvidia-smi >/dev/null 2>&1 &&
        { have nvidia-container-runtime-hook || have nvidia-container-runtime; }
}

# Debian keeps the driver in non-free; a cloud image of it has only main.
debian_components() {
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -e "$list" ] || continue
        sed -i -E '/^deb .* main( |$)/{/non-free( |$)/!s/$/ contrib non-free/}' "$list"
    done
    for sources in /etc/apt/sources.list.d/*.sources; do
        [ -e "$sources" ] || continue
        sed -i -E '/^Components:.* main( |$)/{/non-free( |$)/!s/$/ contrib non-free/}' "$sources"
    done
    lists_read=no
}

install_driver() {
    # shellcheck source=/dev/null
    . /etc/os-release
    kernel="$(uname -r)"
    case "$ID" in
        ubuntu)
            # Modules built for the cloud's kernel, signed: no compiler, no DKMS, no reboot.
            flavour="${kernel##*-}"
            install_packages "linux-modules-nvidia-${driver}-server-${kernel}" \
                "linux-modules-nvidia-${driver}-server-${flavour}" \
                "nvidia-utils-${driver}-server" "libnvidia-compute-${driver}-server"
            ;;
        debian)
            debian_components
            suffix=''
            if [ "$driver" = 470 ]; then suffix=-tesla-470; fi
            install_packages "linux-headers-${kernel}" "nvidia${suffix}-kernel-dkms" \
                "nvidia${suffix:+$suffix}-smi" "libcuda1"
            ;;
        *) fail "no NVIDIA driver known for $ID" ;;
    esac
    modprobe nvidia || fail 'the NVIDIA module does not load; is a GPU there?'
    nvidia-smi >/dev/null || fail 'nvidia-smi does not see the GPU'
}

# The toolkit is NVIDIA's own package. Where the machine's apt sources lack it, the caller says
# where it is published and with which key; this script knows no place by itself.
install_toolkit() {
    if ! apt-cache show nvidia-container-toolkit >/dev/null 2>&1; then
        [ -n "${NVIDIA_TOOLKIT_REPOSITORY:-}" ] && [ -n "${NVIDIA_TOOLKIT_KEY:-}" ] ||
            fail 'no apt source has nvidia-container-toolkit; say in the configuration where NVIDIA' \
                'publishes it (toolkit_repository and toolkit_key), or name an image that has it'
        have curl || install_packages curl
        have gpg || install_packages gpg
        keyring=/usr/share/keyrings/nvidia-container-toolkit.gpg
        curl -fsSL --retry 3 "$NVIDIA_TOOLKIT_KEY" | gpg --dearmor --yes -o "$keyring" ||
            fail 'the key of the NVIDIA container toolkit could not be fetched'
        printf 'deb [signed-by=%s] %s /\n' "$keyring" "$NVIDIA_TOOLKIT_REPOSITORY" \
            >/etc/apt/sources.list.d/nvidia-container-toolkit.list
        lists_read=no
    fi
    install_packages nvidia-container-toolkit
    # dockerd looks for the hook once, as it starts.
    if booted; then systemctl restart docker.service; fi
}

if [ "$driver" != none ]; then
    if nvidia_ready; then
        say 'NVIDIA driver and container hook: present'
    else
        have nvidia-smi && nvidia-smi >/dev/null 2>&1 || install_driver
        have nvidia-container-runtime-hook || install_toolkit
    fi
fi

# Enabled for the next boot, started for this one where systemd runs (not while an image is made).
if have systemctl && [ -e /lib/systemd/system/docker.service ]; then
    systemctl -q enable docker.service 2>/dev/null || true
    if booted; then
        systemctl start docker.service || fail 'docker.service does not start'
    fi
fi
# `--version` starts no daemon: it tells that the programs run on this machine at all.
dockerd --version >/dev/null 2>&1 || fail 'dockerd does not run'
rclone version >/dev/null 2>&1 || fail 'rclone does not run'
python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' || fail 'Python 3.8 or newer is needed'
say ready

#!/bin/sh
# The last that is done on a machine before its disk becomes an image: whatever is this machine's
# own, or its builder's, goes. Host keys, machine id, accounts' keys and cloud-init's state are made
# at the first boot of each machine that boots the image.
#
# Run as root. Refuses where systemd has not booted the machine: a container or somebody's own
# computer is not to be wiped.
set -eu

fail() {
    printf 'seal: failed: %s\n' "$*"
    exit 1
}
[ "$(id -u)" = 0 ] || fail 'needs root'
[ -d /run/systemd/system ] && [ -e /run/dstack/job ] || fail 'not a machine that builds an image'

# What the first boot still does would be half done in the image.
timeout 300 systemctl is-system-running --wait >/dev/null 2>&1 || true

systemctl -q stop docker.socket docker.service containerd.service 2>/dev/null || true
rm -f /var/lib/docker/engine-id /etc/docker/key.json

# cloud-init takes the machine for a new one, and has no user data of the builder: it holds a key.
for place in /var/lib/cloud/*; do
    [ "${place##*/}" = seed ] || rm -rf "$place"
done
rm -f /etc/netplan/50-cloud-init.yaml /var/lib/dhcp/*.leases

rm -f /etc/ssh/ssh_host_*
for home in /root /home/*; do
    rm -f "$home"/.ssh/authorized_keys* "$home"/.bash_history "$home"/.python_history \
        "$home"/.docker/config.json "$home"/.config/rclone/rclone.conf
done

# Empty and not absent: systemd makes a new one at the boot.
: >/etc/machine-id
if [ -f /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ]; then
    ln -sf /etc/machine-id /var/lib/dbus/machine-id
fi
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret

# Google's guest agent is told at every boot of ours whose host keys count: see user_data.py.
config=/etc/default/instance_configs.cfg
if [ -e "$config" ]; then sed -i '/^\[InstanceSetup\]$/{N;/\nset_host_keys = false$/d}' "$config"; fi

apt-get clean
rm -rf /var/lib/dstack /var/lib/apt/lists/* /var/log/journal/* /var/log/*.gz /var/log/*.[0-9]
find /var/log -xdev -type f -exec truncate -s 0 {} +
find /tmp /var/tmp -xdev -mindepth 1 -delete 2>/dev/null || true

left="$(find /etc/ssh -name 'ssh_host_*'; find /root /home -name 'authorized_keys*' -size +0)"
[ -z "$left" ] || fail "left over: $left"
sync
printf 'seal: done\n'

#!/bin/sh
# Inside a container of the base image: make it what a cloud's stock Ubuntu image is to us.
# systemd, sshd, cloud-init, python3, a user `ubuntu` with passwordless sudo. No Docker, no rclone.
set -eu
export DEBIAN_FRONTEND=noninteractive

apt-get update -q
apt-get install -q -y --no-install-recommends \
    systemd systemd-sysv dbus openssh-server sudo cloud-init python3 \
    ca-certificates curl iproute2 procps kmod

apt-get clean

useradd --create-home --shell /bin/bash --groups sudo ubuntu
echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-cloud-init-users
chmod 440 /etc/sudoers.d/90-cloud-init-users

# Nothing of this is for a container (the bridge is up before systemd is): no hardware, no consoles, no clock, no timers of Debian's own.
for unit in \
    systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket \
    systemd-udevd-kernel.socket systemd-udev-settle.service \
    systemd-modules-load.service systemd-sysctl.service systemd-firstboot.service \
    systemd-timesyncd.service systemd-pstore.service \
    systemd-random-seed.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
    systemd-remount-fs.service systemd-binfmt.service systemd-hwdb-update.service \
    systemd-tmpfiles-setup-dev.service systemd-journal-catalog-update.service \
    systemd-network-generator.service systemd-networkd-wait-online.service \
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    dev-hugepages.mount dev-mqueue.mount proc-sys-fs-binfmt_misc.automount \
    getty.target console-getty.service networking.service e2scrub_reap.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer \
    motd-news.timer systemd-tmpfiles-clean.timer ldconfig.service; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done
systemctl set-default multi-user.target

# The kernel's command line is the host's: cloud-init is enabled without its generator, which
# would look for a cloud's traces in firmware that is the host's too.
mkdir -p /etc/systemd/system-generators /etc/systemd/system/multi-user.target.wants
ln -sf /dev/null /etc/systemd/system-generators/cloud-init-generator
ln -sf /lib/systemd/system/cloud-init.target \
    /etc/systemd/system/multi-user.target.wants/cloud-init.target
printf 'policy: enabled\n' >/etc/cloud/ds-identify.cfg
# The stage before the network asks DHCP for an address: there is no server, and an address is had.
ln -sf /dev/null /etc/systemd/system/cloud-init-local.service

# Only the modules that a workflow machine's user data can use: each costs time at every boot.
cat >/etc/cloud/cloud.cfg.d/90_emulated.cfg <<'CFG'
datasource_list: [Ec2]
datasource:
  Ec2:
    strict_id: false
    metadata_urls: ["http://169.254.169.254"]
    max_wait: 20
    timeout: 5
network: {config: disabled}
apt_preserve_sources_list: true
manage_etc_hosts: false
preserve_hostname: true
system_info:
  distro: debian
  default_user:
    name: ubuntu
    lock_passwd: true
    shell: /bin/bash
    sudo: ["ALL=(ALL) NOPASSWD:ALL"]
cloud_init_modules: [bootcmd, write-files, users-groups, ssh]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-vendor, scripts-per-once, scripts-per-boot, scripts-per-instance,
  scripts-user, final-message]
CFG

# cloud-init looks into the firmware for Amazon's mark, and asks for metadata tokens only where it
# finds one. The firmware here is the host's: let that one function say Amazon.
source="$(python3 -c 'import cloudinit.sources.DataSourceEc2 as m; print(m.__file__)')"
sed -i 's/^def identify_aws(data):$/&\n    return CloudNames.AWS\n/' "$source"
python3 -m compileall -q -f "$source"
python3 -c 'import cloudinit.sources.DataSourceEc2 as m; assert m.identify_platform() == "aws"'

sed -i 's/^#\?UseDNS.*/UseDNS no/; s/^#\?PrintLastLog.*/PrintLastLog no/' /etc/ssh/sshd_config
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\n' >/etc/systemd/journald.conf.d/emulated.conf

# A cloud's own package mirror is near and quick: what provisioning will ask for is at hand.
apt-get install -q -y --no-install-recommends --download-only docker.io iptables rclone
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin

# As in a cloud's image: host keys, machine id and logs are made at the first boot.
rm -f /etc/ssh/ssh_host_* /var/log/*.log /var/log/apt/*
: >/etc/machine-id
rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/locale/*

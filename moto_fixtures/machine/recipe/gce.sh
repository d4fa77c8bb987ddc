#!/bin/sh
# Inside a container of the stock or the ready image: what Google's own images have in place of
# Amazon's. cloud-init's GCE datasource, and of Google's guest agent its one habit that matters
# here: at the first boot it makes the SSH host keys anew, unless it is told not to.
set -eu

cat >/etc/cloud/cloud.cfg.d/91_gce.cfg <<'CFG'
datasource_list: [GCE]
CFG

# cloud-init looks for Google's mark in the firmware, which is the host's here.
source="$(python3 -c 'import cloudinit.sources.DataSourceGCE as m; print(m.__file__)')"
sed -i 's/^def platform_reports_gce():$/&\n    return True\n/' "$source"
python3 -m compileall -q -f "$source"
python3 -c 'import cloudinit.sources.DataSourceGCE as m; assert m.platform_reports_gce()'

# After the google-guest-agent package: its unit's order, and what its configuration decides
# (`set_host_keys` in the section InstanceSetup, true where nothing is said).
cat >/usr/bin/google_guest_agent <<'AGENT'
#!/bin/sh
set -eu
config=/etc/default/instance_configs.cfg
setting="$(sed -n '/^\[InstanceSetup\]/,/^\[/s/^ *set_host_keys *= *//p' "$config" 2>/dev/null || true)"
case "$setting" in false | False | 0) exit 0 ;; esac
for kind in ecdsa ed25519 rsa; do
    rm -f "/etc/ssh/ssh_host_${kind}_key" "/etc/ssh/ssh_host_${kind}_key.pub"
    ssh-keygen -q -t "$kind" -N '' -f "/etc/ssh/ssh_host_${kind}_key"
done
AGENT
chmod 755 /usr/bin/google_guest_agent
cat >/lib/systemd/system/google-guest-agent.service <<'UNIT'
[Unit]
Description=Google Compute Engine Guest Agent
Before=ssh.service sshd.service
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/google_guest_agent

[Install]
WantedBy=multi-user.target
UNIT
ln -sf /lib/systemd/system/google-guest-agent.service \
    /etc/systemd/system/multi-user.target.wants/google-guest-agent.service

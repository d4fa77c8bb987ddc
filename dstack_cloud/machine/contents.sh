#!/bin/sh
# What is on a machine, one `name=version` a line, for those who choose among its images.
. /etc/os-release
echo "os=$PRETTY_NAME"
echo "docker=$(dockerd --version 2>/dev/null | sed -n 's/^Docker version \([^, ]*\).*/\1/p')"
echo "rclone=$(rclone version 2>/dev/null | sed -n '1s/^rclone v\{0,1\}//p')"
echo "python=$(python3 -c 'import platform; print(platform.python_version())')"
# Without a GPU the driver's own program says nothing, but its module is there.
nvidia="$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1)"
[ -n "$nvidia" ] || nvidia="$(modinfo -F version nvidia 2>/dev/null)"
echo "nvidia=$nvidia"

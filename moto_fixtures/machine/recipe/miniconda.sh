#!/bin/sh
# Inside a container of the base image: python3, pip and bash, the stand-in for the `bash`
# provider's default image. Debian's Python, not Anaconda's: the commands are the same.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends python3 python3-pip ca-certificates
ln -sf python3 /usr/bin/python
rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/*

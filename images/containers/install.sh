#!/bin/bash
# Inside a bare Debian or Ubuntu image (or one of NVIDIA's, which are Ubuntu): what the providers
# expect of their default image. bash, git, CA certificates, and Python with pip.
#
# PYTHON      the version, e.g. 3.10
# MINICONDA   where the Miniconda installer is: with it, PYTHON is Conda's; without it, the Python is
#             the distribution's own, whatever its version, and there is no Conda
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends bash ca-certificates
if [ -n "${MINICONDA:-}" ]; then
    apt-get install -q -y --no-install-recommends curl git build-essential
    curl -fsSL "$MINICONDA" -o /tmp/miniconda.sh
    bash /tmp/miniconda.sh -b -p /opt/conda
    rm /tmp/miniconda.sh
    /opt/conda/bin/conda install -q -y "python=$PYTHON" pip
    /opt/conda/bin/conda clean -q -a -y
else
    apt-get install -q -y --no-install-recommends python3 python3-pip
    ln -sf python3 /usr/bin/python
    # A container is its own environment: pip may install into it.
    rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
fi
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/*

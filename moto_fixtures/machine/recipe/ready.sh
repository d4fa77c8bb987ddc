#!/bin/sh
# Inside a container of the stock image: the product's own provisioning, then what makes the
# emulated machine quick. Stands for the Deep Learning Base AMI.
set -eu
sh /recipe-provision.sh
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/*

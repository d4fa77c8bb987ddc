"""Emulated machines: containers that boot systemd, and the network around them."""

"""What the emulated Google Cloud sells: machine types, accelerators, places, quotas, prices."""

"""The clouds: what launches and terminates machines."""

"""dstack-cloud: one job on a cloud machine, and nothing left running afterwards."""

"""The providers that ship with dstack-cloud, one file each."""

"""``python -m dstack_cloud``: the same as ``dstack-cloud``."""

from dstack_cloud.cli.app import main

main()

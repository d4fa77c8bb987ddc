"""Commands on a machine, over SSH."""

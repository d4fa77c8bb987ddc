"""The emulated clouds: for tests, the demo and newcomers; never shipped with the product."""

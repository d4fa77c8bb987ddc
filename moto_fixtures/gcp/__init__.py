"""The emulated Google Cloud."""

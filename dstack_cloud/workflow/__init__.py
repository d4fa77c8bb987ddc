"""The workflow file."""

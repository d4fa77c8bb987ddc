"""The emulated Google Cloud Storage: its XML API and the part of its JSON API that clients use."""

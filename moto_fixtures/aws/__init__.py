"""The emulated AWS: moto, with a middleware in front for what moto lacks."""

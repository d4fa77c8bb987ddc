"""Objects in the store: names, runs, logs, artifacts."""

"""Replay of spot traces: reading them, the rules, the policies to compare, and the lower bound."""

"""Who calls, and whether they may: keys, policies, denials."""

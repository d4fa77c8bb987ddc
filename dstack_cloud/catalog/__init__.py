"""Instance types, where they are offered, and their prices."""

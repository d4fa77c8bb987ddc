"""EC2 as the real one answers: fleets, machines, types, spot prices."""

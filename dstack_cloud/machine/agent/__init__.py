"""The program on the machine: runs the container, keeps its log, saves what it made, ends the
machine. The standard library only, Python 3.8 or newer."""

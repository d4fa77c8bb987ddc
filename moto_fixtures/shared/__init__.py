"""What the emulated clouds have in common: the HTTP server, the call log, faults, holds, time."""

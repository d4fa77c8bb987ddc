"""What goes onto the machine."""

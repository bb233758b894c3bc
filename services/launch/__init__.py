"""Worker containers that the simulator starts, watches and removes itself."""

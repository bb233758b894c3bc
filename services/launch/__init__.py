"""Start the services: as processes of this machine, or the workers as containers."""

"""``fedsiege.run``: run an experiment from a script or a notebook."""

"""A plug-in of FedSiege with one component of each kind; see docs/plugins.md."""

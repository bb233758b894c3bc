"""The client: a worker that hosts benign participants."""

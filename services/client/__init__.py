"""A worker that hosts benign participants."""

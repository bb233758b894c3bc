"""A worker that hosts hostile participants."""

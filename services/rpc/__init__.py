"""gRPC plumbing of all services: tensor streams, channels, interceptors, servers, peer limits."""

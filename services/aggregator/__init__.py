"""The aggregator service: holds global models, takes updates, aggregates and tests them."""

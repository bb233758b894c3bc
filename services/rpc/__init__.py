"""What crosses the wire: tensor streams, channels, servers, the error catalogue."""

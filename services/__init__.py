"""Thin asyncio gRPC services around the science in fedsiege."""

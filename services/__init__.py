"""The network services: asyncio gRPC servers and workers around the library ``fedsiege``."""

import os

# One computing thread per service process, set before numpy and torch are loaded: several processes
# share the machine's cores, and threads that wait for each other make it slower (Krum with 100
# updates of 100,000 parameters: 16 ms on one thread, 156 to 244 on two).
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

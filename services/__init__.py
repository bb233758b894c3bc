"""Thin asyncio gRPC services around the science in fedsiege."""

import os

# One computing thread per service process, said before numpy and torch are loaded: several
# processes share the machine's cores, and threads that wait for one another across them cost far
# more than they bring (Krum at 100 x 100,000: 16 ms on one thread, 156 to 244 on two).
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

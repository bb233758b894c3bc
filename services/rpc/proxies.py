"""The HTTP proxy of a channel: which peers are reached through it, and which directly.

gRPC reads the proxy from the environment for every channel, also for unencrypted channels and
channels to this machine. FedSiege reaches peers on this machine, on a private network, and by a
name without a dot (as containers have) directly. Any other peer is reached through the proxy
unless ``no_proxy`` names it.
"""

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

#: The variables that name gRPC's proxy, in lower case only; the first that is set counts.
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
#: The variables that list hosts to reach without a proxy. gRPC reads the first two.
_EXCEPTIONS = ("no_grpc_proxy", "no_proxy", "NO_PROXY")
_SCHEME = re.compile(r"^(?:dns|ipv4|ipv6|unix|unix-abstract|vsock):/*")


@dataclass(frozen=True)
class Route:
    """The way to a peer: directly, or through a proxy.

    Attributes:
        address: the peer, ``host:port``.
        proxy: the proxy's ``host:port``, without user and password; empty for none.
        variable: the variable of the environment that names the proxy; empty for none.
    """

    address: str
    proxy: str = ""
    variable: str = ""

    @classmethod
    def to(cls, address: str, environment: Mapping[str, str] = os.environ) -> "Route":
        """Return the route to a peer.

        Args:
            address: the peer, as gRPC takes it: ``host:port``.
            environment: the variables of the process.
        """
        variable = next((name for name in _PROXIES if environment.get(name)), "")
        if not variable:
            return cls(address)
        host = target_host(address)
        exceptions = [environment.get(name, "") for name in _EXCEPTIONS]
        if _is_local(host) or any(_lists_host(one, host) for one in exceptions if one):
            return cls(address)
        return cls(address, _without_password(environment[variable]), variable)

    def __str__(self) -> str:
        if not self.proxy:
            return self.address
        return f"{self.address} through the proxy {self.proxy} of {self.variable}"


def target_host(address: str) -> str:
    """Return the host of an address that gRPC takes: a name, or an IP without brackets."""
    if address.startswith(("unix:", "unix-abstract:")):
        return "localhost"
    rest = _SCHEME.sub("", address)
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.partition(":")[0] if rest.count(":") <= 1 else rest


def _is_local(host: str) -> bool:
    """Return whether a host is this machine, on a private network, or a name without a dot."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "." not in host.rstrip(".") or host.lower() == socket.gethostname().lower()
    return not address.is_global or _is_of_this_machine(address)


def _is_of_this_machine(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return whether an interface of this machine has the address: only then a bind succeeds."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as bound:
            bound.bind((str(address), 0))
    except OSError:
        return False
    return True


def _lists_host(listed: str, host: str) -> bool:
    """Return whether a list such as ``localhost,.example.org,203.0.113.0/24`` covers a host."""
    names = [one.strip().lower().lstrip(".") for one in listed.split(",") if one.strip()]
    if "*" in names or any(f".{host.lower()}".endswith(f".{name}") for name in names):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for name in names:
        try:
            if address in ipaddress.ip_network(name, strict=False):
                return True
        except ValueError:  # not a network
            continue
    return False


def _without_password(proxy: str) -> str:
    """Return ``host:port`` of a proxy's URL; user and password stay out of logs."""
    return urlsplit(proxy if "//" in proxy else f"//{proxy}").netloc.rpartition("@")[2] or "?"

"""Binding the listening socket, and what to tell a person when that cannot be done."""

import errno
import os
import socket

from dicomanon_node.config.model import NodeConfig
from dicomanon_node.errors import ConfigError, Problem
from dicomanon_node.network import listener
from dicomanon_node.network.ports import Ports

_PRIVILEGED_BELOW = 1024


def bind(node: NodeConfig) -> Ports:
    """Bind and listen: plain, over TLS, or both.

    Raises:
        ConfigError: It cannot; says what to do about it.
    """
    host, port, tls = node.listener.host, node.listener.port, node.tls
    if not tls.enabled:
        return Ports(_bind(host, port, "listener.port"))
    if tls.port and tls.port == port:
        return Ports(None, _bind(host, port, "tls.port"))
    plain = _bind(host, port, "listener.port")
    try:
        return Ports(plain, _bind(host, tls.port, "tls.port"))
    except ConfigError:
        plain.close()
        raise


def _bind(host: str, port: int, key: str) -> socket.socket:
    try:
        return listener.bind(host, port)
    except socket.gaierror:
        raise _problem(
            "listener.host", f"{host} is not known; give an address of this machine"
        ) from None
    except OSError as error:
        number = error.errno or 0
        place = f"cannot listen on {host} port {port}"
        if number == errno.EADDRINUSE:
            why = (
                f"{place}: the port is taken. Is another node running? Stop it, or choose"
                f" another port with --set {key}=N"
            )
            raise _problem(key, why) from None
        if number == errno.EACCES and port < _PRIVILEGED_BELOW:
            why = (
                f"{place}: ports below {_PRIVILEGED_BELOW} need a privilege (CAP_NET_BIND_SERVICE);"
                " choose another one, such as 11112"
            )
            raise _problem(key, why) from None
        if number in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            why = f'{place}: no address of this machine; "0.0.0.0" is every IPv4 one'
            raise _problem("listener.host", why) from None
        raise _problem("listener.host", f"{place}: {os.strerror(number)}") from None


def _problem(key: str, message: str) -> ConfigError:
    return ConfigError(Problem("node.toml", key, message))

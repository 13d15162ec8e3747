"""Binding the listening socket, and what to tell a person when that cannot be done."""

import errno
import os
import socket

from dicomanon_node.config.model import Listener
from dicomanon_node.errors import ConfigError, Problem
from dicomanon_node.network import listener

_PRIVILEGED_BELOW = 1024


def bind(where: Listener) -> socket.socket:
    """Bind and listen.

    Raises:
        ConfigError: It cannot; says what to do about it.
    """
    try:
        return listener.bind(where.host, where.port)
    except socket.gaierror:
        raise _problem(
            "host", f"{where.host} is not known; give an address of this machine"
        ) from None
    except OSError as error:
        number = error.errno or 0
        place = f"cannot listen on {where.host} port {where.port}"
        if number == errno.EADDRINUSE:
            why = (
                f"{place}: the port is taken. Is another node running? Stop it, or choose"
                " another port with --set listener.port=N"
            )
            raise _problem("port", why) from None
        if number == errno.EACCES and where.port < _PRIVILEGED_BELOW:
            why = (
                f"{place}: ports below {_PRIVILEGED_BELOW} need a privilege (CAP_NET_BIND_SERVICE);"
                " choose another one, such as 11112"
            )
            raise _problem("port", why) from None
        if number in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            why = f'{place}: no address of this machine; "0.0.0.0" is every IPv4 one'
            raise _problem("host", why) from None
        raise _problem("host", f"{place}: {os.strerror(number)}") from None


def _problem(key: str, message: str) -> ConfigError:
    return ConfigError(Problem("node.toml", f"listener.{key}", message))

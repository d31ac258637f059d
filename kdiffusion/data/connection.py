"""Find out at once that there is no network, where a downloader would retry for minutes."""

import socket
import urllib.request
from collections.abc import Iterable
from urllib.parse import urlsplit


def check_any_host_known(urls: Iterable[str]) -> None:
    """Ask the name service for the hosts of the URLs until it knows one.

    Args:
        urls: iterable of str. Where a download might come from.

    Raises:
        OSError: None of their hosts has a known address, as on a machine without a network.
    """
    if urllib.request.getproxies():
        return  # The proxy asks the name service; this machine may not be able to.
    failure = None
    hosts = {host for url in urls if (host := urlsplit(url).hostname) is not None}
    for host in sorted(hosts):
        try:
            socket.getaddrinfo(host, None)
        except OSError as error:
            failure = error
        else:
            return
    if failure is not None:
        raise OSError(f"no network: no address is known for any of {sorted(hosts)}") from failure

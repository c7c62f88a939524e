"""The way to a host: TLS settings and proxies, from the options and the environment."""

import ipaddress
import os
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from yas3fs.errors import ConfigError
from yas3fs.objectstore.addressing import Address
from yas3fs.objectstore.dial import Route, basic_authorization
from yas3fs.objectstore.options import S3Options


def route_to(address: Address, options: S3Options, context: ssl.SSLContext | None) -> Route:
    """How ``address`` is reached; ``context`` is used when it speaks https."""
    proxy, authorization = _proxy(address, options)
    return Route(
        host=address.host,
        port=address.port,
        tls=context if address.scheme == "https" else None,
        proxy=proxy,
        proxy_authorization=authorization,
        connect_timeout=options.connect_timeout,
        read_timeout=options.read_timeout,
    )


def tls_context(options: S3Options) -> ssl.SSLContext:
    """What https connections trust; ConfigError when the CA bundle cannot be read."""
    bundle = options.ca_bundle or os.environ.get("AWS_CA_BUNDLE", "")
    try:
        context = ssl.create_default_context(cafile=bundle or None)
    except OSError as error:
        raise ConfigError(f"the CA bundle {bundle!r} cannot be read: {error}") from error
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif not bundle and not any(context.cert_store_stats().values()):
        _add_bundled_authorities(context)
    return context


def _add_bundled_authorities(context: ssl.SSLContext) -> None:
    """Minimal systems come without authorities; botocore brings some."""
    import botocore

    path = os.path.join(os.path.dirname(botocore.__file__), "cacert.pem")
    if os.path.exists(path):
        context.load_verify_locations(path)


def _proxy(address: Address, options: S3Options) -> tuple[tuple[str, int] | None, str]:
    text = options.proxy or _environment_proxy(address)
    if not text:
        return None, ""
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        port = url.port
    except ValueError as error:
        raise ConfigError(f"the proxy is not a URL: {error}") from None
    if url.scheme != "http" or not url.hostname:
        raise ConfigError("the proxy must be of the form http://[USER:PASSWORD@]HOST:PORT")
    authorization = basic_authorization(url.username, url.password or "") if url.username else ""
    return (url.hostname, port or 8080), authorization


def _environment_proxy(address: Address) -> str:
    if _is_loopback(address.host):
        return ""
    proxies = getproxies()
    host = f"{address.host}:{address.port}"
    if proxy_bypass(host):
        return ""
    return proxies.get(address.scheme) or proxies.get("all") or ""


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""What awscrt's S3 client takes for the large file without any mount: as fast as it can be read.

    python bare_client.py URL BYTES [CERTIFICATE]

reads so many bytes from the start of the large file, and prints seconds and CPU seconds.
"""

import json
import os
import subprocess
import sys
import threading
import time

from contestants import BUCKET, Server, run_environment

SECONDS = 120
GBPS = 5.0
"""As facts of the client go: it sizes its buffers and connections after this."""


def read(url: str, size: int, certificate: str = "") -> dict[str, float]:
    """Read the first ``size`` bytes, sequentially as far as the caller sees."""
    from awscrt.auth import AwsCredentialsProvider
    from awscrt.http import HttpHeaders, HttpRequest
    from awscrt.io import ClientBootstrap, ClientTlsContext, TlsContextOptions
    from awscrt.s3 import (
        S3Client,
        S3RequestTlsMode,
        S3RequestType,
        create_default_s3_signing_config,
    )

    provider = AwsCredentialsProvider.new_static(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    tls = None
    if certificate:
        options = TlsContextOptions()
        options.override_default_trust_store_from_path(None, certificate)
        tls = ClientTlsContext(options).new_connection_options()
    client = S3Client(
        bootstrap=ClientBootstrap.get_or_create_static_default(),
        region="us-east-1",
        signing_config=create_default_s3_signing_config(
            region="us-east-1", credential_provider=provider
        ),
        tls_mode=S3RequestTlsMode.ENABLED if certificate else S3RequestTlsMode.DISABLED,
        tls_connection_options=tls,
        part_size=8 << 20,
        throughput_target_gbps=GBPS,
    )
    received = 0
    done = threading.Event()
    failure: list[Exception | None] = []

    def arrived(chunk: bytes, **_: object) -> None:
        nonlocal received
        received += len(chunk)

    def ended(error: Exception | None = None, **_: object) -> None:
        failure.append(error)
        done.set()

    headers = HttpHeaders([("host", url.split("://")[1]), ("range", f"bytes=0-{size - 1}")])
    cpu, started = time.process_time(), time.perf_counter()
    client.make_request(
        type=S3RequestType.GET_OBJECT,
        request=HttpRequest("GET", f"/{BUCKET}/large", headers),
        on_body=arrived,
        on_done=ended,
    )
    if not done.wait(SECONDS) or failure[0] is not None or received != size:
        raise RuntimeError(f"{received} of {size} bytes: {failure}")
    return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}


def bare_read(server: Server, size: int) -> dict[str, float]:
    """:func:`read` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, server.url, str(size), str(server.certificate or "")],
        env=run_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    print(json.dumps(read(sys.argv[1], int(sys.argv[2]), sys.argv[3])))

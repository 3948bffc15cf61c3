"""A certificate of nobody's for servers on this machine, and who has to be trusted for it."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

NAMES = "subjectAltName=IP:127.0.0.1,DNS:named.example"


def make_certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context, and the file with the certificate to trust."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, to make a certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    # fmt: off
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=test", "-addext", NAMES, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    # fmt: on
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate

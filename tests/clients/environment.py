"""Environment: no client here needs a proxy or speaks TLS; to look for certificates takes longer than most tests."""

import os
from pathlib import Path

OUTSIDE = dict(os.environ)  # what the tests were started with, for the programs that they start

os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)  # where no certificates are
os.environ.pop("SSL_CERT_FILE", None)

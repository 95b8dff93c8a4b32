"""Only: the dialects of backends that can express what a test is about."""

import pytest


def only(*dialects):
    return pytest.mark.parametrize("backend", [f"{dialect}_backend" for dialect in dialects], indirect=True)

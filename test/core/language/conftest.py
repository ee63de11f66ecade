"""The text encoder, where its package is installed."""

import pytest

from pan3d_core.language.minilm import TextEncoder
from pan3d_core.runtime.minilm_files import TextEncoderUnavailable


@pytest.fixture(scope="session")
def encoder() -> TextEncoder:
    try:
        return TextEncoder()
    except TextEncoderUnavailable as error:
        pytest.skip(str(error))

"""What is looked at here is what users meet."""

import pytest


@pytest.fixture
def unhurried_stores():
    """Defaults stay as they are."""

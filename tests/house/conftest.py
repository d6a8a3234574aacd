"""What is looked at here is what users meet."""

import pytest


@pytest.fixture
def unhurried_defaults():
    """Defaults stay as they are."""

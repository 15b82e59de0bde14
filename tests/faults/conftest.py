"""What the fault tests compare with."""

from typing import Any

import pytest

from tests.faults.small import front, run


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The front of the small study when nobody disturbs it."""
    found = front(run(tmp_path_factory.mktemp("whole")))
    assert len(found) == 1
    return found

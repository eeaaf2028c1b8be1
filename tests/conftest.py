"""What all tests share; being here also puts this folder on the path (``import sample_map``)."""

import os

# Before NumPy is loaded: tests run side by side, each in one thread, as blocks do.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure() -> None:
    from hypothesis import settings

    # A busy machine is slow, not wrong.
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")

"""Loaded by every Dask worker at its start: one thread each for linear algebra and GDAL."""

from __future__ import annotations

import logging
import os

import numpy as np
import scipy.linalg
from distributed.comm.core import CommClosedError
from threadpoolctl import threadpool_limits

# A limit holds for the libraries that are loaded when it is set.
LIMITED = (np, scipy.linalg)
os.environ.setdefault("GDAL_NUM_THREADS", "1")
threadpool_limits(limits=1)


def _tells_something(record: logging.LogRecord) -> bool:
    """Drop the traceback of a heartbeat that the ending scheduler no longer answers."""
    what = record.exc_info[0] if record.exc_info else None
    return what is None or not issubclass(what, CommClosedError)


# A worker whose scheduler is gone for good ends by itself.
logging.getLogger("distributed.worker").addFilter(_tells_something)

"""Loaded by every Dask worker at its start: one thread each for linear algebra and GDAL."""

from __future__ import annotations

import os

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

# A limit holds for the libraries that are loaded when it is set.
LIMITED = (np, scipy.linalg)
os.environ.setdefault("GDAL_NUM_THREADS", "1")
threadpool_limits(limits=1)

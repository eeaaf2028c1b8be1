"""What the figures were measured on."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import llvmlite.binding as llvm
import threadpoolctl

from features.vector import this_machine

LIBRARIES = ("numpy", "scipy", "scikit-learn", "dask", "llvmlite", "torch")


def about() -> dict[str, object]:
    """Processor, width of its vectors, and versions of the libraries."""
    blas = {
        library["internal_api"]: f"{library['version']} {library.get('architecture') or ''}".strip()
        for library in threadpoolctl.threadpool_info()
        if library["user_api"] == "blas"
    }
    return {
        "processor": _processor(),
        "llvm_name": llvm.get_host_cpu_name(),
        "lanes": this_machine().lanes,
        "registers": this_machine().registers,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "blas": blas,
    }


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()

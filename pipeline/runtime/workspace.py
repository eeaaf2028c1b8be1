"""The workspace: where results are kept, on disk or in a bucket."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.runtime.mirror import is_mirror, opened, root_of
from pipeline.runtime.s3 import PLAIN_HTTP, PROFILE
from pipeline.runtime.settings import Settings, setting


@dataclass(frozen=True)
class WorkspaceSettings(Settings):
    """Where results are kept.

    Parameters
    ----------
    path : str
        Folder that holds ``raw``, ``interim`` and ``processed``, or ``s3://bucket/prefix``.
    mirror : str
        Folder on each machine that is to hold what it has in hand of a workspace on object storage;
        empty: ``asm-atlas`` in the user's cache.
    plain_http : bool
        Whether an endpoint of object storage may go without encryption, other than this machine's.
    s3_profile : str
        Profile of AWS's own settings for the workspace's bucket, where imagery is read with other
        keys; empty: as for imagery.
    """

    path: str = setting("workspace", "data", common=True)
    mirror: str = setting("mirror", "")
    plain_http: bool = setting("plain_http", False)
    s3_profile: str = setting("s3_profile", "")

    def __post_init__(self) -> None:
        if "://" not in self.path and is_mirror(Path(self.path)):
            raise ConfigError(
                "this folder is one machine's copy of a workspace on object storage",
                where=self.path,
                next_step="WORKSPACE=s3://..., as the folder's name says",
            )
        if not self.home.parts:
            raise ConfigError("workspace must not be empty")

    def open(self) -> None:
        """Get ready for work; a workspace on object storage is looked at first.

        Raises
        ------
        ObjectStoreError
            If it cannot be used.
        """
        # For the workers that this process starts, too.
        if self.plain_http:
            os.environ[PLAIN_HTTP] = "true"
        if self.s3_profile:
            os.environ[PROFILE] = self.s3_profile
        opened(self.home)

    @property
    def home(self) -> Path:
        """The workspace's folder on this machine."""
        return root_of(self.path, self.mirror) if "://" in self.path else Path(self.path)

    @property
    def raw(self) -> Path:
        """What came from outside: downloads, the demo's imagery."""
        return self.home / "raw"

    @property
    def interim(self) -> Path:
        """The stages' stores, which later runs reuse."""
        return self.home / "interim"

    @property
    def processed(self) -> Path:
        """The runs' folders: what users open."""
        return self.home / "processed"

"""How this program reaches S3: one file system of s3fs a process, and what its errors mean."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import BucketAccessError, ConfigError, NoAnswerError, NoBucketError

# Of one try; s3fs's own tries are off.
TIMEOUTS = {"connect_timeout": 5, "read_timeout": 60, "retries": {"total_max_attempts": 1}}
PLAIN_HTTP, PROFILE = "ASM_ATLAS_PLAIN_HTTP", "ASM_ATLAS_S3_PROFILE"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
ABSENT = {"NoSuchKey", "404", "NotFound"}
_REFUSED = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}
_DENIED = {
    "403", "401", "AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "ExpiredToken",
    "SignatureDoesNotMatch", "InvalidToken", "RequestTimeTooSkewed", "AccountProblem",
}  # fmt: skip
# What is worth another try besides all that the store blames on itself (a status from 500 on): Ceph
# says UnknownError, with 500, to some of those who lose a race.
_LATER = {"RequestTimeout", "OperationAborted", "ThrottlingException", "Throttling", "429"}


class Refused(Exception):
    """A condition did not hold."""


class Absent(Exception):
    """There is no such object."""


@lru_cache(maxsize=4)
def filesystem(process: int) -> Any:
    """Return s3fs's own file system of this process, once its endpoint may be spoken to."""
    import s3fs

    made = s3fs.S3FileSystem(
        config_kwargs=TIMEOUTS,
        use_listings_cache=False,
        skip_instance_cache=True,
        profile=os.environ.get(PROFILE) or None,
    )
    made.retries = 1
    try:
        address = urlsplit(str(made.s3.meta.endpoint_url))
    except Exception as error:
        if not _lacks_credentials(error):
            raise
        raise BucketAccessError(
            f"no credentials for the object storage ({type(error).__name__})",
            next_step="see AWS_PROFILE or AWS_ACCESS_KEY_ID",
        ) from None
    allowed = os.environ.get(PLAIN_HTTP, "").lower() == "true"
    if address.scheme != "https" and address.hostname not in _LOOPBACK and not allowed:
        raise ConfigError(
            "the endpoint of the object storage is not encrypted",
            where=f"{address.scheme}://{address.hostname}",
            next_step=f"use its https address; or {PLAIN_HTTP}=true where nobody listens",
        )
    return made


def named(what: str, where: str, error: Exception) -> tuple[Exception, bool]:
    """Say what an error of s3fs or botocore means, and whether it may be gone later.

    Parameters
    ----------
    what : str
        The verb that was tried: ``read``, ``write``, ``list`` or ``delete``.
    where : str
        The object.
    error : Exception
        As it came.

    Returns
    -------
    error : Exception
        ``Refused``, ``Absent``, an ``ObjectStoreError``, or the same: a defect.
    later : bool
        Whether it is worth another try.
    """
    code = code_of(error)
    if code in ABSENT:
        return Absent(), False
    if code in _REFUSED:
        return Refused(), False
    if code == "NoSuchBucket":
        step = "make it, or see that WORKSPACE and the endpoint are right"
        return NoBucketError("there is no such bucket", where=where, next_step=step), False
    if code in _DENIED or _lacks_credentials(error):
        refusal = BucketAccessError(
            f"the object storage refuses to {what} ({code or type(error).__name__})",
            where=where,
            next_step="see AWS_PROFILE or AWS_ACCESS_KEY_ID, and the permissions that "
            "docs/cluster.md lists",
        )
        return refusal, False
    if not code and not _is_network(error):
        return error, False  # a defect, or a file of this machine
    trouble = NoAnswerError(
        f"the object storage does not {what} as it should ({code or type(error).__name__})",
        where=where,
        next_step="see that the endpoint is up; the same command goes on where it was",
    )
    status = _answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return trouble, not code or code in _LATER or status >= 500


def code_of(error: BaseException) -> str:
    """Return the code of S3 behind an error; empty if it is none of S3's."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def _answer(error: BaseException) -> dict[str, Any]:
    told = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return told if isinstance(told, dict) else {}


def _lacks_credentials(error: Exception) -> bool:
    from botocore import exceptions as known

    return isinstance(
        error,
        known.NoCredentialsError
        | known.PartialCredentialsError
        | known.CredentialRetrievalError
        | known.ProfileNotFound,
    )


def _is_network(error: Exception) -> bool:
    from aiohttp import ClientError
    from botocore import exceptions as known

    lost = known.ConnectionError | known.HTTPClientError | known.IncompleteReadError
    return isinstance(
        error, lost | known.ResponseStreamingError | ClientError | TimeoutError | ConnectionError
    )

"""What can go wrong with a request, and the plan of which request it happens to."""

from __future__ import annotations

from dataclasses import dataclass, field

# Cause that a failed block must name -> kind. The last two are known by their class of error.
CAUSES = {
    "429": "throttled (429)",
    "500": "server error (500)",
    "503": "unavailable (503)",
    "403 expired": "forbidden (403)",
    "404": "not found (404)",
    "connection drop": "connection lost",
    "cut body": "cut short",
    "wrong range": "wrong range",
    "does not decode": "does not decode",
    "hang": "timed out",
    "missing band": "MissingBandError",
    "worker killed": "WorkerLostError",
}
KINDS = tuple(CAUSES)
# Kinds that an answer can have, and that a further try can mend.
OF_ANSWERS = KINDS[:10]
EVER = 10**9


@dataclass
class Fault:
    """One fault: of which kind, in which requests of which file, and how often.

    Parameters
    ----------
    kind : str
        One of ``KINDS``, or ``flipped bit``.
    block : str
        Name of the block that the file belongs to.
    path : str
        Of the file, as the server knows it.
    part : str
        ``header``: requests that begin with the file's first byte, ``pixels``: the others, ``any``.
    times : int
        So many requests are hit, then it clears; ``EVER``: it never does.
    variant : int
        Which of the kind's forms (``server.py``), any number.
    given : int
        How often it was really delivered.
    """

    kind: str
    block: str
    path: str
    part: str = "any"
    times: int = EVER
    variant: int = 0
    given: int = field(default=0, compare=False)

    @property
    def clears(self) -> bool:
        return self.times < EVER

    def hits(self, begins_at_0: bool) -> bool:
        """Whether a request is the next one to be hit."""
        wanted = self.part == "any" or (self.part == "header") == begins_at_0
        return wanted and self.given < self.times

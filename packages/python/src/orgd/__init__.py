"""orgd as a server for tests: `Server.start()`, or the pytest fixture `orgd`."""

from ._binary import find_binary
from ._server import (
    Advance,
    Clock,
    Event,
    Fault,
    Mail,
    OrgdError,
    Owner,
    Refused,
    Request,
    Server,
)

__all__ = [
    "Advance",
    "Clock",
    "Event",
    "Fault",
    "Mail",
    "OrgdError",
    "Owner",
    "Refused",
    "Request",
    "Server",
    "find_binary",
]

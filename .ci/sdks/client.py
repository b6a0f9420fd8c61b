"""Sends events with posthog-python, in both protocols of capture, and evaluates flags. Prints the names of all events
that were sent as JSON; fails where the library logs anything that a person would look into."""

import json
import logging
import sys

from posthog import Posthog

host, token, key = sys.argv[1:]
troubles = []
sent = []


class Troubles(logging.Handler):
    def emit(self, record):
        troubles.append(f"{record.levelname} {record.name}: {record.getMessage()}")


logging.getLogger().addHandler(Troubles(level=logging.WARNING))


def note(event):
    sent.append(event["event"])
    return event


for mode in ("v0", "v1"):
    client = Posthog(
        token,
        host=host,
        secret_key=key,
        capture_mode=mode,
        gzip=mode == "v1",
        before_send=note,
        on_error=lambda error, batch: troubles.append(f"{error!r}"),
        sync_mode=False,
    )
    for number in range(100):
        properties = {"number": number, "long": 2**80, "text": "é😀"}
        client.capture(f"python {mode}", distinct_id=f"person {number % 7}", properties=properties)
    client.set(distinct_id="person 1", properties={"name": "Ada"})
    client.alias("person 1", f"alias {mode}")
    client.group_identify("company", "acme", {"size": 3})
    client.capture_exception(ValueError("on purpose"), distinct_id="person 1")
    client.load_feature_flags()
    if client.get_all_flags("person 1") not in ({}, None):
        troubles.append("there are flags")
    if client.evaluate_flags("person 1").get_flag("none"):
        troubles.append("there is a flag")
    client.flush()
    client.shutdown()

print(json.dumps(sent))
if troubles:
    sys.exit("posthog-python had trouble:\n" + "\n".join(troubles))

"""posthog-python, in both protocols of capture."""

import logging

from posthog import Posthog

from steps import events_outcome, try_all

logging.disable(logging.CRITICAL)


def run_in(mode):
    def run(server):
        troubles = []
        client = Posthog(
            server.project_token,
            host=server.url,
            secret_key=server.key,
            capture_mode=mode,
            flush_at=3,
            flush_interval=0.2,
            on_error=lambda error, batch: troubles.append(error),
        )
        client.load_feature_flags()
        client.get_all_flags("ada")
        markers = list(range(6))
        for marker in markers:
            client.capture("seen", distinct_id="ada", properties={"marker": marker})
        client.flush()
        client.shutdown()
        return events_outcome(server, markers, troubles)

    return run


for mode in ("v0", "v1"):
    try_all(f"posthog-python {mode}", run_in(mode), workers=12)

"""The exporter that a user would write: requests and prometheus_client, one pass over the parsed journal."""

import sys
from collections import Counter

import requests
from prometheus_client import REGISTRY, start_http_server
from prometheus_client.core import GaugeMetricFamily

url = sys.argv[1]
session = requests.Session()


class Journal:
    def describe(self):
        return []

    def collect(self):
        statuses = session.get(url, timeout=60).json()
        counts = Counter(
            (status["statusMessage"], status["typeMessage"], str(status["sendByApi"]).lower())
            for status in statuses
        )
        family = GaugeMetricFamily(
            "greenapi_journal_statuses",
            "Statuses in the journal.",
            labels=["status_message", "type_message", "send_by_api"],
        )
        for labels, count in counts.items():
            family.add_metric(labels, count)
        yield family


REGISTRY.register(Journal())
server, thread = start_http_server(0, addr="127.0.0.1")
print(f"127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
thread.join()

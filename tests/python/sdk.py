"""Drives the simulator with GREEN-API's own client: sdk.py BASE_URL ID TOKEN PARTNER_TOKEN"""

import asyncio
import sys

from whatsapp_api_client_python.API import GreenAPI, GreenApiPartner

base_url, instance_id, token, partner_token = sys.argv[1:]


def ok(response):
    assert response.code == 200, (response.code, response.error)
    return response.data


def journal(api, **window):
    return {status["idMessage"]: status for status in ok(api.statuses.getOutgoingStatuses(**window))}


api = GreenAPI(instance_id, token, host=base_url, media=base_url)

# What an owner has published is there, and a longer window holds more of it.
assert ok(api.account.getStateInstance()) == {"stateInstance": "authorized"}
assert ok(api.account.getSettings())["outgoingWebhook"] == "yes"
assert 0 < len(journal(api, minutes=60)) < len(journal(api)) < len(journal(api, minutes=10080))
assert ok(api.statuses.getIncomingStatuses(minutes=1440))
assert ok(api.serviceMethods.getContacts())

# What is sent is pending at first, as the API's own types have it.
friends = ["70000000001@c.us", "70000000002@c.us"]
queued = ok(api.queues.getMessagesCount())["count"]
text = ok(api.statuses.sendTextStatus("hello", participants=friends))["idMessage"]
film = ok(api.statuses.sendMediaStatus("https://example.com/a.mp4", "a.mp4", "look"))["idMessage"]
voice = ok(api.statuses.sendVoiceStatus("https://example.com/a.mp3", "a.mp3"))["idMessage"]
assert ok(api.queues.getMessagesCount())["count"] == queued + 3
statuses = journal(api)
assert statuses[text]["statusMessage"] == "pending"
assert statuses[text]["extendedTextMessage"]["participants"] == friends
assert [statuses[id]["typeMessage"] for id in (text, film, voice)] == [
    "extendedTextMessage",
    "videoMessage",
    "audioMessage",
]

# One that has been read has somebody who read it; one that waits has nobody.
read = next(id for id, status in statuses.items() if status["statusMessage"] == "read")
assert "read" in [row["status"] for row in ok(api.statuses.getStatusStatistic(read))]
assert ok(api.statuses.getStatusStatistic(text)) == []

# The client turns the empty answer of a deletion into this text.
assert ok(api.statuses.deleteStatus(text)) == "[]"
assert journal(api)[text]["typeMessage"] == "deletedMessage"
assert api.statuses.deleteStatus("unknown").code == 400

# The asynchronous client sends its window as the body of a GET, where nobody looks for it.
everything = ok(asyncio.run(api.statuses.getOutgoingStatusesAsync(minutes=60)))
assert len(everything) == len(journal(api))

assert GreenAPI(instance_id, "wrong", host=base_url).account.getStateInstance().code == 401
assert GreenAPI("1", token, host=base_url).account.getStateInstance().code == 403

instances = ok(GreenApiPartner(partner_token, host=base_url).partner.getInstances())
assert [instance["idInstance"] for instance in instances] == [int(instance_id)]
assert ok(GreenApiPartner("wrong", host=base_url).partner.getInstances())["code"] == 401

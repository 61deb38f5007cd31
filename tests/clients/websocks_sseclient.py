"""Webhooks by sseclient-py, in the shape of WebSocks' own sample."""

import json
import os

import requests
import sseclient

response = requests.get(os.environ["TIDINGS_STREAM_URL"], stream=True)
if response.status_code != 200:
    print(f"> refused {response.status_code} {response.json()}")
    raise SystemExit
client = sseclient.SSEClient(response)
print("> open")
for event in client.events():
    data = json.loads(event.data)
    if data["type"] == "webhook":
        print("Webhook received:", json.dumps(data["payload"], separators=(",", ":")))

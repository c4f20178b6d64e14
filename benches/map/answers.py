"""Answers read once before anything is measured: how many features they hold, so that nobody is fast by giving less."""

import http.client
import json


def fetch(port, address, token=None, connection=None):
    """Status, media type and body of one GET."""
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    own.request("GET", address, headers={"Authorization": f"Bearer {token}"} if token else {})
    answer = own.getresponse()
    body = answer.read()
    if connection is None:
        own.close()
    return answer.status, answer.headers.get("Content-Type", ""), body


def fetch_all(port, addresses, token=None):
    """(address, media type, body) of each; anything but 2xx ends the run."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for address in addresses:
        status, media_type, body = fetch(port, address, token, connection)
        if status not in (200, 204):
            raise SystemExit(f"{address} 回答 {status}：{body[:300]!r}")
        yield address, media_type, body
    connection.close()


def features_of(answers, body):
    if answers == "items":
        return len(json.loads(body)["features"])
    return tile_features(body)


def tile_features(body):
    """Features of all layers of a Mapbox vector tile; a feature that stands for several (attribute `count`) is one."""
    return sum(1 for field, layer in fields(body) if field == 3 for inner, _ in fields(layer) if inner == 2)


def fields(message):
    """(number, bytes or integer) of each field of a protobuf message."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        if key & 7 == 2:
            length, at = varint(message, at)
            yield key >> 3, message[at:at + length]
            at += length
        elif key & 7 == 0:
            number, at = varint(message, at)
            yield key >> 3, number
        else:
            width = {1: 8, 5: 4}[key & 7]
            yield key >> 3, message[at:at + width]
            at += width


def varint(message, at):
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at

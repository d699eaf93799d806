"""Follows a market's L3 feed with nothing but the schema: the layouts come out of docs/schema/lakh.xml at run time.

    pip install cryptography
    python docs/examples/binary_feed.py 127.0.0.1:9083 VENUE_TAG SECRET [MESSAGES]

VENUE_TAG: the first 32 digits of the api key that `lakh dev` prints; SECRET: the key's 32 bytes in hexadecimal.
"""

import datetime
import pathlib
import socket
import struct
import sys
import time
import xml.etree.ElementTree as xml

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

FORMATS = {"uint64": "Q", "int64": "q", "uint32": "I", "int32": "i", "uint16": "H", "uint8": "B"}
SCHEMA = pathlib.Path(__file__).resolve().parents[1] / "schema" / "lakh.xml"


class Schema:
    """Types, enumerations and messages of an SBE schema of our subset."""

    def __init__(self, path):
        root = xml.parse(path).getroot()
        self.id, self.version = int(root.get("id")), int(root.get("version"))
        self.types, self.enums = {}, {}
        for one in root.find("types"):
            if one.tag == "type":
                length = one.get("length")
                self.types[one.get("name")] = f"{length}s" if length else FORMATS[one.get("primitiveType")]
            elif one.tag == "enum":
                self.types[one.get("name")] = "B"
                self.enums[one.get("name")] = {int(value.text): value.get("name") for value in one}
        self.messages, self.ids = {}, {}
        for message in root:
            if message.tag.endswith("message"):
                fields = [(f.get("name"), f.get("type")) for f in message.findall("field")]
                group = message.find("group")
                entries = group is not None and [(f.get("name"), f.get("type")) for f in group.findall("field")]
                self.messages[int(message.get("id"))] = (message.get("name"), fields, entries)
                self.ids[message.get("name")] = int(message.get("id"))

    def layout(self, fields):
        return struct.Struct("<" + "".join(self.types[kind] for _, kind in fields))

    def read(self, fields, data):
        values = {}
        for (name, kind), value in zip(fields, self.layout(fields).unpack_from(data)):
            if kind in self.enums:
                value = self.enums[kind].get(value)
            elif isinstance(value, bytes):
                value = value.rstrip(b"\0")
            values[name] = value
        return values

    def decode(self, frame):
        """A frame behind its SOFH header: the message's name, its fields, its group's entries."""
        block, template, schema_id, _version = struct.unpack_from("<HHHH", frame)
        assert schema_id == self.id
        name, fields, group = self.messages[template]
        entries, rest = [], frame[8 + block:]
        if group:
            length, count = struct.unpack_from("<HH", rest)
            entries = [self.read(group, rest[4 + at * length:]) for at in range(count)]
        return name, self.read(fields, frame[8:8 + block]), entries

    def encode(self, name, values):
        _, fields, _ = self.messages[self.ids[name]]
        block = self.layout(fields).pack(*(values[field] for field, _ in fields))
        header = struct.pack("<HHHH", len(block), self.ids[name], self.id, self.version)
        return struct.pack("<IH", 6 + len(header) + len(block), 0xEB50) + header + block


def frames(connection):
    buffer = b""
    while True:
        while len(buffer) >= 6 and len(buffer) >= struct.unpack_from("<I", buffer)[0]:
            length, encoding = struct.unpack_from("<IH", buffer)
            assert encoding == 0xEB50
            yield buffer[6:length]
            buffer = buffer[length:]
        more = connection.recv(65536)
        if not more:
            return
        buffer += more


def main():
    address, tag, secret = sys.argv[1:4]
    wanted = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    schema, key = Schema(SCHEMA), Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    host, port = address.split(":")
    connection = socket.create_connection((host, int(port)))
    now = time.time_ns()
    moment = datetime.datetime.fromtimestamp(now // 10**9, datetime.timezone.utc)
    text = "\x01".join(["A", "python", tag, "1", f"{moment:%Y%m%d-%H:%M:%S}.{now // 10**6 % 1000:03}"])
    connection.sendall(schema.encode("Logon", {
        "sequenceNumber": 1, "sendingTime": now, "senderCompId": b"python", "targetCompId": tag.encode(),
        "publicKey": key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), "heartbeatInterval": 60000,
        "resumeFromSequence": 2**64 - 1, "role": 2, "disconnectMode": 0, "signature": key.sign(text.encode()),
    }))
    sent, seen, orders = 1, 0, {}
    for frame in frames(connection):
        name, fields, entries = schema.decode(frame)
        if name == "LogonAccepted":
            sent += 1
            connection.sendall(schema.encode("MarketDataSubscribe", {
                "sequenceNumber": sent, "sendingTime": time.time_ns(), "feedSequence": 0, "conflation": 0,
                "marketId": 0, "channel": 0, "start": 0,
            }))
        elif name in ("Logout", "Reject"):
            sys.exit(f"{name}: {fields}")
        elif name in ("TestRequest", "Heartbeat"):
            sent += 1
            connection.sendall(schema.encode("Heartbeat", {
                "sequenceNumber": sent, "sendingTime": time.time_ns(), "testId": fields["testId"],
            }))
        elif name == "SnapshotOrders":
            orders.update({entry["publicOrderId"]: entry["quantity"] for entry in entries})
        elif name == "OrderAdded":
            orders[fields["publicOrderId"]] = fields["quantity"]
        elif name in ("OrderExecuted", "OrderReduced"):
            orders[fields["publicOrderId"]] = fields["remaining"]
        elif name == "OrderDeleted":
            orders[fields["publicOrderId"]] = 0
        if name == "OrderExecuted" or name.startswith("Snapshot"):
            shown = {key: value for key, value in fields.items() if key not in ("sendingTime", "transactTime")}
            print(name, shown, f"{sum(quantity > 0 for quantity in orders.values())} orders")
        seen += 1
        if seen == wanted:
            return


if __name__ == "__main__":
    main()

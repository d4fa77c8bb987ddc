"""Writes a scalar every second into a TensorBoard event file, by hand: TFRecords of protobuf."""

import os
import struct
import time

_TABLE = []
for index in range(256):
    for _ in range(8):
        index = index >> 1 ^ (0x82F63B78 if index & 1 else 0)
    _TABLE.append(index)


def masked(data):
    """TFRecord's checksum: CRC-32C, turned and moved."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(event):
    size = struct.pack("<Q", len(event))
    return size + masked(size) + event + masked(event)


def field(number, data):
    return bytes([number << 3 | 2, len(data)]) + data


def scalar(step, tag, value):
    """An Event with a Summary of one simple value."""
    one = field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
    moment = b"\x09" + struct.pack("<d", time.time())
    return moment + b"\x10" + bytes([step]) + field(5, field(1, one))


os.makedirs("output/logs", exist_ok=True)
path = "output/logs/events.out.tfevents.1700000000.host"
with open(path, "ab") as file:
    file.write(record(b"\x09" + struct.pack("<d", time.time()) + field(3, b"brain.Event:2")))
for step in range(1, 120):
    with open(path, "ab") as file:
        file.write(record(scalar(step, "loss", 1 / step)))
    time.sleep(1)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One run through `belljar-launch serve`: a client of docs/protocol.md in one page.

    client.py POLICY FILE SOCKET COMMAND [ARG...] < INPUT

POLICY is the folder policy of the build that the server is of: its tables say what the bytes mean. FILE is the compiled plan that the server
was given. Prints what the program prints, and then, on stderr, how it ended.
"""
import json
import socket
import struct
import sys

table = json.load(open(sys.argv[1] + "/wire/plan.def.json"))
verdicts = [verdict["name"] for verdict in json.load(open(sys.argv[1] + "/verdict/verdicts.def.json"))["verdicts"]]
messages = table["enums"]["MessageKind"]
SINGLE = {"u64": ("Q", 8), "i32": ("i", 4)}  # all else that is in place is a u32, or several


def layout(record):
    """(name, type, offset) of each field of a C structure, and its size."""
    fields, at = [], 0
    for field in table["records"][record]:
        kind, _, more = field["type"].partition(":")
        align = 8 if kind == "u64" else 1 if kind == "text" else 4
        size = {"u64": 8, "str": 8, "bytes": 8, "list": 8, "array": 4 * int(more[4:] or 0) if kind == "array" else 0,
                "text": int(more or 0) if kind == "text" else 0}.get(kind, 4)
        at += -at % align
        fields.append((field["name"], field["type"], at))
        at += size
    return fields, at + -at % 8


def decode(part, record, base):
    values = {}
    for name, kind, offset in layout(record)[0]:
        kind, _, more = kind.partition(":")
        where = base + offset
        if kind in ("str", "bytes", "list"):
            start, length = struct.unpack_from("<II", part, where)
            if kind == "list":
                size = layout(more)[1]
                values[name] = [decode(part, more, start + i * size) for i in range(length)]
            else:
                values[name] = part[start:start + length]
        elif kind == "array":
            values[name] = struct.unpack_from(f"<{more[4:]}I", part, where)
        elif kind == "text":
            values[name] = part[where:where + int(more)].split(b"\0")[0]
        else:
            values[name] = struct.unpack_from("<" + SINGLE.get(kind, "I")[0], part, where)[0]
    return values


def fill(part, record, base, values):
    """Writes a record's fields at `base`, and what lies out of line at the end of `part`: the one order that is accepted."""
    for name, kind, offset in layout(record)[0]:
        kind, _, more = kind.partition(":")
        where, value = base + offset, values[name]
        if kind not in ("str", "bytes", "list"):
            form, several = SINGLE.get(kind, "I")[0], value if kind == "array" else (value,)
            struct.pack_into(f"<{len(several)}{form}", part, where, *several)
            continue
        if len(value) == 0:
            continue
        if kind != "str":
            part.extend(bytes(-len(part) % 8))
        start = len(part)
        struct.pack_into("<II", part, where, start, len(value))
        if kind == "list":
            size = layout(more)[1]
            part.extend(bytes(size * len(value)))
            for i, item in enumerate(value):
                fill(part, more, start + i * size, item)
        else:
            part.extend(value + (b"\0" if kind == "str" else b""))


def exec_part(file, command):
    """The template of a compiled plan, with a command of its own, and no longer a template."""
    plan = open(file, "rb").read()
    at = struct.unpack_from("<I", plan, 16)[0]  # behind the sandbox part
    values = decode(plan[at:], "ExecPlan", 32)
    values.update(argv=[{"text": word.encode()} for word in command], parked=0)
    part = bytearray(plan[at:at + 32]) + bytes(layout("ExecPlan")[1])
    fill(part, "ExecPlan", 32, values)
    part.extend(bytes(-len(part) % 8))
    struct.pack_into("<I", part, 16, len(part))
    return bytes(part)


def frame(kind, payload=b""):
    return struct.pack("<II", messages.index(kind), len(payload)) + payload


def main():
    with socket.socket(socket.AF_UNIX) as server, server.makefile("rb") as answers:
        server.connect(sys.argv[3])
        server.sendall(exec_part(sys.argv[2], sys.argv[4:]))
        # At most 64 KiB: more would have to be sent while answers are read.
        given = sys.stdin.buffer.read(65536)
        server.sendall((frame("stdin", given) if given else b"") + frame("stdin"))
        while header := answers.read(8):
            kind, length = struct.unpack("<II", header)
            payload = answers.read(length)
            if messages[kind] == "stdout":
                sys.stdout.buffer.write(payload)
            elif messages[kind] == "stderr":
                sys.stderr.buffer.write(payload)
            elif messages[kind] == "refused":
                sys.exit("refused: no sandbox can be had now")
            elif messages[kind] == "record":
                return decode(payload, "RunRecord", 0)
    sys.exit("the launcher of this sandbox was killed")


record = main()
sys.stdout.flush()
wall = record["wallNs"]
how = {"verdict": verdicts[record["verdict"]], "exitCode": record["exitCode"], "wallMs": None if wall == 2**64 - 1 else wall / 1e6}
print(json.dumps(how), file=sys.stderr)

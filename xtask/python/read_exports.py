"""Reads one session's exports as researchers do, and holds them against one another.

Usage: read_exports.py DIRECTORY, which holds talk.jsonl, talk.json, talk.csv and talk.parquet.
Prints a line for each check and ends with an error at the first that fails.
"""

import hashlib
import json
import re
import struct
import sys
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow.parquet as pq

here = Path(sys.argv[1])
passed = 0


def check(what, holds):
    global passed
    if not holds:
        sys.exit(f"{what}: does not hold")
    passed += 1
    print(f"ok  {what}")


def micros(text):
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    delta = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def chain(lines):
    """The chain of docs/adr/0001, computed from the jsonl alone."""
    previous = bytes(32)
    for line in lines:
        event = json.loads(line)
        body = line[line.index(b',"body":') + len(b',"body":') : -1]
        kind = event["kind"].encode()
        text = b"psyche.event\0" + previous + struct.pack(
            ">HIQqH", event["v"], event["gen"], event["seq"], micros(event["at"]), len(kind)
        ) + kind + body
        previous = hashlib.sha256(text).digest()
        if previous.hex() != event["hash"]:
            sys.exit(f"event {event['seq']}: the hash does not follow")
        for item in event["texts"]:
            if item["text"] is not None and not item.get("masked"):
                committed = hashlib.sha256(bytes.fromhex(item["salt"]) + item["text"].encode()).hexdigest()
                if committed.encode() not in body:
                    sys.exit(f"event {event['seq']}: not the text that was committed to")
    return previous.hex()


lines = (here / "talk.jsonl").read_bytes().splitlines()
head = json.loads(lines[0])
check("jsonl: the chain ends in the log hash of its head", chain(lines[1:]) == head["log_hash"])
spoken = [json.loads(line) for line in lines[1:]]
words = [
    next(text["text"] for text in event["texts"] if text["field"] == "content")
    for event in spoken
    if event["kind"] == "agent_message"
]

document = json.loads((here / "talk.json").read_text(encoding="utf-8"))
check("json: its provenance is that of the jsonl", document["provenance"] == {
    key: value for key, value in head.items() if key not in ("format", "version")
})
said = [event["content"] for event in document["events"] if event["type"] == "agent_message"]
check(f"json: the same {len(words)} utterances", said == words)

table = pd.read_csv(
    here / "talk.csv", keep_default_na=False, na_values=[""], dtype={"content": str}
)
plain = [re.sub(r"^'(?='*[=+\-@\t\r])", "", text) for text in table["content"]]
check("csv, pandas: the same utterances once the apostrophes are taken away", plain == words)
dangerous = table["content"].str.match(r"[=+\-@\t\r]")
check("csv: no cell that a spreadsheet would run", not dangerous.any())
check("csv: one log hash in all rows", set(table["log_hash"]) == {head["log_hash"]})
check("csv, polars: as many rows", pl.read_csv(here / "talk.csv", infer_schema_length=None).height == len(words))

if (here / "talk.parquet").exists():
    parquet = pq.ParquetFile(here / "talk.parquet")
    about = json.loads(parquet.schema_arrow.metadata[b"psyche"])
    check("parquet: its metadata is the provenance", about == document["provenance"])
    frame = pd.read_parquet(here / "talk.parquet")
    check("parquet, pandas: the same utterances", list(frame["content"]) == words)
    check("parquet: the same columns as csv", list(frame.columns) == list(table.columns))
    check("parquet: times are times in UTC", str(frame["timestamp"].dtype) == "datetime64[us, UTC]")
    lazy = pl.read_parquet(here / "talk.parquet")
    check("parquet, polars: the same utterances", lazy["content"].to_list() == words)
    check("parquet, polars: whole numbers are unsigned", lazy.schema["seq"] == pl.UInt64)
    same = (frame["stagnation_standardised"] - table["stagnation_standardised"]).abs().max()
    check("parquet and csv: the same gauges to the last digit", same == 0)

print(f"{passed} passed, 0 failed")

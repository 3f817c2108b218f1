"""
Keep a table of all torrents by what changes: python live.py http://localhost:8080

Wants python-socketio and aiohttp.
"""

import asyncio
import sys

import socketio

live, table, since = socketio.AsyncClient(), {}, {}


@live.event
async def connect():
    await live.emit("v1", {"command": "subscribe", "topic": "torrents", "fields": "name,state", **since})


@live.on("*")
async def keep(event, news):
    since["since"] = news.get("rev", 0)
    for gone in list(table.values()) if "torrents" in news else news.get("removed", ()):
        table.pop((gone["session_id"], gone["infohash"]), None)
    for row in news.get("torrents") or news.get("changed", ()):
        table.setdefault((row["session_id"], row["infohash"]), {}).update(row)
    print(*(f"{row['state']:>20}  {row['name']}" for row in table.values()), "", sep="\n", flush=True)


async def main():
    await live.connect(sys.argv[1])
    await live.wait()


asyncio.run(main())

"""Copies files with pypsrp as often as it is told to.

Reads a JSON object with the connection and the file from the first line of its standard
input, then one word a line: up or down. Prints the seconds that each took.
"""

import json
import sys
import time

from pypsrp.shell import Process, WinRS
from pypsrp.wsman import WSMan


def up(shell, chunk, data, path):
    process = Process(shell, "receive", [path])
    process.begin_invoke()
    at = 0
    while at < len(data):
        process.send(data[at : at + chunk], end=at + chunk >= len(data))
        at += chunk
    process.end_invoke()
    return process


def down(shell, path):
    process = Process(shell, "send", [path])
    process.invoke()
    return process


def main():
    job = json.loads(sys.stdin.readline())
    with open(job["file"], "rb") as f:
        data = f.read()
    wsman = WSMan(
        job["host"], port=job["port"], username=job["user"], password=job["password"],
        ssl=False, auth="basic", encryption="never", max_envelope_size=512000, no_proxy=True,
    )
    with wsman, WinRS(wsman) as shell:
        for line in sys.stdin:
            begun = time.monotonic()
            if line.strip() == "up":
                process = up(shell, wsman.max_payload_size, data, job["path"])
            else:
                process = down(shell, job["path"])
                if process.stdout != data:
                    raise SystemExit("the content is another")
            if process.rc != 0:
                raise SystemExit(process.stderr.decode())
            print(time.monotonic() - begun, flush=True)


main()

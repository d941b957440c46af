"""Runs commands with pypsrp's WinRS shell.

A job comes as JSON on standard input: the endpoint, the account, and the
commands. The results go as JSON to standard output, bytes in base64.
"""

import base64
import json
import sys

from pypsrp.shell import Process, SignalCode, WinRS
from pypsrp.wsman import WSMan


def run(shell, case):
    process = Process(shell, case["command"], case["args"] or [])
    process.begin_invoke()
    if case["stdin"] is not None:
        process.send(base64.b64decode(case["stdin"]), end=True)
    process.end_invoke()
    process.signal(SignalCode.TERMINATE)
    return process.stdout, process.stderr, process.rc


def main():
    job = json.load(sys.stdin)
    wsman = WSMan(
        job["host"],
        port=job["port"],
        ssl=job["ssl"],
        auth=job["auth"],
        username=job["user"],
        password=job["password"],
        cert_validation=job["ca"] or True,
        encryption=job["encryption"],
        no_proxy=True,
    )
    results = []
    with wsman, WinRS(wsman, codepage=65001) as shell:
        for case in job["cases"]:
            result = {"name": case["name"]}
            try:
                out, err, code = run(shell, case)
                result["stdout"] = base64.b64encode(out).decode()
                result["stderr"] = base64.b64encode(err).decode()
                result["code"] = code
            except Exception as e:  # what it says is part of the result
                result["error"] = f"{type(e).__name__}: {e}"
            results.append(result)
    json.dump(results, sys.stdout)


main()

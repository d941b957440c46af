"""Runs commands with pywinrm.

A job comes as JSON on standard input: the endpoint, the account, and the
commands. The results go as JSON to standard output, bytes in base64.
"""

import base64
import json
import sys

from winrm.protocol import Protocol


def run(protocol, shell, case):
    stdin = case["stdin"]
    command = protocol.run_command(
        shell,
        case["command"],
        case["args"] or (),
        console_mode_stdin=stdin is None,
    )
    try:
        if stdin is not None:
            protocol.send_command_input(shell, command, base64.b64decode(stdin), end=True)
        return protocol.get_command_output(shell, command)
    finally:
        protocol.cleanup_command(shell, command)


def main():
    job = json.load(sys.stdin)
    protocol = Protocol(
        endpoint=job["url"],
        transport=job["auth"],
        username=job["user"],
        password=job["password"],
        ca_trust_path=job["ca"] or "legacy_requests",
        message_encryption=job["encryption"],
        proxy=None,
        operation_timeout_sec=20,
        read_timeout_sec=40,
    )
    results = []
    shell = protocol.open_shell(codepage=65001)
    for case in job["cases"]:
        result = {"name": case["name"]}
        try:
            out, err, code = run(protocol, shell, case)
            result["stdout"] = base64.b64encode(out).decode()
            result["stderr"] = base64.b64encode(err).decode()
            result["code"] = code
        except Exception as e:  # what it says is part of the result
            result["error"] = f"{type(e).__name__}: {e}"
        results.append(result)
    protocol.close_shell(shell)
    json.dump(results, sys.stdout)


main()

"""Runs commands with awinrm, whose NTLM, SPNEGO and CredSSP are asyauth's.

A job comes as JSON on standard input: the endpoint, the account, and the
commands. The results go as JSON to standard output, bytes in base64.
"""

import asyncio
import base64
import json
import ssl
import sys

import httpx
from asyauth.common.constants import asyauthSecret
from asyauth.common.credentials.ntlm import NTLMCredential
from awinrm import Session


async def run(protocol, shell, case):
    # Without a console the command sees the end of its input.
    command = await protocol.run_command(shell, case["command"], case["args"] or [], console_mode_stdin=False)
    if case["stdin"] is not None:
        await protocol.send_command_input(shell, command, base64.b64decode(case["stdin"]), end=True)
    out, err, code = b"", b"", None
    async for stdout, stderr, rc in protocol.get_command_output(shell, command):
        out, err, code = out + stdout, err + stderr, rc
    await protocol.cleanup_command(shell, command)
    return out, err, code


async def main():
    job = json.load(sys.stdin)
    domain, _, user = job["user"].rpartition("\\")
    results = []
    async with Session(
        job["url"],
        credential=NTLMCredential(job["password"], user, domain, stype=asyauthSecret.PASSWORD),
        authtype=job["auth"],
        transport_type="ssl" if job["ssl"] else "plaintext",
        transport=httpx.AsyncHTTPTransport(verify=ssl.create_default_context(cafile=job["ca"]) if job["ssl"] else True),
    ) as session:
        shell = await session.protocol.open_shell(codepage=65001)
        for case in job["cases"]:
            result = {"name": case["name"]}
            try:
                out, err, code = await run(session.protocol, shell, case)
                result["stdout"] = base64.b64encode(out).decode()
                result["stderr"] = base64.b64encode(err).decode()
                result["code"] = code
            except Exception as e:  # what it says is part of the result
                result["error"] = f"{type(e).__name__}: {e}"
            results.append(result)
        await session.protocol.close_shell(shell, close_session=False)
    json.dump(results, sys.stdout)


asyncio.run(main())

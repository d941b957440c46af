"""pypsrp runs one command over CredSSP, stdin piped through.

The job is JSON on standard input: host, port, ssl, encryption ("always" or
"never"), user, password, inner ("ntlm", "kerberos" or "auto"), command, args,
stdin (base64). The result is JSON on standard output: stdout and stderr (base64),
code.
"""

import base64
import json
import sys
import warnings

from pypsrp.shell import Process, SignalCode, WinRS
from pypsrp.wsman import WSMan

warnings.simplefilter("ignore")
job = json.load(sys.stdin)
connection = WSMan(
    job["host"],
    port=job["port"],
    ssl=job["ssl"],
    cert_validation=False,
    no_proxy=True,
    encryption=job["encryption"],
    auth="credssp",
    credssp_auth_mechanism=job["inner"],
    username=job["user"],
    password=job["password"],
)
with connection, WinRS(connection, codepage=65001) as shell:
    process = Process(shell, job["command"], job["args"])
    process.begin_invoke()
    process.send(base64.b64decode(job["stdin"]), end=True)
    process.end_invoke()
    process.signal(SignalCode.TERMINATE)
    json.dump(
        {
            "stdout": base64.b64encode(process.stdout).decode(),
            "stderr": base64.b64encode(process.stderr).decode(),
            "code": process.rc,
        },
        sys.stdout,
    )

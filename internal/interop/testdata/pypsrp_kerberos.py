"""Runs one command with pypsrp over the system's GSS-API.

usage: pypsrp_kerberos.py AUTH HOST PORT CA SPN-HOST ENCRYPTION DELEGATE
AUTH is kerberos or negotiate, CA a PEM file or "" for http. The tickets are
those of KRB5CCNAME. Prints user, size of the output and exit code.
"""

import sys

from pypsrp.shell import Process, SignalCode, WinRS
from pypsrp.wsman import WSMan

auth, host, port, ca, spn_host, encryption, delegate = sys.argv[1:]
wsman = WSMan(
    host, port=int(port), ssl=bool(ca), auth=auth, cert_validation=ca or True, encryption=encryption, no_proxy=True,
    negotiate_service="HTTP", negotiate_hostname_override=spn_host, negotiate_delegate=delegate == "yes",
)
with wsman, WinRS(wsman, codepage=65001) as shell:
    process = Process(shell, "whoami", [])
    process.begin_invoke()
    process.end_invoke()
    process.signal(SignalCode.TERMINATE)
    user, rest = process.stdout.decode().split(" ", 1)
    print(user, len(rest), process.rc)

"""Runs one command with pywinrm and its requests-kerberos.

usage: pywinrm_kerberos.py URL CA SPN-HOST ENCRYPTION DELEGATE
CA is a PEM file or "". The tickets are those of KRB5CCNAME. Prints user, size of
the output and exit code.
"""

import sys

from winrm.protocol import Protocol

url, ca, spn_host, encryption, delegate = sys.argv[1:]
protocol = Protocol(
    url, transport="kerberos", username="alice@EXAMPLE.TEST", service="HTTP", kerberos_hostname_override=spn_host,
    kerberos_delegation=delegate == "yes", message_encryption=encryption, ca_trust_path=ca or "legacy_requests",
)
shell = protocol.open_shell(codepage=65001)
command = protocol.run_command(shell, "whoami", [])
out, _, code = protocol.get_command_output(shell, command)
protocol.cleanup_command(shell, command)
protocol.close_shell(shell)
user, rest = out.decode().split(" ", 1)
print(user, len(rest), code)

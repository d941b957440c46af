"""pywinrm runs one command over CredSSP.

usage: pywinrm_client.py URL USER PASSWORD ENCRYPTION ARGUMENT-LENGTH
ENCRYPTION is always or never. Prints JSON: size (of the output), head (of it),
code.
"""

import json
import sys
import warnings

from winrm.protocol import Protocol

warnings.simplefilter("ignore")
url, user, password, encryption, length = sys.argv[1:]
protocol = Protocol(
    endpoint=url,
    transport="credssp",
    username=user,
    password=password,
    message_encryption=encryption,
    server_cert_validation="ignore",
    proxy=None,
)
shell = protocol.open_shell()
command = protocol.run_command(shell, "whoami", ["y" * int(length)])
output, _, code = protocol.get_command_output(shell, command)
protocol.cleanup_command(shell, command)
protocol.close_shell(shell)
json.dump({"size": len(output), "head": output[:200].decode(), "code": code}, sys.stdout)

"""A WinRM listener of somebody else's making: pyspnego logs on and seals, the
standard library speaks HTTP and reads XML, and the shells are played here.

  listener.py MECH [--odd] [--cert FILE --key FILE]

MECH is ntlm, negotiate, kerberos or credssp; accounts are in $NTLM_USER_FILE, keys
in $KRB5_KTNAME. With a certificate it speaks TLS and wants the channel bound to
it. --odd writes the same answers in other ways that the standards allow.

The first line on stdout is the port. When stdin ends, a line of JSON follows that
counts what came: logons tried, refused and completed, requests in clear, and each
action.

Commands: "echo TEXT" writes the text, "cat" its input to both outputs, "exit N"
ends with that code.
"""
import argparse
import base64
import collections
import hashlib
import http.server
import json
import re
import ssl
import struct
import sys
import threading
import uuid
import xml.etree.ElementTree as ET

import spnego
from spnego.channel_bindings import GssChannelBindings

NS = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "rsp": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
    "f": "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault",
}
SCHEME = {"ntlm": "Negotiate", "negotiate": "Negotiate", "kerberos": "Kerberos", "credssp": "CredSSP"}
SEALED = {"Negotiate": "SPNEGO", "Kerberos": "Kerberos", "CredSSP": "CredSSP"}
PIECE = 16384       # bytes of plain text that CredSSP seals at a time
TIMED_OUT = 2150858793
UNKNOWN_ID = 2150858843

PART = re.compile(
    rb"--Encrypted Boundary\r\n\t?Content-Type: application/HTTP-(\w+)-session-encrypted\r\n"
    rb"\t?OriginalContent: type=application/soap\+xml;charset=UTF-8;Length=(\d+)\r\n"
    rb"--Encrypted Boundary\r\n\t?Content-Type: application/octet-stream\r\n")

args = None
counts = collections.Counter()
shells = {}         # by id: commands by id


class Fault(Exception):
    """A fault with the code of a WSManFault."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Command:
    def __init__(self, line):
        self.name, _, self.rest = line.partition(" ")
        self.lock = threading.Condition()
        self.input = self.rest.encode() if self.name == "echo" else b""
        self.code = int(self.rest) if self.name == "exit" else 0
        self.ended = self.name != "cat"

    def send(self, data, end):
        with self.lock:
            self.input += data
            self.ended = self.ended or end
            self.lock.notify_all()

    def receive(self, command_id):
        """What came since the last time, and the state at the end."""
        with self.lock:
            if not self.input and not self.ended and not self.lock.wait(1):
                raise Fault(TIMED_OUT)
            data, self.input = self.input, b""
            out = "".join(stream(name, command_id, data, self.ended) for name in ("stdout", "stderr"))
            if not self.ended:
                return out + state(command_id, "Running")
            done = state(command_id, "Done", f"<rsp:ExitCode>{self.code}</rsp:ExitCode>")
            return done + out if args.odd else out + done


def stream(name, command_id, data, end):
    end = ' End="TRUE"' if end and args.odd else ' End="true"' if end else ""
    text = base64.encodebytes(data) if args.odd else base64.b64encode(data)
    return f'<rsp:Stream Name="{name}" CommandId="{command_id}"{end}>{text.decode()}</rsp:Stream>'


def state(command_id, name, inner=""):
    return f'<rsp:CommandState CommandId="{command_id}" State="{NS["rsp"]}/CommandState/{name}">{inner}</rsp:CommandState>'


def find(tree, path):
    return tree.find(".//" + path, NS)


def command_of(request, element):
    try:
        return shells[find(request, "w:Selector").text][element.get("CommandId")]
    except KeyError:
        raise Fault(UNKNOWN_ID) from None


def create(request):
    shell = find(request, "rsp:Shell").get("ShellId")
    shells[shell] = {}
    return (f'<x:ResourceCreated><a:Address>http://host/wsman</a:Address><a:ReferenceParameters><w:ResourceURI>{NS["rsp"]}/cmd'
            f'</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector></w:SelectorSet></a:ReferenceParameters>'
            f'</x:ResourceCreated><rsp:Shell><rsp:ShellId>{shell}</rsp:ShellId></rsp:Shell>')


def command(request):
    line = find(request, "rsp:CommandLine")
    words = [word.text.strip('"') for word in line]
    running = shells.get(find(request, "w:Selector").text)
    if running is None:
        raise Fault(UNKNOWN_ID)
    command_id = str(uuid.uuid4()).upper() if args.odd else line.get("CommandId")
    running[command_id] = Command(" ".join(words))
    return f"<rsp:CommandResponse><rsp:CommandId>{command_id}</rsp:CommandId></rsp:CommandResponse>"


def receive(request):
    wanted = find(request, "rsp:DesiredStream")
    return f'<rsp:ReceiveResponse>{command_of(request, wanted).receive(wanted.get("CommandId"))}</rsp:ReceiveResponse>'


def send(request):
    for piece in request.iterfind(".//rsp:Stream", NS):
        command_of(request, piece).send(base64.b64decode(piece.text or ""), piece.get("End", "").lower() == "true")
    return "<rsp:SendResponse/>"


def signal(request):
    command_of(request, find(request, "rsp:Signal")).send(b"", True)
    return "<rsp:SignalResponse/>"


def delete(request):
    if shells.pop(find(request, "w:Selector").text, None) is None:
        raise Fault(UNKNOWN_ID)
    return ""


ACTIONS = {"Create": create, "Command": command, "Receive": receive, "Send": send, "Signal": signal, "Delete": delete}


def answer(message):
    """The status and the envelope for a request."""
    request = ET.fromstring(message)
    action = find(request, "a:Action").text.rsplit("/", 1)[-1]
    counts[action] += 1
    status = 200
    try:
        if action not in ACTIONS:
            raise Fault(UNKNOWN_ID)
        body = ACTIONS[action](request)
    except Fault as fault:
        status = 500
        body = (f"<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text xml:lang='en'>no</s:Text></s:Reason>"
                f"<s:Detail><f:WSManFault Code='{fault.code}'/></s:Detail></s:Fault>")
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NS.items())
    relates = find(request, "a:MessageID").text
    return status, (f'<s:Envelope xml:lang="en-US" {names}><s:Header><a:Action>{action}Response</a:Action>'
                    f"<a:RelatesTo>{relates}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>")


def new_context(binding):
    options = {"ntlm": spnego.NegotiateOptions.use_ntlm, "kerberos": spnego.NegotiateOptions.use_gssapi}
    if args.mech == "credssp":
        inner = spnego.server(protocol="negotiate", options=spnego.NegotiateOptions.use_negotiate)
        return spnego.server(protocol="credssp", credssp_negotiate_context=inner)
    channel = GssChannelBindings(application_data=binding) if binding else None
    return spnego.server(protocol=args.mech, channel_bindings=channel,
                         options=options.get(args.mech, spnego.NegotiateOptions.use_negotiate))


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection: the security context is its own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    context = None
    open = False

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.open:
            return self.logon()
        if not self.headers["Content-Type"].startswith("multipart/"):
            counts["clear"] += 1
            if not args.cert:
                return self.reply(500)
            status, envelope = answer(body)
            return self.reply(status, *self.encode(envelope))
        status, envelope = answer(self.unseal(body))
        self.reply(status, *self.seal(*self.encode(envelope)))

    def logon(self):
        """One leg, whose request is answered here: it has no body."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != SCHEME[args.mech]:
            return self.unauthorized()
        try:
            if self.context is None:
                counts["tried"] += 1
                self.context = new_context(self.server.binding)
            out = self.context.step(base64.b64decode(token))
        except Exception as err:     # whatever was wrong with the token
            print(f"{type(err).__name__}: {err}", file=sys.stderr)
            counts["refused"] += 1
            self.context = None
            return self.unauthorized()
        challenge = f"{scheme} {base64.b64encode(out or b'').decode()}".strip()
        if not self.context.complete:
            return self.unauthorized(challenge)
        self.open = True
        counts["logons"] += 1
        self.reply(200, headers=[("WWW-Authenticate", challenge)] if out else [])

    def unauthorized(self, challenge=None):
        offers = [challenge or SCHEME[args.mech], 'Basic realm="a, b"']
        if args.odd:
            offers = [", ".join(offers)]
        elif challenge:
            offers = [challenge]
        self.reply(401, b"<html>no</html>" if args.odd else b"", "text/html", [("WWW-Authenticate", offer) for offer in offers])

    def unseal(self, body):
        """Opens a sealed message, which is read by position and length."""
        plain, at = b"", 0
        while body[at:] != b"--Encrypted Boundary--\r\n":
            part = PART.match(body, at)
            assert part and part[1].decode() == SEALED[SCHEME[args.mech]], body[at:at + 200]
            head = part.end() + 4 + struct.unpack_from("<I", body, part.end())[0]
            header, length = body[part.end() + 4:head], int(part[2])
            if args.mech == "credssp":       # one TLS record, whose own length counts
                record = header + body[head:head + 5]
                length = 5 + struct.unpack_from(">H", record, 3)[0] - len(header)
            piece = self.context.unwrap_winrm(header, body[head:head + length])
            assert args.mech != "credssp" or len(piece) == int(part[2])
            plain, at = plain + piece, head + length
        return plain

    def seal(self, message, media):
        protocol = f"application/HTTP-{SEALED[SCHEME[args.mech]]}-session-encrypted"
        size = PIECE if args.mech == "credssp" else len(message)
        tab, kind, out = "" if args.odd else "\t", "encrypted" if len(message) <= size else "x-multi-encrypted", b""
        for at in range(0, len(message), size):
            plain = message[at:at + size]
            sealed = self.context.wrap_winrm(plain)
            out += (f"--Encrypted Boundary\r\n{tab}Content-Type: {protocol}\r\n"
                    f"{tab}OriginalContent: type={media};Length={len(plain) + sealed.padding_length}\r\n"
                    f"--Encrypted Boundary\r\n{tab}Content-Type: application/octet-stream\r\n").encode()
            out += struct.pack("<I", len(sealed.header)) + sealed.header + sealed.data
        return out + b"--Encrypted Boundary--\r\n", f'multipart/{kind};protocol="{protocol}";boundary="Encrypted Boundary"'

    @staticmethod
    def encode(envelope):
        charset = "UTF-16" if args.odd else "UTF-8"
        return envelope.encode(charset), "application/soap+xml;charset=" + charset

    def reply(self, status, body=b"", media=None, headers=()):
        head = [*headers] + ([("Content-Type", media)] if body else [])
        chunked = args.odd and body
        head.append(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body))))
        self.send_response(status)
        for name, value in head:
            self.send_header(name.lower() if args.odd else name, value)
        self.end_headers()
        if chunked:
            body = b"".join(b"%X;x=y\r\n%s\r\n" % (len(piece), piece) for piece in
                            (body[at:at + 4001] for at in range(0, len(body), 4001))) + b"0\r\n\r\n"
        self.wfile.write(body)


def main():
    global args
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("mech", choices=SCHEME)
    parser.add_argument("--odd", action="store_true")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    args = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.binding = None
    if args.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.cert, args.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        with open(args.cert) as file:
            der = ssl.PEM_cert_to_DER_cert(file.read())
        server.binding = b"tls-server-end-point:" + hashlib.sha256(der).digest()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    print(json.dumps(counts), flush=True)


main()

"""The other side of a logon, of somebody else's making, driven over stdin and stdout.

  peer.py gss    accept|init ntlm|negotiate [options]    MIT GSSAPI with gss-ntlmssp (python3-gssapi)
  peer.py pyspnego accept|init ntlm|negotiate [options]  pyspnego's own NTLM and SPNEGO

A frame, both ways: the length of a JSON header, 4 bytes big-endian; the header;
as many bytes of data as its "size" says. Requests:
  op step   data: a token             answer: done, and then user, mech; data: the next token
  op echo   data: sealed messages     answer: the same messages, opened and sealed the other way.
            "lens" holds the lengths of the messages in data, both ways.
A failure is an answer with "error". Accounts of acceptors are in $NTLM_USER_FILE.
"""
import argparse
import json
import os
import struct
import sys

SIGNATURE = 16      # bytes of an NTLM signature, the token of a sealed message


class GSS:
    """MIT's GSSAPI; the mechanism for NTLM is gss-ntlmssp."""

    def __init__(self, args, binding):
        import gssapi
        import gssapi.raw

        mechs = {"ntlm": "1.3.6.1.4.1.311.2.2.10", "negotiate": "1.3.6.1.5.5.2"}
        mech = gssapi.OID.from_int_seq(mechs[args.mech])
        bindings = gssapi.raw.ChannelBindings(application_data=binding) if binding else None
        if args.role == "accept":
            creds = gssapi.Credentials(usage="accept", mechs=[mech])
            self.ctx = gssapi.SecurityContext(creds=creds, usage="accept", channel_bindings=bindings)
            return
        user = gssapi.Name(args.user, gssapi.NameType.user)
        got = gssapi.raw.acquire_cred_with_password(user, args.password.encode(), mechs=[mech], usage="initiate")
        need = gssapi.RequirementFlag
        self.ctx = gssapi.SecurityContext(
            name=gssapi.Name("HTTP@" + args.host, gssapi.NameType.hostbased_service),
            creds=gssapi.Credentials(base=got.creds), mech=mech, usage="initiate", channel_bindings=bindings,
            flags=need.mutual_authentication | need.confidentiality | need.integrity |
            need.replay_detection | need.out_of_sequence_detection)

    def step(self, token):
        out = self.ctx.step(token or None)
        if not self.ctx.complete:
            return out, {"done": False}
        flags = {flag.name for flag in self.ctx.actual_flags}
        return out, {"done": True, "user": str(self.ctx.initiator_name).rstrip("\0"), "flags": sorted(flags)}

    def open(self, sealed):
        return self.ctx.unwrap(sealed).message

    def seal(self, plain):
        return self.ctx.wrap(plain, True).message


class Pyspnego:
    """pyspnego without the system's GSSAPI, and with its framing for WinRM."""

    def __init__(self, args, binding):
        import spnego
        from spnego.channel_bindings import GssChannelBindings

        options = {"ntlm": spnego.NegotiateOptions.use_ntlm, "negotiate": spnego.NegotiateOptions.use_negotiate}
        kwargs = {"protocol": args.mech, "options": options[args.mech]}
        if binding:
            kwargs["channel_bindings"] = GssChannelBindings(application_data=binding)
        if args.role == "accept":
            self.ctx = spnego.server(**kwargs)
        else:
            self.ctx = spnego.client(args.user, args.password, hostname=args.host, service="HTTP", **kwargs)

    def step(self, token):
        out = self.ctx.step(token or None)
        if not self.ctx.complete:
            return out, {"done": False}
        return out, {"done": True, "user": self.ctx.client_principal, "mech": self.ctx.negotiated_protocol}

    def open(self, sealed):
        return self.ctx.unwrap_winrm(sealed[:SIGNATURE], sealed[SIGNATURE:])

    def seal(self, plain):
        got = self.ctx.wrap_winrm(plain)
        return got.header + got.data


def read(n):
    data = sys.stdin.buffer.read(n)
    if len(data) < n:
        sys.exit(0)
    return data


def write(header, data=b""):
    header = json.dumps(header | {"size": len(data)}).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(header)) + header)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def answer(peer, request, data):
    if request["op"] == "step":
        token, header = peer.step(data)
        return header | {"token": token is not None}, token or b""
    lens, sealed, at = [], [], 0
    for n in request["lens"]:
        message = peer.seal(peer.open(data[at:at + n]))
        sealed.append(message)
        lens.append(len(message))
        at += n
    return {"lens": lens}, b"".join(sealed)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("kind", choices=("gss", "pyspnego"))
    parser.add_argument("role", choices=("accept", "init"))
    parser.add_argument("mech", choices=("ntlm", "negotiate"))
    parser.add_argument("--binding", default="", help="application data of the channel, in hex")
    parser.add_argument("--host", default="host")
    parser.add_argument("--user")
    args = parser.parse_args()
    args.password = os.environ.get("PEER_PASSWORD", "")
    peer = None
    while True:
        request = json.loads(read(struct.unpack(">I", read(4))[0]))
        data = read(request["size"])
        try:
            if peer is None:
                peer = {"gss": GSS, "pyspnego": Pyspnego}[args.kind](args, bytes.fromhex(args.binding))
            header, data = answer(peer, request, data)
        except Exception as err:        # whatever went wrong is an answer too
            header, data = {"error": f"{type(err).__name__}: {err}"}, b""
        write(header, data)


main()

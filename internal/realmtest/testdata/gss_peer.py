"""MIT's GSS-API driven by JSON lines; byte strings are base64.

  accept [--mech MECH] [--both] [--bindings TEXT] [--second-hop HTTP@host]
  init TARGET [--mech MECH] [--deleg] [--bindings TEXT]

MECH is krb5 (default) or spnego. Orders: step, wrap, unwrap, wrapiov,
unwrapiov, mic, verify. With --second-hop an acceptor fetches a ticket for
another service with the credentials that were delegated to it.
"""
import argparse
import base64
import json
import sys

import gssapi
from gssapi.raw import IOV, ChannelBindings, IOVBufferType, unwrap_iov, wrap_iov

OIDS = {"krb5": "1.2.840.113554.1.2.2", "spnego": "1.3.6.1.5.5.2"}


class Peer:
    def __init__(self, args):
        self.args = args
        mech = gssapi.OID.from_int_seq(OIDS[args.mech])
        bindings = ChannelBindings(application_data=args.bindings.encode()) if args.bindings else None
        if args.role == "accept":
            usage = "both" if args.both else "accept"
            creds = gssapi.Credentials(usage=usage, mechs=[mech])
            self.context = gssapi.SecurityContext(creds=creds, usage="accept", channel_bindings=bindings)
            return
        f = gssapi.RequirementFlag
        flags = (f.mutual_authentication | f.confidentiality | f.integrity
                 | f.replay_detection | f.out_of_sequence_detection)
        if args.deleg:
            flags |= f.delegate_to_peer
        name = gssapi.Name(args.target, gssapi.NameType.hostbased_service)
        self.context = gssapi.SecurityContext(name=name, mech=mech, flags=flags, usage="initiate",
                                              channel_bindings=bindings)

    def step(self, data, **_):
        out = self.context.step(data or None)
        answer = {"data": out or b"", "done": self.context.complete}
        if self.context.complete:
            answer["name"] = str(self.context.initiator_name)
            answer["flags"] = [flag.name for flag in self.context.actual_flags]
            if self.args.role == "accept" and self.context.delegated_creds:
                answer |= self.delegated(self.context.delegated_creds)
        return answer

    def delegated(self, creds):
        answer = {"deleg": str(creds.name)}
        if self.args.second_hop:
            target = gssapi.Name(self.args.second_hop, gssapi.NameType.hostbased_service)
            mech = gssapi.OID.from_int_seq(OIDS["krb5"])
            hop = gssapi.SecurityContext(name=target, creds=creds, mech=mech, usage="initiate")
            answer["ticket"] = "token of %d bytes" % (len(hop.step()) // 1000 * 1000)
        return answer

    def wrap(self, data, **_):
        return {"data": self.context.wrap(data, True).message}

    def unwrap(self, data, **_):
        got = self.context.unwrap(data)
        return {"data": got.message, "sealed": got.encrypted}

    def wrapiov(self, data, **_):
        iov = IOV(IOVBufferType.header, data, IOVBufferType.padding, std_layout=False)
        wrap_iov(self.context, iov, confidential=True)
        return {"header": iov[0].value, "data": iov[1].value + (iov[2].value or b"")}

    def unwrapiov(self, data, header, **_):
        iov = IOV((IOVBufferType.header, False, header), data, IOVBufferType.padding, std_layout=False)
        got = unwrap_iov(self.context, iov)
        return {"data": iov[1].value, "sealed": got.encrypted}

    def mic(self, data, **_):
        return {"data": self.context.get_signature(data)}

    def verify(self, data, mic, **_):
        self.context.verify_signature(data, mic)
        return {}


def main():
    parser = argparse.ArgumentParser()
    roles = parser.add_subparsers(dest="role", required=True)
    accept, init = roles.add_parser("accept"), roles.add_parser("init")
    for sub in accept, init:
        sub.add_argument("--mech", choices=OIDS, default="krb5")
        sub.add_argument("--bindings")
    accept.add_argument("--both", action="store_true")
    accept.add_argument("--second-hop")
    init.add_argument("target")
    init.add_argument("--deleg", action="store_true")
    args = parser.parse_args()
    peer = None
    for line in sys.stdin:
        order = json.loads(line)
        fields = {k: base64.b64decode(v) for k, v in order.items() if k != "op"}
        fields.setdefault("data", b"")
        try:
            peer = peer or Peer(args)
            answer = getattr(peer, order["op"])(**fields)
        except Exception as err:  # pylint: disable=broad-except
            answer = {"error": f"{type(err).__name__}: {err}"}
        print(json.dumps({k: base64.b64encode(v).decode() if isinstance(v, bytes) else v
                          for k, v in answer.items()}), flush=True)


main()

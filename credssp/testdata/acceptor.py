"""pyspnego's CredSSP acceptor, spoken to in JSON lines on stdin and stdout.

    acceptor.py INNER VERSION TLS

INNER is what CredSSP carries (ntlm, negotiate, kerberos), VERSION the protocol
version to announce, TLS the only TLS version (1.2 or 1.3). A line asks, a line
answers; bytes are base64:

    {"op": "step", "data": ...}                -> {"data": ..., "done": bool}, once done also version, domain, user, password
    {"op": "wrap", "data": ...}                -> {"token": ..., "data": ...}
    {"op": "unwrap", "token": ..., "data": ..} -> {"data": ...}
    anything that goes wrong                   -> {"error": "..."}

Accounts come from the file that NTLM_USER_FILE names, keys from KRB5_KTNAME.
"""

import base64
import json
import resource
import ssl
import sys

import spnego
import spnego._credssp as impl


def read_all(self, data):
    """Stands in for CredSSPProxy.unwrap, which never returns once the peer has
    closed the TLS session: an empty read means the end here."""
    self._in_buff.write(data)
    plain = b""
    try:
        while part := self._tls_object.read():
            plain += part
    except ssl.SSLWantReadError:
        pass
    return spnego._context.UnwrapResult(data=plain, encrypted=True, qop=0)


def new_context(inner, version, tls):
    impl._CREDSSP_VERSION = version
    context = impl._create_tls_context("accept")
    only = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[tls]
    context.context.minimum_version = context.context.maximum_version = only
    options = {
        "ntlm": spnego.NegotiateOptions.use_ntlm,
        "negotiate": spnego.NegotiateOptions.use_negotiate,
        "kerberos": spnego.NegotiateOptions.none,
    }[inner]
    return spnego.server(
        protocol="credssp",
        credssp_tls_context=context,
        credssp_negotiate_context=spnego.server(protocol=inner, options=options),
    )


def answer(ctx, ask):
    data = base64.b64decode(ask.get("data", ""))
    if ask["op"] == "step":
        out = {"data": ctx.step(data) or b"", "done": ctx.complete}
        if ctx.complete:
            creds = ctx.get_extra_info("client_credential")
            out["version"] = ctx.get_extra_info("protocol_version")
            out["domain"], out["user"], out["password"] = creds.domain_name, creds.username, creds.password
        return out
    if ask["op"] == "wrap":
        sealed = ctx.wrap_winrm(data)
        return {"token": sealed.header, "data": sealed.data}
    if ask["op"] == "unwrap":
        return {"data": ctx.unwrap_winrm(base64.b64decode(ask["token"]), data)}
    raise ValueError(ask["op"])


def main():
    inner, version, tls = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    impl.CredSSPProxy.unwrap = read_all
    ctx = new_context(inner, int(version), tls)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        try:
            out = answer(ctx, json.loads(line))
        except Exception as err:  # the test judges it
            out = {"error": f"{type(err).__name__}: {err}"}
        text = {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in out.items()}
        print(json.dumps(text), flush=True)


main()

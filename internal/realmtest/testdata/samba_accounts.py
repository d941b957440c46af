"""What refers to accounts by their SIDs, and the keytabs: accounts.py DIR DOMAIN"""
import sys

from samba import auth, credentials, dckeytab, net, param, samdb  # noqa: F401  dckeytab adds export_keytab

DIR, DOMAIN = sys.argv[1:]
BASE = ",".join("DC=" + label for label in DOMAIN.split("."))
COMPUTERS = ["web1", "web2", "front1", "front2", "back1", "rbcd1", "rbcd2"]

config = param.LoadParm()
config.load_default()
db = samdb.SamDB(url=DIR + "/private/sam.ldb", session_info=auth.system_session(), lp=config)


def only_computers(*names):
    """A security descriptor with access for these computers."""
    aces = ""
    for name in names:
        found = db.search(expression=f"(sAMAccountName={name}$)", attrs=["objectSid"])[0]
        sid = db.schema_format_value("objectSid", found["objectSid"][0]).decode()
        aces += f"(A;;0xf01ff;;;{sid})"
    return "O:BAD:" + aces


db.modify_ldif(f"""dn: CN=back1,CN=Computers,{BASE}
changetype: modify
add: msDS-AllowedToActOnBehalfOfOtherIdentity
msDS-AllowedToActOnBehalfOfOtherIdentity: {only_computers("rbcd1", "rbcd2")}
""")
db.add_ldif(f"""dn: CN=gmsa1,CN=Managed Service Accounts,{BASE}
objectClass: msDS-GroupManagedServiceAccount
sAMAccountName: gmsa1$
userAccountControl: 4096
dNSHostName: gmsa1.{DOMAIN}
servicePrincipalName: HOST/gmsa1.{DOMAIN}
servicePrincipalName: HTTP/gmsa1.{DOMAIN}
msDS-SupportedEncryptionTypes: 28
msDS-ManagedPasswordInterval: 30
msDS-GroupMSAMembership: {only_computers("web1")}
""")
exporter = net.Net(credentials.Credentials(), config)
for account in COMPUTERS:
    for name in f"{account}$", *(f"{c}/{account}.{DOMAIN}" for c in ("HOST", "HTTP", "WSMAN")):
        exporter.export_keytab(keytab=f"{DIR}/keytab/{account}", principal=name)
exporter.export_keytab(keytab=f"{DIR}/keytab/gmsa1", principal="gmsa1$")

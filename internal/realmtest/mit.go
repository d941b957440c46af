package realmtest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// MITConfig describes a realm of MIT's KDC.
type MITConfig struct {
	Realm string // "" : EXAMPLE.TEST
	LDAP  bool   // the database in slapd, which S4U2Proxy needs
	// KAdmin are lines for kadmin.local. A keytab of a service is written by
	// "ktadd -norandkey -k $DIR/name.keytab HTTP/name.example.test".
	KAdmin []string
	// DelegateTo lists, by service, the services that it may act towards (LDAP).
	DelegateTo map[string][]string
	// Aliases are further names of principals, without the realm (LDAP). Those of
	// krbtgt/OTHER make the KDC refer who asks for them to the other realm.
	Aliases map[string][]string
	// Clock sets the KDC's clock off, as faketime takes it: "+1h". "" leaves it.
	Clock string
	// Conf is added to its krb5.conf.
	Conf string
}

// MIT is a running KDC.
type MIT struct {
	Dir   string
	Realm string
	KDC   string // host:port
	Conf  string // path of its krb5.conf
	Env   []string
}

const ldapBase = "o=realm"

// StartMIT starts a KDC on the loopback; it ends with the test.
func StartMIT(t testing.TB, c MITConfig) *MIT {
	t.Helper()
	Need(t, "krb5kdc", "kdb5_util", "kadmin.local", "kinit")
	if c.LDAP {
		Need(t, "slapd", "ldapadd", "ldapmodify", "kdb5_ldap_util")
	}
	if c.Realm == "" {
		c.Realm = "EXAMPLE.TEST"
	}
	port := freePort(t)
	m := &MIT{Dir: shortDir(t), Realm: c.Realm, KDC: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	m.Conf = m.Path("krb5.conf")
	m.Env = []string{
		"KRB5_CONFIG=" + m.Conf, "KRB5_KDC_PROFILE=" + m.Path("kdc.conf"),
		"KRB5CCNAME=FILE:" + m.Path("ccache"), "KRB5RCACHENAME=file2:" + m.Path("rcache"),
	}
	m.configure(t, c, port)
	if c.LDAP {
		m.startLDAP(t)
		run(t, m.Env, "", "kdb5_ldap_util", "-H", m.ldapURI(), "create", "-subtrees", ldapBase, "-sscope", "SUB",
			"-r", c.Realm, "-s", "-P", "master")
	} else {
		run(t, m.Env, "", "kdb5_util", "create", "-s", "-P", "master", "-r", c.Realm)
	}
	m.KAdmin(t, c.KAdmin...)
	for service, targets := range c.DelegateTo {
		m.delegate(t, service, targets)
	}
	for name, aliases := range c.Aliases {
		m.alias(t, name, aliases)
	}
	env := m.Env
	if c.Clock != "" {
		env = append(slices.Clone(env), "LD_PRELOAD="+fakeTime(t), "FAKETIME="+c.Clock, "FAKETIME_DONT_FAKE_MONOTONIC=1")
	}
	daemon(t, env, "krb5kdc", "-n", "-r", c.Realm, "-P", m.Path("kdc.pid"))
	eventually(t, "krb5kdc", 10*time.Second, dialable(m.KDC))
	return m
}

// fakeTime is the library behind faketime. The program itself would leave its
// child behind when it is killed.
func fakeTime(t testing.TB) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if err != nil || len(found) == 0 {
		missing(t, "libfaketime is not installed")
	}
	return found[0]
}

// Path is a file of the realm's folder.
func (m *MIT) Path(name string) string { return filepath.Join(m.Dir, name) }

// Log is what the KDC has logged.
func (m *MIT) Log(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(m.Path("kdc.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (m *MIT) configure(t testing.TB, c MITConfig, port int) {
	t.Helper()
	domain := strings.ToLower(c.Realm)
	write(t, m.Conf, fmt.Sprintf(`[libdefaults]
  default_realm = %[1]s
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  forwardable = true
  allow_rc4 = true
[realms]
  %[1]s = {
    kdc = %[2]s
  }
[domain_realm]
  .%[3]s = %[1]s
%[4]s`, c.Realm, m.KDC, domain, c.Conf))
	backend := "db2"
	if c.LDAP {
		backend = "ldap"
	}
	write(t, m.Path("kdc.conf"), fmt.Sprintf(`[kdcdefaults]
  kdc_listen = 127.0.0.1:%[1]d
  kdc_tcp_listen = 127.0.0.1:%[1]d
[realms]
  %[2]s = {
    key_stash_file = %[3]s/stash
    database_module = %[4]s
    acl_file = %[3]s/acl
    max_life = 24h
    max_renewable_life = 7d
    default_principal_flags = +renewable, +forwardable, +preauth
    supported_enctypes = aes256-sha2:normal aes128-sha2:normal aes256-cts:normal aes128-cts:normal rc4-hmac:normal
  }
[dbmodules]
  db2 = {
    db_library = db2
    database_name = %[3]s/principal
  }
  ldap = {
    db_library = kldap
    ldap_kerberos_container_dn = cn=krb5,%[5]s
    ldap_kdc_sasl_mech = EXTERNAL
    ldap_kadmind_sasl_mech = EXTERNAL
    ldap_servers = %[6]s
  }
[logging]
  kdc = FILE:%[3]s/kdc.log
`, port, c.Realm, m.Dir, backend, ldapBase, m.ldapURI()))
}

// KAdmin runs kadmin.local; its exit status tells nothing, its complaints do.
func (m *MIT) KAdmin(t testing.TB, lines ...string) {
	t.Helper()
	in := strings.ReplaceAll(strings.Join(lines, "\n")+"\n", "$DIR", m.Dir)
	cmd := command(m.Env, in, "kadmin.local", "-r", m.Realm)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("kadmin.local: %v %s", err, complaints.String())
	}
}

// KInit makes a credential cache at name, such as FILE:path.
func (m *MIT) KInit(t testing.TB, principal, password, name string, args ...string) {
	t.Helper()
	run(t, append(m.Env, "KRB5CCNAME="+name), password+"\n", "kinit", append(args, principal)...)
}

func (m *MIT) ldapURI() string { return "ldapi://" + strings.ReplaceAll(m.Path("ldapi"), "/", "%2F") }

// startLDAP starts a slapd that only this user can reach: by a Unix socket, the
// root DN by the peer's credentials.
func (m *MIT) startLDAP(t testing.TB) {
	t.Helper()
	const packed = "/usr/share/doc/krb5-kdc-ldap/kerberos.schema.gz"
	if !isFile(packed) {
		missing(t, packed+" is not there (krb5-kdc-ldap)")
	}
	write(t, m.Path("kerberos.schema"), run(t, nil, "", "zcat", packed))
	if err := os.Mkdir(m.Path("ldap"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, m.Path("slapd.conf"), fmt.Sprintf(`include /etc/ldap/schema/core.schema
include %[1]s/kerberos.schema
modulepath /usr/lib/ldap
moduleload back_mdb
authz-regexp "^gidNumber=%[2]d[+]uidNumber=%[3]d,cn=peercred,cn=external,cn=auth$" cn=root,%[4]s
database mdb
suffix %[4]s
rootdn cn=root,%[4]s
directory %[1]s/ldap
dbnosync
maxsize 104857600
index objectClass,krbPrincipalName eq
`, m.Dir, os.Getgid(), os.Getuid(), ldapBase))
	daemon(t, nil, "slapd", "-d", "0", "-f", m.Path("slapd.conf"), "-h", m.ldapURI())
	eventually(t, "slapd", 30*time.Second, func() error {
		return command(nil, "", "ldapwhoami", "-Q", "-Y", "EXTERNAL", "-H", m.ldapURI()).Run()
	})
	run(t, nil, "dn: "+ldapBase+"\nobjectClass: organization\no: realm\n",
		"ldapadd", "-Q", "-Y", "EXTERNAL", "-H", m.ldapURI())
}

// delegate fills krbAllowedToDelegateTo of a service.
func (m *MIT) delegate(t testing.TB, service string, targets []string) {
	t.Helper()
	var ldif strings.Builder
	fmt.Fprintf(&ldif, "dn: krbPrincipalName=%[1]s@%[2]s,cn=%[2]s,cn=krb5,%[3]s\nchangetype: modify\nadd: krbAllowedToDelegateTo\n",
		service, m.Realm, ldapBase)
	for _, target := range targets {
		fmt.Fprintf(&ldif, "krbAllowedToDelegateTo: %s@%s\n", target, m.Realm)
	}
	run(t, nil, ldif.String(), "ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", m.ldapURI())
}

// alias gives a principal further names.
func (m *MIT) alias(t testing.TB, name string, aliases []string) {
	t.Helper()
	var ldif strings.Builder
	fmt.Fprintf(&ldif, "dn: krbPrincipalName=%[1]s@%[2]s,cn=%[2]s,cn=krb5,%[3]s\nchangetype: modify\n", name, m.Realm, ldapBase)
	fmt.Fprintf(&ldif, "replace: krbCanonicalName\nkrbCanonicalName: %s@%s\n-\nadd: krbPrincipalName\n", name, m.Realm)
	for _, a := range aliases {
		fmt.Fprintf(&ldif, "krbPrincipalName: %s@%s\n", a, m.Realm)
	}
	run(t, nil, ldif.String(), "ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", m.ldapURI())
}

//go:build unix

package realmtest

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"
)

// The domain that StartSamba makes. Users have the password SambaPassword, odd
// has SambaOdd, computers have SambaMachine and their name.
const (
	SambaRealm    = "CORP.TEST"
	SambaDomain   = "CORP"
	SambaPassword = "Passw0rd!"
	SambaOdd      = "pÄss @:/%wörd 비밀"
	SambaMachine  = "Machine-Secret-"
	SambaOther    = "OTHER.TEST" // the second domain of StartSambaTrust
	SambaAdmin    = "Adm1n-Pass" // of Administrator
)

// userAccountControl bits. See [MS-ADTS] section 2.2.16.
const (
	uacDisabled     = 0x2
	uacUser         = 0x200
	uacComputer     = 0x1000
	uacTrusted      = 0x80000   // unconstrained delegation: ok-as-delegate
	uacNotDelegated = 0x100000  // sensitive
	uacToAuth       = 0x1000000 // protocol transition
)

//go:embed testdata/samba_accounts.py
var sambaAccounts string

// Samba is a running Active Directory domain controller, dc1.
//
// Users: alice, odd, carol (UPN carol.jones@corp.test), sensitive (not to be
// delegated), disabled, expired. Computers with HTTP, WSMAN and HOST names: web1
// (trusted for delegation), web2, front1 (may delegate to HTTP/web2), front2 (the
// same with protocol transition), back1 (lets rbcd1 and rbcd2 delegate to it),
// rbcd1, rbcd2 (with protocol transition). gmsa1 is a gMSA whose password web1
// may read.
type Samba struct {
	Dir   string
	Realm string // SambaRealm, or that of the other domain of a trust
	IP    string // everything listens here, on the usual ports
	CA    string // PEM file of the LDAPS certificate
	Env   []string

	provision func() // waits for the end of the provisioning
	pid       int    // of what runs it
	forwarder string // address of the DNS server for other domains
}

// StartSamba provisions and starts a domain controller; it ends with the test.
func StartSamba(t testing.TB) *Samba {
	t.Helper()
	s := newSamba(t, SambaRealm, freeIP(t), "")
	s.start(t)
	s.ready(t)
	return s
}

// StartSambaTrust starts the domain controllers of two forests that trust each
// other, SambaRealm and SambaOther, with the same accounts in each.
func StartSambaTrust(t testing.TB) (corp, other *Samba) {
	t.Helper()
	corpIP, otherIP := freeIP(t), freeIP(t)
	corp = newSamba(t, SambaRealm, corpIP, otherIP)
	other = newSamba(t, SambaOther, otherIP, corpIP)
	corp.start(t)
	other.start(t)
	corp.ready(t)
	other.ready(t)
	trust := func(what string, more ...string) ([]byte, error) {
		args := append([]string{
			"--target", strconv.Itoa(corp.pid), "--mount", "samba-tool", "domain", "trust", what, SambaOther,
			"-U", "Administrator@" + SambaOther + "%" + SambaAdmin,
		}, more...)
		return command(corp.Env, "", "nsenter", args...).CombinedOutput()
	}
	// A domain controller that has just begun, on a busy machine, now and then has no
	// answer yet for what this asks.
	eventually(t, "trust of two domains", time.Minute, func() error {
		out, err := trust("create", "--type=forest", "--direction=both", "--create-location=both", "--skip-validation")
		if err != nil {
			_, _ = trust("delete", "--delete-location=both") // what one side may have of it
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	return corp, other
}

// newSamba begins to provision a domain controller.
func newSamba(t testing.TB, realm, ip, forwarder string) *Samba {
	t.Helper()
	Need(t, "samba", "samba-tool", "ldbmodify", "unshare", "nsenter", "openssl", "kinit", "winbindd")
	if os.Geteuid() != 0 {
		missing(t, "Samba's domain controller wants root")
	}
	var major, minor int
	v := run(t, nil, "", "samba", "--version")
	if _, err := fmt.Sscanf(v, "Version %d.%d", &major, &minor); err != nil || major < 4 || major == 4 && minor < 22 {
		missing(t, "Samba is older than 4.22: "+strings.TrimSpace(v))
	}
	s := &Samba{Dir: shortDir(t), Realm: realm, IP: ip, forwarder: forwarder}
	s.Env = []string{
		"SMB_CONF_PATH=" + s.Path("smb.conf"), "KRB5_CONFIG=" + s.Path("krb5.conf"),
		"KRB5CCNAME=FILE:" + s.Path("ccache"), "KRB5RCACHENAME=file2:" + s.Path("rcache"),
	}
	s.CA = s.Path("private/tls/cert.pem")
	s.configure(t)
	run(t, s.Env, "", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-days", "30", "-subj", "/CN=dc1."+s.domain(), "-addext", "subjectAltName=DNS:dc1."+s.domain()+",IP:"+s.IP,
		"-keyout", s.Path("private/tls/key.pem"), "-out", s.CA)
	s.provision = begin(t, s.Env, "samba-tool", "domain", "provision", "--realm="+realm, "--domain="+s.netBIOS(),
		"--server-role=dc", "--function-level=2016", "--dns-backend=SAMBA_INTERNAL", "--host-name=dc1",
		"--host-ip="+s.IP, "--adminpass="+SambaAdmin)
	return s
}

// domain is the DNS name of the domain, netBIOS its short name.
func (s *Samba) domain() string { return strings.ToLower(s.Realm) }

func (s *Samba) netBIOS() string {
	name, _, _ := strings.Cut(s.Realm, ".")
	return name
}

// Path is a file of the domain controller's folder.
func (s *Samba) Path(name string) string { return filepath.Join(s.Dir, name) }

// Keytab is the keytab of a computer or of gmsa1.
func (s *Samba) Keytab(account string) string { return s.Path("keytab/" + account) }

// freeIP finds a loopback address on which nobody serves Kerberos.
func freeIP(t testing.TB) string {
	t.Helper()
	for range 20 {
		ip := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 2+rand.IntN(250)) //nolint:gosec // no secret
		l, err := net.Listen("tcp", net.JoinHostPort(ip, "88"))
		if err == nil {
			l.Close()
			return ip
		}
	}
	missing(t, "no loopback address with a free port 88")
	return ""
}

func (s *Samba) configure(t testing.TB) {
	t.Helper()
	for _, dir := range []string{
		"private/tls", "state/sysvol/" + s.domain() + "/scripts", "cache", "log", "bind", "ncalrpc", "run/winbindd", "keytab",
	} {
		if err := os.MkdirAll(s.Path(dir), 0o755); err != nil { //nolint:gosec // winbindd wants its folder so
			t.Fatal(err)
		}
	}
	// smbd's users pass through.
	if err := os.Chmod(s.Dir, 0o711); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	write(t, s.Path("smb.conf"), fmt.Sprintf(`[global]
  server role = active directory domain controller
  ad dc functional level = 2016
  realm = %[1]s
  workgroup = %[2]s
  netbios name = DC1
  interfaces = %[3]s/8
  bind interfaces only = yes
  server services = s3fs, rpc, ldap, cldap, kdc, winbindd, dns
  dns forwarder = %[5]s
  private dir = %[4]s/private
  state directory = %[4]s/state
  cache directory = %[4]s/cache
  lock directory = %[4]s/run
  pid directory = %[4]s/run
  ncalrpc dir = %[4]s/ncalrpc
  binddns dir = %[4]s/bind
  winbindd socket directory = %[4]s/run/winbindd
  log file = %[4]s/log/%%m
  logging = file
  tls certfile = %[4]s/private/tls/cert.pem
  tls keyfile = %[4]s/private/tls/key.pem
  tls cafile =
[sysvol]
  path = %[4]s/state/sysvol
  read only = no
[netlogon]
  path = %[4]s/state/sysvol/%[6]s/scripts
  read only = no
`, s.Realm, s.netBIOS(), s.IP, s.Dir, s.forwarder, s.domain()))
	write(t, s.Path("krb5.conf"), fmt.Sprintf(`[libdefaults]
  default_realm = %[1]s
  dns_lookup_kdc = false
  dns_canonicalize_hostname = false
  rdns = false
  forwardable = true
[realms]
  %[1]s = {
    kdc = %[2]s
  }
[domain_realm]
  .%[3]s = %[1]s
`, s.Realm, s.IP, s.domain()))
	write(t, s.Path("resolv.conf"), "nameserver "+s.IP+"\nsearch "+s.domain()+"\n")
	write(t, s.Path("hosts"), "127.0.0.1 localhost\n"+s.IP+" dc1."+s.domain()+" dc1\n")
}

// start adds the accounts and runs samba in namespaces of its own: one for its
// processes, so that killing the first ends all, and one for mounts, because
// libwbclient looks for winbindd in /run/samba and the resolver in /etc whatever
// smb.conf says.
func (s *Samba) start(t testing.TB) {
	t.Helper()
	s.provision()
	write(t, s.Path("accounts.ldif"), s.accountsLDIF())
	run(t, s.Env, "", "ldbmodify", "-H", s.Path("private/sam.ldb"), s.Path("accounts.ldif"))
	write(t, s.Path("accounts.py"), sambaAccounts)
	run(t, s.Env, "", "/usr/bin/python3", s.Path("accounts.py"), s.Dir, s.domain())
	if err := os.MkdirAll("/run/samba", 0o755); err != nil { //nolint:gosec // as the package makes it
		t.Fatal(err)
	}
	script := fmt.Sprintf(`mount --bind %[1]s/run /run/samba && mount --bind %[1]s/resolv.conf /etc/resolv.conf &&
mount --bind %[1]s/hosts /etc/hosts && exec samba -F --no-process-group -s %[1]s/smb.conf`, s.Dir)
	cmd := command(s.Env, "", "unshare", "--pid", "--fork", "--kill-child", "--mount", "bash", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	log, err := os.Create(s.Path("log/start"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // --kill-child takes the rest along
		_ = cmd.Wait()
		log.Close()
	})
}

// ready waits until the domain controller serves.
func (s *Samba) ready(t testing.TB) {
	t.Helper()
	for _, port := range []string{"53", "88", "389", "636"} {
		eventually(t, "samba, port "+port, 60*time.Second, dialable(net.JoinHostPort(s.IP, port)))
	}
	// The ports are open before the directory answers.
	eventually(t, "samba's KDC", 30*time.Second, func() error {
		kinit := command(append(s.Env, "KRB5CCNAME=FILE:"+s.Path("probe")), SambaPassword+"\n", "kinit", "alice")
		out, err := kinit.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// LikeActiveDirectory lets administrators write the list of actors of
// resource-based delegation. Samba's schema has it as systemOnly, which
// Microsoft's does not say; the running server takes the change at once.
func (s *Samba) LikeActiveDirectory(t testing.TB) {
	t.Helper()
	base := "DC=" + strings.ReplaceAll(s.domain(), ".", ",DC=")
	modify := func(where, ldif string) {
		run(t, s.Env, ldif, "ldbmodify", "--option=dsdb:schema update allowed=true", "-H", where)
	}
	modify(s.Path("private/sam.ldb"), "dn: CN=ms-DS-Allowed-To-Act-On-Behalf-Of-Other-Identity,CN=Schema,CN=Configuration,"+base+
		"\nchangetype: modify\nreplace: systemOnly\nsystemOnly: FALSE\n")
	// Whoever may open this socket is the system.
	modify("ldapi://"+url.PathEscape(s.Path("private/ldap_priv/ldapi")),
		"dn:\nchangetype: modify\nadd: schemaUpdateNow\nschemaUpdateNow: 1\n")
}

// accountsLDIF are the accounts, written into the database before it is served.
func (s *Samba) accountsLDIF() string {
	domain := s.domain()
	base := "DC=" + strings.ReplaceAll(domain, ".", ",DC=")
	var b strings.Builder
	fmt.Fprintf(&b, "dn: %s\nchangetype: modify\nreplace: pwdProperties\npwdProperties: 0\n-\nreplace: maxPwdAge\nmaxPwdAge: -9223372036854775808\n\n", base)
	// What samba_spnupdate would do later.
	fmt.Fprintf(&b, "dn: CN=DC1,OU=Domain Controllers,%s\nchangetype: modify\nadd: servicePrincipalName\nservicePrincipalName: ldap/dc1.%s\n\n", base, domain)
	user := func(name, password string, uac int, more ...string) {
		fmt.Fprintf(&b, "dn: CN=%[1]s,CN=Users,%[2]s\nchangetype: add\nobjectClass: user\nsAMAccountName: %[1]s\nuserAccountControl: %[3]d\nunicodePwd:: %[4]s\n",
			name, base, uac|uacUser, unicodePwd(password))
		if !strings.Contains(strings.Join(more, " "), "userPrincipalName") {
			fmt.Fprintf(&b, "userPrincipalName: %s@%s\n", name, domain)
		}
		b.WriteString(strings.Join(append(more, "", ""), "\n"))
	}
	computer := func(name string, uac int, more ...string) {
		fmt.Fprintf(&b, "dn: CN=%[1]s,CN=Computers,%[2]s\nchangetype: add\nobjectClass: computer\nsAMAccountName: %[1]s$\nuserAccountControl: %[3]d\nunicodePwd:: %[4]s\ndNSHostName: %[1]s.%[5]s\nmsDS-SupportedEncryptionTypes: 28\n",
			name, base, uac|uacComputer, unicodePwd(SambaMachine+name), domain)
		for _, class := range []string{"HOST", "HTTP", "WSMAN"} {
			fmt.Fprintf(&b, "servicePrincipalName: %s/%s.%s\n", class, name, domain)
		}
		b.WriteString(strings.Join(append(more, "", ""), "\n"))
	}
	user("alice", SambaPassword, 0)
	user("odd", SambaOdd, 0)
	user("carol", SambaPassword, 0, "userPrincipalName: carol.jones@"+domain)
	user("sensitive", SambaPassword, uacNotDelegated)
	user("disabled", SambaPassword, uacDisabled)
	user("expired", SambaPassword, 0, "pwdLastSet: 0")
	computer("web1", uacTrusted)
	computer("web2", 0)
	computer("front1", 0, "msDS-AllowedToDelegateTo: HTTP/web2."+domain)
	computer("front2", uacToAuth, "msDS-AllowedToDelegateTo: HTTP/web2."+domain)
	computer("back1", 0)
	computer("rbcd1", 0)
	computer("rbcd2", uacToAuth)
	return b.String()
}

// unicodePwd is a password as the directory takes it: quoted, in UTF-16LE.
func unicodePwd(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(`"` + s + `"`)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// begin starts a program beside the test; wait waits for it to succeed.
func begin(t testing.TB, env []string, program string, args ...string) (wait func()) {
	t.Helper()
	cmd := command(env, "", program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	done := false
	t.Cleanup(func() {
		if !done {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return func() {
		t.Helper()
		done = true
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%s %v: %v\n%s", program, args, err, out.String())
		}
	}
}

package bench_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/winrmkit/winrmkit/internal/realmtest"
)

const (
	realmName = "EXAMPLE.TEST"
	spnHost   = "host1.example.test"
)

// A realm is MIT's KDC behind a relay that counts what clients ask it.
type realm struct {
	keytab string // the service's
	conf   string // krb5.conf that names the relay
	ccache string // for peers that take tickets from kinit's cache only
	env    []string
	asked  atomic.Int64
}

// startRealm skips the benchmark where there is no KDC.
func startRealm(b *testing.B) *realm {
	b.Helper()
	m := realmtest.StartMIT(b, realmtest.MITConfig{Realm: realmName, KAdmin: []string{
		fmt.Sprintf(`addprinc -clearpolicy -pw "%s" %s`, password, user),
		"addprinc -randkey -clearpolicy HTTP/" + spnHost,
		"ktadd -norandkey -k $DIR/host1.keytab HTTP/" + spnHost,
	}})
	r := &realm{keytab: m.Path("host1.keytab"), conf: filepath.Join(b.TempDir(), "krb5.conf"), ccache: "FILE:" + m.Path("ccache")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go r.relay(l, m.KDC)
	// TCP always, so that the relay sees all.
	conf := fmt.Sprintf("[libdefaults]\n default_realm = %s\n dns_lookup_kdc = false\n udp_preference_limit = 1\n rdns = false\n"+
		" dns_canonicalize_hostname = false\n[realms]\n %s = {\n  kdc = %s\n }\n[domain_realm]\n .example.test = %s\n",
		realmName, realmName, l.Addr(), realmName)
	if err := os.WriteFile(r.conf, []byte(conf), 0o600); err != nil {
		b.Fatal(err)
	}
	m.KInit(b, user, password, r.ccache)
	r.env = append(os.Environ(), "KRB5_CONFIG="+r.conf, "KRB5CCNAME="+r.ccache, "KRB5RCACHENAME=none:")
	return r
}

func (r *realm) exchanges() int { return int(r.asked.Load()) }

func (r *realm) relay(l net.Listener, kdc string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("tcp", kdc)
			if err != nil {
				return
			}
			defer server.Close()
			go func() {
				_, _ = io.Copy(client, server)
				client.Close()
			}()
			r.requests(server, client)
		}()
	}
}

// requests counts the messages, which have their length in front.
// See RFC 4120 section 7.2.2.
func (r *realm) requests(server io.Writer, client io.Reader) {
	var head [4]byte
	for {
		if _, err := io.ReadFull(client, head[:]); err != nil {
			return
		}
		r.asked.Add(1)
		if _, err := server.Write(head[:]); err != nil {
			return
		}
		if _, err := io.CopyN(server, client, int64(binary.BigEndian.Uint32(head[:]))); err != nil {
			return
		}
	}
}

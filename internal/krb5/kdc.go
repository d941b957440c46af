package krb5

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxReply bounds what a KDC may send. A ticket with the largest PAC that
	// Windows makes (MaxTokenSize 65535) stays far below.
	maxReply = 256 << 10

	kdcTimeout = 10 * time.Second // for one KDC, all in
	kdcDial    = 5 * time.Second  // of it for the connection
	maxKDCs    = 32
)

// A Resolver finds SRV records; *net.Resolver is one.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
}

// A Network reaches the KDCs of all realms. It is safe for concurrent use; the
// fields must not be modified once it is used.
type Network struct {
	Conf     *Conf               // nil: DNS only
	KDCs     map[string][]string // by realm; goes before Conf and DNS
	Dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	Resolver Resolver      // nil: net.DefaultResolver
	TLS      *tls.Config   // for KDC proxies (https URLs); nil: the system's roots
	Timeout  time.Duration // for one KDC; 0: 10 s

	mu    sync.Mutex
	good  map[string]string // the KDC of a realm that answered last
	alias map[string]string // a realm's DNS name to the short one that it was reached by
}

// sameRealm notes that the KDCs of the realm asked are those of realm too: a
// domain controller answers to its domain's NetBIOS name with the DNS name.
func (n *Network) sameRealm(realm, asked string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.alias == nil {
		n.alias = map[string]string{}
	}
	n.alias[realm] = asked
}

// configured returns the KDCs that were named for a realm.
func (n *Network) configured(realm string) []string {
	if list := n.KDCs[realm]; len(list) > 0 {
		return list
	}
	if n.Conf != nil {
		return n.Conf.KDCs[realm]
	}
	return nil
}

// A NoKDCError is a realm whose KDCs are not known or do not answer. Nobody has
// seen the credentials' proof, unless Sent says that a request with it was
// written and then lost.
type NoKDCError struct {
	Realm string
	Tried []string // addresses, in order
	Sent  bool
	Errs  []error
}

func (e *NoKDCError) Error() string {
	if len(e.Tried) == 0 {
		text := fmt.Sprintf("krb5: no KDC known for realm %s: name one, or check the DNS record _kerberos._tcp.%s", e.Realm, strings.ToLower(e.Realm))
		if err := errors.Join(e.Errs...); err != nil {
			text += ": " + err.Error()
		}
		return text
	}
	var each []string
	for i, addr := range e.Tried {
		each = append(each, fmt.Sprintf("%s: %v", addr, e.Errs[i]))
	}
	return fmt.Sprintf("krb5: no KDC of realm %s answers: %s", e.Realm, strings.Join(each, "; "))
}

// Unwrap returns what each KDC's connection said.
func (e *NoKDCError) Unwrap() []error { return e.Errs }

// locate lists the KDCs of a realm, the one that answered last first.
func (n *Network) locate(ctx context.Context, realm string) ([]string, error) {
	list := n.configured(realm)
	if len(list) == 0 {
		n.mu.Lock()
		alias := n.alias[realm]
		n.mu.Unlock()
		list = n.configured(alias)
	}
	if len(list) == 0 && (n.Conf == nil || n.Conf.DNSLookupKDC) {
		var err error
		if list, err = n.lookup(ctx, realm); err != nil {
			return nil, err
		}
	}
	list = slices.Clone(list[:min(len(list), maxKDCs)])
	n.mu.Lock()
	good := n.good[realm]
	n.mu.Unlock()
	if i := slices.Index(list, good); i > 0 {
		list = slices.Concat([]string{good}, list[:i], list[i+1:])
	}
	return list, nil
}

func (n *Network) lookup(ctx context.Context, realm string) ([]string, error) {
	var r Resolver = net.DefaultResolver
	if n.Resolver != nil {
		r = n.Resolver
	}
	// The trailing dot keeps the machine's search list out.
	_, records, err := r.LookupSRV(ctx, "kerberos", "tcp", strings.TrimSuffix(realm, ".")+".")
	if err != nil {
		return nil, err
	}
	var list []string
	for _, srv := range orderSRV(records) {
		if target := strings.TrimSuffix(srv.Target, "."); target != "" {
			list = append(list, net.JoinHostPort(target, fmt.Sprint(srv.Port)))
		}
	}
	return list, nil
}

// orderSRV puts records in the order of RFC 2782: by priority, and at random by
// weight among equals. net.Resolver does the same; other resolvers need not.
func orderSRV(records []*net.SRV) []*net.SRV {
	out := slices.Clone(records)
	slices.SortStableFunc(out, func(a, b *net.SRV) int { return int(a.Priority) - int(b.Priority) })
	for i := 0; i < len(out); {
		end := i
		for end < len(out) && out[end].Priority == out[i].Priority {
			end++
		}
		for ; i < end; i++ {
			total := 0
			for _, srv := range out[i:end] {
				total += int(srv.Weight) + 1 // so that weight 0 has a small chance
			}
			at := rand.IntN(total) //nolint:gosec // load sharing, no secret
			pick := i
			for at -= int(out[pick].Weight) + 1; at >= 0; at -= int(out[pick].Weight) + 1 {
				pick++
			}
			chosen := out[pick]
			copy(out[i+1:pick+1], out[i:pick])
			out[i] = chosen
		}
	}
	return out
}

// exchange sends one request to the realm's KDCs, one after the other, until one
// answers. With once, the request proves a password: after it was written to a
// KDC and its answer lost, it goes to no other, since each may count it as a
// failed logon of its own.
func (n *Network) exchange(ctx context.Context, realm string, req []byte, once bool) (reply []byte, kdc string, err error) {
	kdcs, err := n.locate(ctx, realm)
	if ctx.Err() != nil {
		return nil, "", fmt.Errorf("krb5: %w", context.Cause(ctx))
	}
	if err != nil || len(kdcs) == 0 {
		fail := &NoKDCError{Realm: realm}
		if err != nil {
			fail.Errs = []error{err}
		}
		return nil, "", fail
	}
	fail := &NoKDCError{Realm: realm}
	for _, kdc := range kdcs {
		reply, sent, err := n.one(ctx, kdc, realm, req)
		if err == nil && unavailable(reply) {
			sent, err = false, ErrSvcUnavailable
		}
		if err == nil {
			n.mu.Lock()
			if n.good == nil {
				n.good = map[string]string{}
			}
			n.good[realm] = kdc
			n.mu.Unlock()
			return reply, kdc, nil
		}
		if ctx.Err() != nil {
			return nil, "", fmt.Errorf("krb5: KDC %s of %s: %w", kdc, realm, context.Cause(ctx))
		}
		fail.Tried = append(fail.Tried, kdc)
		fail.Errs = append(fail.Errs, err)
		if sent && once {
			fail.Sent = true
			break
		}
	}
	return nil, "", fail
}

// unavailable looks for KDC_ERR_SVC_UNAVAILABLE: another KDC may be able to.
func unavailable(reply []byte) bool {
	if appTag(reply) != tagKRBError {
		return false
	}
	e, err := parseError(reply, time.Now())
	return err == nil && e.Code == ErrSvcUnavailable
}

var errReplyLength = errors.New("answer is longer than allowed, or empty")

// one exchanges a request with one KDC over TCP (RFC 4120 section 7.2.2) or, for
// an https URL, through a KDC proxy. sent says that the request left whole.
func (n *Network) one(ctx context.Context, kdc, realm string, req []byte) (reply []byte, sent bool, err error) {
	timeout := n.Timeout
	if timeout == 0 {
		timeout = kdcTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %v", timeout))
	defer cancel()
	if strings.HasPrefix(kdc, "https://") {
		return n.viaProxy(ctx, kdc, realm, req)
	}
	conn, err := n.dial(ctx, kdcAddress(kdc))
	if err != nil {
		return nil, false, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	reply, sent, err = framed(conn, req)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return reply, sent, err
}

func (n *Network) dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, kdcDial, fmt.Errorf("no connection within %v", kdcDial))
	defer cancel()
	if n.Dial != nil {
		return n.Dial(ctx, "tcp", addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// dialProxy has the signature that http.Transport wants.
func (n *Network) dialProxy(ctx context.Context, _, addr string) (net.Conn, error) {
	return n.dial(ctx, addr)
}

// kdcAddress adds the port to an entry of krb5.conf: host, host:port, [v6]:port,
// a bare v6 address, with "tcp/" or "udp/" before it.
func kdcAddress(kdc string) string {
	kdc = strings.TrimPrefix(strings.TrimPrefix(kdc, "tcp/"), "udp/")
	if host, port, err := net.SplitHostPort(kdc); err == nil {
		return net.JoinHostPort(host, port)
	}
	return net.JoinHostPort(strings.Trim(kdc, "[]"), "88")
}

// framed writes a request with its length before it and reads the answer.
func framed(conn io.ReadWriter, req []byte) (reply []byte, sent bool, err error) {
	msg := append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(req)), uint32(len(req))), req...)
	if _, err := conn.Write(msg); err != nil {
		return nil, false, err
	}
	var prefix [4]byte
	if _, err := io.ReadFull(conn, prefix[:]); err != nil {
		return nil, true, err
	}
	size := binary.BigEndian.Uint32(prefix[:])
	if size == 0 || size > maxReply {
		return nil, true, errReplyLength
	}
	// Grown as the bytes come: a length alone makes nobody allocate.
	var b bytes.Buffer
	if _, err := io.CopyN(&b, conn, int64(size)); err != nil {
		return nil, true, fmt.Errorf("answer cut short: %w", io.ErrUnexpectedEOF)
	}
	return b.Bytes(), true, nil
}

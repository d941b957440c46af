package auth

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// Numbers of SOCKS5 ([RFC 1928]) and its password logon ([RFC 1929]).
const (
	socksVersion      = 5
	socksNoLogon      = 0
	socksPassword     = 2
	socksConnect      = 1
	socksIPv4         = 1
	socksDomain       = 3
	socksIPv6         = 4
	socksLogonVersion = 1
)

var socksReplies = [...]string{
	"succeeded", "general failure", "not allowed by the proxy's rules", "network unreachable",
	"host unreachable", "connection refused", "TTL expired", "command not supported", "address type not supported",
}

// socks5 asks the proxy on nc to connect to the endpoint. The proxy resolves the
// name. user may be nil.
func socks5(ctx context.Context, nc net.Conn, to endpoint, user *url.Userinfo) error {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	err := socksGreet(nc, user)
	if err == nil {
		err = socksOpen(nc, to)
	}
	if !stop() {
		return contextError(ctx)
	}
	return err
}

func socksGreet(nc net.Conn, user *url.Userinfo) error {
	greeting := []byte{socksVersion, 1, socksNoLogon}
	if user != nil {
		greeting = []byte{socksVersion, 2, socksNoLogon, socksPassword}
	}
	if _, err := nc.Write(greeting); err != nil {
		return err
	}
	var answer [2]byte
	if _, err := io.ReadFull(nc, answer[:]); err != nil {
		return err
	}
	switch {
	case answer[0] != socksVersion:
		return errors.New("the proxy does not speak SOCKS5")
	case answer[1] == socksNoLogon:
		return nil
	case answer[1] == socksPassword && user != nil:
		return socksLogon(nc, user)
	}
	return errors.New("the SOCKS5 proxy wants another logon")
}

func socksLogon(nc net.Conn, user *url.Userinfo) error {
	name := user.Username()
	password, _ := user.Password()
	if len(name) == 0 || len(name) > 255 || len(password) > 255 {
		return errors.New("SOCKS5 user name or password does not fit 255 bytes")
	}
	msg := append([]byte{socksLogonVersion, byte(len(name))}, name...)
	msg = append(append(msg, byte(len(password))), password...)
	if _, err := nc.Write(msg); err != nil {
		return err
	}
	var answer [2]byte
	if _, err := io.ReadFull(nc, answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 {
		return errors.New("the SOCKS5 proxy refused user name or password")
	}
	return nil
}

func socksOpen(nc net.Conn, to endpoint) error {
	port, err := strconv.ParseUint(to.port, 10, 16)
	if err != nil {
		return fmt.Errorf("port %q", to.port)
	}
	msg := []byte{socksVersion, socksConnect, 0}
	if addr, err := netip.ParseAddr(to.host); err == nil {
		kind := byte(socksIPv6)
		if addr.Is4() {
			kind = socksIPv4
		}
		msg = append(append(msg, kind), addr.AsSlice()...)
	} else {
		if len(to.host) > 255 {
			return errors.New("host name does not fit SOCKS5")
		}
		msg = append(append(msg, socksDomain, byte(len(to.host))), to.host...)
	}
	if _, err := nc.Write(binary.BigEndian.AppendUint16(msg, uint16(port))); err != nil {
		return err
	}
	return socksReply(nc)
}

// socksReply reads the reply with the bound address, which has no use here.
func socksReply(nc net.Conn) error {
	var head [5]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return err
	}
	if code := int(head[1]); code != 0 {
		text := "failure " + strconv.Itoa(code)
		if code < len(socksReplies) {
			text = socksReplies[code]
		}
		return errors.New("SOCKS5 proxy: " + text)
	}
	rest := map[byte]int{socksIPv4: 3, socksIPv6: 15, socksDomain: int(head[4])}
	n, known := rest[head[3]]
	if !known {
		return errors.New("SOCKS5 proxy: reply with an unknown address type")
	}
	_, err := io.ReadFull(nc, make([]byte, n+2))
	return err
}

package bench_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"testing"

	masterzen "github.com/masterzen/winrm"

	"github.com/winrmkit/winrmkit/auth"
)

func sealing() masterzen.Transporter {
	e, err := masterzen.NewEncryption("ntlm")
	if err != nil {
		panic(err) // it knows "ntlm" and nothing else
	}
	return e
}

// BenchmarkWarmCommandSealed is BenchmarkWarmCommand with NTLM and encrypted
// messages over http.
func BenchmarkWarmCommandSealed(b *testing.B) {
	t := startServer(b, "ntlm")
	var g group
	ours := ourClient(b, t, auth.NTLM(account()), auth.EncryptAuto)
	g.run(b, "winrmkit", 0, func() error { return runOurs(ours, "echo hello", 6) })

	shell := masterzenShell(b, startServer(b, ntlmClosing), sealing)
	g.run(b, "masterzen", 0, func() error { return runMasterzen(shell, "echo hello", 6) })
	g.ratios(b, "winrmkit")
	g.floor(b, "winrmkit", "masterzen", 4)
}

// BenchmarkStdoutSealed is a command with 20 MB of output, encrypted.
// WINRMKIT_BENCH_MB makes it more.
func BenchmarkStdoutSealed(b *testing.B) {
	size := megabytes(b, 20)
	t := startServer(b, "ntlm")
	var g group
	line := fmt.Sprintf("zeros %d", size)
	ours := ourClient(b, t, auth.NTLM(account()), auth.EncryptAuto)
	g.run(b, "winrmkit", size, func() error { return runOurs(ours, line, size) })

	shell := masterzenShell(b, startServer(b, ntlmClosing), sealing)
	g.run(b, "masterzen", size, func() error { return runMasterzen(shell, line, size) })
	g.run(b, "bound", size, bound(size))
	g.ratios(b, "winrmkit")
}

// megabytes is a size in bytes that WINRMKIT_BENCH_MB changes.
func megabytes(b *testing.B, normal int64) int64 {
	b.Helper()
	if s := os.Getenv("WINRMKIT_BENCH_MB"); s != "" {
		mb, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			b.Fatal(err)
		}
		normal = mb
	}
	return normal * 1_000_000
}

// bound is what both ends cannot do without, one after the other: base64, RC4
// and HMAC-MD5. Our ratio to it is the part of our time that is not overhead.
func bound(size int64) func() error {
	const piece = 370_000 // of output in one answer
	plain, text := make([]byte, piece), make([]byte, base64.StdEncoding.EncodedLen(piece))
	key := make([]byte, 16)
	seal := func() error {
		cipher, err := rc4.NewCipher(key)
		if err != nil {
			return err
		}
		mac := hmac.New(md5.New, key)
		mac.Write(text)
		mac.Sum(nil)
		cipher.XORKeyStream(text, text)
		return nil
	}
	return func() error {
		for rest := size; rest > 0; rest -= piece {
			base64.StdEncoding.Encode(text, plain)
			for range 2 { // sealed and opened: twice the same gives the text back
				if err := seal(); err != nil {
					return err
				}
			}
			if _, err := base64.StdEncoding.Decode(plain, text); err != nil {
				return err
			}
		}
		return nil
	}
}

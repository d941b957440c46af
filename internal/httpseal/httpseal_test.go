package httpseal_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/httpseal"
)

const (
	spnego = "application/HTTP-SPNEGO-session-encrypted"
	soap   = "application/soap+xml;charset=UTF-8"
)

// plainSealer authenticates without hiding: what it seals shows up in the body,
// so that tests can put any bytes where ciphertext stands. pad bytes follow the
// ciphertext, as in RFC 4757; overhead bytes precede it, as a TLS record's header.
type plainSealer struct {
	protocol string
	max      int
	pad      int
	overhead int
	sent     uint32
	seen     uint32
}

func (s *plainSealer) Protocol() string { return s.protocol }
func (s *plainSealer) MaxPlain() int    { return s.max }

func tag(seq uint32, p []byte) []byte {
	mac := hmac.New(md5.New, []byte("key"))
	_ = binary.Write(mac, binary.LittleEndian, seq)
	mac.Write(p)
	return mac.Sum(nil)
}

func (s *plainSealer) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	dst = append(dst, tag(s.sent, plain)...)
	s.sent++
	dst = append(dst, bytes.Repeat([]byte{0xAA}, s.overhead)...)
	dst = append(dst, plain...)
	dst = append(dst, bytes.Repeat([]byte{1}, s.pad)...)
	return dst, md5.Size, len(plain) + s.pad, nil
}

var errTag = errors.New("wrong tag")

func (s *plainSealer) Unwrap(buf []byte, tokenLen int) ([]byte, error) {
	if tokenLen != md5.Size || len(buf) < tokenLen+s.pad+s.overhead {
		return nil, errTag
	}
	plain := buf[tokenLen+s.overhead : len(buf)-s.pad]
	if !hmac.Equal(buf[:tokenLen], tag(s.seen, plain)) {
		return nil, errTag
	}
	s.seen++
	return plain, nil
}

// measuringSealer's messages have an overhead that the stated length leaves out.
type measuringSealer struct{ plainSealer }

func (s *measuringSealer) SealedLen(_ []byte, tokenLen, length int) (int, error) {
	return tokenLen + s.overhead + length, nil
}

const contentType = `multipart/encrypted;protocol="` + spnego + `";boundary="Encrypted Boundary"`

// The layout is that of [MS-WSMV] section 2.2.9.1, with and without its tabs.
func TestSealLayout(t *testing.T) {
	token := string(tag(0, []byte("<s/>")))
	for name, tab := range map[string]string{"plain": "", "tab": "\t"} {
		t.Run(name, func(t *testing.T) {
			f := httpseal.Format{Tab: tab != ""}
			body, ct, err := f.Seal([]byte("kept"), &plainSealer{protocol: spnego}, soap, []byte("<s/>"))
			require.NoError(t, err)
			assert.Equal(t, contentType, ct)
			want := "kept--Encrypted Boundary\r\n" +
				tab + "Content-Type: application/HTTP-SPNEGO-session-encrypted\r\n" +
				tab + "OriginalContent: type=application/soap+xml;charset=UTF-8;Length=4\r\n" +
				"--Encrypted Boundary\r\n" +
				tab + "Content-Type: application/octet-stream\r\n" +
				"\x10\x00\x00\x00" + token + "<s/>--Encrypted Boundary--\r\n"
			assert.Equal(t, want, string(body))
		})
	}
}

func TestSealStatesPaddedLength(t *testing.T) {
	// 9 and 99 make the stated length one digit longer than the plaintext's.
	for _, n := range []int{0, 8, 9, 99, 100} {
		s := &plainSealer{protocol: spnego, pad: 1}
		plain := bytes.Repeat([]byte("x"), n)
		body, ct, err := httpseal.Seal(nil, s, soap, plain)
		require.NoError(t, err)
		got, inner, err := httpseal.Open(s, ct, body)
		require.NoError(t, err, "%d bytes", n)
		assert.Equal(t, string(plain), string(got))
		assert.Equal(t, soap, inner)
	}
}

func TestSealInPieces(t *testing.T) {
	const credssp = "application/HTTP-CredSSP-session-encrypted"
	for _, n := range []int{0, 1, 99, 100, 101, 200, 201, 1234} {
		for _, overhead := range []int{0, 5} {
			s := &measuringSealer{plainSealer{protocol: credssp, max: 100, overhead: overhead}}
			plain := randomBytes(uint64(n), n)
			body, ct, err := httpseal.Seal(nil, s, soap, plain)
			require.NoError(t, err)
			assert.Equal(t, n > 100, strings.HasPrefix(ct, "multipart/x-multi-encrypted;protocol="), ct)
			assert.Equal(t, 1, bytes.Count(body, []byte("--Encrypted Boundary--")))
			got, _, err := httpseal.Open(s, ct, body)
			require.NoError(t, err, "%d bytes", n)
			assert.Equal(t, plain, append([]byte{}, got...))
		}
	}
}

// variant writes a body the way other peers do.
type variant struct {
	contentType string
	open        string // the delimiter line without its break
	indent      string
	protocol    string
	original    string // %L stands for the length
	closing     string
}

func (v variant) body(s *plainSealer, length string, pieces ...string) []byte {
	var b []byte
	for _, p := range pieces {
		b = append(b, v.open+"\r\n"+v.indent+"Content-Type: "+v.protocol+"\r\n"...)
		b = append(b, v.indent+strings.Replace(v.original, "%L", length, 1)+"\r\n"...)
		b = append(b, v.open+"\r\n"+v.indent+"Content-Type: application/octet-stream\r\n"...)
		b = append(b, md5.Size, 0, 0, 0)
		b, _, _, _ = s.Wrap(b, []byte(p))
	}
	return append(b, v.closing...)
}

func standard() variant {
	return variant{
		contentType: contentType, open: "--Encrypted Boundary", protocol: spnego,
		original: "OriginalContent: type=application/soap+xml;charset=UTF-8;Length=%L",
		closing:  "--Encrypted Boundary--\r\n",
	}
}

func TestOpenVariants(t *testing.T) {
	tests := map[string]func(*variant){
		"as the specification":  func(v *variant) { v.indent = "\t" },
		"without tabs":          func(*variant) {},
		"Exchange's blank":      func(v *variant) { v.open, v.closing = "-- Encrypted Boundary", "-- Encrypted Boundary--\r\n" },
		"blank in opening only": func(v *variant) { v.open = "-- Encrypted Boundary" },
		"no break at the end":   func(v *variant) { v.closing = "--Encrypted Boundary--" },
		"two breaks at the end": func(v *variant) { v.closing = "--Encrypted Boundary--\r\n\r\n" },
		"break after the data":  func(v *variant) { v.closing = "\r\n--Encrypted Boundary--\r\n" },
		"blank at a line's end": func(v *variant) { v.open = "--Encrypted Boundary " },
		"header names in lower": func(v *variant) { v.original = strings.Replace(v.original, "OriginalContent", "originalcontent", 1) },
		"length in lower":       func(v *variant) { v.original = strings.Replace(v.original, "Length", "length", 1) },
		"length first":          func(v *variant) { v.original = "OriginalContent: Length=%L;type=" + soap },
		"blanks between":        func(v *variant) { v.original = "OriginalContent:type=application/soap+xml; charset=UTF-8; Length = %L" },
		"protocol in lower":     func(v *variant) { v.protocol = strings.ToLower(v.protocol) },
		"boundary not quoted": func(v *variant) {
			v.contentType = `multipart/encrypted;protocol=` + spnego + `;boundary=Encrypted Boundary`
		},
		"parameters turned": func(v *variant) {
			v.contentType = `multipart/encrypted; boundary="Encrypted Boundary"; protocol="` + spnego + `"`
		},
		"parameters in capitals": func(v *variant) {
			v.contentType = `Multipart/Encrypted;PROTOCOL="` + spnego + `";BOUNDARY="Encrypted Boundary"`
		},
		"no parameters":       func(v *variant) { v.contentType = `multipart/encrypted` },
		"tab at a line's end": func(v *variant) { v.open = "--Encrypted Boundary\t " },
		"unknown parameters": func(v *variant) {
			v.contentType = `multipart/encrypted;charset;x="a;b=c";protocol="` + spnego + `";;boundary="Encrypted Boundary";z=`
		},
		"quote without end": func(v *variant) { v.contentType = `multipart/encrypted;boundary="Encrypted Boundary` },
		"another boundary": func(v *variant) {
			v.contentType = `multipart/encrypted;boundary="other one"`
			v.open, v.closing = "--other one", "--other one--\r\n"
		},
		"multi type, one piece": func(v *variant) {
			v.contentType = strings.Replace(v.contentType, "multipart/", "multipart/x-multi-", 1)
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			v := standard()
			change(&v)
			s := &plainSealer{protocol: spnego}
			got, inner, err := httpseal.Open(s, v.contentType, v.body(s, "5", "hello"))
			require.NoError(t, err)
			assert.Equal(t, "hello", string(got))
			assert.Equal(t, soap, inner)
		})
	}
}

func TestOpenUTF16(t *testing.T) {
	v := standard()
	v.original = strings.Replace(v.original, "UTF-8", "UTF-16", 1)
	s := &plainSealer{protocol: spnego}
	_, inner, err := httpseal.Open(s, v.contentType, v.body(s, "4", "\xff\xfex\x00"))
	require.NoError(t, err)
	assert.Equal(t, "application/soap+xml;charset=UTF-16", inner)
}

func TestOpenPieces(t *testing.T) {
	closedEach := standard()
	closedEach.open = "--Encrypted Boundary--\r\n--Encrypted Boundary"
	for name, v := range map[string]variant{"closed once": standard(), "closed each": closedEach} {
		t.Run(name, func(t *testing.T) {
			s := &plainSealer{protocol: spnego}
			body := v.body(s, "5", "hello", "world", "again")
			if name == "closed each" { // the first pair has none before it, nor its own second part
				body = bytes.TrimPrefix(body, []byte("--Encrypted Boundary--\r\n"))
				body = bytes.ReplaceAll(body, []byte("--Encrypted Boundary--\r\n--Encrypted Boundary\r\nContent-Type: application/octet"),
					[]byte("--Encrypted Boundary\r\nContent-Type: application/octet"))
			}
			got, _, err := httpseal.Open(s, v.contentType, body)
			require.NoError(t, err)
			assert.Equal(t, "helloworldagain", string(got))
		})
	}
}

// What was sealed may look like the frame around it.
func TestOpenBoundaryInCiphertext(t *testing.T) {
	inner := &plainSealer{protocol: spnego}
	nested, _, err := httpseal.Seal(nil, inner, soap, []byte("deep"))
	require.NoError(t, err)
	for _, plain := range []string{
		"--Encrypted Boundary--\r\n", "--Encrypted Boundary\r\n", "\r\n--Encrypted Boundary--",
		string(nested), string(nested) + string(nested), "\r\n", "--", "-- ", " ",
	} {
		for _, format := range []httpseal.Format{{}, {Tab: true}} {
			s := &plainSealer{protocol: spnego}
			body, ct, err := format.Seal(nil, s, soap, []byte(plain))
			require.NoError(t, err)
			got, _, err := httpseal.Open(s, ct, body)
			require.NoError(t, err, "%q", plain)
			assert.Equal(t, plain, string(got))

			cut := &plainSealer{protocol: spnego, max: 7}
			body, ct, err = format.Seal(nil, cut, soap, []byte(plain))
			require.NoError(t, err)
			got, _, err = httpseal.Open(cut, ct, body)
			require.NoError(t, err, "%q in pieces", plain)
			assert.Equal(t, plain, string(got))
		}
	}
}

func TestOpenStatedLength(t *testing.T) {
	tests := map[string]struct {
		pad    int
		trim   bool
		length string
		plain  string
		want   string // "" for an error
	}{
		"plaintext":            {length: "5", plain: "hello", want: "hello"},
		"too small":            {length: "4", plain: "hello"},
		"too large":            {length: "6", plain: "hello"},
		"padding counted":      {pad: 1, length: "6", plain: "hello", want: "hello"},
		"padding not counted":  {pad: 1, length: "5", plain: "hello", want: "hello"},
		"padding miscounted":   {pad: 1, length: "7", plain: "hello"},
		"NULs kept":            {length: "8", plain: "hello\x00\x00\x00", want: "hello\x00\x00\x00"},
		"NULs, short length":   {length: "5", plain: "hello\x00\x00\x00"},
		"NULs trimmed":         {trim: true, length: "8", plain: "hello\x00\x00\x00", want: "hello"},
		"NULs trimmed, length": {trim: true, length: "5", plain: "hello\x00\x00\x00", want: "hello"},
		"NULs, length in text": {trim: true, length: "4", plain: "hello\x00\x00\x00"},
		"negative":             {length: "-5", plain: "hello"},
		"huge":                 {length: "99999999999", plain: "hello"},
		"none":                 {length: "", plain: "hello"},
		"twice":                {length: "5;Length=5", plain: "hello"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &plainSealer{protocol: spnego, pad: tt.pad}
			v := standard()
			got, _, err := httpseal.Format{TrimNUL: tt.trim}.Open(s, v.contentType, v.body(s, tt.length, tt.plain))
			if tt.want == "" {
				var target *httpseal.Error
				require.ErrorAs(t, err, &target)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, string(got))
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	seal := func() (*plainSealer, []byte) {
		s := &plainSealer{protocol: spnego}
		body, _, err := httpseal.Seal(nil, s, soap, []byte("hello"))
		require.NoError(t, err)
		return s, body
	}
	t.Run("truncated at every byte", func(t *testing.T) {
		_, whole := seal()
		for n := range len(whole) - len("\r\n") {
			s, body := seal()
			_, _, err := httpseal.Open(s, contentType, body[:n:n])
			require.Error(t, err, "cut at %d", n)
		}
	})
	t.Run("changed ciphertext", func(t *testing.T) {
		s, body := seal()
		body[bytes.Index(body, []byte("hello"))] ^= 1
		_, _, err := httpseal.Open(s, contentType, body)
		require.ErrorIs(t, err, errTag)
	})
	t.Run("token longer than the body", func(t *testing.T) {
		s, body := seal()
		i := bytes.Index(body, []byte("octet-stream\r\n")) + len("octet-stream\r\n")
		for _, size := range []uint32{1 << 10, 1 << 31, 1<<32 - 1} {
			binary.LittleEndian.PutUint32(body[i:], size)
			_, _, err := httpseal.Open(s, contentType, body)
			require.Error(t, err)
		}
	})
	for name, ct := range map[string]string{
		"clear SOAP":       soap,
		"another protocol": strings.Replace(contentType, "SPNEGO", "Kerberos", 1),
		"empty boundary":   `multipart/encrypted;boundary=""`,
		"long boundary":    `multipart/encrypted;boundary="` + strings.Repeat("x", 71) + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			s, body := seal()
			_, _, err := httpseal.Open(s, ct, body)
			var target *httpseal.Error
			require.ErrorAs(t, err, &target)
		})
	}
}

func TestOpenInPlace(t *testing.T) {
	s := &plainSealer{protocol: spnego, max: 1000}
	body, ct, err := httpseal.Seal(nil, s, soap, randomBytes(1, 5000))
	require.NoError(t, err)
	plain, _, err := httpseal.Open(s, ct, body)
	require.NoError(t, err)
	assert.Same(t, &body[0], &plain[0])
}

func TestIsSealed(t *testing.T) {
	for ct, want := range map[string]bool{
		contentType: true, "multipart/x-multi-encrypted": true, " Multipart/Encrypted ; x=y": true,
		soap: false, "": false, "multipart/encryptedx": false, "multipart/mixed": false,
	} {
		assert.Equal(t, want, httpseal.IsSealed(ct), ct)
	}
}

func FuzzOpen(f *testing.F) {
	v := standard()
	f.Add(contentType, v.body(&plainSealer{protocol: spnego}, "5", "hello"), false)
	f.Add(contentType, v.body(&plainSealer{protocol: spnego}, "5", "hello", "world"), true)
	v.open = "-- Encrypted Boundary"
	f.Add(`multipart/x-multi-encrypted;boundary=Encrypted Boundary`, v.body(&plainSealer{protocol: spnego}, "5", "hello"), true)
	f.Add(contentType, []byte("--Encrypted Boundary--"), false)
	f.Fuzz(func(t *testing.T, ct string, body []byte, trim bool) {
		n := len(body)
		plain, _, err := httpseal.Format{TrimNUL: trim, BareEnd: trim}.Open(&plainSealer{protocol: spnego}, ct, body)
		if err == nil && len(plain) > n {
			t.Fatalf("%d bytes out of %d", len(plain), n)
		}
	})
}

func FuzzSealOpen(f *testing.F) {
	f.Add([]byte("<s/>"), 0, false)
	f.Add([]byte("--Encrypted Boundary--\r\n--Encrypted Boundary\r\n"), 5, true)
	f.Fuzz(func(t *testing.T, plain []byte, piece int, tab bool) {
		s := &plainSealer{protocol: spnego, max: piece}
		want := string(plain)
		body, ct, err := httpseal.Format{Tab: tab}.Seal(nil, s, soap, plain)
		require.NoError(t, err)
		got, _, err := httpseal.Open(s, ct, body)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	})
}

func randomBytes(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	p := make([]byte, n)
	_, _ = r.Read(p)
	return p
}

func TestSealAllocatesOnceAtMost(t *testing.T) {
	s := &nullSealer{}
	plain := make([]byte, 100<<10)
	buf := make([]byte, 0, 110<<10)
	allocs := testing.AllocsPerRun(50, func() {
		body, ct, err := httpseal.Seal(buf, s, soap, plain)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := httpseal.Open(s, ct, body); err != nil {
			t.Fatal(err)
		}
	})
	assert.LessOrEqual(t, allocs, 1.0)
}

// nullSealer copies, so that only the frame's own cost is seen.
type nullSealer struct{}

func (*nullSealer) Protocol() string { return spnego }
func (*nullSealer) MaxPlain() int    { return 0 }

func (*nullSealer) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	return append(dst, plain...), 0, len(plain), nil
}
func (*nullSealer) Unwrap(buf []byte, _ int) ([]byte, error) { return buf, nil }

func BenchmarkFrame(b *testing.B) {
	s := &nullSealer{}
	plain := make([]byte, 150<<10)
	buf := make([]byte, 0, 160<<10)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		body, ct, err := httpseal.Seal(buf, s, soap, plain)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := httpseal.Open(s, ct, body); err != nil {
			b.Fatal(err)
		}
	}
}

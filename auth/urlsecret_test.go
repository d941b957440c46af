package auth_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/toyauth"
)

// badURLs hold a password where none belongs, or one that spoils them.
var badURLs = []string{
	"http://u:hush%zz@h", "http://u:hush@h:99999x", "https://u:hush@[::1", "ftp://u:hush@h", "http://u:hush@/x",
	"http://u:hush@h\x7f", "http://u:hush/x@h", "u:hush@h", "//u:hush@h", "http://u:hush@h",
}

// What is wrong with a URL is told without the password in it.
func TestURLErrorsHoldNoPassword(t *testing.T) {
	for _, text := range badURLs {
		_, err := auth.NewTransport(text, &auth.TransportConfig{Mechanism: auth.Anonymous()})
		require.Error(t, err, text)
		assert.NotContains(t, err.Error(), "hush", text)
	}
	s := newServer(t, toyauth.TwoLegs)
	for _, text := range badURLs[:7] {
		tr := s.transport(func(c *auth.TransportConfig) {
			c.Proxy = func(*url.URL) (*url.URL, error) { return url.Parse(text) }
		})
		_, _, err := s.post(tr, t.Context(), "x")
		require.Error(t, err, text)
		assert.NotContains(t, err.Error(), "hush", text)
	}
}

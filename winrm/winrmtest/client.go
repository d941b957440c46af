package winrmtest

import (
	"crypto/tls"
	"fmt"
	"maps"
	"slices"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/winrm"
)

// Config is how a client reaches the server: as the first of [Server.Users] in
// alphabetical order, with the first of its mechanisms that has an initiating
// side, trusting its certificate.
func (s *Server) Config() *winrm.Config {
	user := slices.Min(slices.Collect(maps.Keys(s.Users)))
	return s.ConfigFor(auth.Credentials{User: user, Password: s.Users[user]})
}

// ConfigFor is Config with other credentials.
func (s *Server) ConfigFor(c auth.Credentials) *winrm.Config {
	cfg := &winrm.Config{}
	for _, m := range s.mechanisms {
		if m.client != nil {
			cfg.Auth = m.client(c)
			break
		}
		if _, basic := m.accept.(authserver.Basic); basic {
			cfg.Auth = auth.Basic(c)
			if s.tls == nil {
				cfg.Auth = auth.BasicInsecure(c)
				cfg.Encryption = auth.EncryptNever
			}
			break
		}
	}
	if s.tls != nil {
		cfg.TLS = &tls.Config{RootCAs: s.RootCAs()}
	}
	if s.memory != nil {
		cfg.Dial = s.Dial
	}
	return cfg
}

// Client returns a client of the server with [Server.Config]. The caller closes
// it, before the server.
func (s *Server) Client() *winrm.Client {
	c, err := winrm.New(s.URL, s.Config())
	if err != nil {
		panic(fmt.Sprintf("winrmtest: %v", err))
	}
	return c
}

package auth_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/winrmkit/winrmkit/auth"
)

// Fifty messages at once share a few connections, and no answer is opened with
// the keys of another.
func TestNTLMContextsAreNeverMixed(t *testing.T) {
	for name, mech := range ntlmKinds {
		t.Run(name, func(t *testing.T) {
			s := newNTLMServer(t, nil)
			tr := s.transport(use(mech(creds())))
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					text := strconv.Itoa(i)
					_, body, err := s.post(tr, t.Context(), text)
					assert.NoError(t, err)
					assert.Equal(t, "re: "+text, body)
				})
			}
			wg.Wait()
			conns, requests, _ := s.counts()
			assert.LessOrEqual(t, conns, auth.DefaultMaxConns)
			assert.Equal(t, 50+2*conns, requests)
		})
	}
}

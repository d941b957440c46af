package interop_test

import (
	"context"
	"encoding/hex"
	"os"
	"strconv"
	"testing"

	"github.com/bodgit/ntlmssp"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/ntlm"
)

// The NTLM client under masterzen's sealing transport, without HTTP: often
// enough that a mistake in one of some hundred keys, challenges or times shows.
func TestManyLogons(t *testing.T) {
	count := 2000
	if s := os.Getenv("WINRMKIT_INTEROP_COUNT"); s != "" {
		var err error
		count, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	hash, err := ntlm.PasswordHash(password)
	require.NoError(t, err)
	lookup := func(context.Context, string, string) (ntlm.Hash, error) { return hash, nil }
	for i := range count {
		client, err := ntlmssp.NewClient(ntlmssp.SetUserInfo(user, password), ntlmssp.SetVersion(ntlmssp.DefaultVersion()))
		require.NoError(t, err)
		server, err := ntlm.NewAcceptor(ntlm.AcceptorConfig{Lookup: lookup, ComputerName: "HOST", DomainName: "HOST"})
		require.NoError(t, err)

		negotiate, err := client.Authenticate(nil, nil)
		require.NoError(t, err)
		challenge, _, err := server.Step(t.Context(), negotiate)
		require.NoError(t, err)
		authenticate, err := client.Authenticate(challenge, nil)
		require.NoError(t, err)
		_, done, err := server.Step(t.Context(), authenticate)
		require.NoError(t, err, "logon %d: challenge %s, answer %s", i, hex.EncodeToString(challenge), hex.EncodeToString(authenticate))
		require.True(t, done)

		sealed, signature, err := client.SecuritySession().Wrap([]byte("question"))
		require.NoError(t, err)
		plain, err := server.Unwrap(append(signature, sealed...), len(signature))
		require.NoError(t, err)
		require.Equal(t, "question", string(plain))
		out, tokenLen, _, err := server.Wrap(nil, []byte("answer"))
		require.NoError(t, err)
		plain, err = client.SecuritySession().Unwrap(out[tokenLen:], out[:tokenLen])
		require.NoError(t, err)
		require.Equal(t, "answer", string(plain))
	}
}

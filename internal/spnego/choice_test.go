package spnego_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/spnego"
)

// Whoever has an initiator take a mechanism that it does not prefer has to sign
// the list, though he does not ask for signatures: he may have shortened it.
func TestSecondChoiceIsSigned(t *testing.T) {
	const completed, incomplete = 0, 1
	second := func() *mech { return &mech{oids: []string{"1.2.3"}, tokens: 2, key: "k"} }
	chosen := tlv(0xa1, tlv(0x06, []byte{0x2a, 0x03}))
	list := tlv(0x30, tlv(0x06, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02}),
		tlv(0x06, []byte{0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02}), tlv(0x06, []byte{0x2a, 0x03}))
	signed := func(list []byte) []byte {
		mic, err := second().MIC(nil, list)
		require.NoError(t, err)
		return tlv(0xa3, tlv(0x04, mic))
	}
	for name, tt := range map[string]struct {
		mic  []byte
		want error
	}{
		"unsigned":               {nil, spnego.ErrNoMIC},
		"signed":                 {signed(list), nil},
		"signed, a shorter list": {signed(tlv(0x30, tlv(0x06, []byte{0x2a, 0x03}))), spnego.ErrMIC},
	} {
		t.Run(name, func(t *testing.T) {
			c := spnego.NewInitiator(kerberos("k"), second())
			_, _, err := c.Step(t.Context(), nil)
			require.NoError(t, err)
			out, _, err := c.Step(t.Context(), resp(negState(incomplete), chosen))
			require.NoError(t, err)
			assert.NotEmpty(t, out)
			_, done, err := c.Step(t.Context(), resp(negState(completed), token("token 1k"), tt.mic))
			require.ErrorIs(t, err, tt.want)
			assert.Equal(t, tt.want == nil, done)
			assert.Equal(t, tt.want == nil, c.Ready())
		})
	}
}

package auth

// Encryption says when messages are encrypted by the mechanism, beneath or
// instead of TLS.
type Encryption int

const (
	// EncryptAuto encrypts messages over http and leaves it to TLS over https.
	// A body never leaves in clear: with a mechanism that cannot encrypt, http
	// is refused.
	EncryptAuto Encryption = iota
	// EncryptAlways encrypts messages inside TLS too.
	EncryptAlways
	// EncryptNever sends messages as they are, over http in clear.
	EncryptNever
)

func (e Encryption) String() string {
	switch e {
	case EncryptAlways:
		return "always"
	case EncryptNever:
		return "never"
	default:
		return "auto"
	}
}

// needed reports whether messages to a listener of this scheme are sealed.
func (e Encryption) needed(scheme string) bool {
	return e == EncryptAlways || e == EncryptAuto && scheme != "https"
}

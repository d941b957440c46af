package auth

// A Logon is what is known about one account: untried, proven or refused.
type Logon struct{}

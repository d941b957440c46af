// Package peertest holds the tests of logons and sealing against peers that are
// not ours, without HTTP in between: GSSAPI with gss-ntlmssp, pyspnego, Samba. A
// peer that is not installed is skipped by name; with WINRMKIT_INTEROP=1 its
// absence fails the test.
//
//	WINRMKIT_PEERS_VENV      a Python environment with pyspnego
//	WINRMKIT_INTEROP_COUNT   sealed messages in each test and direction (200)
package peertest

// Package peertest holds the tests of logons and sealing against peers that are
// not ours: GSSAPI with gss-ntlmssp, pyspnego and Samba without HTTP in between,
// and whole commands on a listener in Python (listener.py) that shares no line
// with the library. A peer that is not installed is skipped by name; with
// WINRMKIT_INTEROP=1 its absence fails the test.
//
//	WINRMKIT_PEERS_VENV      a Python environment with pyspnego[kerberos]
//	WINRMKIT_INTEROP_COUNT   sealed messages in each test and direction (200)
package peertest

// Package interop holds the tests of the library's server against clients that
// none of us wrote: masterzen/winrm, pywinrm, pypsrp; and of its client against a
// server of others, dylanmei/winrmtest. It is a module of its own, so that the
// library does not depend on them.
//
// The Python clients are looked for in the environment that WINRMKIT_PEERS_VENV
// names; without it their tests are skipped by name. With WINRMKIT_INTEROP=1 a
// missing peer fails the test.
package interop

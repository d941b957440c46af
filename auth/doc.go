// Package auth authenticates and seals the HTTP connections to a WinRM
// listener.
package auth

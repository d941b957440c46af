// Package crashtest kills programs that change hosts, at every step that they
// take, and looks at what is left. It holds tests only.
package crashtest

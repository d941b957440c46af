// Package crashtest kills programs that change hosts or copy files, at every step
// that they take or at any moment, and looks at what is left. It holds tests only.
package crashtest

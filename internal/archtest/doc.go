// Package archtest holds the tests that keep the architecture: who may import
// whom, what a lean program compiles, and how packages are named and described.
// It contains no code of its own.
//
// A rule about a package that does not exist yet holds from the day it comes.
package archtest

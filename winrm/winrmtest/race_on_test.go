//go:build race

package winrmtest_test

// muchOutput is how many bytes TestMuchOutput takes; the race detector makes
// each of them ten times as dear.
const muchOutput = 20 << 20

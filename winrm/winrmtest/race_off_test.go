//go:build !race

package winrmtest_test

const muchOutput = 200 << 20

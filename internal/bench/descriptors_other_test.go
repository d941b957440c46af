//go:build !unix

package bench_test

// descriptorLimit is not known here.
func descriptorLimit() uint64 { return 0 }

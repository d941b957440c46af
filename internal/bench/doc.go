// Package bench measures the library beside other clients of the protocol, in
// one run and against the same server, so that the ratios hold on any machine:
//
//	go test -bench .
//
// Each group ends with a line "ratio" whose metrics compare the others with
// ours: 25 x-time means that the other needs 25 times our time. The server runs
// in a process of its own and is not part of any figure.
package bench

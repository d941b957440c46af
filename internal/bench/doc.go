// Package bench measures the library beside other clients of the protocol, in
// one run and against the same servers, so that the ratios hold on any machine:
//
//	go test -run '^$' -bench . ./internal/bench
//
// runs ours and masterzen/winrm in one process. With the flag -peers pywinrm and
// pypsrp, in processes of their own, take part too; the script peers.sh installs
// them, runs everything five times and writes docs/benchmarks.md by the flag
// -table.
//
// Each group ends with lines "ratio" whose metrics compare the others with ours:
// 25 x-time means that the other needs 25 times our time. Servers run in child
// processes and are not part of any figure. Kerberos needs MIT's KDC and is
// skipped where there is none.
package bench

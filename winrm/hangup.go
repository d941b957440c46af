//go:build !js

package winrm

import (
	"os"
	"syscall"
)

// endSignals end a process as a rule; the last one comes when its terminal goes
// away.
var endSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

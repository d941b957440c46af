package winrm

import "os"

// endSignals end a process as a rule. A browser sends none.
var endSignals = []os.Signal{os.Interrupt}

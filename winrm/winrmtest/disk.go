package winrmtest

// Disk is an in-memory file system in the manner of Windows.
type Disk struct{}

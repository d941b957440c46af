//go:build !race

package winrm_test

const raceDetector = false

//go:build unix && !race

package crashtest_test

const raceDetector = false

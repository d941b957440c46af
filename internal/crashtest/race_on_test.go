//go:build unix && race

package crashtest_test

// raceDetector makes everything several times slower.
const raceDetector = true

//go:build race

package winrm_test

// raceDetector makes everything several times slower.
const raceDetector = true

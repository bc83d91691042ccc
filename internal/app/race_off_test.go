//go:build !race

package app_test

// raceDetector says that everything takes several times as long.
const raceDetector = false

// Package house holds no code, only the test that keeps the house in order:
// which package stands on which floor, who may import whom, and which package
// alone may touch a dangerous library. Leaf. Unstable.
package house

// Package apple speaks Apple's MDM check-in and command protocols: it
// authenticates a message, decodes it, and asks the room above, through
// Admitter and Planner, what to make of it.
package apple

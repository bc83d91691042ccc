// Package mdm holds the words that both platforms share: device, enrollment,
// command, result, report, event, ownership. It knows no wire format.
package mdm

// Package mobileconfig writes Apple configuration profiles: typed payloads,
// deterministic encoding, signing, and encryption to one device.
package mobileconfig

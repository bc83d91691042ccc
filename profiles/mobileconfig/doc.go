// Package mobileconfig writes Apple configuration profiles: typed payloads,
// deterministic encoding, signing, and encryption to one device. It tells what
// iOS makes of each setting, and opens any profile for a person to look at.
//
// A profile that holds a password or a private key leaves only through Encrypt.
package mobileconfig

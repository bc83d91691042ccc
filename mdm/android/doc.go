// Package android speaks the Android Management API (AMAPI) for an organisation:
// enterprises, enrolment tokens, one policy a device, commands, and the
// notifications by which Google tells of devices. It translates between Google's
// words and those of package mdm, decides nothing, and reaches enroll only through
// its own interface Admitter.
//
// https://developers.google.com/android/management/reference/rest
package android

// Package managedconfig writes an account as a managed configuration: the keys
// that a mobile device manager sets in Gmail (Android) and in Outlook (Android,
// iOS) so that the app offers the account ready made.
//
// A key is written only if its vendor, or a manager's documentation, names it
// (see Keys). Whatever an app cannot express is reported, never guessed.
//
// One bundle holds one account, and an app has one bundle: a second account of a
// template cannot reach the same app. Gmail removes and sets up its account anew
// when one of the three keys that start it changes, so a bundle holds nothing
// that differs from one rendering to the next.
package managedconfig

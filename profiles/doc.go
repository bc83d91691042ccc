// Package profiles describes one EAS account as an admin means it, with every
// variable already expanded, and the security policy beside it; it validates
// both. Its sub-packages write them for a platform, and report by field what
// that platform makes of each setting.
package profiles

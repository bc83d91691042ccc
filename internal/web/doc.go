// Package web holds the pages that people see: templates, style and texts per
// locale, embedded. Enrolment pages need no JavaScript. Leaf. Unstable.
package web

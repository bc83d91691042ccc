package main

import (
	"bytes"
	"strings"
	"testing"

	"sallyport/internal/server/accessapi"
)

func TestPrintSecurityPlan(t *testing.T) {
	t.Parallel()
	block, wipe := 3, 14
	mine, company := accessapi.Device{ID: "0190-1", User: "bob@example.test", Model: "Google Pixel 8"}, accessapi.Device{ID: "0190-2", User: "alice@example.test", Product: "SM-S921B"}
	mine.Enrollment.Ownership, company.Enrollment.Ownership = "personal", "corporate"
	var out bytes.Buffer
	p := &program{stdout: &out}
	p.printSecurityPlan(securityPlan{Policy: "phones"})
	if out.Len() != 0 {
		t.Errorf("a policy that erases nothing: %s", out.String())
	}
	p.printSecurityPlan(securityPlan{Policy: "phones", Block: &block, Wipe: &wipe, Erased: []erased{erasedOf(mine), erasedOf(company)}})
	want := `2 phones are held to this policy:
  alice@example.test, SM-S921B (corporate): loses everything: it is reset
    0190-2
  bob@example.test, Google Pixel 8 (personal): loses its work profile
    0190-1
`
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("got %s", out.String())
	}
}

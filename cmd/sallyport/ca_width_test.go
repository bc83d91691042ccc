package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sallyport/certs"
	"sallyport/internal/server/adminapi"
)

// tableOf are the lines that print writes.
func tableOf(t *testing.T, print func(p *program) error) []string {
	t.Helper()
	var out strings.Builder
	if err := print(&program{stdout: &out, stderr: &out}); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func fits(t *testing.T, lines []string, width int) {
	t.Helper()
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > width {
			t.Errorf("%d characters in %d: %s", n, width, line)
		}
	}
}

func TestCertificateTableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	ends := time.Date(2027, 11, 22, 2, 45, 28, 0, time.UTC)
	hash := strings.Repeat("0123456789abcdef", 4)
	all := []adminapi.Certificate{
		{SHA256: hash, Rule: "mdm-identity", User: "alice@example.test", State: "valid", NotAfter: ends, Issuer: hash[:40],
			EnrollmentID: "0192f0c1-0000-7000-8000-00000000abcd", Serial: hash[:38]},
		{SHA256: hash, Rule: "smime-encryption", User: "somebody.with.a.long.name@corporation.example.test", State: "revoked", Reason: "cessationOfOperation", NotAfter: ends, Issuer: hash[:40], Serial: hash[:38]},
	}
	table := func(width int) []string {
		return tableOf(t, func(p *program) error {
			header, row := certificateTable(all, width)
			return list(p, Output{}, all, header, row)
		})
	}
	for _, width := range []int{0, 300} {
		if whole := table(width); !strings.Contains(whole[1], all[0].EnrollmentID) || !strings.Contains(whole[2], "revoked, cessationOfOperation") || !strings.HasSuffix(whole[2], all[1].Serial) {
			t.Errorf("width %d: %s", width, strings.Join(whole, "\n"))
		}
	}
	narrow := table(80)
	fits(t, narrow, 80)
	if !strings.HasPrefix(narrow[1], hash[:10]+"  mdm-identity") || !strings.Contains(narrow[1], "2027-11-22  …0000abcd") || !strings.Contains(narrow[2], "…  revoked") {
		t.Errorf("%s", strings.Join(narrow, "\n"))
	}
	if _, err := theOne([]string{hash}, narrow[1][:10], "certificate", ""); err != nil {
		t.Errorf("what is shown is not taken: %v", err)
	}
}

// What is as long as it is has a line of its own.
func TestAuthorityTableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	info := func(role string) certs.AuthorityInfo {
		return certs.AuthorityInfo{Role: role, State: certs.StateRetired, Fingerprint: strings.Repeat("0123456789abcdef", 4), Kind: certs.KeyRSA4096,
			Subject: "CN=Corporate Issuing,OU=" + strings.Repeat("Division ", 12) + ",O=Example", NotAfter: time.Date(2031, 11, 22, 2, 45, 28, 0, time.UTC)}
	}
	issuing := adminapi.AuthorityCertificate{AuthorityInfo: info("issuing"), Valid: 123456, Untold: 412}
	issuing.CRL = "https://mdm.example.com/crl/" + strings.Repeat("9d", 20) + ".crl"
	all := []adminapi.AuthorityCertificate{{AuthorityInfo: info("intermediate")}, issuing}
	lines := tableOf(t, func(p *program) error { return printAuthorities(p, all, 80) })
	fits(t, lines, 80)
	if len(lines) != 7 || !strings.HasPrefix(lines[3], "issuing ") || lines[5] != "  CRL "+issuing.CRL || !strings.HasSuffix(lines[6], ": 412") {
		t.Errorf("%q", lines)
	}
	whole := tableOf(t, func(p *program) error { return printAuthorities(p, all[:1], 0) })
	if whole[2] != "  "+all[0].Subject {
		t.Errorf("a file gets all of it: %q", whole)
	}
}

// A table names the first phones, and counts the others.
func TestUntoldTable(t *testing.T) {
	t.Parallel()
	phones := []adminapi.UntoldPhone{
		{DeviceID: "0192f0c1-0000-7000-8000-00000000abcd", User: "alice@example.test", Name: "iPhone", Label: "Front desk", LastSeenAt: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)},
		{DeviceID: "0192f0c1-0000-7000-8000-00000000abce", Serial: "F2LX"},
	}
	lines := tableOf(t, func(p *program) error { return printUntold(p, phones, 412) })
	if len(lines) != 4 || !strings.HasPrefix(lines[1], "alice@example.test  Front desk  2026-11-21 08:00:00Z") || !strings.HasPrefix(lines[2], "-  ") ||
		!strings.Contains(lines[2], " F2LX ") || lines[3] != "and 410 more: -o json names all" {
		t.Errorf("%q", lines)
	}
	if lines := tableOf(t, func(p *program) error { return printUntold(p, nil, 0) }); lines[0] != "" {
		t.Errorf("%q", lines)
	}
}

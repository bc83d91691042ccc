package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/store"
	"sallyport/mdm"
)

// BenchmarkEntries reads 100,000 people with a phone and a mail client each: what
// a server does when it starts.
func BenchmarkEntries(b *testing.B) {
	const size = 100_000
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			o, direct := filled(b, e.name, e.place, crowd(b), size)
			must(b, direct.Close())
			db, err := store.Open(b.Context(), o)
			must(b, err)
			defer closed(b, db)
			for b.Loop() {
				people, phones := 0, 0
				for after := directory.UserID(""); ; {
					page, err := db.Access().Entries(b.Context(), after, 1000)
					must(b, err)
					if len(page) == 0 {
						break
					}
					after = page[len(page)-1].Person.ID
					people += len(page)
					for _, entry := range page {
						phones += len(entry.Phones)
					}
				}
				if people < size*9/10 || phones != people {
					b.Fatalf("%d people, %d phones", people, phones)
				}
			}
		})
	}
}

// crowd is people whose phones have reported and were judged as real ones are.
func crowd(b *testing.B) string {
	b.Helper()
	now := time.UnixMicro(1)
	report := mdm.Report{Device: &mdm.DeviceFacts{At: now, UDID: "00008120-000A1234ABCD5678", Name: "Phone", Product: "iPhone15,4", OSVersion: "26.1", EASDeviceID: "APPL1"},
		Security: &mdm.SecurityFacts{At: now}, Certificates: &mdm.CertificateFacts{At: now}, Profiles: &mdm.ProfileFacts{At: now}, Applications: &mdm.ApplicationFacts{At: now}}
	for i := range 40 {
		report.Applications.Items = append(report.Applications.Items, mdm.ApplicationOnFile{Identifier: fmt.Sprint("com.example.app.", i), Name: fmt.Sprint("App ", i), Version: "1.2.3"})
	}
	var findings []compliance.Finding
	for _, rule := range []compliance.RuleName{compliance.RuleEnrolled, compliance.RuleMailProfile, compliance.RulePasscode, compliance.RuleMinimumOS, compliance.RuleIdentity, compliance.RuleReported} {
		findings = append(findings, compliance.Finding{Rule: rule, State: compliance.Met, Fact: "as it should be", Expected: "what is asked for", Since: now})
	}
	text := func(v any) string {
		data, err := json.Marshal(v)
		must(b, err)
		return string(data)
	}
	return strings.NewReplacer("0, 0, 0, '{}', 0, 'k' || n", "0, 0, 0, '"+text(report)+"', 0, 'k' || n",
		"'compliant', 1, 1, n, 0, '', '[]', 1", "'compliant', 1, 1, n, 0, 'p@1', '"+text(findings)+"', 1").Replace(people)
}

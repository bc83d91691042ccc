package certs_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/certs"
	"sallyport/internal/secret"
)

const maidenMail = "alice.maiden@example.test"

func formerFile(name string, data []byte, former string) certs.SMIMEFile {
	return certs.SMIMEFile{Mail: aliceMail, Former: former, Name: name, Data: data, Password: secret.New(filePassword)}
}

// TestImportOfAFormerAddress: what came for an address that the user once had can be
// read, where that address is named, and nothing else is done with it.
func TestImportOfAFormerAddress(t *testing.T) {
	t.Parallel()
	maiden := []string{maidenMail}
	p12 := func(m mailCert) []byte { return m.file(t, pkcs12.Modern2023) }
	over := -time.Hour
	tests := []struct {
		name   string
		cert   mailCert
		former string
		field  string // of the refusal; empty: taken, for encryption alone
		says   string
	}{
		{"expired", mailCert{mails: maiden, usage: encrypts, ends: over}, maidenMail, "", ""},
		{"still valid, of both usages", mailCert{mails: maiden, usage: signs | encrypts}, strings.ToUpper(maidenMail), "", ""},
		{"no usage at all", mailCert{mails: maiden}, maidenMail, "", ""},
		{"weak", mailCert{mails: maiden, usage: encrypts, bits: 1024}, maidenMail, "", ""},
		{"of both addresses", mailCert{mails: []string{aliceMail, maidenMail}, usage: encrypts}, maidenMail, "", ""},

		{"not asked for", mailCert{mails: maiden, usage: encrypts, ends: over}, "", "file", "for " + maidenMail},
		{"signing alone", mailCert{mails: maiden, usage: signs}, maidenMail, "file", "only sign"},
		{"of another address", mailCert{mails: []string{"mallory@example.test"}, usage: encrypts}, maidenMail, "file", "for mallory@example.test"},
		{"of today's alone", mailCert{mails: []string{aliceMail}, usage: encrypts}, maidenMail, "file", "for " + aliceMail},
		{"today's for a former one", mailCert{mails: []string{aliceMail}, usage: encrypts}, "Alice@Example.Test", "former", "today"},
		{"a colleague's", mailCert{mails: []string{"robert@example.test"}, usage: encrypts}, "robert@example.test", "former", "another user"},
		{"a colleague's login", mailCert{mails: []string{"bob@example.test"}, usage: encrypts}, "BOB@example.test", "former", "another user"},
		{"no text", mailCert{mails: maiden, usage: encrypts}, "a\x1b@b", "former", "control character"},
		{"an authority", mailCert{mails: maiden, usage: encrypts, ca: true}, maidenMail, "file", "authority"},
		{"for TLS", mailCert{mails: maiden, usage: encrypts, ext: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, maidenMail, "file", "not for mail"},
		{"not yet", mailCert{mails: maiden, usage: encrypts, begins: time.Hour}, maidenMail, "file", "not valid before"},
	}
	s, d, _ := mailFixture(t)
	for _, test := range tests {
		file := formerFile(test.name, p12(test.cert), test.former)
		before := len(d.entries)
		r := must(s.Import(t.Context(), []certs.SMIMEFile{file}, false))[0]
		if test.field != "" {
			if r.Outcome != certs.SMIMERefused || r.Refused.Field != test.field || !strings.Contains(r.Refused.Reason, test.says) || r.Refused.Remedy == "" && test.says != "control character" {
				t.Errorf("%s: got %s, %v", test.name, r.Outcome, r.Refused)
			}
			continue
		}
		if r.Outcome != certs.SMIMEAdded || len(r.Keys) != 1 || r.Keys[0].Usage != certs.SMIMEEncryption || r.Keys[0].Source != certs.SMIMEFormer {
			t.Errorf("%s: got %s %v, %v", test.name, r.Outcome, r.Keys, r.Refused)
			continue
		}
		if len(d.entries) != before+1 || d.entries[before].Detail["source"] != "former" || !strings.EqualFold(d.entries[before].Detail["former"], maidenMail) {
			t.Errorf("%s: the trail says %+v", test.name, d.entries[before:])
		}
		if again := must(s.Import(t.Context(), []certs.SMIMEFile{file}, false))[0]; again.Outcome != certs.SMIMEKnown {
			t.Errorf("%s: again: %s", test.name, again.Outcome)
		}
	}
}

// TestFormerAddressIsHistory: on phones it comes after the key in use, whatever the
// certificate says of its time, and also when the address is the user's once more.
func TestFormerAddressIsHistory(t *testing.T) {
	t.Parallel()
	s, d, f := mailFixture(t)
	m := mailCert{mails: []string{maidenMail}, usage: signs | encrypts, begins: -time.Minute, ends: 5 * 365 * day}
	r := must(s.Import(t.Context(), []certs.SMIMEFile{formerFile("old", m.file(t, pkcs12.Modern2023), maidenMail)}, false))[0]
	if r.Outcome != certs.SMIMEAdded {
		t.Fatal(r.Refused)
	}
	old := r.Keys[0].ID
	for _, mail := range []string{aliceMail, maidenMail} {
		keys := ensured(t, s, mail, certs.SMIMEUsages()...)
		i := slices.IndexFunc(keys, func(k certs.SMIMEKey) bool { return k.ID == old })
		if i < 0 || keys[i].Current || keys[i].Usage != certs.SMIMEEncryption {
			t.Errorf("%s: got %v, want the old one as history", mail, keys)
		}
		for _, k := range keys[:2] { // signing, encryption
			if !k.Current || k.Source != certs.SMIMEIssued || k.Mails[0] != mail {
				t.Errorf("%s: in use is %v of %v, %s", mail, k, k.Mails, k.Source)
			}
		}
	}
	for _, k := range must(s.Known(t.Context(), "alice", maidenMail, certs.SMIMEUsages())) {
		if k.ID == old && k.Current {
			t.Error("known as the one in use")
		}
	}
	made := len(d.keys)
	f.clock.advance(day)
	if ensured(t, s, aliceMail, certs.SMIMEUsages()...); len(d.keys) != made {
		t.Error("keys are made anew, again and again")
	}
	if file := must(s.PKCS12(t.Context(), "alice", old, secret.New("phone"), false)); len(file) == 0 {
		t.Error("no phone gets it")
	}
}

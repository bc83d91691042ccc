package agent

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"testing"
)

func FuzzCommand(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><plist version="1.0"><dict><key>CommandUUID</key><string>1</string><key>Command</key><dict><key>RequestType</key><string>InstallProfile</string><key>Payload</key><data>AA==</data></dict></dict></plist>`))
	f.Add([]byte(`<plist version="1.0"><dict><key>CommandUUID</key><string>1</string><key>Command</key><dict><key>RequestType</key><string>Settings</string><key>Settings</key><array><dict><key>Item</key><string>DeviceName</string></dict></array></dict></dict></plist>`))
	f.Add([]byte(`<plist version="1.0"><dict><key>CommandUUID</key><string>1</string><key>Command</key><dict><key>RequestType</key><string>InstalledApplicationList</string><key>Items</key><array><string>Name</string></array></dict></dict></plist>`))
	f.Add([]byte(`<plist version="1.0"><dict><key>code</key><string>com.apple.unrecognized.device</string></dict></plist>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		end, err := p.begin()
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		p.s.Enrolment = &enrolment{Rights: allRights, Identifier: "test"}
		_, _ = p.obey(context.Background(), body)
		_ = unrecognized(body)
	})
}

func FuzzInvitations(f *testing.F) {
	f.Add([]byte("upn,url,pin\na@example.test,https://example.test/enroll/A,1\n"))
	f.Add([]byte("url\nhttps://example.test/\nhttps://example.test/%41\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := ReadInvitations(bytes.NewReader(file))
		seen := map[string]bool{}
		for _, one := range got {
			if _, e := invitationURL(one.URL); err != nil || e != nil || seen[one.URL] {
				t.Errorf("%q: %v, %v", one.URL, err, e)
			}
			seen[one.URL] = true
		}
	})
}

func FuzzSet(f *testing.F) {
	for _, seed := range []string{"notnow=3:SecurityInfo", "refuse=A:B:1:always", "account=a@example.test@host", "clock=-1h", "profile=removed:x", "os=16.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, assignment string) {
		p, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Set(assignment); err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrNotEnrolled) {
			t.Errorf("%q: %v", assignment, err)
		}
		if _, err := p.Show(); err != nil {
			t.Errorf("%q: %v", assignment, err)
		}
	})
}

func FuzzProfile(f *testing.F) {
	f.Add([]byte(`<plist version="1.0"><dict><key>PayloadType</key><string>Configuration</string><key>PayloadIdentifier</key><string>a</string><key>PayloadUUID</key><string>b</string><key>PayloadVersion</key><integer>1</integer><key>PayloadContent</key><array><dict><key>PayloadType</key><string>com.apple.eas.account</string><key>PayloadIdentifier</key><string>c</string><key>PayloadUUID</key><string>d</string><key>PayloadVersion</key><integer>1</integer></dict></array></dict></plist>`))
	p, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		prof, err := parseProfile(body, func([]byte) ([]byte, error) { return nil, errors.New("no key") })
		if err != nil {
			return
		}
		for _, one := range prof.of(typeMDM) {
			_, _ = parseMDM(one)
		}
		_, _ = p.readParts(prof)
	})
}

func FuzzCMS(f *testing.F) {
	ca := newFakeCA(f)
	f.Add(ca.signed(f, []byte("hello")))
	f.Add([]byte("\x30\x80\x30\x80"))
	roots := x509.NewCertPool()
	roots.AddCert(ca.root)
	f.Fuzz(func(t *testing.T, der []byte) {
		_, _, _ = openSigned(der, roots, ca.root.NotBefore)
		_, _ = parseCertRep(der, nil)
	})
}

func FuzzEnvelope(f *testing.F) {
	ca := newFakeCA(f)
	closed, err := encrypt([]byte("hello"), ca.ra)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(closed)
	f.Fuzz(func(t *testing.T, der []byte) { _, _ = decrypt(der, ca.ra, ca.raKey) })
}

func FuzzPage(f *testing.F) {
	f.Add(`<h1>x</h1><a href="/enroll/A/enroll.mobileconfig">d</a>`)
	f.Add(`<form method=post action="enroll.mobileconfig"><input name=pin></form>`)
	base, err := invitationURL("https://example.test/enroll/ABCD2345")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		d, err := readPage(base, []byte(body))
		if err == nil && d.url != nil && (d.url.Scheme != "https" || d.url.Host != "example.test") {
			t.Errorf("leads away to %s", d.url)
		}
	})
}

func FuzzPushRequest(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n"))
	f.Add([]byte("PHBsaXN0IHZlcnNpb249IjEuMCI+PGRpY3QvPjwvcGxpc3Q+"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if csr, err := parsePushRequest(file); err == nil && csr.CheckSignature() != nil {
			t.Error("a request that is not signed was taken")
		}
	})
}

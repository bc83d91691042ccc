package app

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/google/uuid"
	"software.sslmate.com/src/go-pkcs12"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/secret"
)

// keyFiles are n PKCS#12 files of 2,048 iterations, as OpenSSL writes them, for one user each.
func (a *App) keyFiles(b *testing.B, n int) []certs.SMIMEFile {
	b.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	files, people := make([]certs.SMIMEFile, n), make([]directory.User, n)
	for i := range files {
		mail := uuid.NewString() + "@example.test"
		people[i] = directory.User{UPN: mail, Email: mail}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 1), Subject: pkix.Name{CommonName: "Alice"}, EmailAddresses: []string{mail},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			b.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			b.Fatal(err)
		}
		data, err := pkcs12.Modern2023.Encode(key, cert, nil, "password")
		if err != nil {
			b.Fatal(err)
		}
		files[i] = certs.SMIMEFile{Line: i + 2, Mail: mail, Name: fmt.Sprint(i), Data: data, Password: secret.New("password")}
	}
	if _, err := a.rooms.users.Save(b.Context(), people); err != nil {
		b.Fatal(err)
	}
	return files
}

// A batch of an import as the command line sends it: opened, checked, sealed and
// committed, on as many processors as an import may use. Asked for are 10,000 files
// in less than 10 minutes, which is 60 ms for each.
func BenchmarkSMIMEImport(b *testing.B) {
	const batch = 250
	a := prepared(b)
	var used time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		files := a.keyFiles(b, batch)
		b.StartTimer()
		before := cpu(b)
		results, err := a.rooms.smime.Import(b.Context(), files, false)
		used += cpu(b) - before
		if n += batch; err != nil || results[batch-1].Refused != nil {
			b.Fatal(results, err)
		}
	}
	b.ReportMetric(float64(used.Milliseconds())/float64(n), "cpu-ms/file")
	b.ReportMetric(b.Elapsed().Seconds()/float64(n)*10_000, "s/10000-files")
}

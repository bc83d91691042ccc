package app

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"
)

// TestSessionsResumeWithoutCertificateAlone: a ticket must not bring back a
// certificate that the phone may have replaced since.
func TestSessionsResumeWithoutCertificateAlone(t *testing.T) {
	t.Parallel()
	certFile, keyFile := pair(t, t.TempDir(), "mdm.example.com", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	own, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	s := &serverTLS{}
	s.current.Store(&own)
	conf := s.asking(func() []*x509.Certificate { return []*x509.Certificate{own.Leaf} })
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, shows := range []bool{false, true} {
			client := &tls.Config{
				InsecureSkipVerify: true, ServerName: "mdm.example.com", ClientSessionCache: tls.NewLRUClientSessionCache(4), MaxVersion: version,
			}
			if shows {
				client.Certificates = []tls.Certificate{own}
			}
			if first := handshake(t, conf, client); first.DidResume || (len(first.PeerCertificates) == 1) != shows {
				t.Errorf("%s, first: resumed %v, %d certificates", tls.VersionName(version), first.DidResume, len(first.PeerCertificates))
			}
			second := handshake(t, conf, client)
			if second.DidResume == shows || (len(second.PeerCertificates) == 1) != shows {
				t.Errorf("%s, shows a certificate %v: resumed %v, %d certificates", tls.VersionName(version), shows, second.DidResume, len(second.PeerCertificates))
			}
		}
	}
}

// The issuers that are meant follow the authority while the server runs.
func TestAskingFollowsTheAuthority(t *testing.T) {
	t.Parallel()
	var own [2]tls.Certificate
	for i, name := range []string{"mdm.example.com", "other.example.com"} {
		certFile, keyFile := pair(t, t.TempDir(), name, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
		var err error
		if own[i], err = tls.LoadX509KeyPair(certFile, keyFile); err != nil {
			t.Fatal(err)
		}
	}
	s := &serverTLS{}
	s.current.Store(&own[0])
	meant := []*x509.Certificate{own[0].Leaf}
	conf := s.asking(func() []*x509.Certificate { return meant })
	for i := range own {
		meant = meant[:1]
		if i == 1 {
			meant = append(meant, own[1].Leaf)
		}
		var named int
		client := &tls.Config{InsecureSkipVerify: true, ServerName: "mdm.example.com",
			GetClientCertificate: func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				named = len(info.AcceptableCAs)
				return &tls.Certificate{}, nil
			}}
		handshake(t, conf, client)
		if named != i+1 {
			t.Errorf("%d issuers are named, want %d", named, i+1)
		}
	}
}

// handshake is what the server knows of one connection.
func handshake(t *testing.T, server, client *tls.Config) tls.ConnectionState {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan tls.ConnectionState, 1)
	go func() {
		defer close(done)
		plain, err := l.Accept()
		if err != nil {
			return
		}
		defer plain.Close()
		c := tls.Server(plain, server)
		if c.Handshake() == nil {
			done <- c.ConnectionState()
			_, _ = c.Write([]byte("x"))
			_, _ = c.Read(make([]byte, 1)) // until the client has seen its ticket and closes
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Read(make([]byte, 1)) // tickets come with the first byte
	state, ok := <-done
	if err := c.Close(); err != nil || !ok {
		t.Fatalf("no handshake: %v", err)
	}
	<-done
	return state
}

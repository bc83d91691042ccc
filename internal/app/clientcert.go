package app

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"sync"
)

// asking is config for a listener that phones reach: each handshake asks for a
// client certificate and none needs one.
//
// It is taken as it comes (tls.RequestClientCert) and judged for each message,
// with our roots at our time. The handshake must not judge it: a phone whose
// certificate has expired, or that picks the wrong one, would see a broken
// connection instead of an answer, could not even fetch a new enrolment
// profile, and would leave no line in our log. What still breaks a handshake is a
// key that is not the certificate's, and a certificate that cannot be parsed.
//
// authorities go along as the issuers that are meant, so that a browser with
// certificates of somebody else's does not ask its owner for one. They are asked
// for at every handshake, as they come and go while the server runs.
func (s *serverTLS) asking(authorities func() []*x509.Certificate) *tls.Config {
	conf := s.config()
	conf.ClientAuth = tls.RequestClientCert
	withoutStaleCertificates(conf)
	var mu sync.Mutex
	var meant []*x509.Certificate
	var current *tls.Config
	conf.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := authorities()
		mu.Lock()
		defer mu.Unlock()
		if current == nil || !slices.EqualFunc(meant, now, (*x509.Certificate).Equal) {
			meant, current = now, conf.Clone()
			current.GetConfigForClient, current.ClientCAs = nil, x509.NewCertPool()
			for _, c := range now {
				current.ClientCAs.AddCert(c)
			}
		}
		return current, nil
	}
	return conf
}

// withoutStaleCertificates lets only those sessions resume that began without a
// client certificate. A resumed session brings back the certificate of its first
// handshake, up to a week old: a phone that enrolled anew since would contradict
// its own signatures.
func withoutStaleCertificates(conf *tls.Config) {
	const withCertificate = "sallyport: client certificate"
	keys := conf.Clone() // which makes and rotates the keys of the tickets
	conf.WrapSession = func(connection tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		if len(connection.PeerCertificates) > 0 {
			session.Extra = append(session.Extra, []byte(withCertificate))
		}
		return keys.EncryptTicket(connection, session)
	}
	conf.UnwrapSession = func(ticket []byte, connection tls.ConnectionState) (*tls.SessionState, error) {
		session, err := keys.DecryptTicket(ticket, connection)
		if err != nil || session == nil {
			return nil, err
		}
		if slices.ContainsFunc(session.Extra, func(mark []byte) bool { return string(mark) == withCertificate }) {
			return nil, nil // as if there were no ticket: a full handshake follows
		}
		return session, nil
	}
}

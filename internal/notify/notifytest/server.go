package notifytest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Taken is a mail as the server took it.
type Taken struct {
	From, To, User string
	Private        bool // it came through TLS
	*mail.Message
	Body string
}

// Server is a strict mail server on loopback. Whatever RFC 5321 does not let a
// client say here fails the test.
type Server struct {
	T        testing.TB
	Cert     tls.Certificate
	StartTLS bool              // it is offered
	TLS      bool              // from the first byte
	Secret   string            // the password that it asks for; empty: none
	Answers  map[string]string // in place of 250, by command and, after a blank, by address

	mu       sync.Mutex
	mails    []Taken
	listener net.Listener
	open     map[net.Conn]bool
	all      sync.WaitGroup
}

// Start lets it listen; an empty address is a new one.
func (s *Server) Start(address string) string {
	s.T.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		s.T.Fatal(err)
	}
	s.listener, s.open = l, map[net.Conn]bool{}
	s.all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open[conn] = true
			s.mu.Unlock()
			s.all.Go(func() {
				defer conn.Close()
				if err := s.serve(conn); err != nil && !gone(err) {
					s.T.Errorf("mail server: %v", err)
				}
			})
		}
	})
	return l.Addr().String()
}

// Stop ends it and every connection.
func (s *Server) Stop() {
	_ = s.listener.Close()
	s.mu.Lock()
	for conn := range s.open {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
}

// Got are the mails that it took so far.
func (s *Server) Got() []Taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Taken(nil), s.mails...)
}

// talk is one connection.
type talk struct {
	*Server
	conn    net.Conn
	text    *textproto.Conn
	private bool
	greeted bool
	user    string
	from    string
	to      []string
}

func (s *Server) serve(conn net.Conn) error {
	t := &talk{Server: s, conn: conn}
	if s.TLS {
		shielded := tls.Server(conn, s.conf())
		if shielded.Handshake() != nil {
			return nil // the client trusts somebody else
		}
		t.conn, t.private = shielded, true
	}
	t.text = textproto.NewConn(t.conn)
	if err := t.say("220 standin ready"); err != nil {
		return err
	}
	for {
		line, err := t.text.ReadLine()
		if err != nil {
			return err
		}
		verb, rest, _ := strings.Cut(line, " ")
		done, err := t.command(strings.ToUpper(verb), rest)
		if done || err != nil {
			return err
		}
	}
}

// gone: the client left, or we did. A client that ends with an answer unread, as
// one does that is stopped after its mail was taken, resets the connection.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (s *Server) conf() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{s.Cert}, MinVersion: tls.VersionTLS12}
}

func (t *talk) say(line string) error { return t.text.PrintfLine("%s", line) }

func (t *talk) command(verb, rest string) (done bool, err error) {
	switch {
	case verb == "EHLO" && rest != "":
		t.greeted = true
		return false, t.say("250-standin\r\n" + t.offers() + "250-8BITMIME\r\n250 ENHANCEDSTATUSCODES")
	case verb == "STARTTLS" && t.StartTLS && !t.private && rest == "":
		if err := t.say("220 go ahead"); err != nil {
			return true, err
		}
		shielded := tls.Server(t.conn, t.conf())
		if shielded.Handshake() != nil {
			return true, nil
		}
		t.conn, t.text, t.private, t.greeted = shielded, textproto.NewConn(shielded), true, false
		return false, nil
	case verb == "AUTH" && t.Secret != "" && t.user == "":
		return t.auth(rest)
	case verb == "*" && t.Secret != "" && t.user == "": // the library takes AUTH back after it was refused, too
		return false, t.say("501 5.7.0 cancelled")
	case verb == "QUIT" && rest == "":
		return true, t.say("221 bye")
	case verb == "RSET" && rest == "":
		t.from, t.to = "", nil
		return false, t.say("250 forgotten")
	case verb == "MAIL" && t.greeted && t.from == "" && (t.Secret == "" || t.user != ""):
		t.from = between(rest, "FROM:<")
		return false, t.answer("MAIL", t.from)
	case verb == "RCPT" && t.from != "":
		t.to = append(t.to, between(rest, "TO:<"))
		return false, t.answer("RCPT", t.to[len(t.to)-1])
	case verb == "DATA" && len(t.to) == 1 && rest == "":
		return false, t.data()
	}
	return true, fmt.Errorf("refuses %s %q", verb, rest)
}

func (t *talk) offers() string {
	switch {
	case t.StartTLS && !t.private:
		return "250-STARTTLS\r\n"
	case t.Secret != "":
		return "250-AUTH PLAIN LOGIN\r\n"
	}
	return ""
}

func between(s, prefix string) string {
	address, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return ""
	}
	address, _, _ = strings.Cut(address, ">")
	return address
}

func (t *talk) answer(verb, address string) error {
	for _, key := range []string{verb + " " + address, verb} {
		if line := t.reply(key); line != "" {
			if verb == "MAIL" {
				t.from = ""
			}
			return t.say(line)
		}
	}
	return t.say("250 2.1.0 fine")
}

func (t *talk) reply(key string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Answers[key]
}

func (t *talk) auth(rest string) (bool, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
	parts := strings.Split(string(raw), "\x00")
	if err != nil || len(parts) != 3 {
		return true, fmt.Errorf("no AUTH PLAIN: %q", rest)
	}
	if parts[2] != t.Secret {
		return false, t.say("535 5.7.8 who are you?")
	}
	t.user = parts[1]
	return false, t.say("235 2.7.0 welcome")
}

func (t *talk) data() error {
	if err := t.say("354 go on"); err != nil {
		return err
	}
	raw, err := t.text.ReadDotBytes()
	if err != nil {
		return err
	}
	if line := t.reply("DATA"); line != "" {
		return t.say(line)
	}
	m, err := mail.ReadMessage(bufio.NewReader(strings.NewReader(string(raw))))
	if err != nil {
		return fmt.Errorf("no mail: %w", err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(body), "\r\n", "\n")
	t.mu.Lock()
	t.mails = append(t.mails, Taken{t.from, t.to[0], t.user, t.private, m, text})
	t.mu.Unlock()
	t.from, t.to = "", nil
	return t.say("250 2.0.0 queued as 4711")
}

// Certificate is the server's own, for 127.0.0.1.
func Certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"mail.example.test"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

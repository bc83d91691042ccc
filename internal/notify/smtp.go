package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"sallyport/internal/secret"
)

const (
	// stepTimeout bounds each exchange with the server.
	stepTimeout = 15 * time.Second
	// mailTimeout bounds a mail as a whole.
	mailTimeout = time.Minute
	maxReply    = 300
)

// Refused is an answer that is no to one mail. Everything else that goes wrong
// may go right later.
type Refused struct {
	Code  int    // 400-599
	Reply string // in the server's words, which may name the address
}

func (r *Refused) Error() string { return "the mail server answered: " + r.Reply }

// Permanent reports whether another try is of no use (RFC 5321, section 4.2.1).
// It is not for a server that does not let us in: whoever mends the password gets
// the mails that waited.
func Permanent(err error) bool {
	var r *Refused
	return errors.As(err, &r) && r.Code >= 500
}

// Code is the server's, 0 where it did not answer about this mail. It may be
// logged, and the text of the error may not: servers repeat addresses.
func Code(err error) int {
	var r *Refused
	if errors.As(err, &r) {
		return r.Code
	}
	return 0
}

// Sender hands mails to one server, each in a connection of its own.
type Sender struct {
	Server   Server
	User     string // empty: without signing in
	Password secret.Value
	From     string         // a bare address
	Roots    *x509.CertPool // nil: the system's
	Now      func() time.Time
}

// Send hands over one mail and returns the server's words. The error is a *Refused
// where the server said no to this mail.
func (s *Sender) Send(ctx context.Context, m Mail) (reply string, err error) {
	message, err := s.message(m)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	var conn net.Conn
	defer func() { // the library leaves it open when it gives up before it has signed in
		if conn != nil {
			_ = conn.Close()
		}
	}()
	client, err := s.client(func(c net.Conn) { conn = c })
	if err != nil {
		return "", fmt.Errorf("mail server %s: %w", s.Server, err)
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return "", fmt.Errorf("mail server %s: %w", s.Server, clean(err))
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := client.SendWithSMTPClient(session, message); err != nil {
		return "", fmt.Errorf("mail server %s: %w", s.Server, refused(err))
	}
	_ = client.CloseWithSMTPClient(session) // the mail was taken: how they part is no matter
	return oneLine(message.ServerResponse()), nil
}

// message has every header of the mail. Addresses were parsed, the rest cannot
// leave its line.
func (s *Sender) message(m Mail) (*gomail.Msg, error) {
	to, fault := ParseAddress("to", m.To)
	if fault != nil {
		return nil, &Refused{Code: 553, Reply: fault.Error()}
	}
	message := gomail.NewMsg(gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingQP), gomail.WithNoDefaultUserAgent())
	if err := errors.Join(message.From(s.From), message.To(to)); err != nil {
		return nil, err
	}
	message.Subject(m.subject())
	message.SetDateWithValue(s.Now())
	message.SetMessageIDWithValue(m.messageID(s.From))
	message.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no vacation notice answers it
	if l := m.locale(); l != "" {
		message.SetGenHeader(gomail.HeaderContentLang, l)
	}
	message.SetBodyString(gomail.TypeTextPlain, m.text())
	return message, nil
}

// client knows one server. opened is told of the connection.
func (s *Sender) client(opened func(net.Conn)) (*gomail.Client, error) {
	conf := &tls.Config{ServerName: s.Server.Host, RootCAs: s.Roots, MinVersion: tls.VersionTLS12}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if s.Server.security == implicit && err == nil {
			shielded := tls.Client(conn, conf)
			if err = shielded.HandshakeContext(ctx); err != nil {
				_ = conn.Close()
				return nil, err
			}
			conn = shielded
		}
		if err == nil {
			opened(conn)
		}
		return conn, err
	}
	options := []gomail.Option{
		gomail.WithPort(s.Server.Port), gomail.WithTimeout(stepTimeout), gomail.WithTLSConfig(conf), gomail.WithDialContextFunc(dial),
		gomail.WithoutNoop(), gomail.WithoutRset(), gomail.WithHELO(domain(s.From)),
	}
	switch s.Server.security {
	case plain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	case implicit:
		options = append(options, gomail.WithSSL())
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.User != "" {
		mechanisms := []gomail.SMTPAuthType{gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin}
		if s.Server.Plain() {
			mechanisms = []gomail.SMTPAuthType{gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc}
		}
		options = append(options, gomail.WithOpportunisticSMTPAuth(mechanisms...),
			gomail.WithUsername(s.User), gomail.WithPassword(s.Password.Reveal()))
	}
	return gomail.NewClient(s.Server.Host, options...)
}

// refused finds the server's no to the mail in what the library says. Codes that
// are about us and not about the mail are left out: RFC 4954, section 6.
func refused(err error) error {
	var e *gomail.SendError
	if !errors.As(err, &e) {
		return clean(err)
	}
	switch code := e.ErrorCode(); {
	case code == 530, code == 534, code == 535, code == 538, code < 400, code > 599:
		return errors.New(oneLine(e.Reason.String() + ": " + words(e))) // not the library's own: it names the address
	default:
		return &Refused{Code: code, Reply: oneLine(words(e))}
	}
}

// words are the server's, without the library's around them.
func words(e *gomail.SendError) string {
	text := strings.TrimPrefix(e.Error(), e.Reason.String()+":")
	text, _, _ = strings.Cut(text, ", affected recipient(s):")
	text, _, _ = strings.Cut(text, ", affected message ID:")
	code, said, _ := strings.Cut(strings.TrimSpace(text), " ")
	if bare, err := strconv.Unquote(said); err == nil { // as the library writes some of them
		return code + " " + bare
	}
	return text
}

// clean puts an error on one line: parts of it are the server's words.
func clean(err error) error {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return fmt.Errorf("it answered: %s", oneLine(answer.Error()))
	}
	return oneLineError{err}
}

type oneLineError struct{ error }

func (e oneLineError) Error() string { return oneLine(e.error.Error()) }
func (e oneLineError) Unwrap() error { return e.error }

func oneLine(s string) string {
	return cut(strings.Join(strings.Fields(printable(s, false)), " "), maxReply)
}

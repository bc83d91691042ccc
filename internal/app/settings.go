package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"sallyport/internal/refusal"
)

// ErrFixed says that a setting was fixed at the first start and cannot change.
var ErrFixed = errors.New("setting is fixed")

// Settings that are fixed at the first start. Apple freezes into an enrolment
// what they decide, so another value would lose every phone.
const (
	settingInstallation = "app.installation"
	settingPublicURL    = "app.public_url"
	settingDerived      = "app.public_url_derived" // the same when it was not given but taken from listen
)

// settings is the part of store.DB that this file needs.
type settings interface {
	Setting(ctx context.Context, name string) (string, error)
	SetSettingOnce(ctx context.Context, name, value string) (string, error)
}

// installation returns the identity of this installation, made at its first start.
func installation(ctx context.Context, s settings) (uuid.UUID, error) {
	text, err := s.SetSettingOnce(ctx, settingInstallation, uuid.NewString())
	if err != nil {
		return uuid.UUID{}, err
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.UUID{}, fmt.Errorf("read installation identity: %w", err)
	}
	return id, nil
}

// topicPrefix begins the topic of every MDM push certificate that Apple issues.
const topicPrefix = "com.apple.mgmt.External."

// placeholderTopic stands in until a push certificate is imported. It is one of
// our own, so that no other installation's pushes could ever match it.
func placeholderTopic(installation uuid.UUID) string {
	return topicPrefix + uuid.NewSHA1(installation, []byte("push topic")).String()
}

// publicURL returns what phones are told to call: the value of the first start.
// Another one is refused by name. given is the setting, empty when it is to be
// derived from the listener's address; floating says that the system chose its
// port.
func publicURL(ctx context.Context, s settings, given, listener string, floating bool) (string, error) {
	stored, err := s.Setting(ctx, settingPublicURL)
	switch {
	case err != nil:
		return "", err
	case stored != "":
		return stored, samePublicURL(ctx, s, stored, given, listener, floating)
	case given != "":
		return given, nil
	}
	return "https://" + listener, nil
}

// fixPublicURL makes value the one for ever. It comes last in a first start, so
// that a slip which is refused for another reason can still be mended.
func fixPublicURL(ctx context.Context, s settings, value, given string) error {
	if given == "" {
		// The mark goes first: after a crash between the two nothing is fixed yet.
		if _, err := s.SetSettingOnce(ctx, settingDerived, value); err != nil {
			return err
		}
	}
	holds, err := s.SetSettingOnce(ctx, settingPublicURL, value)
	if err == nil && holds != value {
		err = fmt.Errorf("public URL was fixed as %s meanwhile", holds)
	}
	return err
}

func samePublicURL(ctx context.Context, s settings, stored, given, listener string, floating bool) error {
	const why = "was fixed at the first start as %s: enrolled phones can learn no other"
	if given != "" && given != stored {
		return refusal.New(ErrFixed, "public_url", fmt.Sprintf(why, stored),
			"start with --public-url "+stored+", or with a new, empty --data directory and invite every phone again")
	}
	if given != "" {
		return nil
	}
	derived, err := s.Setting(ctx, settingDerived)
	if err != nil {
		return err
	}
	// With port 0 nobody chose the port, so nobody is told to choose another.
	if derived == stored && stored != "https://"+listener && !floating {
		return refusal.New(ErrFixed, "listen", "public_url "+fmt.Sprintf(why, stored),
			"start with --listen "+strings.TrimPrefix(stored, "https://")+", or with a new, empty --data directory; behind a proxy, say --public-url "+stored)
	}
	return nil
}

// publicAddress is host:port as a client on this machine writes it: the host
// of the setting, unless that means every address, and the port that is served.
func publicAddress(listen string, bound net.Addr) string {
	host, _, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	_, port, err := net.SplitHostPort(bound.String())
	if err != nil {
		port = "443"
	}
	return net.JoinHostPort(host, port)
}

// dialAddress is where a listener is reached on this machine.
func dialAddress(bound net.Addr) string {
	host, port, err := net.SplitHostPort(bound.String())
	if err != nil {
		return bound.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// hostOf is the host of a URL without its port.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

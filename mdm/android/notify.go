package android

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"google.golang.org/api/androidmanagement/v1"

	"sallyport/internal/bounded"
)

// ErrNotification says that a body is no notification of Google's.
var ErrNotification = errors.New("malformed notification")

// Limits of a notification, and of what it carries once base64 is undone.
const (
	MaxNotification = 1 << 20
	maxData         = 512 << 10
)

// NotificationKind is what a notification tells of.
type NotificationKind string

const (
	NotifiedEnrollment NotificationKind = "ENROLLMENT"
	NotifiedStatus     NotificationKind = "STATUS_REPORT"
	NotifiedCommand    NotificationKind = "COMMAND"
	// NotifiedTest is what Google publishes when a topic is set, to see whether it may.
	NotifiedTest NotificationKind = "TEST"
	// NotifiedOther is a kind that concerns nothing here: usage logs, upgrades of the
	// enterprise, and whatever Google adds. It is to be taken, and does nothing.
	NotifiedOther NotificationKind = "OTHER"
)

// Notification is one message of a Pub/Sub push subscription. It may come twice,
// late and out of order.
// https://developers.google.com/android/management/notifications
type Notification struct {
	Kind       NotificationKind
	Type       string   // as Google names it
	Enterprise string   // resource name: "enterprises/LC0…"; empty when Kind is NotifiedTest or NotifiedOther
	Phone      *Phone   // of NotifiedEnrollment and NotifiedStatus; Deleted in either says that management is gone
	Outcome    *Outcome // of NotifiedCommand
	MessageID  string   // the same when a message comes twice
}

var (
	deviceName    = regexp.MustCompile(`^enterprises/[A-Za-z0-9_.~-]{1,128}/devices/[A-Za-z0-9_.~-]{1,128}$`)
	operationName = regexp.MustCompile(`^enterprises/[A-Za-z0-9_.~-]{1,128}/devices/[A-Za-z0-9_.~-]{1,128}/operations/[A-Za-z0-9_.~-]{1,128}$`)
)

// ParseNotification reads the body that Pub/Sub posts. Errors wrap
// ErrNotification, or bounded.ErrTooLarge and bounded.ErrTooDeep.
func ParseNotification(body []byte) (Notification, error) {
	if len(body) > MaxNotification {
		return Notification{}, fmt.Errorf("notification: %w: more than %d bytes", bounded.ErrTooLarge, MaxNotification)
	}
	var envelope struct {
		Message *struct {
			Attributes map[string]string `json:"attributes"`
			Data       string            `json:"data"`
			MessageID  string            `json:"messageId"`
		} `json:"message"`
	}
	if err := decodeJSON(body, &envelope); err != nil {
		return Notification{}, err
	}
	if envelope.Message == nil {
		return Notification{}, fmt.Errorf("%w: it holds no message", ErrNotification)
	}
	n := Notification{Type: clean(envelope.Message.Attributes["notificationType"], maxWord), MessageID: clean(envelope.Message.MessageID, maxWord)}
	switch n.Type {
	case "":
		return Notification{}, fmt.Errorf("%w: it has no notificationType", ErrNotification)
	case string(NotifiedTest):
		n.Kind = NotifiedTest
		return n, nil
	case string(NotifiedEnrollment), string(NotifiedStatus), string(NotifiedCommand):
		n.Kind = NotificationKind(n.Type)
	default:
		n.Kind = NotifiedOther
		return n, nil
	}
	data, err := decodeData(envelope.Message.Data)
	if err != nil {
		return Notification{}, err
	}
	return n.read(data)
}

func decodeData(text string) ([]byte, error) {
	if base64.StdEncoding.DecodedLen(len(text)) > maxData+3 {
		return nil, fmt.Errorf("notification's data: %w: more than %d bytes", bounded.ErrTooLarge, maxData)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: its data is no base64", ErrNotification)
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: it holds no data", ErrNotification)
	}
	return data, nil
}

func (n Notification) read(data []byte) (Notification, error) {
	name := ""
	if n.Kind == NotifiedCommand {
		var o androidmanagement.Operation
		if err := decodeJSON(data, &o); err != nil {
			return Notification{}, err
		}
		if !operationName.MatchString(o.Name) {
			return Notification{}, fmt.Errorf("%w: its operation has no name that Google gives", ErrNotification)
		}
		outcome := outcomeOf(&o)
		name, n.Outcome = o.Name, &outcome
	} else {
		var d androidmanagement.Device
		if err := decodeJSON(data, &d); err != nil {
			return Notification{}, err
		}
		if !deviceName.MatchString(d.Name) {
			return Notification{}, fmt.Errorf("%w: its device has no name that Google gives", ErrNotification)
		}
		phone := phoneOf(&d)
		name, n.Phone = d.Name, &phone
	}
	n.Enterprise, _, _ = strings.Cut(name, "/devices/")
	return n, nil
}

// decodeJSON reads one JSON value, and nothing after it, that is nested no deeper
// than anything else from outside may be.
func decodeJSON(data []byte, v any) error {
	if err := depth(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: it is not the JSON that Google sends", ErrNotification)
	}
	return nil
}

func depth(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	for deep := 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: it is no JSON", ErrNotification)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if deep++; deep > bounded.MaxDepth {
				return fmt.Errorf("notification: %w: deeper than %d levels", bounded.ErrTooDeep, bounded.MaxDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			deep--
		}
	}
}

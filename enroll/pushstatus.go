package enroll

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"sallyport/internal/lapse"
)

// PushStatus is what push can do now, in facts and in words.
type PushStatus struct {
	Ready       bool        `json:"ready"` // there is a certificate, and it is valid
	Stage       lapse.Stage `json:"stage,omitempty"`
	DaysLeft    int         `json:"days_left"`
	Topic       string      `json:"topic,omitempty"`
	Serial      string      `json:"serial,omitempty"`
	Issuer      string      `json:"issuer,omitempty"`
	NotBefore   time.Time   `json:"not_before,omitzero"`
	NotAfter    time.Time   `json:"not_after,omitzero"`
	RequestedAt time.Time   `json:"requested_at,omitzero"` // of the newest request
	Phones      PushPhones  `json:"phones"`
	Works       []string    `json:"works"`
	Lacks       []string    `json:"lacks"` // empty when nothing is to be done
	Next        string      `json:"next,omitempty"`
}

// PushPhones counts active enrolments of Apple phones: Google wakes those with Android.
type PushPhones struct {
	Active     int       `json:"active"`
	Reachable  int       `json:"reachable"`
	PollOnly   int       `json:"poll_only"`
	OtherTopic int       `json:"other_topic"`
	Dead       int       `json:"dead"`
	Due        int       `json:"due"`
	LastPushAt time.Time `json:"last_push_at,omitzero"`
}

// Status tells what push can do now.
func (p *Pusher) Status(ctx context.Context) (PushStatus, error) {
	held, err := p.read(ctx)
	if err != nil {
		return PushStatus{}, err
	}
	topic := p.Placeholder
	if held.there() {
		topic = held.certificate.Topic
	}
	fleet, err := p.Wakes.PushState(ctx, topic)
	if err != nil {
		return PushStatus{}, fmt.Errorf("count phones by topic: %w", err)
	}
	return p.status(held, fleet), nil
}

func (p *Pusher) status(held pushKeys, fleet PushState) PushStatus {
	s := PushStatus{RequestedAt: held.requestedAt, Phones: PushPhones(fleet), Works: []string{}, Lacks: []string{}}
	if held.there() {
		c, now := held.certificate, p.now()
		s.Stage = lapse.At(c.NotAfter, now)
		s.Ready = s.Stage != lapse.Expired
		s.DaysLeft = lapse.DaysLeft(c.NotAfter, now)
		s.Topic, s.Serial, s.Issuer = c.Topic, c.SerialNumber.Text(16), c.Issuer.CommonName
		s.NotBefore, s.NotAfter = c.NotBefore.UTC(), c.NotAfter.UTC()
	} else {
		s.Phones.Reachable = 0
	}
	s.speak()
	return s
}

// speak puts the facts into words.
func (s *PushStatus) speak() {
	const renew = "sallyport push csr; in identity.apple.com renew the same entry with the same account; sallyport push import FILE"
	s.Works = append(s.Works, "enrolment, and the mail profile that comes with it", "whatever a phone asks for by itself: software phones whenever they connect")
	if s.Ready {
		s.Works = append(s.Works, "waking phones: changes, acts and questions reach them within seconds")
	}
	switch s.Stage {
	case "":
		s.Lacks = append(s.Lacks,
			"waking phones: an iPhone contacts the server only when it is woken, so changes, wipes and questions do not reach it",
			"a phone that enrols now can never be woken, also later: it has to enrol again once there is a push certificate")
		s.Next = "sallyport push csr, then follow docs/push-certificate.md"
	case lapse.Expired:
		s.Lacks = append(s.Lacks, "waking phones: the push certificate has expired. Enrolled phones stay enrolled and keep their mail, but learn of nothing until it is renewed")
		s.Next = renew
	case lapse.Days60, lapse.Days30, lapse.Days7:
		s.Lacks = append(s.Lacks, fmt.Sprintf("a renewed push certificate: this one ends in %d days", s.DaysLeft))
		s.Next = renew
	case lapse.Fine:
	}
	for _, group := range []struct {
		n    int
		says string
	}{
		{s.Phones.PollOnly, "enrolled before there was a push certificate and can never be woken"},
		{s.Phones.OtherTopic, "hold the topic of another push certificate and cannot be woken by this one"},
		{s.Phones.Dead, "have a push token that Apple calls dead: removed from management or erased, until they say otherwise"},
	} {
		if group.n > 0 && s.Stage != "" {
			s.Lacks = append(s.Lacks, fmt.Sprintf("%d of %d active phones %s", group.n, s.Phones.Active, group.says))
		}
	}
	if s.Next == "" && s.Phones.PollOnly+s.Phones.OtherTopic > 0 && s.Stage != "" {
		s.Next = "have those phones remove the management profile and enrol again with a new invitation"
	}
}

// Alarm logs what has to be done about the certificate. It is a step: once a day.
func (p *Pusher) Alarm(ctx context.Context) (more bool, err error) {
	held, err := p.read(ctx)
	if err != nil {
		return false, err
	}
	if !held.there() {
		p.log().WarnContext(ctx, "no push certificate: phones cannot be woken, and those that enrol now never will be",
			slog.String("next", "sallyport push csr"))
		return false, nil
	}
	end := held.certificate.NotAfter
	switch stage := lapse.At(end, p.now()); stage {
	case lapse.Fine:
	case lapse.Days60, lapse.Days30, lapse.Days7, lapse.Expired:
		p.log().WarnContext(ctx, "push certificate ends: renew the same entry with the same account in identity.apple.com",
			slog.String("stage", string(stage)), slog.Time("not_after", end.UTC()))
	}
	return false, nil
}

package store

import (
	"encoding/json"
	"strings"
	"time"

	"sallyport/mdm"
)

// judgedPart reads of a stored report what compliance looks at: the certificates
// of a phone, half of it, are passed over. What encoding/json writes in the usual
// case is read here, in its order; everything else is left to it.
func judgedPart(text string) (mdm.Report, error) {
	if r, ok := usualReport(text); ok {
		return r, nil
	}
	var r mdm.Report
	err := json.Unmarshal([]byte(text), &r)
	r.Certificates = nil
	return r, err
}

// form reads JSON without spaces, as encoding/json writes it, key by key.
type form struct {
	rest string
	bad  bool
}

func (f *form) take(word string) bool {
	rest, ok := strings.CutPrefix(f.rest, word)
	f.rest = rest
	return ok
}

func (f *form) must(word string) {
	if !f.take(word) {
		f.bad = true
	}
}

// text reads the member of that key, if it comes next.
func (f *form) text(key string, to *string) {
	f.rest, _ = member(f.rest, key, to)
}

func (f *form) time(key string, to *time.Time) {
	var text string
	f.text(key, &text)
	if text == "" {
		return
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		f.bad = true
	}
	*to = at.UTC()
}

func (f *form) flag(key string) *bool {
	if !f.take(key) {
		return nil
	}
	yes := f.take("true")
	if !yes {
		f.must("false")
	}
	return &yes
}

func (f *form) digit(key string) *int {
	if !f.take(key) {
		return nil
	}
	if f.rest == "" || f.rest[0] < '0' || f.rest[0] > '9' {
		f.bad = true
		return nil
	}
	n := int(f.rest[0] - '0')
	f.rest = f.rest[1:]
	return &n // a second digit is nothing that comes next
}

// skip passes over a group that nobody here looks at.
func (f *form) skip(key string) {
	if !f.take(key) {
		return
	}
	depth, quoted := 1, false // key ends with its brace
	for i := 0; i < len(f.rest); i++ {
		switch c := f.rest[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				f.rest = f.rest[i+1:]
				return
			}
		}
	}
	f.bad = true
}

// usualReport is false for whatever it was not made for: a report with apps, or one
// that an admin asked for.
func usualReport(text string) (mdm.Report, bool) {
	f := &form{rest: text}
	f.must("{")
	r := mdm.Report{Device: f.device()}
	if r.Device != nil {
		f.take(",")
	}
	if r.Security = f.security(); r.Security != nil {
		f.take(",")
	}
	if r.Profiles = f.profiles(); r.Profiles != nil {
		f.take(",")
	}
	f.skip(`"certificates":{`)
	f.take(",")
	if f.take(`"restrictions":{"at":`) {
		r.Restrictions = &mdm.RestrictionFacts{}
		f.time(`"`, &r.Restrictions.At)
		r.Restrictions.AccountModification = f.flag(`,"account_modification":`)
		f.must("}")
	}
	return r, !f.bad && f.rest == "}"
}

func (f *form) device() *mdm.DeviceFacts {
	if !f.take(`"device":{"at":`) {
		return nil
	}
	d := &mdm.DeviceFacts{}
	f.time(`"`, &d.At)
	f.text(`,"udid":"`, &d.UDID)
	f.text(`,"serial":"`, &d.Serial)
	f.text(`,"name":"`, &d.Name)
	f.text(`,"product":"`, &d.Product)
	f.text(`,"model":"`, &d.Model)
	f.text(`,"os_version":"`, &d.OSVersion)
	f.text(`,"build":"`, &d.Build)
	f.text(`,"eas_device_id":"`, &d.EASDeviceID)
	d.Supervised = f.flag(`,"supervised":`)
	d.AwaitingConfiguration = f.flag(`,"awaiting_configuration":`)
	f.must("}")
	return d
}

func (f *form) security() *mdm.SecurityFacts {
	if !f.take(`"security":{"at":`) {
		return nil
	}
	s := &mdm.SecurityFacts{}
	f.time(`"`, &s.At)
	s.PasscodePresent = f.flag(`,"passcode_present":`)
	s.PasscodeCompliant = f.flag(`,"passcode_compliant":`)
	s.PasscodeCompliantWithProfiles = f.flag(`,"passcode_compliant_with_profiles":`)
	s.HardwareEncryptionCaps = f.digit(`,"hardware_encryption_caps":`)
	f.must("}")
	return s
}

func (f *form) profiles() *mdm.ProfileFacts {
	if !f.take(`"profiles":{"at":`) {
		return nil
	}
	p := &mdm.ProfileFacts{}
	f.time(`"`, &p.At)
	f.must(`,"items":[`)
	p.Items = []mdm.ProfileOnFile{}
	for !f.bad && f.take("{") {
		var item mdm.ProfileOnFile
		f.text(`"identifier":"`, &item.Identifier)
		f.text(`,"uuid":"`, &item.UUID)
		f.text(`,"display_name":"`, &item.DisplayName)
		item.Managed = f.flag(`,"managed":`)
		if encrypted := f.flag(`,"encrypted":`); encrypted != nil {
			item.Encrypted = *encrypted
		}
		f.must("}")
		p.Items = append(p.Items, item)
		f.take(",")
	}
	f.must("]}")
	return p
}

package access

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// An entry is kept as a string of a few hundred bytes: identifiers and hashes
// as bytes, words that many share by their number, times in microseconds.

// lexicon numbers words that many entries share. It only grows, so it is bounded:
// a word that comes when it is full is spelled out.
type lexicon struct {
	mu      sync.RWMutex
	numbers map[string]int
	words   []string
}

const (
	mostWords = 1 << 16
	maxWord   = 256 // bytes
)

func (l *lexicon) number(word string) (int, bool) {
	l.mu.RLock()
	n, ok := l.numbers[word]
	full := len(l.words) >= mostWords
	l.mu.RUnlock()
	if ok || full || len(word) > maxWord {
		return n, ok
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.numbers[word]; ok {
		return n, true
	}
	if l.numbers == nil {
		l.numbers = map[string]int{}
	}
	n = len(l.words)
	l.words = append(l.words, word)
	l.numbers[word] = n
	return n, true
}

func (l *lexicon) all() []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.words
}

// writer makes an entry's string.
type writer struct {
	lexicon *lexicon
	b       []byte
}

func (w *writer) count(n int) { w.b = binary.AppendUvarint(w.b, uint64(n)) }

func (w *writer) text(s string) {
	w.count(len(s) << 1)
	w.b = append(w.b, s...)
}

// word writes what many entries share.
func (w *writer) word(s string) {
	if n, ok := w.lexicon.number(s); ok {
		w.count(n<<1 | 1)
		return
	}
	w.text(s)
}

// bytes writes a text that is the one spelling of n bytes as those, and any
// other as it stands.
func (w *writer) bytes(s string, raw []byte, spelling string) {
	if raw == nil || spelling != s {
		w.b = append(w.b, 0)
		w.text(s)
		return
	}
	w.b = append(append(w.b, 1), raw...)
}

func (w *writer) id(s string) {
	id, err := uuid.Parse(s)
	if err != nil {
		w.bytes(s, nil, "")
		return
	}
	w.bytes(s, id[:], id.String())
}

func (w *writer) hash(s string) {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != hashBytes {
		raw = nil
	}
	w.bytes(s, raw, hex.EncodeToString(raw))
}

const hashBytes = 32 // SHA-256

// time writes a zero time as 0: that one is not in microseconds' reach.
func (w *writer) time(t time.Time) {
	if t.IsZero() {
		w.count(0)
		return
	}
	since := t.UnixMicro() - epoch
	w.b = binary.AppendUvarint(w.b, uint64(since<<1^since>>63)+1) // zigzag, as in encoding/binary
}

// epoch is the beginning of 2024: younger times need a byte less.
const epoch = 1704067200_000_000

func (w *writer) note(n *Note) {
	w.word(n.By)
	w.time(n.At)
	w.word(n.Reason)
}

// place writes where key stands among the keys of the devices, or key itself.
func (w *writer) place(key DeviceKey, devices []Device) {
	i := slices.IndexFunc(devices, func(d Device) bool { return d.Key == key })
	w.count(i + 1)
	if i < 0 {
		w.text(string(key))
	}
}

// reader reads what a writer made: nobody else's strings.
type reader struct {
	words []string
	s     string
}

func (r *reader) uvarint() uint64 {
	var v uint64
	for shift := 0; ; shift += 7 {
		b := r.s[0]
		r.s = r.s[1:]
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
}

func (r *reader) count() int { return int(r.uvarint()) }

func (r *reader) take(n int) string {
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

func (r *reader) text() string {
	n := r.count()
	if n&1 == 1 {
		return r.words[n>>1]
	}
	return r.take(n >> 1)
}

func (r *reader) id() string {
	if r.take(1) == "\x00" {
		return r.text()
	}
	var id uuid.UUID
	copy(id[:], r.take(len(id)))
	return id.String()
}

func (r *reader) skipID() {
	if r.take(1) == "\x00" {
		r.text()
		return
	}
	r.take(len(uuid.UUID{}))
}

func (r *reader) hash() string {
	if r.take(1) == "\x00" {
		return r.text()
	}
	var to [2 * hashBytes]byte
	var raw [hashBytes]byte
	copy(raw[:], r.take(hashBytes))
	hex.Encode(to[:], raw[:])
	return string(to[:])
}

func (r *reader) time() time.Time {
	v := r.uvarint()
	if v == 0 {
		return time.Time{}
	}
	v--
	return time.UnixMicro(int64(v>>1) ^ -int64(v&1) + epoch).UTC()
}

func (r *reader) note() Note { return Note{By: r.text(), At: r.time(), Reason: r.text()} }

func (r *reader) place(devices []Device) DeviceKey {
	if i := r.count(); i > 0 {
		return devices[i-1].Key
	}
	return DeviceKey(r.text())
}

// encode writes the parts in the order in which decode reads them. Logins come
// early: a look-up reads no further.
func encode(l *lexicon, e *Entry) string {
	w := &writer{lexicon: l, b: make([]byte, 0, 512)}
	w.id(string(e.Person.ID))
	w.text(e.Person.UPN)
	folded := directory.Fold(e.Person.UPN)
	w.count(len(e.Logins))
	for _, login := range e.Logins {
		same := shared(folded, login)
		w.count(same)
		w.text(login[same:])
	}
	w.count(len(e.Person.Groups))
	for _, g := range e.Person.Groups {
		w.word(g)
	}
	if off := e.Person.MailOff; off == nil {
		w.count(0)
	} else {
		w.count(1)
		w.note(off)
	}
	w.devices(e)
	w.count(len(e.Phones))
	for i := range e.Phones {
		w.phone(&e.Phones[i], e.Devices)
	}
	w.count(len(e.Personal))
	for i := range e.Personal {
		p := &e.Personal[i]
		w.text(string(p.Key))
		w.word(string(p.Kind))
		w.note(&p.Note)
		w.time(p.ExpiresAt)
	}
	return string(w.b)
}

// shared is the length of the beginning that two texts have in common.
func shared(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func (w *writer) devices(e *Entry) {
	w.count(len(e.Devices))
	for i := range e.Devices {
		d := &e.Devices[i]
		w.id(string(d.ID))
		w.text(string(d.Key))
		for _, s := range []string{d.Type, d.Model, d.OS, d.UserAgent, d.Protocol, string(d.Proof)} {
			w.word(s)
		}
		switch at := slices.IndexFunc(e.Phones, func(p Phone) bool { return p.EnrollmentID == d.Bound }); {
		case d.Bound == "":
			w.count(boundNone)
		case at < 0:
			w.count(boundElse)
			w.id(string(d.Bound))
		default:
			w.count(boundPhone + at)
		}
	}
}

// How the enrolment that a device is bound to is written.
const (
	boundNone  = iota
	boundElse  // its ID follows: it is no phone of the entry
	boundPhone // that of the phone at this place, counted on
)

func (w *writer) phone(p *Phone, devices []Device) {
	w.id(string(p.EnrollmentID))
	for _, s := range []string{string(p.State), string(p.Withheld), string(p.Platform), string(p.Ownership), p.Product, p.OSVersion} {
		w.word(s)
	}
	w.place(p.EASKey, devices)
	w.count(len(p.Certificates))
	for _, c := range p.Certificates {
		w.hash(c)
	}
	w.verdict(&p.Verdict)
}

// verdict leaves out whose it is: the phone's.
func (w *writer) verdict(v *compliance.Verdict) {
	w.word(string(v.State))
	w.word(v.Policy)
	for _, t := range []time.Time{v.Since, v.At, v.ValidUntil, v.GraceUntil} {
		w.time(t)
	}
	w.count(len(v.Findings))
	for i := range v.Findings {
		f := &v.Findings[i]
		w.word(string(f.Rule))
		w.word(string(f.State))
		w.text(f.Fact) // often the phone's own
		w.word(f.Expected)
		w.time(f.Since)
		w.word(f.Fix)
	}
}

// logins reads them, each as the beginning that it has in common with the UPN, and
// the rest.
func (r *reader) logins(upn string) func(yield func(prefix, rest string) bool) {
	return func(yield func(prefix, rest string) bool) {
		folded := directory.Fold(upn)
		for range r.count() {
			same := r.count()
			if !yield(folded[:same], r.text()) {
				return
			}
		}
	}
}

// decode reads a whole entry; without its logins, where nobody asks for them.
func decode(words []string, code string, logins bool) *Entry {
	r := &reader{words, code}
	e := &Entry{Person: Person{ID: directory.UserID(r.id()), UPN: r.text()}}
	if logins {
		for prefix, rest := range r.logins(e.Person.UPN) {
			e.Logins = append(e.Logins, prefix+rest)
		}
	} else {
		for range r.count() {
			r.count()
			r.text()
		}
	}
	if n := r.count(); n > 0 {
		e.Person.Groups = make([]string, n)
		for i := range e.Person.Groups {
			e.Person.Groups[i] = r.text()
		}
	}
	if r.count() == 1 {
		off := r.note()
		e.Person.MailOff = &off
	}
	var some [4]int
	bound := r.devices(e, some[:0])
	if n := r.count(); n > 0 {
		e.Phones = make([]Phone, n)
		for i := range e.Phones {
			r.phone(&e.Phones[i], e.Devices)
		}
	}
	for i, at := range bound {
		if at >= boundPhone {
			e.Devices[i].Bound = e.Phones[at-boundPhone].EnrollmentID
		}
	}
	for range r.count() {
		e.Personal = append(e.Personal, Personal{UserID: e.Person.ID, Key: DeviceKey(r.text()), Kind: PersonalKind(r.text()), Note: r.note(), ExpiresAt: r.time()})
	}
	return e
}

// devices reads them, but for the phones that they are bound to: those follow.
func (r *reader) devices(e *Entry, bound []int) []int {
	n := r.count()
	if n == 0 {
		return bound
	}
	e.Devices = make([]Device, n)
	for i := range e.Devices {
		d := &e.Devices[i]
		*d = Device{ID: DeviceID(r.id()), UserID: e.Person.ID, Key: DeviceKey(r.text()), Type: r.text(), Model: r.text(),
			OS: r.text(), UserAgent: r.text(), Protocol: r.text(), Proof: Proof(r.text())}
		at := r.count()
		if at == boundElse {
			d.Bound = mdm.EnrollmentID(r.id())
		}
		bound = append(bound, at)
	}
	return bound
}

func (r *reader) phone(p *Phone, devices []Device) {
	*p = Phone{EnrollmentID: mdm.EnrollmentID(r.id()), State: mdm.EnrollmentState(r.text()), Withheld: mdm.Withholding(r.text()),
		Platform: mdm.Platform(r.text()), Ownership: mdm.Ownership(r.text()), Product: r.text(), OSVersion: r.text(), EASKey: r.place(devices)}
	for range r.count() {
		p.Certificates = append(p.Certificates, r.hash())
	}
	r.verdict(&p.Verdict, p.EnrollmentID)
}

func (r *reader) verdict(v *compliance.Verdict, of mdm.EnrollmentID) {
	*v = compliance.Verdict{State: compliance.State(r.text()), Policy: r.text(), Since: r.time(), At: r.time(), ValidUntil: r.time(), GraceUntil: r.time()}
	if v.State != "" {
		v.EnrollmentID = of
	}
	for range r.count() {
		v.Findings = append(v.Findings, compliance.Finding{Rule: compliance.RuleName(r.text()), State: compliance.RuleState(r.text()),
			Fact: r.text(), Expected: r.text(), Since: r.time(), Fix: r.text()})
	}
}

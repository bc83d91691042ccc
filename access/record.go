package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"sallyport/enroll/directory"
)

// What is to be written down waits in memory, for a while and up to a number: an
// outage must not hold up answers, nor fill the memory.
const (
	maxDenials   = 2000
	maxSightings = 20_000
	flushDenials = 100
	flushSeen    = 500
	strangers    = 60 // denials a minute of people who are not on record, which anybody can cause
)

// records are what the engine has to write down.
type records struct {
	mu        sync.Mutex
	denials   waiting[string, Denial]
	sightings waiting[sightingKey, Sighting]
	met       map[uint32]uint32 // by device, a hash of the newest contact that was queued
	seed      maphash.Seed
	minute    time.Duration // when the count of strangers began
	strangers int
}

// sightingKey is what makes sightings one.
type sightingKey struct {
	user directory.UserID
	key  DeviceKey
}

// waiting is a queue in which each key stands once; the oldest gives way.
type waiting[K comparable, V any] struct {
	order   []K
	values  map[K]V
	dropped uint64
}

func (q *waiting[K, V]) put(k K, v V, most int) {
	if q.values == nil {
		q.values = map[K]V{}
	}
	if _, there := q.values[k]; !there {
		if len(q.order) >= most {
			delete(q.values, q.order[0])
			q.order = q.order[1:]
			q.dropped++
		}
		q.order = append(q.order, k)
	}
	q.values[k] = v
}

// take removes the oldest ones.
func (q *waiting[K, V]) take(n int) []V {
	n = min(n, len(q.order))
	list := make([]V, 0, n)
	for _, k := range q.order[:n] {
		list = append(list, q.values[k])
		delete(q.values, k)
	}
	q.order = slices.Clone(q.order[n:])
	return list
}

// contact is one of whom with which device; without an ID none is on record.
type contact struct {
	user   directory.UserID
	device DeviceID
	key    DeviceKey
}

// note takes down a contact of a device on record, and a refusal.
func (e *Engine) note(in *Inputs, d Decision) (met contact) {
	r := &e.records
	if in.Device.ID != "" {
		met = contact{in.People[0].ID, in.Device.ID, in.Device.Key}
		r.contact(&met, &in.Client, d.Effect, in.At)
	}
	if d.Effect != Allow && (len(in.People) > 0 || r.stranger(e.elapsed())) {
		r.denial(in, d)
	}
	return met
}

// denial queues a refusal, or counts one that waits.
func (r *records) denial(in *Inputs, d Decision) {
	relevant := in.Relevant()
	key := denialKey(&relevant, d)
	r.mu.Lock()
	known, ok := r.denials.values[key]
	if ok {
		known.Count++
		known.LastAt = in.At
		r.denials.values[key] = known
	}
	r.mu.Unlock()
	if ok {
		return
	}
	id, err := uuid.NewV7()
	if err != nil { // no randomness: nothing else would work, either
		return
	}
	_, trace := relevant.Explain()
	r.queue(Denial{ID: id.String(), Key: key, DeviceID: in.Device.ID, Inputs: relevant, Decision: d, Trace: trace, Count: 1, FirstAt: in.At, LastAt: in.At})
}

// queue adds a denial to the one of its key, if one waits.
func (r *records) queue(d Denial) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.denials.values[d.Key]; ok {
		known.Count += d.Count
		known.FirstAt = earliest(known.FirstAt, d.FirstAt)
		if d.LastAt.After(known.LastAt) {
			known.LastAt = d.LastAt
		}
		d = known
	}
	r.denials.put(d.Key, d, maxDenials)
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// stranger reports whether one more denial of somebody unknown may be kept.
func (r *records) stranger(now time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now-r.minute >= time.Minute {
		r.minute, r.strangers = now, 0
	}
	r.strangers++
	return r.strangers <= strangers
}

// contact queues what is new in a contact: to the minute, what the client said of
// itself, and how it was answered.
func (r *records) contact(met *contact, c *Client, effect Effect, at time.Time) {
	if met.device == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.met == nil {
		r.met, r.seed = map[uint32]uint32{}, maphash.MakeSeed()
	}
	device, news := uint32(maphash.String(r.seed, string(met.device))), r.news(c, effect, at)
	if before, ok := r.met[device]; ok && before == news {
		return
	}
	r.met[device] = news
	s := Sighting{UserID: met.user, Key: met.key, Client: *c, Effect: effect, At: at}
	r.sightings.put(sightingKey{s.UserID, s.Key}, s, maxSightings)
}

func (r *records) news(c *Client, effect Effect, at time.Time) uint32 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	for _, text := range [...]string{c.DeviceID, c.DeviceType, c.UserAgent, c.Protocol, c.Model, c.OS, c.Address, string(effect)} {
		_, _ = h.WriteString(text)
		_ = h.WriteByte(0)
	}
	minute := at.Unix() / 60
	for shift := 0; shift < 32; shift += 8 {
		_ = h.WriteByte(byte(minute >> shift))
	}
	return uint32(h.Sum64())
}

// denialKey hashes what makes denials the same: all that the decision rested on and
// how it came out, but for when, and from which address. When a verdict was made and
// until when it holds is "when", too: a phone that reports every hour is not refused
// anew every hour.
func denialKey(in *Inputs, d Decision) string {
	same := *in
	same.At, same.Client.Address = time.Time{}, ""
	same.Phones = slices.Clone(in.Phones)
	for i := range same.Phones {
		v := &same.Phones[i].Verdict
		v.At, v.ValidUntil = time.Time{}, time.Time{}
	}
	text, err := json.Marshal(struct {
		Inputs *Inputs
		Effect Effect
		Step   Step
	}{&same, d.Effect, d.Step})
	if err != nil {
		panic(err) // a struct of texts and times, whose years are in range
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Flush is a step of background work: it writes down some of what was met and
// refused. What could not be written waits on.
func (e *Engine) Flush(ctx context.Context) (more bool, err error) {
	r := &e.records
	r.mu.Lock()
	denials, sightings := r.denials.take(flushDenials), r.sightings.take(flushSeen)
	more = len(r.denials.order)+len(r.sightings.order) > 0
	r.mu.Unlock()
	var trouble error
	if len(denials) > 0 {
		if err := e.Register.SaveDenials(ctx, denials); err != nil {
			trouble = fmt.Errorf("write denials: %w", err)
			for _, d := range denials {
				r.queue(d)
			}
		}
	}
	if len(sightings) > 0 {
		if err := e.Register.Seen(ctx, sightings); err != nil {
			trouble = errors.Join(trouble, fmt.Errorf("write contacts: %w", err))
			r.again(sightings)
		}
	}
	return more && trouble == nil, trouble
}

// again queues contacts that were not written, unless newer ones came.
func (r *records) again(list []Sighting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range list {
		k := sightingKey{s.UserID, s.Key}
		if _, newer := r.sightings.values[k]; !newer {
			r.sightings.put(k, s, maxSightings)
		}
	}
}

package scep

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// cpu is the time on a CPU of the calling thread while f runs.
func cpu(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const thread = 1 // RUSAGE_THREAD, getrusage(2)
	now := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(thread, &u); err != nil {
			panic(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := now()
	f()
	return now() - before
}

// nested are beginnings of values that only ever contain another.
var nested = map[string][]byte{
	"SEQUENCE, indefinite":     {0x30, 0x80},
	"SEQUENCE, two bytes long": {0x30, 0x82, 0xff, 0xff},
	"OCTET STRING, indefinite": {0x24, 0x80},
	"context tag, indefinite":  {0xa0, 0x80},
	"high tag, indefinite":     {0x3f, 0x81, 0x01, 0x80},
	"NULLs":                    {0x05, 0x00},
	"end marks":                {0x00, 0x00},
}

// TestCost holds hostile messages to 50 ms of CPU for each 64 KB. 50 ms are what
// 50 private operations with RSA-2048 take on the machine where that was set, and
// a good message needs two: the operations of the same run are the measure.
func TestCost(t *testing.T) {
	f := newFixture(t)
	digest := sha256.Sum256(nil)
	const rounds = 20
	unit := cpu(func() {
		for range rounds {
			must(phoneKey().Sign(rand.Reader, digest[:], crypto.SHA256))
		}
	}) / rounds
	messages := map[string][]byte{"30 81": {0x30, 0x81}}
	for name, unit := range nested {
		for _, size := range []int{50 << 10, 64 << 10, 4 << 20} {
			bomb := bytes.Repeat(unit, size/len(unit))
			name := fmt.Sprintf("%s, %d KB", name, size>>10)
			messages[name] = bomb
			messages["SEQUENCE with "+name] = append([]byte{0x30, 0x80}, bomb...)
			p := newPhone(f, "guess")
			p.envelope = bomb
			messages["signed "+name] = p.message(t)
			p = newPhone(f, "guess")
			p.csr = bomb
			messages["enveloped "+name] = p.message(t)
		}
	}
	p := newPhone(f, "guess")
	p.csr = hugeRequest(p)
	messages["request with a huge key"] = p.message(t)
	for name, message := range messages {
		issued, _ := f.store.count()
		took := cpu(func() { _, _, _ = f.Do(t.Context(), "PKIOperation", message) })
		if most := 50 * unit * time.Duration(max(1, len(message)>>16)); took > most {
			t.Errorf("%s: %v of CPU, which is %d private operations", name, took, took/unit)
		}
		if now, _ := f.store.count(); now != issued || !f.store.challengesUntouched() {
			t.Errorf("%s: the state changed", name)
		}
	}
}

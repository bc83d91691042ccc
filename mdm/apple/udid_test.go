package apple

import (
	"context"
	"errors"
	"strings"
	"testing"

	"sallyport/mdm"
)

// TestUDID: one phone is one device, however its identifier is spelled; a
// spelling that Apple does not use is refused, not mended.
func TestUDID(t *testing.T) {
	t.Parallel()
	hex40 := strings.Repeat("0123456789abcdef", 3)[:40]
	uuid := "0a4c1a4a-7d0b-5f0f-8e57-6a4d3a2b1c0d"
	for _, good := range []string{udid, strings.ToLower(udid), hex40, strings.ToUpper(hex40), uuid, strings.ToUpper(uuid)} {
		m, _, err := decode(encode(t, map[string]any{"Status": "Idle", "UDID": good}))
		if err != nil || m.UDID != strings.ToUpper(good) {
			t.Errorf("%s: got %q, %v", good, m.UDID, err)
		}
	}
	for name, bad := range map[string]string{
		"none": "", "short": udid[:24], "long": udid + "0", "39 digits": hex40[:39], "41 digits": hex40 + "0",
		"leading space": " " + udid, "trailing space": udid + " ", "trailing new line": udid + "\n", "space within": strings.Replace(udid, "-", "- ", 1),
		"space for hyphen": strings.Replace(udid, "-", " ", 1), "colons": "00:00:81:10:00:0A:1B:2C:3D:4E:80:1E", "no hyphen": strings.Replace(udid, "-", "", 1),
		"another hyphen": strings.Replace(udid, "-", "\u2010", 1), "a minus sign": strings.Replace(udid, "-", "\u2212", 1),
		"Cyrillic A": strings.Replace(udid, "A", "\u0410", 1), "full width digit": strings.Replace(udid, "8", "\uff18", 1),
		"letter O": strings.Replace(udid, "0", "O", 1), "does not show": udid[:8] + "\u200b" + udid[8:], "braces": "{" + uuid + "}",
		"UUID without hyphens": strings.ReplaceAll(uuid, "-", ""), "only hyphens": strings.Repeat("-", 25),
	} {
		if _, _, err := decode(encode(t, map[string]any{"Status": "Idle", "UDID": bad})); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
}

func TestAwaitingConfiguration(t *testing.T) {
	t.Parallel()
	for _, waits := range []any{true, false, nil} {
		dict := map[string]any{"MessageType": "TokenUpdate", "UDID": udid, "Topic": "t", "Token": []byte{1}, "PushMagic": "m"}
		if waits != nil {
			dict["AwaitingConfiguration"] = waits
		}
		m, _, err := decode(encode(t, dict))
		if err != nil {
			t.Fatal(err)
		}
		if u, err := m.tokenUpdate(); err != nil || u.AwaitingConfiguration != (waits == true) {
			t.Errorf("%v: got %v, %v", waits, u.AwaitingConfiguration, err)
		}
	}
}

// TestLargeResult: a result that is too large to be kept is not cut off, and its
// facts count all the same.
func TestLargeResult(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	apps := make([]any, maxItems)
	for i := range apps {
		apps[i] = map[string]any{"Identifier": "com.example.app", "Name": "Example"}
	}
	body := encode(t, map[string]any{"Status": "Acknowledged", "UDID": udid, "CommandUUID": "C1", "InstalledApplicationList": apps})
	if _, err := d.Handle(context.Background(), Request{Body: body, Signature: sign(t, body, d.phone)}); err != nil {
		t.Fatal(err)
	}
	if c := d.up.contact; c.Status != mdm.StatusAcknowledged || !c.Result.IsZero() || len(c.Report.Applications.Items) != maxItems || len(body) <= MaxRaw {
		t.Errorf("got %d bytes of result, %d apps from %d bytes", len(c.Result.Reveal()), len(c.Report.Applications.Items), len(body))
	}
}

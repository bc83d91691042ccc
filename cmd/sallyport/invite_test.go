package main

import (
	"strings"
	"testing"
	"time"

	"rsc.io/qr"

	"sallyport/internal/server/adminapi"
)

// The drawing, read back half block by half block, is the code with its quiet zone.
func TestDrawQR(t *testing.T) {
	t.Parallel()
	const text = "https://mdm.example.com/enroll/ABCDEFGH"
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := drawQR(&out, text); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if want := (code.Size + 8 + 1) / 2; len(lines) != want {
		t.Fatalf("got %d lines, want %d", len(lines), want)
	}
	for row, line := range lines {
		for col, glyph := range []rune(line) {
			for half, lit := range []bool{glyph == '▀' || glyph == '█', glyph == '▄' || glyph == '█'} {
				x, y := col-4, 2*row+half-4
				if got := !lit; got != code.Black(x, y) {
					t.Fatalf("module %d,%d: got dark %t", x, y, got)
				}
			}
		}
	}
}

func TestInviteCSVIsInertInASpreadsheet(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	issued := []adminapi.IssuedInvitation{{
		Invitation:  adminapi.Invitation{User: "a@example.test", ExpiresAt: time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)},
		DisplayName: `=HYPERLINK("https://evil.test")`, Email: "a@example.test", URL: "https://mdm.example.com/enroll/ABCDEFGH",
	}}
	if err := inviteCSV(&out, issued); err != nil {
		t.Fatal(err)
	}
	want := "upn,email,display_name,url,pin,expires_at\n" +
		`a@example.test,a@example.test,"'=HYPERLINK(""https://evil.test"")",https://mdm.example.com/enroll/ABCDEFGH,,2026-11-28T00:00:00Z` + "\n"
	if out.String() != want {
		t.Errorf("got %s want %s", out.String(), want)
	}
}

func TestCellKeepsTheTerminalSafe(t *testing.T) {
	t.Parallel()
	if got := cell("Alice\x1b[2J\n phone"); got != "Alice\uFFFD[2J\uFFFD phone" {
		t.Errorf("got %q", got)
	}
}

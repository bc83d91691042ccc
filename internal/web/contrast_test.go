package web

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Text keeps a contrast of 4.5 to 1 in both colour schemes (WCAG 2.2, 1.4.3),
// and the lines that carry meaning 3 to 1 (1.4.11).
func TestContrast(t *testing.T) {
	style, err := embedded.ReadFile("assets/style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, found := strings.Cut(string(style), "prefers-color-scheme: dark")
	if !found {
		t.Fatal("no dark scheme")
	}
	pairs := []struct {
		text, ground string
		least        float64
	}{
		{"text", "ground", 4.5}, {"text", "card", 4.5}, {"text", "warn-ground", 4.5}, {"text", "chip", 4.5},
		{"muted", "ground", 4.5}, {"muted", "card", 4.5}, {"muted", "chip", 4.5}, {"accent", "card", 4.5}, {"accent", "ground", 4.5},
		{"on-accent", "accent", 4.5}, {"bad-line", "card", 4.5}, {"good", "card", 4.5}, {"warn-line", "warn-ground", 4.5},
		{"muted", "ground", 3},
	}
	for scheme, css := range map[string]string{"light": light, "dark": dark} {
		colours := make(map[string]string)
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(css, -1) {
			colours[m[1]] = m[2]
		}
		for _, p := range pairs {
			if got := contrast(t, colours[p.text], colours[p.ground]); got < p.least {
				t.Errorf("%s: %s on %s has %.2f, want %.1f", scheme, p.text, p.ground, got, p.least)
			}
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (math.Max(x, y) + .05) / (math.Min(x, y) + .05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	if len(colour) != 7 {
		t.Fatalf("colour %q", colour)
	}
	var sum float64
	for i, weight := range []float64{.2126, .7152, .0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= .04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

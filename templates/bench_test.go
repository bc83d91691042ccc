package templates

import (
	"testing"

	"sallyport/internal/secret"
)

func BenchmarkRender(b *testing.B) {
	r, u, o := revision(b, everyVariable), alice(), options()
	for b.Loop() {
		rendered, err := Render(r, u, o)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := rendered.WithChallenge(secret.New("CHALLENGE")).Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

package app

import (
	"testing"

	"sallyport/internal/config"
)

func TestWarnings(t *testing.T) {
	t.Parallel()
	first := config.Default().Organization
	for name, tt := range map[string]struct {
		change  func(*config.Config)
		madeFor string
		want    string
	}{
		"nothing":                      {func(*config.Config) {}, first, ""},
		"old SCEP clients":             {func(c *config.Config) { c.SCEPLegacy = true }, first, "scep_legacy"},
		"another name":                 {func(c *config.Config) { c.Organization = "New" }, "Old", "organization"},
		"the same name":                {func(c *config.Config) { c.Organization = "Old" }, "Old", ""},
		"made before anybody chose":    {func(c *config.Config) { c.Organization = "New" }, first, ""},
		"a root without any such name": {func(c *config.Config) { c.Organization = "New" }, "", ""},
	} {
		cfg := config.Default()
		tt.change(&cfg)
		got := ""
		for _, w := range warnings(cfg, tt.madeFor) {
			got += w.Name
			if w.Problem == "" || w.Next == "" {
				t.Errorf("%s: %+v", name, w)
			}
		}
		if got != tt.want {
			t.Errorf("%s: warned of %q, want %q", name, got, tt.want)
		}
	}
}

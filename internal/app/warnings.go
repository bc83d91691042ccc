package app

import (
	"context"
	"fmt"
	"log/slog"

	"sallyport/internal/config"
)

// warnings tell of settings that work, and that nobody should have for long, or
// may not have meant. madeFor is the name that the authority was made with.
func warnings(cfg config.Config, madeFor string) []Gap {
	var found []Gap
	if cfg.SCEPLegacy {
		found = append(found, Gap{"scep_legacy",
			"SCEP takes single DES and SHA-1 from clients that know nothing better; both are broken: who listens to such a client can find out its challenge, and forge what it signs",
			"when the last such client is gone, start without --scep-legacy (scep_legacy: false among the settings); docs/scep.md"})
	}
	if madeFor != "" && madeFor != config.Default().Organization && cfg.Organization != madeFor {
		found = append(found, Gap{"organization",
			fmt.Sprintf("%q stands in profiles, pages and what the authority makes from now on; the authority itself was made with %q", cfg.Organization, madeFor),
			"where that is not meant, start without --organization (or organization: among the settings), or with the other name"})
	}
	return found
}

func (a *App) logWarnings(ctx context.Context) {
	for _, w := range a.warnings {
		a.log.WarnContext(ctx, w.Problem, slog.String("setting", w.Name), slog.String("next", w.Next))
	}
}

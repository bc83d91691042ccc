package web

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// fallback is the locale that has every text.
const fallback = "en"

// maxAcceptLanguage bounds what is parsed of a header from outside.
const maxAcceptLanguage = 256

// texts are the words of one locale, by key.
type texts map[string]string

// locales are all locales and the choice between them.
type locales struct {
	names   []string // in the order of the matcher's tags
	texts   map[string]texts
	matcher language.Matcher
}

// readLocales reads texts/*.json: one flat object of strings for each locale.
func readLocales(files fs.FS) (*locales, error) {
	found, err := fs.Glob(files, "texts/*.json")
	if err != nil {
		return nil, fmt.Errorf("list texts: %w", err)
	}
	l := &locales{texts: make(map[string]texts)}
	for _, file := range found {
		data, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		words := texts{}
		if err := json.Unmarshal(data, &words); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		name := strings.TrimSuffix(path.Base(file), ".json")
		l.texts[name] = words
		l.names = append(l.names, name)
	}
	if l.texts[fallback] == nil {
		return nil, fmt.Errorf("texts/%s.json is missing", fallback)
	}
	// The matcher takes its first tag when nothing fits.
	slices.SortFunc(l.names, func(a, b string) int {
		switch {
		case a == fallback:
			return -1
		case b == fallback:
			return 1
		}
		return strings.Compare(a, b)
	})
	tags := make([]language.Tag, len(l.names))
	for i, name := range l.names {
		if tags[i], err = language.Parse(name); err != nil {
			return nil, fmt.Errorf("texts/%s.json is not named after a language: %w", name, err)
		}
	}
	l.matcher = language.NewMatcher(tags)
	return l, nil
}

// choose picks the locale for an Accept-Language header (RFC 9110, section 12.5.4).
func (l *locales) choose(acceptLanguage string) string {
	if len(acceptLanguage) > maxAcceptLanguage {
		return fallback
	}
	tags, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil || len(tags) == 0 {
		return fallback
	}
	_, index, confidence := l.matcher.Match(tags...)
	if confidence == language.No {
		return fallback
	}
	return l.names[index]
}

// text returns the text called key with {name} replaced: pairs is name, value,
// name, value. A text that the locale lacks comes from the fallback.
func (l *locales) text(locale, key string, pairs ...string) string {
	words := l.find(locale, key)
	if words == "" {
		return key
	}
	if len(pairs) == 0 {
		return words
	}
	replace := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		replace = append(replace, "{"+pairs[i]+"}", pairs[i+1])
	}
	return strings.NewReplacer(replace...).Replace(words)
}

// find returns the text called key, or nothing.
func (l *locales) find(locale, key string) string {
	if words, found := l.texts[locale][key]; found {
		return words
	}
	return l.texts[fallback][key]
}

// wait says in whole minutes how long d is; who waits so long is not early.
func (l *locales) wait(locale string, d time.Duration) string {
	minutes := int((d + time.Minute - 1) / time.Minute)
	if minutes <= 1 {
		return l.text(locale, "wait.minute")
	}
	return l.text(locale, "wait.minutes", "n", strconv.Itoa(minutes))
}

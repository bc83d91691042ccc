package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sentences are what the server says of phones in English, in another language:
// facts and fixes of decisions. They come as whole sentences with their values in
// them, so that an API's reader understands them; here they are known again.
type sentences struct {
	whole    map[string]string
	patterns []pattern
}

// pattern is a sentence with holes: {name}.
type pattern struct {
	english *regexp.Regexp
	literal int // characters outside the holes
	words   string
}

var hole = regexp.MustCompile(`\{([a-z]+)\}`)

// readSentences reads sentences/*.json by locale: one flat object each, English
// to that locale's. There is none for the fallback.
func readSentences(files fs.FS) (map[string]*sentences, error) {
	found, err := fs.Glob(files, "sentences/*.json")
	if err != nil {
		return nil, fmt.Errorf("list sentences: %w", err)
	}
	all := make(map[string]*sentences)
	for _, file := range found {
		data, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		said := make(map[string]string)
		if err := json.Unmarshal(data, &said); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		s := &sentences{whole: make(map[string]string)}
		for english, words := range said {
			if !hole.MatchString(english) {
				s.whole[english] = words
				continue
			}
			s.patterns = append(s.patterns, compile(english, words))
		}
		slices.SortFunc(s.patterns, func(a, b pattern) int { // the most particular first
			return cmp.Or(b.literal-a.literal, strings.Compare(a.english.String(), b.english.String()))
		})
		all[strings.TrimSuffix(path.Base(file), ".json")] = s
	}
	return all, nil
}

func compile(english, words string) pattern {
	var expression strings.Builder
	p := pattern{words: words}
	at := 0
	for _, h := range hole.FindAllStringSubmatchIndex(english, -1) {
		p.literal += h[0] - at
		fmt.Fprintf(&expression, "%s(?P<%s>.+?)", regexp.QuoteMeta(english[at:h[0]]), english[h[2]:h[3]])
		at = h[1]
	}
	p.literal += len(english) - at
	p.english = regexp.MustCompile("^(?s:" + expression.String() + regexp.QuoteMeta(english[at:]) + ")$")
	return p
}

// say returns the sentence in the locale's words, and the language that they are
// in: what nobody translated stays English. A fact may be several, parted by "; ".
func (p *Pages) say(locale, english string) (words, lang string) {
	s := p.sentences[locale]
	if english == "" {
		return "", locale
	}
	if s == nil {
		return capital(english), fallback
	}
	if words, ok := s.whole[english]; ok {
		return words, locale
	}
	if parts := strings.Split(english, "; "); len(parts) > 1 && s.all(parts) {
		return strings.Join(parts, "; "), locale
	}
	if words, ok := s.translate(english); ok {
		return words, locale
	}
	return capital(english), fallback
}

// all translates each part in place, and reports whether there were words for all of them.
func (s *sentences) all(parts []string) bool {
	for i, part := range parts {
		words, ok := s.translate(part)
		if !ok {
			return false
		}
		parts[i] = words
	}
	return true
}

func (s *sentences) translate(english string) (string, bool) {
	if words, ok := s.whole[english]; ok {
		return words, true
	}
	for _, p := range s.patterns {
		values := p.english.FindStringSubmatch(english)
		if values == nil {
			continue
		}
		var pairs []string
		for i, name := range p.english.SubexpNames()[1:] {
			pairs = append(pairs, "{"+name+"}", values[i+1])
		}
		return strings.NewReplacer(pairs...).Replace(p.words), true
	}
	return "", false
}

// capital makes a sentence of a fact; names such as "iOS" stay as they are.
func capital(s string) string {
	word, _, _ := strings.Cut(s, " ")
	first, size := utf8.DecodeRuneInString(s)
	if word != strings.ToLower(word) {
		return s
	}
	return string(unicode.ToUpper(first)) + s[size:]
}

package wire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
)

// maxLimit is the longest page (directory.Page).
const maxLimit = 1000

// ReadJSON decodes the body into v: one JSON value of type application/json,
// no field that v does not know, nothing after it. The body's size was limited
// by the route.
func ReadJSON(r *http.Request, v any) error {
	if err := MediaType(r, "application/json"); err != nil {
		return err
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return jsonError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refusal.New(problem.ErrMalformed, "", "there is something after the JSON value", "send one JSON object")
	}
	return nil
}

// ReadText returns the body, whose type must be one of types.
func ReadText(r *http.Request, types ...string) ([]byte, error) {
	if err := MediaType(r, types...); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, readError(err)
	}
	return body, nil
}

// MediaType refuses a body whose type is none of types.
func MediaType(r *http.Request, types ...string) error {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(types, got) {
		return refusal.New(problem.ErrMediaType, "Content-Type", "not accepted here", "use "+strings.Join(types, " or "))
	}
	return nil
}

// jsonError names the field where it can, never the value.
func jsonError(err error) error {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	var notBase64 base64.CorruptInputError
	switch {
	case errors.As(err, &wrongType):
		return refusal.New(problem.ErrMalformed, wrongType.Field, "wrong type: "+wrongType.Value, "must be "+jsonWord(wrongType.Type))
	case errors.As(err, &syntax):
		return refusal.New(problem.ErrMalformed, "", fmt.Sprintf("not JSON at byte %d", syntax.Offset), "send one JSON object")
	case errors.As(err, &notBase64):
		return refusal.New(problem.ErrMalformed, "", "a string is not base64", "see /api/v1/openapi.yaml for the fields that are")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return refusal.New(problem.ErrMalformed, "", "the JSON is empty or cut off", "send one JSON object")
	}
	// encoding/json has no type for an unknown field, only this text; when it
	// changes, the answer loses the name and stays a refusal.
	if field, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
		if name, unquoteErr := strconv.Unquote(field); unquoteErr == nil {
			return refusal.New(problem.ErrMalformed, name, "unknown field", "see /api/v1/openapi.yaml for the fields")
		}
	}
	return readError(err)
}

// jsonWord is what JSON calls that which a type is read from.
func jsonWord(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a string in base64"
		}
		return "an array"
	case reflect.Pointer:
		return jsonWord(t.Elem())
	default:
		return "an object"
	}
}

func readError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return refusal.New(problem.ErrTooLarge, "", fmt.Sprintf("more than %d bytes", tooLarge.Limit), "send less at once")
	}
	return fmt.Errorf("read body: %w", errors.Join(problem.ErrMalformed, err))
}

// Query reads the parameters of r. Unknown and repeated ones are refused: a
// misspelled filter must not list everything.
func Query(r *http.Request, known ...string) (map[string]string, error) {
	var faults refusal.List
	values := make(map[string]string)
	for name, all := range r.URL.Query() {
		switch {
		case !slices.Contains(known, name):
			faults = append(faults, refusal.New(problem.ErrMalformed, name, "unknown parameter", "known here: "+strings.Join(known, ", ")))
		case len(all) != 1:
			faults = append(faults, refusal.New(problem.ErrMalformed, name, "given more than once", "give it once"))
		default:
			values[name] = all[0]
		}
	}
	slices.SortFunc(faults, func(a, b *refusal.Error) int { return strings.Compare(a.Field, b.Field) })
	return values, faults.OrNil()
}

// Limit reads the length of a page; empty is 100.
func Limit(text string) (int, error) {
	if text == "" {
		return 100, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, refusal.New(problem.ErrMalformed, "limit", "not a number from 1 to 1000", "for example limit=100")
	}
	return n, nil
}

// PageOf reads after and limit.
func PageOf(values map[string]string) (directory.Page, error) {
	limit, err := Limit(values["limit"])
	return directory.Page{After: values["after"], Limit: limit}, err
}

// Time reads an RFC 3339 time; empty is the zero time.
func Time(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, refusal.New(problem.ErrMalformed, field, "not an RFC 3339 time", "for example 2026-11-21T08:00:00Z")
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

// Duration reads Go's duration form; empty is otherwise.
func Duration(field, text string, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, refusal.New(problem.ErrMalformed, field, "not a duration", "for example 72h")
	}
	return d, nil
}

// Bearer returns the token of the Authorization header (RFC 6750, section 2.1),
// or nothing.
func Bearer(r *http.Request) string {
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "Bearer") || len(r.Header.Values("Authorization")) > 1 {
		return ""
	}
	return strings.TrimSpace(token)
}

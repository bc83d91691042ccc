package mobileconfig

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"howett.net/plist"
	"pgregory.net/rapid"
)

// TestEncodeWritesAsThePlistLibrary: phones in the field have profiles whose
// UUIDs were derived from the bytes that howett.net/plist writes.
func TestEncodeWritesAsThePlistLibrary(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "plain", "a\tb\nc", `"'&<>`, "]]>", "Ålice 李", "\x00", "\xff", "~ \x7f"}))
	leaf := rapid.OneOf(
		text.AsAny(), rapid.Bool().AsAny(), rapid.Int().AsAny(), rapid.Int64().AsAny(), rapid.Uint64().AsAny(), rapid.Float64().AsAny(),
		rapid.Float32().AsAny(), rapid.SliceOf(rapid.Byte()).AsAny(),
		rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "time"), 0) }).AsAny(),
	)
	var tree func(depth int) *rapid.Generator[any]
	tree = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return leaf
		}
		return rapid.OneOf(leaf, rapid.SliceOfN(tree(depth-1), 0, 4).AsAny(), rapid.MapOfN(text, tree(depth-1), 0, 5).AsAny())
	}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.MapOfN(text, tree(3), 0, 6).Draw(t, "tree")
		got, err := encode(v)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		e := plist.NewEncoderForFormat(&want, plist.XMLFormat)
		e.Indent("\t")
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		want.WriteByte('\n')
		if diff := cmp.Diff(want.String(), string(got)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestEncodeRefusesWhatNoListHolds(t *testing.T) {
	for _, v := range []any{nil, struct{}{}, map[string]string{}, uint8(1)} {
		if data, err := encode(map[string]any{"key": []any{v}}); err == nil {
			t.Errorf("%T: got %s, want an error", v, data)
		}
	}
}

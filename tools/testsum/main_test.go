package main

import (
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, stream string
		ok           bool
		want         []string
		not          string
	}{
		{"skip with its reason", `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: no openssl: apt-get install openssl\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}`,
			true, []string{"!!! SKIPPED: 1 test(s)", "p TestA", "no openssl: apt-get install openssl", "1 passed, 0 failed, 1 skipped", "ok  \tp"}, "=== RUN"},
		{"failure with its output", `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: broken\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`,
			false, []string{"broken", "0 passed, 1 failed, 0 skipped"}, ""},
		{"build failure", `{"ImportPath":"p","Action":"build-output","Output":"p.go:1: undefined: x\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}`,
			false, []string{"undefined: x", "[build failed]", "no test ran"}, ""},
		{"nothing at all", ``, false, []string{"no test ran"}, ""},
		{"not JSON", "go: no such tool\n", false, []string{"go: no such tool"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			s := newSummary(&out)
			s.read(strings.NewReader(tt.stream))
			if got := s.report(); got != tt.ok {
				t.Errorf("got %t, want %t", got, tt.ok)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in:\n%s", want, out.String())
				}
			}
			if tt.not != "" && strings.Contains(out.String(), tt.not) {
				t.Errorf("%q is in:\n%s", tt.not, out.String())
			}
		})
	}
}

func TestPassAlone(t *testing.T) {
	t.Parallel()
	const failed = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/sub"}
{"Action":"fail","Package":"p","Test":"TestA/sub"}
{"Action":"fail","Package":"p","Test":"TestA"}
`
	const ended = `{"Action":"fail","Package":"p"}
`
	tests := []struct {
		name, stream, alone string
		ok                  bool
	}{
		{"passes alone", failed + ended, `{"Action":"pass","Package":"p","Test":"TestA"}`, true},
		{"fails again", failed + ended, `{"Action":"fail","Package":"p","Test":"TestA"}`, false},
		{"is gone", failed + ended, ``, false},
		{"three of them", failed + strings.ReplaceAll(failed, "TestA", "TestB") + strings.ReplaceAll(failed, "TestA", "TestC") + ended, `{"Action":"pass","Package":"p","Test":"TestA"}`, false},
		{"a panic beside it", failed + `{"Action":"run","Package":"p","Test":"TestB"}` + "\n" + ended, `{"Action":"pass","Package":"p","Test":"TestA"}`, false},
		{"a panic with nothing beside it", `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: no [recovered]\n"}` + "\n" + failed + ended, `{"Action":"pass","Package":"p","Test":"TestA"}`, false},
		{"a package that fails by itself", failed + ended + `{"Action":"fail","Package":"q"}`, `{"Action":"pass","Package":"p","Test":"TestA"}`, false},
		{"a build", failed + ended + `{"Action":"build-fail","ImportPath":"q"}`, `{"Action":"pass","Package":"p","Test":"TestA"}`, false},
		{"nothing ran", ``, `{"Action":"pass","Package":"p","Test":"TestA"}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			s := newSummary(&out)
			s.read(strings.NewReader(tt.stream))
			var asked []string
			got := s.passAlone([]string{"go", "test", "-json", "./a", "./..."}, func(args []string) (*summary, error) {
				asked = args
				alone := newSummary(&out)
				alone.read(strings.NewReader(tt.alone))
				return alone, nil
			})
			if got != tt.ok || strings.Contains(out.String(), "!!! UNSTEADY: 1 test(s)") != tt.ok {
				t.Errorf("got %t, want %t:\n%s", got, tt.ok, out.String())
			}
			if want := "go test -json -count=1 -run ^TestA$ p"; asked != nil && strings.Join(asked, " ") != want {
				t.Errorf("ran %q, want %q", asked, want)
			}
		})
	}
}

package house

import (
	"fmt"
	"slices"
	"strings"
)

// source is what the rules look at of one Go file.
type source struct {
	pkg        string // directory in the module, "." for its root
	name       string
	imports    []string
	goroutines []int // lines of go statements
}

func (s source) test() bool   { return strings.HasSuffix(s.name, "_test.go") }
func (s source) file() string { return s.pkg + "/" + s.name }

// roomOf returns the path of the room that a package belongs to.
func roomOf(rooms map[string]room, pkg string) (string, bool) {
	if _, ok := rooms[pkg]; ok {
		return pkg, true
	}
	for parent := pkg; ; {
		i := strings.LastIndex(parent, "/")
		if i < 0 {
			return "", false
		}
		parent = parent[:i]
		if r, ok := rooms[parent]; ok {
			return parent, r.whole
		}
	}
}

// check returns every breach of the house's rules, sorted.
func check(sources []source) []string {
	var breaches []string
	breach := func(format string, args ...any) { breaches = append(breaches, fmt.Sprintf(format, args...)) }
	rooms := plan()
	documented, packages := map[string]bool{}, map[string]bool{}
	for _, s := range sources {
		packages[s.pkg] = true
		documented[s.pkg] = documented[s.pkg] || s.name == "doc.go"
		if _, ok := roomOf(rooms, s.pkg); !ok {
			breach("%s: the package has no room in the plan", s.file())
			continue
		}
		checkImports(rooms, s, breach)
		checkKeepers(s, breach)
		checkGoroutines(rooms, s, breach)
	}
	for pkg := range packages {
		if !documented[pkg] && !strings.HasPrefix(pkg, "cmd/") {
			breach("%s: the package has no doc.go", pkg)
		}
	}
	for _, path := range linked(sources, "cmd/sallyport") {
		if ownSide(path) {
			breach("bin/sallyport links %s: a phone in software has no place in the server", path)
		}
	}
	slices.Sort(breaches)
	return slices.Compact(breaches)
}

func checkImports(rooms map[string]room, s source, breach func(string, ...any)) {
	for _, path := range s.imports {
		target, ours := strings.CutPrefix(path, module+"/")
		if !ours {
			continue
		}
		if !s.test() && slices.Contains(testOnly(), target) && s.pkg != target {
			breach("%s imports %s, which is for tests only", s.file(), target)
		}
		// An external test may look at the house from above: it is in no build.
		if s.test() {
			continue
		}
		if reason := forbidden(rooms, s.pkg, target); reason != "" {
			breach("%s imports %s: %s", s.file(), target, reason)
		}
	}
}

// forbidden says why from may not import to; empty when it may.
func forbidden(rooms map[string]room, from, to string) string {
	fromRoom, _ := roomOf(rooms, from)
	toRoom, ok := roomOf(rooms, to)
	if !ok {
		return "it has no room in the plan"
	}
	here, there := rooms[fromRoom].floor, rooms[toRoom].floor
	switch {
	case fromRoom == toRoom, there == leaf && from != to:
		return ""
	case from == "cmd/sallyport-agent" && to == "mdm/agent":
		return ""
	case ownSide(from):
		return "the phone's side uses leaves only"
	case here == leaf:
		return "a leaf imports leaves only"
	case there < here:
		return ""
	case there == here && strings.HasPrefix(from, to+"/"):
		return "" // a sub-room and its parent
	case there == here:
		return fmt.Sprintf("both stand on floor %d", here)
	default:
		return fmt.Sprintf("floor %d is above floor %d", there, here)
	}
}

func checkKeepers(s source, breach func(string, ...any)) {
	if s.test() || ownSide(s.pkg) {
		return
	}
	for _, k := range keepers() {
		for _, path := range s.imports {
			dangerous := slices.ContainsFunc(k.imports, func(p string) bool { return within(path, p) })
			kept := slices.ContainsFunc(k.only, func(p string) bool { return within(s.pkg, p) })
			if dangerous && !kept {
				breach("%s imports %s, which only %s may: %s", s.file(), path, strings.Join(k.only, ", "), k.why)
			}
		}
	}
}

// checkGoroutines: floors 0 to 2 start none, internal/work runs their steps.
func checkGoroutines(rooms map[string]room, s source, breach func(string, ...any)) {
	path, _ := roomOf(rooms, s.pkg)
	if floor := rooms[path].floor; s.test() || floor < 0 || floor > 2 {
		return
	}
	for _, line := range s.goroutines {
		breach("%s:%d starts a goroutine on floor %d", s.file(), line, rooms[path].floor)
	}
}

// linked returns the packages of ours that a program is built from.
func linked(sources []source, program string) []string {
	imports := map[string][]string{}
	for _, s := range sources {
		if s.test() {
			continue
		}
		for _, path := range s.imports {
			if target, ours := strings.CutPrefix(path, module+"/"); ours {
				imports[s.pkg] = append(imports[s.pkg], target)
			}
		}
	}
	seen := map[string]bool{program: true}
	for queue := []string{program}; len(queue) > 0; queue = queue[1:] {
		for _, next := range imports[queue[0]] {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	var all []string
	for path := range seen {
		all = append(all, path)
	}
	slices.Sort(all)
	return all
}

func within(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

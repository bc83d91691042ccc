package templates

import "strings"

// withoutReferences leaves out of what is kept the references to payloads that
// are not: a phone refuses a whole profile for one that leads nowhere.
func (im *importer) withoutReferences() {
	gone := map[string]bool{}
	for _, payload := range im.payloads {
		if uuid := asString(payload["PayloadUUID"]); uuid != "" && payload["PayloadType"] != easType {
			gone[strings.ToUpper(uuid)] = true
		}
	}
	for _, payload := range im.kept.payloads {
		delete(gone, strings.ToUpper(asString(payload["PayloadUUID"])))
	}
	for i, account := range im.kept.accounts {
		im.kept.accounts[i], _ = im.cut(easType, account, gone).(map[string]any)
	}
	for i, payload := range im.kept.payloads {
		im.kept.payloads[i], _ = im.cut(asString(payload["PayloadType"]), payload, gone).(map[string]any)
	}
}

func (im *importer) cut(path string, v any, gone map[string]bool) any {
	leads := func(path string, value any) bool {
		if !gone[strings.ToUpper(asString(value))] {
			return false
		}
		im.suggest(Suggestion{Field: "kept", Text: path + " refers to a certificate that is left out, and is left out with it: a phone refuses a profile with a reference that leads nowhere"})
		return true
	}
	switch v := v.(type) {
	case map[string]any:
		copied := make(map[string]any, len(v))
		for key, value := range v {
			if !leads(path+"."+key, value) {
				copied[key] = im.cut(path+"."+key, value, gone)
			}
		}
		return copied
	case []any:
		items := make([]any, 0, len(v))
		for _, item := range v {
			if !leads(path, item) {
				items = append(items, im.cut(path, item, gone))
			}
		}
		return items
	}
	return v
}

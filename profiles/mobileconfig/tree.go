package mobileconfig

// EncodeTree writes a decoded property list back: what Decode gave and a person
// or an importer has taken apart.
func EncodeTree(tree map[string]any) ([]byte, error) { return encode(tree) }

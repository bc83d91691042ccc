package appleschema

// CommandKeys are the keys that a Command dictionary may have on iOS, less
// RequestType; false when there is no such command on iOS.
func (s *Schema) CommandKeys(requestType string) ([]string, bool) {
	var names []string
	files := s.commands[requestType]
	for _, f := range files {
		if !f.Payload.SupportedOS.onIOS() {
			return nil, false
		}
		for _, k := range f.PayloadKeys {
			if k.SupportedOS.onIOS() {
				names = append(names, k.Key)
			}
		}
	}
	return names, len(files) > 0
}

// DeviceQueries are the names that DeviceInformation can ask an iPhone for, each
// with the access right that it needs, as Apple spells it; empty where the
// schema names none.
func (s *Schema) DeviceQueries() map[string]string {
	queries := map[string]string{}
	for _, f := range s.commands["DeviceInformation"] {
		for _, k := range f.PayloadKeys {
			if k.Key != "Queries" || len(k.Subkeys) == 0 {
				continue
			}
			for _, q := range k.Subkeys[0].Subkeys {
				if q.SupportedOS.onIOS() {
					queries[q.Key] = q.SupportedOS.IOS.AccessRights
				}
			}
		}
	}
	return queries
}

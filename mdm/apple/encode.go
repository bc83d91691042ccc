package apple

import (
	"fmt"

	"howett.net/plist"

	"sallyport/mdm"
)

// marshal writes the property list that answers a poll: the same command, the
// same bytes. Service.send alone may call it, after it has looked for EraseDevice.
func marshal(id mdm.CommandID, command map[string]any) ([]byte, error) {
	if id == "" {
		return nil, fmt.Errorf("encode %v: no CommandUUID", command["RequestType"])
	}
	body, err := plist.Marshal(map[string]any{"CommandUUID": string(id), "Command": command}, plist.XMLFormat)
	if err != nil {
		return nil, fmt.Errorf("encode %v: %w", command["RequestType"], err)
	}
	return body, nil
}

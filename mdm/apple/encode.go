package apple

import (
	"fmt"

	"howett.net/plist"

	"sallyport/mdm"
)

// EncodeCommand writes an order as the property list that answers a poll: the
// same order, the same bytes.
func EncodeCommand(o Order) ([]byte, error) {
	dict, err := dictionary(o.Command)
	if err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	return marshal(o.ID, dict)
}

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

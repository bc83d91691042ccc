package apple

import (
	"fmt"

	"howett.net/plist"
)

// DeviceQueries are the names that we ask DeviceInformation for. Each of them
// needs the right to device information at most
// (https://developer.apple.com/documentation/devicemanagement/deviceinformationcommand/command/queries).
func DeviceQueries() []string {
	return []string{
		"UDID", "DeviceName", "OSVersion", "BuildVersion", "ModelName", "Model",
		"ProductName", "SerialNumber", "IsSupervised", "EASDeviceIdentifier",
	}
}

// EncodeCommand writes an order as the property list that answers a poll: the
// same order, the same bytes.
func EncodeCommand(o Order) ([]byte, error) {
	if o.ID == "" {
		return nil, fmt.Errorf("encode command: no CommandUUID")
	}
	command := map[string]any{}
	switch c := o.Command.(type) {
	case InstallProfile:
		command["Payload"] = c.Payload
	case RemoveProfile:
		command["Identifier"] = c.Identifier
	case DeviceInformation:
		command["Queries"] = c.Queries
	case SecurityInfo, ProfileList, CertificateList:
	default:
		return nil, fmt.Errorf("encode command: no encoding for %T", o.Command)
	}
	command["RequestType"] = o.Command.RequestType()
	body, err := plist.Marshal(map[string]any{"CommandUUID": string(o.ID), "Command": command}, plist.XMLFormat)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.Command.RequestType(), err)
	}
	return body, nil
}

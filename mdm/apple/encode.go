package apple

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
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
	if body := marshalInstall(id, command); body != nil {
		return body, nil
	}
	body, err := plist.Marshal(map[string]any{"CommandUUID": string(id), "Command": command}, plist.XMLFormat)
	if err != nil {
		return nil, fmt.Errorf("encode %v: %w", command["RequestType"], err)
	}
	return body, nil
}

// What plist.Marshal puts around the profile of an InstallProfile, and the identifier.
const (
	installHead = xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n" +
		`<plist version="1.0"><dict><key>Command</key><dict><key>Payload</key><data>`
	installMiddle = `</data><key>RequestType</key><string>InstallProfile</string></dict><key>CommandUUID</key><string>`
	installTail   = `</string></dict></plist>`
)

// marshalInstall writes the one large command that is sent every day, byte for
// byte as plist.Marshal does (TestInstallBytes), which copies its 10 KB five times.
// Every other command is nil.
func marshalInstall(id mdm.CommandID, command map[string]any) []byte {
	payload, ok := command["Payload"].([]byte)
	if !ok || len(payload) == 0 || len(command) != 2 || command["RequestType"] != "InstallProfile" {
		return nil
	}
	size := base64.StdEncoding.EncodedLen(len(payload))
	body := make([]byte, 0, len(installHead)+size+len(installMiddle)+len(id)+len(installTail)+1)
	body = append(body, installHead...)
	body = base64.StdEncoding.AppendEncode(body, payload)
	b := bytes.NewBuffer(append(body, installMiddle...))
	_ = xml.EscapeText(b, []byte(id)) // a buffer takes everything
	b.WriteString(installTail)
	return b.Bytes()
}

package apple

import (
	"bytes"
	"testing"

	"howett.net/plist"

	"sallyport/mdm"
)

// TestInstallBytes: what is written by hand is what the library would write.
func TestInstallBytes(t *testing.T) {
	t.Parallel()
	for _, id := range []mdm.CommandID{"0E5B4C0C-0D4B-4C33-9F5B-1B8E4A8B7F11", "a<b>&c\"'\t\n"} {
		for _, size := range []int{1, 2, 3, 44, 45, 46, 10000} {
			command := map[string]any{"RequestType": "InstallProfile", "Payload": bytes.Repeat([]byte{0xfb}, size)}
			want, err := plist.Marshal(map[string]any{"CommandUUID": string(id), "Command": command}, plist.XMLFormat)
			if err != nil {
				t.Fatal(err)
			}
			if got := marshalInstall(id, command); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes:\n%s\nwant:\n%s", size, got, want)
			}
		}
	}
	for _, other := range []map[string]any{
		{"RequestType": "InstallProfile"},
		{"RequestType": "InstallProfile", "Payload": []byte{}},
		{"RequestType": "InstallProfile", "Payload": "text"},
		{"RequestType": "InstallProfile", "Payload": []byte("x"), "More": true},
		{"RequestType": "InstallMedia", "Payload": []byte("x")},
	} {
		if got := marshalInstall("C", other); got != nil {
			t.Errorf("%v was written as %s", other, got)
		}
	}
}

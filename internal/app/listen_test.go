package app

import "testing"

func TestConnectionsLeaveFilesForTheDatabase(t *testing.T) {
	t.Parallel()
	tests := []struct {
		files     uint64
		listeners int
		want      int
	}{
		{0, 1, 0},
		{100, 1, 64},
		{1024, 1, 256},
		{1024, 3, 128},
		{65536, 1, 32512},
		{1 << 63, 1, 1 << 19}, // RLIM_INFINITY, more or less
	}
	for _, tt := range tests {
		if got := connections(tt.files, tt.listeners); got != tt.want {
			t.Errorf("%d files, %d listeners: got %d, want %d", tt.files, tt.listeners, got, tt.want)
		}
	}
}

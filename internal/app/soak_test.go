package app_test

import "os"

// soaking reports whether this is `make soak`, which tries everything more often.
func soaking() bool { return os.Getenv("SALLYPORT_SOAK") == "1" }

package config

import "os"

// TakeEnviron returns the environment and takes the keys in it away from the
// process: programs that it starts do not inherit them, and as far as the system
// lets us, neither other users of the machine nor another look at /proc/self/environ
// find them (wipeEnviron). It is to be called once, before anything else is started.
func TakeEnviron() []string {
	environ := os.Environ()
	for _, name := range keyVariables() {
		if _, set := os.LookupEnv(name); set {
			_ = os.Unsetenv(name) // the name is valid, and nothing else can fail
			wipeEnviron(name)
		}
	}
	return environ
}

package config

import "os"

// Variables of settings that may hold a password. PGPASSWORD is libpq's, and read
// from the process by whoever connects: it stays.
const (
	variableSMTPPassword = "SALLYPORT_SMTP_PASSWORD"
	variableDatabase     = "SALLYPORT_DATABASE"
)

// TakeEnviron returns the environment and takes the keys and passwords in it away
// from the process: programs that it starts do not inherit them, and as far as the system
// lets us, neither other users of the machine nor another look at /proc/self/environ
// find them (wipeEnviron). It is to be called once, before anything else is started.
func TakeEnviron() []string {
	environ := os.Environ()
	for _, name := range append(keyVariables(), variableSMTPPassword, variableDatabase) {
		if value, set := os.LookupEnv(name); set && (name != variableDatabase || NewDatabaseURL(value).holdsSecret()) {
			_ = os.Unsetenv(name) // the name is valid, and nothing else can fail
			wipeEnviron(name)
		}
	}
	return environ
}

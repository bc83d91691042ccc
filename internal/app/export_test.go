package app

// StopDatabase closes the database under a server that runs on.
func (a *App) StopDatabase() error { return a.db.Close() }

package app

import (
	"bytes"
	"context"
	"errors"

	"sallyport/internal/config"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/internal/store"
)

// ErrNoNewKey says that a key in the environment is to be changed, and the new one
// is not there.
var ErrNoNewKey = errors.New("no new key")

// RotateOptions are what the command line adds to a rotation.
type RotateOptions struct {
	DryRun   bool                  // open everything, change nothing
	Progress func(store.Resealing) // may be nil

	// Hook is called before and after each step that lasts: tests kill the process in it.
	Hook func(step string)
}

// RotateKEK seals everything anew under another key-encryption key, with no server
// running. Wherever it is killed the installation opens as it is, and a second run
// goes on:
//
//  1. the key file holds the new key and the old one, so that both are kept before
//     anything needs both; in the environment somebody has put both there;
//  2. the database knows to which key it is going, and refuses whoever has the old
//     one alone; value by value is sealed anew; in the end the new key is its own;
//  3. the key file holds the new key.
//
// The result says in From and To whether there was anything to do.
func RotateKEK(ctx context.Context, cfg config.Config, o RotateOptions) (store.Resealing, error) {
	if o.Hook == nil {
		o.Hook = func(string) {}
	}
	r := rotation{cfg: cfg, place: keyPlaceOf(cfg), RotateOptions: o}
	if err := r.ready(); err != nil {
		return store.Resealing{}, err
	}
	unlock, err := lock(cfg.Data)
	if err != nil {
		return store.Resealing{}, err
	}
	defer unlock()
	keys, err := r.place.read(secret.LoadKeys)
	if err != nil {
		return store.Resealing{}, err
	}
	if o.DryRun {
		return r.look(ctx, keys)
	}
	if r.place.file == "" {
		return r.reseal(ctx, keys)
	}
	return r.rotateFile(ctx, keys)
}

type rotation struct {
	RotateOptions
	cfg   config.Config
	place keyPlace
}

// ready refuses what has nothing to rotate.
func (r *rotation) ready() error {
	if err := r.cfg.Validate(); err != nil {
		return err
	}
	if err := r.place.single(); err != nil {
		return err
	}
	switch {
	case r.cfg.Database.IsZero() && !exists(databasePath(r.cfg.Data)):
		return refusal.New(ErrNoDatabase, "data", "there is no database in "+r.cfg.Data+": nothing is sealed", "name the data directory of a server with --data, or its PostgreSQL database with --database")
	case !exists(r.cfg.Data):
		return refusal.New(ErrNoDatabase, "data", r.cfg.Data+" does not exist", "name the data directory of a server with --data")
	case !r.place.there():
		return refusal.New(ErrNoKey, "kek", r.place.String()+" is missing, and the database is sealed with it", keyBack)
	case r.place.file == "" && r.place.new.IsZero() && !r.DryRun:
		return refusal.New(ErrNoNewKey, config.VariableKEKNew, "is not set, and the key is in "+config.VariableKEK,
			"set it to a new key, as openssl rand -hex 32 prints one, and keep a copy of it first")
	}
	return nil
}

// rotateFile goes through the steps with a key file.
func (r *rotation) rotateFile(ctx context.Context, keys [][]byte) (store.Resealing, error) {
	if len(keys) == 1 { // else an earlier run was killed, and its new key goes on
		db, err := r.open(ctx, keys) // a wrong key is told before another is made
		if err != nil {
			return store.Resealing{}, err
		}
		if err := db.Close(); err != nil {
			return store.Resealing{}, err
		}
		keys = [][]byte{secret.Random(secret.KeySize), keys[0]}
		r.Hook("before both keys")
		if err := secret.ReplaceKeys(r.place.file, keys...); err != nil {
			return store.Resealing{}, err
		}
		r.Hook("after both keys")
	}
	done, err := r.reseal(ctx, keys)
	if err != nil {
		return done, err
	}
	r.Hook("before the new key")
	if err := secret.ReplaceKeys(r.place.file, keys[0]); err != nil {
		return done, err
	}
	r.Hook("after the new key")
	return done, nil
}

func (r *rotation) reseal(ctx context.Context, keys [][]byte) (done store.Resealing, err error) {
	if len(keys) == 2 && bytes.Equal(keys[0], keys[1]) {
		return done, refusal.New(ErrNoNewKey, config.VariableKEKNew, "is the same key as "+config.VariableKEK,
			"set it to a new key, as openssl rand -hex 32 prints one; or, if this is after a change, unset it")
	}
	db, err := r.open(ctx, keys)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// A database of before these were kept has them from its first key.
	if _, err := db.MACs(ctx, macPurposes()...); err != nil {
		return done, err
	}
	return db.Reseal(ctx, r.Progress)
}

// look opens everything. It tries the old key alone first: given both, the database
// would note that a change has begun.
func (r *rotation) look(ctx context.Context, keys [][]byte) (_ store.Resealing, err error) {
	db, err := r.open(ctx, keys[len(keys)-1:])
	if errors.Is(err, store.ErrWrongKey) && len(keys) > 1 { // it has begun
		db, err = r.open(ctx, keys)
	}
	if err != nil {
		return store.Resealing{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	found, err := db.Sealed(ctx)
	if old, sealErr := secret.NewSealer(keys[len(keys)-1]); sealErr == nil && found.To == old.KeyID() {
		for i := range found.Columns { // all of it is yet to be done
			c := &found.Columns[i]
			c.Done, c.Left = c.Left, c.Done
		}
	}
	return found, err
}

func (r *rotation) open(ctx context.Context, keys [][]byte) (*store.DB, error) {
	sealer, err := secret.NewSealer(keys[0], keys[1:]...)
	if err != nil {
		return nil, err
	}
	o := store.Options{Path: databasePath(r.cfg.Data), Sealer: sealer, Hook: func(unit string, phase store.Phase) { r.Hook(string(phase) + " " + unit) }}
	if !r.cfg.Database.IsZero() {
		o.Path, o.Database, o.MaxConnections, o.MustExist = "", r.cfg.Database.Reveal(), r.cfg.DatabaseMaxConnections, true
	}
	return store.Open(ctx, o)
}

package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"
)

// Orphan is a dead replica's journal, taken over. It is not safe for concurrent
// use.
type Orphan struct {
	cfg     Config
	replica uuid.UUID
	path    string
	lock    *os.File
	torn    int64
}

// Adopt takes over the directory called name, as Orphans lists it. ErrLocked
// means that its owner lives or another replica was faster; os.ErrNotExist that
// it is gone.
func Adopt(cfg Config, name string) (*Orphan, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if !replicaName(name) {
		return nil, fmt.Errorf("adopt journal: %q is not a replica's directory", name)
	}
	path := filepath.Join(cfg.Root, name)
	lock, err := lockDirectory(path)
	if err != nil {
		return nil, fmt.Errorf("adopt journal %s: %w", name, err)
	}
	return &Orphan{cfg: cfg, replica: uuid.MustParse(name), path: path, lock: lock}, nil
}

// Replica is whose journal this was.
func (o *Orphan) Replica() uuid.UUID { return o.replica }

// Replay verifies the journal from its oldest segment on and hands every record
// to fn in order. It ends with fn's error if fn returns one, with a
// *CorruptError where the journal is broken (everything before it has been
// delivered), and with nil at its end, even if a crash cut the last record
// short: see Torn. An outcome may come without its intent: then the ledger has
// it already.
func (o *Orphan) Replay(fn func(Record) error) error {
	o.torn = 0
	numbers, err := segmentNumbers(o.path)
	if err != nil {
		return fmt.Errorf("replay journal: %w", err)
	}
	t := newTrail(o.replica, append([][]byte{o.cfg.MACKey}, o.cfg.OldKeys...), func(_ string, r Record) error { return fn(r) })
	err = t.follow(o.path, numbers)
	o.torn = t.torn
	return err
}

// Torn is how many bytes at the end the last Replay dropped: what was being
// written when the replica died, and so never promised.
func (o *Orphan) Torn() int64 { return o.torn }

// Remove deletes the journal: the ledger has all of it. It also closes.
func (o *Orphan) Remove() error { return errors.Join(removeDirectory(o.path), o.Close()) }

// Close lets go of the journal; what was not removed can be adopted again.
// Closing again does nothing.
func (o *Orphan) Close() error {
	if o.lock == nil {
		return nil
	}
	lock := o.lock
	o.lock = nil
	return lock.Close()
}

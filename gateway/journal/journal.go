package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"tollbook/app/fault"
)

// ID names one request's event.
type ID = [16]byte

// Position counts the records of one replica, from 1, without gaps.
type Position uint64

// Defaults and bounds of a Config.
const (
	DefaultSegmentBytes = 16 << 20
	DefaultMaxBytes     = 1 << 30
	KeyBytes            = 32

	// Outcomes of requests that are already running must find room when intents
	// no longer do: they may go beyond MaxBytes by this part of it.
	reservePart = 8

	// A segment's file is filled with zeros ahead of its records, a step at a time:
	// syncing a record then changes no file size, which takes two thirds of the
	// time, and a full disk shows before a record is half written.
	maxStepBytes = 1 << 20
	minStepBytes = 4 << 10

	maxOldKeys = 2 // a key is replaced one at a time

	maxSegments = maxEntries / 2 // so that a directory can always be listed
)

// Errors a caller tells apart with errors.Is.
var (
	// ErrFull is retryable: room comes back as segments are released.
	ErrFull = fault.New(fault.KindUnavailable, "journal_full", "The gateway's local record is full because the ledger cannot be reached. Try again later.")
	// ErrNoSpace is retryable too: nothing was written, and it may be once the disk has room.
	ErrNoSpace  = fault.New(fault.KindUnavailable, "journal_no_space", "The gateway's disk is full, so that it cannot record requests. Try again later.")
	ErrClosed   = errors.New("journal is closed")
	ErrFailed   = errors.New("journal has failed")
	ErrLocked   = errors.New("journal directory is in use")
	ErrTooLong  = fmt.Errorf("journal payload is over %d bytes", MaxPayload)
	ErrRepeated = errors.New("journal already holds an intent with this id")
	ErrNoIntent = errors.New("journal holds no unreleased intent with this id")
	ErrFuture   = errors.New("journal position was never appended")
)

// Config says where journals live and how far one may grow.
type Config struct {
	Root         string           // directory of all replicas' journals, on a persistent volume
	MACKey       []byte           // KeyBytes long; the same for every replica that may adopt
	OldKeys      [][]byte         // keys that journals to be adopted may be chained with besides MACKey; at most maxOldKeys
	SegmentBytes int64            // a segment beyond it is closed; 0 means DefaultSegmentBytes
	MaxBytes     int64            // bound of all retained segments; 0 means DefaultMaxBytes
	Now          func() time.Time // nil means time.Now
}

// Validate fills in defaults and says what is wrong.
func (c *Config) Validate() error {
	if c.SegmentBytes == 0 {
		c.SegmentBytes = DefaultSegmentBytes
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	switch {
	case c.Root == "":
		return errors.New("journal root is empty")
	case len(c.MACKey) != KeyBytes:
		return fmt.Errorf("journal key must be %d bytes, not %d", KeyBytes, len(c.MACKey))
	case len(c.OldKeys) > maxOldKeys || slices.ContainsFunc(c.OldKeys, func(k []byte) bool { return len(k) != KeyBytes }):
		return fmt.Errorf("journal keys must be %d bytes, with at most %d old ones", KeyBytes, maxOldKeys)
	case c.SegmentBytes < 0:
		return errors.New("journal segment size is negative")
	case c.MaxBytes/c.SegmentBytes > maxSegments:
		return fmt.Errorf("journal bound %d is over %d segments of %d", c.MaxBytes, maxSegments, c.SegmentBytes)
	case c.MaxBytes < 2*c.SegmentBytes:
		// The current segment stays even when all is released; with less than two
		// segments of room a full journal might never empty.
		return fmt.Errorf("journal bound %d must be at least two segments of %d", c.MaxBytes, c.SegmentBytes)
	}
	return nil
}

// answered marks an unreleased intent whose outcome is written, beside its segment's
// number.
const answered = 1 << 63

// segment is one file as the writer knows it.
type segment struct {
	number  uint64
	bytes   int64
	pending int // unreleased intents in it
}

// arrival remembers when an intent came, in the order they came.
type arrival struct {
	id ID
	at int64 // Unix milliseconds
}

// Journal is one replica's record, open for appending. It is safe for
// concurrent use. Memory grows with unreleased intents, about 80 bytes each.
type Journal struct {
	cfg      Config
	replica  uuid.UUID
	path     string
	lock     *os.File
	datasync func(*os.File) error                       // a field so that a test can count and break it
	fill     func(f *os.File, b []byte, at int64) error // writes zeros ahead; a field so that a test's disk can be full

	mu        sync.Mutex // guards what follows; held over write(2), over an fsync only while rotating
	failed    error
	closed    bool
	sealer    *sealer
	unwritten []byte // frames of outcomes, the last of the current segment
	chain     chain  // after the last frame, written or not
	file      *os.File
	zeros     []byte    // a step of them
	room      int64     // bytes the current segment's file can take: it is zeros from its last record to there
	running   int       // unreleased intents without an outcome yet
	segments  []segment // oldest first; the last one is being written
	bytes     int64
	pending   map[ID]uint64 // intent -> its segment's number, and answered
	arrivals  []arrival     // from first on; released ones are dropped when they come to the front
	first     int
	last      Position
	synced    Position
	newEntry  bool          // a segment's directory entry is not synced yet
	retired   []*os.File    // rotated away, closed by the syncer
	round     chan struct{} // closed at every publication of synced or failed

	pace    pace // the syncer's own
	wake    chan struct{}
	stopped chan struct{} // closed when the syncer has returned

	releasing sync.Mutex // one Release at a time deletes
}

// Open makes a new replica's directory under cfg.Root and locks it.
func Open(cfg Config) (*Journal, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Root, 0o700); err != nil {
		return nil, fmt.Errorf("make journal root: %w", err)
	}
	if err := sweep(cfg.Root, cfg.Now()); err != nil {
		return nil, err
	}
	j := &Journal{
		cfg:      cfg,
		replica:  uuid.New(),
		datasync: datasync,
		fill:     fill,
		zeros:    make([]byte, min(max(cfg.SegmentBytes, minStepBytes), maxStepBytes)),
		sealer:   newSealer(cfg.MACKey),
		pending:  make(map[ID]uint64),
		round:    make(chan struct{}),
		wake:     make(chan struct{}, 1),
		stopped:  make(chan struct{}),
	}
	if err := j.settle(); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal: %w", err), j.abandon())
	}
	go j.syncLoop()
	return j, nil
}

// settle makes the directory under a name nobody adopts and renames it once it
// is locked and whole.
func (j *Journal) settle() error {
	j.path = filepath.Join(j.cfg.Root, newPrefix+j.replica.String())
	if err := os.Mkdir(j.path, 0o700); err != nil {
		return err
	}
	var err error
	if j.lock, err = lockDirectory(j.path); err != nil {
		return err
	}
	if err := j.begin(1); err != nil {
		return err
	}
	if err := j.datasync(j.file); err != nil {
		return err
	}
	if err := syncDirectory(j.path); err != nil {
		return err
	}
	j.newEntry = false
	final := filepath.Join(j.cfg.Root, j.replica.String())
	if err := os.Rename(j.path, final); err != nil {
		return err
	}
	j.path = final
	return syncDirectory(j.cfg.Root)
}

// abandon clears away a directory that never became a journal.
func (j *Journal) abandon() error {
	if j.file != nil {
		_ = j.file.Close() // nothing was promised of it
	}
	if j.lock != nil {
		_ = j.lock.Close() // closing is what unlocks; there is nothing to flush
	}
	return os.RemoveAll(j.path)
}

// Replica is this journal's own id, the name of its directory.
func (j *Journal) Replica() uuid.UUID { return j.replica }

// Stats is a journal's state at one moment.
type Stats struct {
	Bytes           int64     // of all retained segments
	Segments        int       // retained, the current one included
	Pending         int       // intents not released
	OldestPendingAt time.Time // when the oldest of them was appended; zero if none
	LastPosition    Position
	SyncedPosition  Position
}

// Stats reports the journal's state; it also works on a failed or closed one.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := Stats{
		Bytes: j.bytes, Segments: len(j.segments), Pending: len(j.pending),
		LastPosition: j.last, SyncedPosition: j.synced,
	}
	if j.first < len(j.arrivals) {
		s.OldestPendingAt = time.UnixMilli(j.arrivals[j.first].at).UTC()
	}
	return s
}

// Close syncs and lets go. The directory goes too when nothing in it is
// pending; otherwise it stays to be adopted. Closing again does nothing. It
// returns the error of a journal that failed.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	j.mu.Unlock()
	j.nudge()
	<-j.stopped // it syncs what is left before it returns

	j.releasing.Lock()
	defer j.releasing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.failed
	for _, f := range append(j.retired, j.file) {
		if e := f.Close(); e != nil && err == nil {
			err = fmt.Errorf("close segment: %w", e)
		}
	}
	if err == nil && len(j.pending) == 0 {
		err = removeDirectory(j.path)
	}
	if e := j.lock.Close(); e != nil && err == nil {
		err = fmt.Errorf("close lock: %w", e)
	}
	return err
}

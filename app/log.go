package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// Log is the area of what the audit log holds and how it is proved.
type Log struct {
	db      *db.DB
	access  *Access
	members *Members
	signer  Signer // signs heads and decisions; nil: nothing is signed here
	log     *slog.Logger
	checks  atomic.Int64 // made here since the start
	broken  atomic.Int64 // of them, those that found a log broken
	refused atomic.Int64 // heads that were not signed because the log was another one before

	within    time.Duration // after which a witness is behind
	witnesses []Witness
	seen      atomic.Int64 // heads that a witness saw when asked here
	failed    atomic.Int64 // asks that came to nothing
	other     atomic.Int64 // of them, those where the witness had seen another log
	mu        sync.Mutex
	behind    map[string]bool // logs and witnesses, as they were when last asked here
}

// Checked counts, since the start, checks of logs made here, those that found one broken,
// and heads that were refused their signature because the log had been another one.
func (l *Log) Checked() (checks, broken, refused int64) {
	return l.checks.Load(), l.broken.Load(), l.refused.Load()
}

// NewLog makes the area. The seed is 32 bytes in base64 and comes from another place than
// the master key; without one, and without a signer (SignBy), the log's heads are not
// signed, and its pages say so.
func NewLog(d *db.DB, access *Access, members *Members, seed secret.Text, log *slog.Logger) (*Log, error) {
	own, err := SeedSigner(seed)
	if err != nil {
		return nil, err
	}
	return &Log{db: d, access: access, members: members, signer: own, log: log, within: WitnessWithin, behind: map[string]bool{}}, nil
}

// LogQuery narrows the log; zero fields do not narrow.
type LogQuery struct {
	Action  string // one action, or all that begin with it where it ends in a point
	Actor   string // an opaque id, system or command
	Subject string // an opaque id
	From    time.Time
	To      time.Time // half-open
	Cursor  string    // from the page before
	Limit   int       // at most MaxRows; 0 means 100
}

// LogEntry is one record of the log for the screen.
type LogEntry struct {
	Record     id.Record
	Sequence   int64 // -1: it waits for its place
	Action     string
	By         Hand
	Actor      string
	Subject    string
	RecordedAt time.Time
	Canonical  []byte
	Leaf       []byte
}

// LogView is a page of the log and its state.
type LogView struct {
	Entries []LogEntry
	Next    string // the next page's cursor; empty: none
	State   LogState
}

// LogState is how far the log is proved.
type LogState struct {
	Size     int64 // records with a place
	Waiting  int64 // records without one
	Signs    bool
	Apart    bool  // by keys that are in another process
	Signed   int64 // records that the newest signed head covers
	SignedAt time.Time
	Root     []byte // of that head
	Keys     []string
	Checked  *LogCheck // the newest; nil: none yet

	Witnesses []WitnessState // those that are configured
	Within    time.Duration  // after which one that has not seen a head is behind
	Witnessed int64          // records under the largest head that one of them has seen
}

// LogCheck is what the background verifier found.
type LogCheck struct {
	At       time.Time
	Record   id.Record
	Good     bool
	Size     int64
	Sequence int64 // the first bad record's; -1: about none
	Why      string
}

const checkedAction, brokenAction = "log.verified", "log.broken"

// Read reads a page of the log, newest first.
func (l *Log) Read(ctx context.Context, who Actor, q LogQuery) (LogView, error) {
	var view LogView
	if err := l.access.Check(who, "audit", "read"); err != nil {
		return view, err
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, MaxRows)
	f := db.LogFilter{Action: q.Action, Actor: q.Actor, Subject: q.Subject, From: q.From, To: q.To, Limit: limit + 1}
	if err := f.Seek(q.Cursor); err != nil {
		return view, err
	}
	err := l.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LimitStatements(readLimit); err != nil {
			return err
		}
		rows, err := tx.LogPage(f)
		if err != nil {
			return err
		}
		if len(rows) > limit {
			rows = rows[:limit]
			last := rows[limit-1]
			view.Next = db.LogCursor(last)
		}
		if view.Entries, err = l.entries(tx, rows); err != nil {
			return err
		}
		view.State, err = l.state(tx)
		return err
	})
	return view, err
}

func (l *Log) entries(tx *db.Tx, rows []db.LogRow) ([]LogEntry, error) {
	actors := make([]string, 0, len(rows))
	for i := range rows {
		actors = append(actors, rows[i].Actor)
	}
	hands, err := l.members.hands(tx, actors)
	if err != nil {
		return nil, err
	}
	list := make([]LogEntry, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		list = append(list, LogEntry{
			Record: r.RecordID, Sequence: r.Sequence, Action: r.Action, By: hands[r.Actor], Actor: r.Actor, Subject: r.Subject,
			RecordedAt: r.RecordedAt.UTC(), Canonical: r.Canonical, Leaf: r.Leaf,
		})
	}
	return list, nil
}

func (l *Log) state(tx *db.Tx) (LogState, error) {
	s := LogState{Signs: l.Signs(), Apart: l.Apart()}
	var err error
	if s.Size, err = tx.LogSize(); err != nil {
		return s, err
	}
	if s.Waiting, err = tx.PendingAudit(); err != nil {
		return s, err
	}
	if s.Keys, err = tx.LogKeys(); err != nil {
		return s, err
	}
	heads, err := tx.Checkpoints(maxSize, 1)
	if err != nil {
		return s, err
	}
	if len(heads) == 1 {
		s.Signed, s.SignedAt, s.Root = heads[0].Size, heads[0].RecordedAt.UTC(), heads[0].Root
	}
	if s.Witnesses, err = l.witnessStates(tx); err != nil {
		return s, err
	}
	s.Within = l.within
	for i := range s.Witnesses {
		s.Witnessed = max(s.Witnessed, s.Witnesses[i].Size)
	}
	s.Checked, err = lastCheck(tx)
	return s, err
}

// lastCheck reads the newest outcome of the verifier from the log itself.
func lastCheck(tx *db.Tx) (*LogCheck, error) {
	row, found, err := tx.LastLogCheck()
	if err != nil || !found {
		return nil, err
	}
	var said struct {
		Detail struct {
			Size, Sequence int64
			Why            string
		}
	}
	if err := json.Unmarshal(row.Canonical, &said); err != nil {
		return nil, fmt.Errorf("read the verifier's record: %w", err)
	}
	return &LogCheck{
		At: row.RecordedAt.UTC(), Record: row.RecordID, Good: row.Action == checkedAction,
		Size: said.Detail.Size, Sequence: said.Detail.Sequence, Why: said.Detail.Why,
	}, nil
}

// LogProof is one record with what proves its place.
type LogProof struct {
	LogEntry
	State LogState
	// Proof is the record's place under a signed head, as a file; empty until one covers it.
	Proof    []byte
	Head     int64 // that head's size
	SignedAt time.Time
}

var errNoRecord = fault.New(fault.KindNotFound, "record_unknown", "There is no such record.")

// Record reads one record of the log and proves its place.
func (l *Log) Record(ctx context.Context, who Actor, record id.Record) (LogProof, error) {
	var p LogProof
	if err := l.access.Check(who, "audit", "read"); err != nil {
		return p, err
	}
	err := l.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, found, err := tx.LogRecord(record)
		if err != nil {
			return err
		}
		if !found {
			return errNoRecord
		}
		entries, err := l.entries(tx, []db.LogRow{row})
		if err != nil {
			return err
		}
		p.LogEntry = entries[0]
		if p.State, err = l.state(tx); err != nil || row.Sequence < 0 {
			return err
		}
		head, covered, err := tx.FirstCheckpoint(row.Sequence + 1)
		if err != nil || !covered {
			return err
		}
		hashes, err := auditlog.ProveRecord(head.Size, row.Sequence, tx.LogNodes)
		if err != nil {
			return fmt.Errorf("prove record: %w", err)
		}
		p.Proof = auditlog.Proof{Sequence: row.Sequence, Hashes: hashes, Checkpoint: head.Message}.Text()
		p.Head, p.SignedAt = head.Size, head.RecordedAt.UTC()
		return nil
	})
	return p, err
}

package app

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

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
	seed    []byte // of the keys that sign heads; nil: nothing is signed here
	log     *slog.Logger
	checks  atomic.Int64 // made here since the start
	broken  atomic.Int64 // of them, those that found a log broken
	refused atomic.Int64 // heads that were not signed because the log was another one before
}

// Checked counts, since the start, checks of logs made here, those that found one broken,
// and heads that were refused their signature because the log had been another one.
func (l *Log) Checked() (checks, broken, refused int64) {
	return l.checks.Load(), l.broken.Load(), l.refused.Load()
}

// NewLog makes the area. The seed is 32 bytes in base64 and comes from another place than
// the master key; without one the log's heads are not signed, and its pages say so.
func NewLog(d *db.DB, access *Access, members *Members, seed secret.Text, log *slog.Logger) (*Log, error) {
	raw, err := parseLogKey(seed)
	if err != nil {
		return nil, err
	}
	return &Log{db: d, access: access, members: members, seed: raw, log: log}, nil
}

// CheckLogKey tells whether a seed can be used; an empty one can: nothing is signed then.
func CheckLogKey(seed secret.Text) error {
	_, err := parseLogKey(seed)
	return err
}

func parseLogKey(seed secret.Text) ([]byte, error) {
	if seed.IsZero() {
		return nil, nil
	}
	raw, err := base64.StdEncoding.DecodeString(seed.Reveal())
	if err != nil || len(raw) != auditlog.SeedBytes {
		return nil, fault.New(fault.KindInvalid, "log_key_syntax", "It should be 32 random bytes in base64, for example from: openssl rand -base64 32")
	}
	return raw, nil
}

// Signs tells whether heads of the log are signed here.
func (l *Log) Signs() bool { return l.seed != nil }

// SignEvery bounds the end of a log that no signed head covers.
const SignEvery = 15 * time.Minute

var errForked = fault.New(fault.KindInternal, "log_forked", "The log is not the one whose head was signed before: nothing is signed until somebody has looked.")

// Sign signs the head of a tenant's log unless one of its size was signed. It never signs
// a log that does not begin with what it signed before.
func (l *Log) Sign(ctx context.Context, tenant id.Tenant) error {
	if !l.Signs() {
		return nil
	}
	signer, verifier, err := auditlog.NewSigner(l.seed, tenant)
	if err != nil {
		return err
	}
	err = l.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		size, err := tx.LogSize()
		if err != nil || size == 0 {
			return err
		}
		last, err := tx.Checkpoints(maxSize, 1)
		if err != nil {
			return err
		}
		if len(last) == 1 {
			if last[0].Size == size {
				return nil
			}
			if err := continues(tx, last[0], size); err != nil {
				return err
			}
		}
		return l.sign(tx, signer, verifier, size)
	})
	if errors.Is(err, errForked) {
		l.refused.Add(1)
	}
	if err != nil {
		return fmt.Errorf("sign log: %w", err)
	}
	return nil
}

// maxSize is larger than any log.
const maxSize = 1 << 62

// continues refuses a log that does not begin with one whose head was signed.
func continues(tx *db.Tx, signed db.CheckpointRow, size int64) error {
	if signed.Size > size {
		return errForked
	}
	keys, err := tx.LogKeys()
	if err != nil {
		return err
	}
	verifiers, err := auditlog.Verifiers(keys)
	if err != nil || !asSigned(tx, signed, verifiers) { // the columns beside it anybody could write
		return errForked.Because(err)
	}
	before, err := auditlog.RootAt(signed.Size, tx.LogNodes)
	if err != nil {
		return err
	}
	if !bytes.Equal(before[:], signed.Root) {
		return errForked
	}
	return nil
}

// asSigned tells whether a stored head is, column for column, what a key signed.
func asSigned(tx *db.Tx, stored db.CheckpointRow, verifiers note.Verifiers) bool {
	head, err := auditlog.OpenCheckpoint(stored.Message, verifiers)
	return err == nil && head.Size == stored.Size && bytes.Equal(head.Root[:], stored.Root) && head.Origin == auditlog.Origin(tx.Tenant)
}

func (l *Log) sign(tx *db.Tx, signer note.Signer, verifier string, size int64) error {
	root, err := auditlog.RootAt(size, tx.LogNodes)
	if err != nil {
		return err
	}
	message, err := auditlog.Checkpoint{Origin: auditlog.Origin(tx.Tenant), Size: size, Root: root}.Sign(signer)
	if err != nil {
		return err
	}
	if err := useLogKey(tx, verifier); err != nil {
		return err
	}
	return tx.AddCheckpoint(db.CheckpointRow{Size: size, Root: root[:], Message: message})
}

// useLogKey keeps the public half of a key that signs; that it did so first is a record.
func useLogKey(tx *db.Tx, verifier string) error {
	fresh, err := tx.AddLogKey(verifier)
	if err != nil || !fresh {
		return err
	}
	return tx.AppendAudit(auditlog.Record{Action: "log.key_used", Actor: string(ActorSystem), Detail: map[string]any{"verifier": verifier}})
}

// SignDecision signs the text of a tenant's decision with its key for decisions.
func (l *Log) SignDecision(tx *db.Tx, text string) ([]byte, error) {
	signer, verifier, err := auditlog.NewDecisionSigner(l.seed, tx.Tenant)
	if err != nil {
		return nil, err
	}
	message, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return nil, fmt.Errorf("sign decision: %w", err)
	}
	return message, useLogKey(tx, verifier)
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
	Signed   int64 // records that the newest signed head covers
	SignedAt time.Time
	Root     []byte // of that head
	Keys     []string
	Checked  *LogCheck // the newest; nil: none yet
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
	s := LogState{Signs: l.Signs()}
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

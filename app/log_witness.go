package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/witness"
	"tollbook/db"
)

// Witness is somebody outside who sees the heads of logs.
type Witness interface {
	Name() string
	Kind() witness.Kind
	// See shows a head, and returns what came back once it was checked. An
	// *witness.AheadError or witness.ErrOther says that it has seen another log.
	See(ctx context.Context, head *witness.Head) (witness.Receipt, error)
	// Check checks what came back for a head, again.
	Check(message, receipt []byte) error
	// Held is what it keeps of a log, asked of the witness alone.
	Held(ctx context.Context, tenant id.Tenant) (witness.Held, error)
}

// WitnessWithin bounds the end of a log that no witness has seen, from when its head was
// signed, unless the installation says otherwise.
const WitnessWithin = 15 * time.Minute

// WitnessBy names the witnesses, and how long after a head was signed one of them that has
// not seen it is behind.
func (l *Log) WitnessBy(within time.Duration, witnesses ...Witness) {
	l.within, l.witnesses = within, witnesses
}

// Witnesses are the names of the witnesses.
func (l *Log) Witnesses() []string {
	var names []string
	for _, w := range l.witnesses {
		names = append(names, w.Name())
	}
	return names
}

// Witnessed counts, since the start, heads that a witness saw when asked here, asks that
// failed, and asks to which one said that it has seen another log; and how many logs had a
// witness behind when it was last asked here.
func (l *Log) Witnessed() (seen, failed, refused, behind int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen.Load(), l.failed.Load(), l.other.Load(), int64(len(l.behind))
}

var errNoWitness = fault.New(fault.KindNotFound, "witness_unknown", "There is no such witness.")

func (l *Log) witness(name string) (Witness, error) {
	for _, w := range l.witnesses {
		if w.Name() == name {
			return w, nil
		}
	}
	return nil, errNoWitness
}

// See shows the newest signed head of a tenant's log to a witness that has not seen it, and
// stores what came of it, either way.
func (l *Log) See(ctx context.Context, tenant id.Tenant, name string) error {
	w, err := l.witness(name)
	if err != nil {
		return err
	}
	var head *witness.Head
	if err := l.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		head, err = l.unseen(tx, name)
		return err
	}); err != nil || head == nil {
		return err
	}
	receipt, refused := w.See(ctx, head)
	err = l.db.InTenant(ctx, tenant, func(tx *db.Tx) error { return l.keepSight(tx, w, head, receipt, refused) })
	if refused != nil {
		return errors.Join(refused, err)
	}
	return err
}

// unseen is the newest signed head, if a witness has not seen it.
func (l *Log) unseen(tx *db.Tx, name string) (*witness.Head, error) {
	heads, err := tx.Checkpoints(maxSize, 1)
	if err != nil || len(heads) == 0 {
		return nil, err
	}
	w, err := l.witness(name)
	if err != nil {
		return nil, err
	}
	last, _, err := lastSeen(tx, w)
	if err != nil || last.Size == heads[0].Size {
		return nil, err
	}
	return l.shown(tx.Tenant, &heads[0], last.Size), nil
}

// lastSeen reads the largest head that a witness saw, as far as what came back is for the
// head that is stored: a row alone, anybody could add who writes to the database.
func lastSeen(tx *db.Tx, w Witness) (db.WitnessRow, bool, error) {
	last, found, err := tx.LastSeen(w.Name())
	if err != nil || !found {
		return db.WitnessRow{}, false, err
	}
	heads, err := tx.Checkpoints(last.Size, 1)
	if err != nil || len(heads) == 0 || heads[0].Size != last.Size || w.Check(heads[0].Message, last.Receipt) != nil {
		return db.WitnessRow{}, false, err
	}
	return last, true, nil
}

// shown is a head as a witness is shown it.
func (l *Log) shown(tenant id.Tenant, head *db.CheckpointRow, before int64) *witness.Head {
	size := head.Size
	return &witness.Head{
		Tenant: tenant, Size: size, Root: auditlog.Hash(head.Root), Message: head.Message, Before: before,
		Prove: func(ctx context.Context, from int64) (proof []auditlog.Hash, err error) {
			err = l.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
				proof, err = auditlog.ProveGrowth(size, from, tx.LogNodes)
				return err
			})
			return proof, err
		},
	}
}

// maxReason bounds why a head was not seen, in words.
const maxReason = 500

func reasonOf(err error) string {
	words := fault.From(err).Message
	if ahead, ok := errors.AsType[*witness.AheadError](err); ok {
		words = ahead.Error()
	} else if f := fault.From(err); f.Code == "internal" {
		words = err.Error() // a client library's words, for the operator; no secret is in an error
	}
	words = strings.ToValidUTF8(strings.ReplaceAll(words, "\x00", ""), "")
	if len(words) > maxReason {
		words = strings.ToValidUTF8(words[:maxReason], "")
	}
	return words
}

// keepSight stores what came of showing a head. That a witness saw its first head, that it
// is behind, and that it has seen another log, are records too.
func (l *Log) keepSight(tx *db.Tx, w Witness, head *witness.Head, receipt witness.Receipt, refused error) error {
	name, kind := w.Name(), string(w.Kind())
	before, known, err := tx.LastSeen(name)
	if err != nil {
		return err
	}
	asked, _, err := tx.LastAsked(name)
	if err != nil {
		return err
	}
	row := db.WitnessRow{Witness: name, Kind: kind, Size: head.Size, Seen: refused == nil, Receipt: receipt.Bytes, Object: receipt.Object}
	if refused != nil {
		row.Receipt, row.Object, row.Reason = nil, "", reasonOf(refused)
	}
	if err := tx.AddWitness(row); err != nil {
		return err
	}
	record := auditlog.Record{Actor: string(ActorSystem), Detail: map[string]any{"witness": name, "kind": kind, "size": head.Size}}
	if refused == nil {
		l.seen.Add(1)
		l.late(tx.Tenant, name, false)
		if known {
			return nil
		}
		record.Action = "log.witness_first"
		return tx.AppendAudit(record)
	}
	l.failed.Add(1)
	record.Detail["seen"], record.Detail["why"] = before.Size, row.Reason
	if witness.Refuses(refused) {
		l.other.Add(1)
		l.log.ErrorContext(tx.Context(), "a witness has seen another log", "tenant", tx.Tenant.String(), "witness", name, "size", head.Size, "why", row.Reason)
		if asked.Reason == row.Reason {
			return nil // told before
		}
		record.Action = "log.witness_refused"
		return tx.AppendAudit(record)
	}
	since, err := unseenSince(tx, before.Size)
	if err != nil || since.IsZero() || tx.Now.Sub(since) <= l.within {
		return err
	}
	l.late(tx.Tenant, name, true)
	if asked.RecordedAt.Sub(since) > l.within && !asked.Seen {
		return nil // told when it fell behind
	}
	l.log.ErrorContext(tx.Context(), "a witness is behind", "tenant", tx.Tenant.String(), "witness", name, "seen", before.Size, "size", head.Size, "why", row.Reason)
	record.Action = "log.witness_behind"
	return tx.AppendAudit(record)
}

// late keeps whether a log's witness was behind when it was last asked here.
func (l *Log) late(tenant id.Tenant, name string, yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := tenant.String() + " " + name
	delete(l.behind, key)
	if yes {
		l.behind[key] = true
	}
}

// unseenSince is when the first head was signed that is larger than one; zero: there is none.
func unseenSince(tx *db.Tx, size int64) (time.Time, error) {
	head, found, err := tx.FirstCheckpoint(size + 1)
	if err != nil || !found {
		return time.Time{}, err
	}
	return head.RecordedAt.UTC(), nil
}

// WitnessState is how far a witness has seen a log.
type WitnessState struct {
	Name   string
	Kind   witness.Kind
	Size   int64 // of the largest head it has seen; 0: none yet
	SeenAt time.Time
	Object string
	Behind bool      // a head is older than the bound and it has not seen it
	Reason string    // why not, when it was last asked; empty: it saw what it was shown
	Asked  time.Time // last; zero: never
	Other  bool      // it said that it has seen another log
}

// witnessStates reads how far each witness has seen a log.
func (l *Log) witnessStates(tx *db.Tx) ([]WitnessState, error) {
	var list []WitnessState
	for _, w := range l.witnesses {
		s := WitnessState{Name: w.Name(), Kind: w.Kind()}
		last, found, err := lastSeen(tx, w)
		if err != nil {
			return nil, err
		}
		if found {
			s.Size, s.SeenAt, s.Object = last.Size, last.RecordedAt.UTC(), last.Object
		}
		asked, found, err := tx.LastAsked(s.Name)
		if err != nil {
			return nil, err
		}
		if found {
			s.Asked, s.Reason = asked.RecordedAt.UTC(), asked.Reason
		}
		since, err := unseenSince(tx, s.Size)
		if err != nil {
			return nil, err
		}
		s.Behind = !since.IsZero() && tx.Now.Sub(since) > l.within
		s.Other = strings.HasPrefix(asked.Reason, "It has seen another log") || strings.HasPrefix(asked.Reason, "it has seen this log")
		list = append(list, s)
	}
	return list, nil
}

// ErrUnwitnessed refuses a decision whose issuer's keys no witness has seen.
var ErrUnwitnessed = fault.New(fault.KindUnavailable, "keys_unwitnessed", "No witness could be shown the issuer’s keys that this decision rests on. Nothing was decided; try again when one can be reached.")

// rely returns once a witness has seen the log up to a sequence, if there is one to see it.
func (l *Log) rely(ctx context.Context, tenant id.Tenant, sequence int64) error {
	if len(l.witnesses) == 0 {
		return nil
	}
	covered := func() (yes bool, err error) {
		err = l.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
			for _, w := range l.witnesses {
				last, _, err := lastSeen(tx, w)
				if err != nil {
					return err
				}
				yes = yes || last.Size > sequence
			}
			return nil
		})
		return yes, err
	}
	if yes, err := covered(); yes || err != nil {
		return err
	}
	if err := l.Sign(ctx, tenant); err != nil {
		return err
	}
	why := []error{ErrUnwitnessed}
	for _, name := range l.Witnesses() {
		if err := l.See(ctx, tenant, name); err != nil {
			why = append(why, err)
			continue
		}
		if yes, err := covered(); yes || err != nil {
			return err
		}
	}
	return ErrUnwitnessed.Because(errors.Join(why[1:]...))
}

// witnessJobs asks for each witness to be shown the newest head.
func witnessJobs(tx *db.Tx, names []string) error {
	for _, name := range names {
		if err := tx.Enqueue(job.WitnessLog{Tenant: tx.Tenant.String(), Witness: name}); err != nil {
			return err
		}
	}
	return nil
}

// compare compares a log that was found whole with what a witness keeps of it, asking
// nothing that is stored here what that is; nil, if they agree.
func (l *Log) compare(ctx context.Context, tenant id.Tenant, w Witness) (*auditlog.FindingError, error) {
	if bad, err := l.compareReceipt(ctx, tenant, w); bad != nil || err != nil {
		return bad, err
	}
	held, err := w.Held(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if len(held.Sizes) == 0 {
		return l.compareHead(ctx, tenant, w)
	}
	if bad, err := l.claimed(ctx, tenant, w.Name(), &held); bad != nil || err != nil {
		return bad, err
	}
	// What the newest agrees with, all before it do; otherwise the first that does not is
	// found by halves, since a log that differs once differs from there on.
	agrees, err := l.agrees(ctx, tenant, &held, len(held.Sizes)-1)
	if agrees || err != nil {
		return nil, err
	}
	good, bad := -1, len(held.Sizes)-1
	for bad-good > 1 {
		middle := good + (bad-good)/2
		if agrees, err = l.agrees(ctx, tenant, &held, middle); err != nil {
			return nil, err
		}
		if agrees {
			good = middle
		} else {
			bad = middle
		}
	}
	return l.differs(ctx, tenant, w.Name(), &held, good, bad)
}

// claimed compares the head that is said to be the last a witness saw with what it keeps.
func (l *Log) claimed(ctx context.Context, tenant id.Tenant, name string, held *witness.Held) (bad *auditlog.FindingError, err error) {
	err = l.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		last, found, err := tx.LastSeen(name)
		if err == nil && found && last.Size > held.Sizes[len(held.Sizes)-1] {
			bad = &auditlog.FindingError{Sequence: -1, Why: fmt.Sprintf("witness %s does not keep the head of %d records, which it is said to have seen", name, last.Size)}
		}
		return err
	})
	return bad, err
}

// differs names what is wrong from the last head that agrees and the first that does not.
func (l *Log) differs(ctx context.Context, tenant id.Tenant, name string, held *witness.Held, good, bad int) (*auditlog.FindingError, error) {
	var size int64
	if err := l.db.ReadTenant(ctx, tenant, func(tx *db.Tx) (err error) {
		size, err = tx.LogSize()
		return err
	}); err != nil {
		return nil, err
	}
	from, through := int64(0), held.Sizes[bad]
	if good >= 0 {
		from = held.Sizes[good]
	}
	if newest := held.Sizes[len(held.Sizes)-1]; through > size {
		return &auditlog.FindingError{Sequence: size, Why: fmt.Sprintf("records %d to %d are missing: witness %s has seen a head of %d records", size, newest-1, name, newest)}, nil
	}
	return &auditlog.FindingError{Sequence: from, Why: fmt.Sprintf("it, or one up to %d, is not what witness %s has seen", through-1, name)}, nil
}

// agrees tells whether the log begins with one of the heads that a witness keeps.
func (l *Log) agrees(ctx context.Context, tenant id.Tenant, held *witness.Held, i int) (bool, error) {
	message, err := held.Read(ctx, held.Sizes[i])
	if err != nil {
		return false, err
	}
	agrees := false
	err = l.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		keys, err := tx.LogKeys()
		if err != nil {
			return err
		}
		verifiers, err := auditlog.Verifiers(keys)
		if err != nil {
			return err
		}
		head, err := auditlog.OpenCheckpoint(message, verifiers)
		if err != nil || head.Origin != auditlog.Origin(tenant) || head.Size != held.Sizes[i] {
			return nil //nolint:nilerr // what it keeps is no head of this log, as its keys here are
		}
		size, err := tx.LogSize()
		if err != nil || head.Size > size {
			return err
		}
		root, err := auditlog.RootAt(head.Size, tx.LogNodes)
		agrees = err == nil && root == head.Root
		return err
	})
	return agrees, err
}

// compareHead shows the newest head to a witness that keeps none to read back, and hears
// whether it has seen another.
func (l *Log) compareHead(ctx context.Context, tenant id.Tenant, w Witness) (*auditlog.FindingError, error) {
	if w.Kind() == witness.Timestamp {
		return nil, nil // it remembers nothing
	}
	var head *witness.Head
	if err := l.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		heads, err := tx.Checkpoints(maxSize, 1)
		if err != nil || len(heads) == 0 {
			return err
		}
		last, _, err := tx.LastSeen(w.Name())
		head = l.shown(tenant, &heads[0], last.Size)
		return err
	}); err != nil || head == nil || w.Kind() == witness.Object && head.Before == 0 {
		return nil, err
	}
	if w.Kind() == witness.Object {
		return &auditlog.FindingError{Sequence: -1, Why: fmt.Sprintf("witness %s keeps none of the heads that it was shown", w.Name())}, nil
	}
	_, err := w.See(ctx, head)
	var ahead *witness.AheadError
	switch {
	case errors.As(err, &ahead):
		return &auditlog.FindingError{Sequence: head.Size, Why: fmt.Sprintf("records %d to %d are missing: witness %s has seen a head of %d records", head.Size, ahead.Size-1, w.Name(), ahead.Size)}, nil
	case errors.Is(err, witness.ErrOther):
		return &auditlog.FindingError{Sequence: -1, Why: fmt.Sprintf("witness %s has seen another log of this name", w.Name())}, nil
	}
	return nil, err
}

// compareReceipt checks what came back last from a witness against the head stored here.
func (l *Log) compareReceipt(ctx context.Context, tenant id.Tenant, w Witness) (*auditlog.FindingError, error) {
	var last db.WitnessRow
	var heads []db.CheckpointRow
	if err := l.db.ReadTenant(ctx, tenant, func(tx *db.Tx) (err error) {
		if last, _, err = tx.LastSeen(w.Name()); err == nil && last.Size > 0 {
			heads, err = tx.Checkpoints(last.Size, 1)
		}
		return err
	}); err != nil || last.Size == 0 {
		return nil, err
	}
	if len(heads) == 0 || heads[0].Size != last.Size || w.Check(heads[0].Message, last.Receipt) != nil {
		return &auditlog.FindingError{Sequence: -1, Why: fmt.Sprintf("what witness %s answered for the head of %d records is not for the one that is stored", w.Name(), last.Size)}, nil
	}
	return nil, nil
}

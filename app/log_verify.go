package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"tollbook/app/auditlog"
	"tollbook/app/confirmation"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/period"
	"tollbook/app/retention"
	"tollbook/app/secret"
	"tollbook/db"
)

// Verify recomputes a tenant's log from its stored bytes, compares it with what was signed
// and with what witnesses keep, and records the outcome. What is wrong is logged as an error and stands in the log's
// page; the first bad sequence is named.
func (l *Log) Verify(ctx context.Context, tenant id.Tenant) (LogCheck, error) {
	v := verifier{l: l}
	err := l.db.ReadTenant(ctx, tenant, v.run)
	var bad *auditlog.FindingError
	if err != nil && !errors.As(err, &bad) {
		return LogCheck{}, fmt.Errorf("verify log: %w", err)
	}
	unread := []string{}
	for _, w := range l.witnesses {
		if bad != nil {
			break // what is wrong with what is stored says more
		}
		differs, err := l.compare(ctx, tenant, w)
		if err != nil {
			unread = append(unread, w.Name())
			l.log.WarnContext(ctx, "a witness could not be compared with", "tenant", tenant.String(), "witness", w.Name(), "error", err)
		}
		bad = differs
	}
	check := LogCheck{Good: bad == nil, Size: v.tree.Size(), Sequence: -1}
	record := auditlog.Record{Action: checkedAction, Actor: string(ActorSystem), Detail: map[string]any{
		"batches": v.batches, "checkpoints": v.heads, "size": check.Size, "root": hex.EncodeToString(v.root()),
		"witnesses": len(l.witnesses) - len(unread), "witnesses_unread": unread,
	}}
	l.checks.Add(1)
	if bad != nil {
		l.broken.Add(1)
		check.Sequence, check.Why = bad.Sequence, bad.Why
		record.Action, record.Detail = brokenAction, map[string]any{"record": bad.Record, "sequence": bad.Sequence, "size": check.Size, "why": bad.Why}
		l.log.ErrorContext(ctx, "the audit log is broken", "tenant", tenant.String(), "sequence", bad.Sequence, "why", bad.Why)
	}
	err = l.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		check.At, record.ID = tx.Now, id.NewRecord(tx.Now)
		if err := tx.AppendAudit(record); err != nil {
			return err
		}
		return tx.AddLogCheck(record.ID)
	})
	return check, err
}

// verifier walks a log from its beginning.
type verifier struct {
	l       *Log
	tree    auditlog.Frontier
	unzip   *zstd.Decoder
	signed  []db.CheckpointRow // to come, the smallest first
	heads   int64              // that were right
	good    int64              // the size of the last of them
	batches int64
	grown   []auditlog.Node        // that the batch completed
	stray   *auditlog.FindingError // the first that is stored otherwise
	missing map[string]*absence    // by class and month
	stones  map[string]auditlog.Purge
}

func (v *verifier) root() []byte {
	root := v.tree.Root()
	return root[:]
}

const (
	verifyBatch = 1000
	// maxHeads bounds the signed heads that are compared: ten years of one a quarter of an hour.
	maxHeads = 400_000
	// maxBatchBytes bounds a usage batch's canonical bytes: FlushLimit rows of some kilobytes.
	maxBatchBytes = 256 << 20
)

// batchReader decompresses usage batches' canonical bytes.
func batchReader() (*zstd.Decoder, error) {
	unzip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBatchBytes))
	if err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	return unzip, nil
}

func (v *verifier) run(tx *db.Tx) error {
	var err error
	if v.unzip, err = batchReader(); err != nil {
		return err
	}
	defer v.unzip.Close()
	if err := v.readHeads(tx); err != nil {
		return err
	}
	for {
		rows, err := tx.Log(v.tree.Size(), verifyBatch)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := v.record(tx, &rows[i]); err != nil {
				return err
			}
		}
		if err := v.nodes(tx); err != nil {
			return err
		}
		if len(rows) < verifyBatch {
			break
		}
	}
	if len(v.signed) > 0 {
		return &auditlog.FindingError{Sequence: v.tree.Size(), Why: fmt.Sprintf("records from here on are missing: a head of %d records was signed at %s", v.signed[0].Size, v.signed[0].RecordedAt.UTC().Format(time.RFC3339))}
	}
	if err := v.explained(); err != nil {
		return err
	}
	if v.stray != nil { // last: a record that was changed says more
		return v.stray
	}
	return nil
}

// readHeads reads the signed heads and checks their signatures.
func (v *verifier) readHeads(tx *db.Tx) error {
	heads, err := tx.Checkpoints(maxSize, maxHeads)
	if err != nil {
		return err
	}
	keys, err := tx.LogKeys()
	if err != nil {
		return err
	}
	verifiers, err := auditlog.Verifiers(keys)
	if err != nil {
		return err
	}
	for _, stored := range slices.Backward(heads) {
		if !asSigned(tx, stored, verifiers) {
			return &auditlog.FindingError{Sequence: -1, Why: fmt.Sprintf("the head of %d records is not what was signed", stored.Size)}
		}
		v.signed = append(v.signed, stored)
	}
	return nil
}

func (v *verifier) record(tx *db.Tx, r *db.LogRow) error {
	at := v.tree.Size()
	bad := func(why string) error {
		return &auditlog.FindingError{Sequence: at, Record: r.RecordID.String(), Why: why}
	}
	if r.Sequence != at {
		return &auditlog.FindingError{Sequence: at, Why: "it is missing"}
	}
	if len(r.Canonical) == 0 && len(r.Leaf) == len(auditlog.Hash{}) { // purged: its leaf is held to the heads
		month := period.MonthOf(r.RecordedAt)
		if _, gone, err := tx.TombstoneOf(retention.Audit, month); err != nil || !gone {
			return cmp.Or(err, bad("its bytes are missing"))
		}
		v.miss(retention.Audit, month.String(), r.RecordID.String(), r.Leaf)
		v.grown = append(v.grown, v.tree.Add(auditlog.Hash(r.Leaf))...)
		return v.head()
	}
	leaf := auditlog.Leaf(r.Canonical)
	if !bytes.Equal(leaf[:], r.Leaf) {
		return bad("its bytes are not those that were hashed")
	}
	var said struct {
		ID, Action, Actor, Subject, Tenant string
		At                                 time.Time
		Detail                             json.RawMessage
	}
	if err := json.Unmarshal(r.Canonical, &said); err != nil {
		return bad("its bytes are no record")
	}
	if said.ID != r.RecordID.String() || said.Action != r.Action || said.Actor != r.Actor || said.Subject != r.Subject || said.Tenant != tx.Tenant.String() || !said.At.Equal(r.RecordedAt) {
		return bad("the columns beside its bytes say something else")
	}
	why, err := v.batch(tx, said.ID, said.Action, said.Subject, said.Detail)
	if err == nil && why == "" {
		why, err = v.decision(tx, r.Canonical)
	}
	if err == nil && why == "" {
		why, err = v.purged(tx, r, said.Detail)
	}
	if err != nil {
		return err
	}
	if why != "" {
		return bad(why)
	}
	v.grown = append(v.grown, v.tree.Add(leaf)...)
	return v.head()
}

// head compares the log with what was signed at this size.
func (v *verifier) head() error {
	if len(v.signed) == 0 || v.signed[0].Size != v.tree.Size() {
		return nil
	}
	if !bytes.Equal(v.signed[0].Root, v.root()) {
		why := fmt.Sprintf("it, or one up to %d, is not what was signed at %s", v.signed[0].Size-1, v.signed[0].RecordedAt.UTC().Format(time.RFC3339))
		return &auditlog.FindingError{Sequence: v.good, Why: why}
	}
	v.good, v.signed = v.signed[0].Size, v.signed[1:]
	v.heads++
	return nil
}

// decision compares what a confirmed decision rests on with the digests its record holds.
func (v *verifier) decision(tx *db.Tx, canonical []byte) (string, error) {
	said := confirmation.ReadSaid(canonical)
	if said == nil {
		return "", nil
	}
	decision, err := id.ParseDecision(said.Decision)
	if err != nil {
		return "it names no decision", nil //nolint:nilerr // that is the finding
	}
	e, err := evidenceOf(tx, v.l.members.ring, decision)
	switch {
	case errors.Is(err, secret.ErrSealed):
		return "the ID token of its decision cannot be opened", nil
	case err != nil && fault.KindOf(err) == fault.KindNotFound:
		return "the evidence of its decision is missing", nil
	case err != nil:
		return "", err
	}
	for _, part := range []struct{ name, is, said string }{
		{"document", confirmation.Hex(e.Document), said.Document}, {"ID token", confirmation.Hex([]byte(e.Token)), said.Token},
		{"key set", confirmation.Hex(e.Keys), said.Keys}, {"signature", confirmation.Hex(e.Signature), said.Signature},
	} {
		if part.is != part.said {
			return "the " + part.name + " of its decision is not the one whose digest it holds", nil
		}
	}
	return "", nil
}

// batch compares the stored requests of a usage batch, or the stored adjustments of one of
// those, with the root its record holds.
func (v *verifier) batch(tx *db.Tx, record, action, subject string, detail []byte) (string, error) {
	if action == auditlog.JournalEntry {
		return storedEntry(tx, subject, detail)
	}
	read := batchBytes(tx, action)
	if read == nil {
		return "", nil
	}
	var said struct {
		Root, Period string
		Requests     int64
	}
	batch, err := id.ParseBatch(subject)
	if err != nil || json.Unmarshal(detail, &said) != nil {
		return "it names no batch", nil //nolint:nilerr // that is the finding
	}
	compressed, found, err := read(batch)
	if err != nil {
		return "", err
	}
	if !found {
		gone, found, err := tx.PurgedBatch(batch)
		if err != nil {
			return "", err
		}
		if !found || hex.EncodeToString(gone.Root) != said.Root {
			return "the batch it names is missing", nil
		}
		v.miss(retention.Usage, said.Period, record, gone.Root)
		return "", nil
	}
	lines, err := v.unzip.DecodeAll(compressed, nil)
	if err != nil {
		return "the requests of its batch cannot be read", nil //nolint:nilerr // that is the finding
	}
	var tree auditlog.Frontier
	for line := range bytes.Lines(lines) {
		tree.Add(auditlog.Leaf(bytes.TrimSuffix(line, []byte("\n"))))
	}
	root := tree.Root()
	if tree.Size() != said.Requests || hex.EncodeToString(root[:]) != said.Root {
		return "the requests of its batch are not those that were hashed", nil
	}
	v.batches++
	if action == auditlog.AdjustmentBatch {
		return adjustedRows(tx, batch, lines)
	}
	return "", nil
}

// storedEntry compares a stored journal entry with the digest its record holds.
func storedEntry(tx *db.Tx, subject string, detail []byte) (string, error) {
	var said struct{ Digest string }
	entry, err := id.ParseEntry(subject)
	if err != nil || json.Unmarshal(detail, &said) != nil {
		return "it names no journal entry", nil //nolint:nilerr // that is the finding
	}
	canonical, found, err := tx.EntryBytes(entry)
	switch {
	case err != nil:
		return "", err
	case !found:
		return "the journal entry it names is missing", nil
	case ledger.Digest(canonical) != said.Digest:
		return "the journal entry it names is not the one that was hashed", nil
	}
	return "", nil
}

// batchBytes is how the bytes behind a record's root are read; nil for a record without.
func batchBytes(tx *db.Tx, action string) func(id.Batch) ([]byte, bool, error) {
	switch action {
	case auditlog.UsageBatch:
		return tx.BatchBytes
	case auditlog.AdjustmentBatch:
		return tx.AdjustmentBytes
	}
	return nil
}

// nodes compares the tree that proofs are made from with the one recomputed.
func (v *verifier) nodes(tx *db.Tx) error {
	grown := v.grown
	v.grown = v.grown[:0]
	if len(grown) == 0 || v.stray != nil {
		return nil //nolint:nilerr // told at the end
	}
	stored, err := tx.LogNodes(grown)
	if errors.Is(err, db.ErrLogNode) {
		stored, err = nil, nil // one that is missing is a finding, not a failure
	}
	if err != nil {
		return err
	}
	for i, node := range grown {
		if stored == nil || stored[i] != node.Hash {
			v.stray = &auditlog.FindingError{Sequence: -1, Why: "the stored tree, from which proofs are made, is not that of the records"}
			break
		}
	}
	return nil
}

// adjustedLine is one line of an adjustment as its canonical bytes have it.
type adjustedLine struct {
	Placement    string   `json:"placement"`
	Charge       int64    `json:"charge_pico"`
	Other        int64    `json:"other_pico"`
	Input        [2]int64 `json:"input"` // tokens and pico-dollars
	Output       [2]int64 `json:"output"`
	CacheWrite5m [2]int64 `json:"cache_write_5m"`
	CacheWrite1h [2]int64 `json:"cache_write_1h"`
	CacheRead    [2]int64 `json:"cache_read"`
}

// adjustedRows compares the rows of a batch of adjustments, which every page sums, with the
// canonical bytes that the log holds: who changes both rows and sums is found by these.
func adjustedRows(tx *db.Tx, batch id.Batch, canonical []byte) (string, error) {
	const differ = "the adjustments that pages show are not those of its batch"
	rows, err := tx.AdjustedLines(batch)
	if err != nil {
		return "", err
	}
	stored := map[string][]adjustedLine{}
	for i := range rows {
		r := &rows[i]
		if !r.AsBatch {
			return differ, nil
		}
		key := fmt.Sprint(r.EventID, " ", r.Sequence, " ", r.State)
		stored[key] = append(stored[key], adjustedLine{
			Placement: r.PlacementID.String(), Charge: r.ChargePico, Other: r.OtherPico, Input: [2]int64{r.InputTokens, r.InputPico}, Output: [2]int64{r.OutputTokens, r.OutputPico},
			CacheWrite5m: [2]int64{r.CacheWrite5mTokens, r.CacheWrite5mPico}, CacheWrite1h: [2]int64{r.CacheWrite1hTokens, r.CacheWrite1hPico},
			CacheRead: [2]int64{r.CacheReadTokens, r.CacheReadPico},
		})
	}
	for line := range bytes.Lines(canonical) {
		var said struct {
			Event, State    string
			Sequence        int
			Leaves, Arrives []adjustedLine
		}
		if err := json.Unmarshal(line, &said); err != nil {
			return "the adjustments of its batch cannot be read", nil // that is the finding
		}
		key := fmt.Sprint(said.Event, " ", said.Sequence, " ", said.State)
		if !slices.Equal(stored[key], slices.Concat(said.Leaves, said.Arrives)) {
			return differ, nil
		}
		delete(stored, key)
	}
	if len(stored) > 0 {
		return differ, nil
	}
	return "", nil
}

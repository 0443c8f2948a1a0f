package app

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/confirmation"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/retention"
	"tollbook/app/secret"
	"tollbook/db"
)

// LogExport is what an export of the log is asked to hold.
type LogExport struct {
	From, To time.Time // half-open, of RecordedAt
	Usage    bool      // the requests of usage batches, word for word as they were hashed
	Version  string    // of the code
}

var errNothingSigned = fault.New(fault.KindConflict, "log_unsigned",
	"Nothing of the log is signed yet, so that nothing could be proved. It is signed within a quarter of an hour of its first record, if the installation has a log key (TOLLBOOK_LOG_KEY).")

// maxLogExport bounds the time of one export: a year and a day.
const maxLogExport = 366 * 24 * time.Hour

func (ask *LogExport) check() error {
	switch {
	case !ask.From.Before(ask.To):
		return fault.Invalid("to", "range_empty", "The end must be after the start; the start is included, the end is not.")
	case ask.To.Sub(ask.From) > maxLogExport:
		return fault.Invalid("to", "range_long", "One export holds at most 366 days; export in parts.")
	}
	return nil
}

// Export writes the records of a time, with all that proves them offline, as one zip. The
// head is signed first, so that the newest records are covered; that it was made is a
// record of its own.
func (l *Log) Export(ctx context.Context, who Actor, ask LogExport, out io.Writer) error {
	if err := l.access.Check(who, "audit", "read"); err != nil {
		return err
	}
	if err := ask.check(); err != nil {
		return err
	}
	if err := l.Sign(ctx, who.Tenant); err != nil {
		return err
	}
	x := logExport{LogExport: ask, who: who, signer: l.signerPlace(), configured: len(l.witnesses), sizes: map[int64]bool{}, ring: l.members.ring}
	if err := l.db.ReadTenant(ctx, who.Tenant, x.find); err != nil {
		return err
	}
	// What leaves is in the log before it leaves.
	err := l.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		return tx.AppendAudit(auditlog.Record{Action: "log.exported", Actor: who.ID(), Detail: map[string]any{
			"first": x.manifest.From, "through": x.manifest.Through, "size": x.manifest.Size, "usage": ask.Usage,
			"from": ask.From.UTC().Format(time.RFC3339), "to": ask.To.UTC().Format(time.RFC3339),
		}})
	})
	if err != nil {
		return err
	}
	return l.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error { return x.write(tx, out) })
}

// logExport is one export under way.
type logExport struct {
	LogExport
	who        Actor
	signer     string         // where the seed is
	sizes      map[int64]bool // of the earlier heads that are in it
	seen       int64          // the largest head in it that a witness saw
	configured int            // witnesses
	saw        int            // sights in it
	manifest   logManifest
	head       db.CheckpointRow
	file       *zip.Writer
	at         time.Time
	ring       *secret.Keyring // opens the tokens of confirmed decisions
	gone       []purgedMonth   // of which something is not here any more
}

// logManifest is an export's manifest: what a check needs, and who made it of what.
type logManifest struct {
	auditlog.BundleManifest
	RecordedFrom time.Time `json:"recorded_from"`
	RecordedTo   time.Time `json:"recorded_to"`
	Records      int64     `json:"records"`
	Unsigned     int64     `json:"unsigned"` // records of that time that no head covers yet, left out
	RunBy        string    `json:"run_by"`
	RunAt        time.Time `json:"run_at"`
	Version      string    `json:"code_version"`
}

// find decides which records and which head.
func (x *logExport) find(tx *db.Tx) error {
	first, through, err := tx.LogSpan(x.From, x.To)
	if err != nil {
		return err
	}
	heads, err := tx.Checkpoints(maxSize, 1)
	if err != nil {
		return err
	}
	if len(heads) == 0 {
		return errNothingSigned
	}
	x.head = heads[0]
	signed := min(through, x.head.Size)
	first = min(first, signed)
	x.manifest = logManifest{
		BundleManifest: auditlog.BundleManifest{Format: auditlog.BundleFormat, Origin: auditlog.Origin(tx.Tenant), From: first, Through: signed, Size: x.head.Size, Signer: x.signer, Usage: x.Usage},
		RecordedFrom:   x.From.UTC(), RecordedTo: x.To.UTC(), Records: signed - first, Unsigned: through - signed,
		RunBy: x.who.ID(), RunAt: tx.Now, Version: x.Version,
	}
	return nil
}

func (x *logExport) write(tx *db.Tx, out io.Writer) error {
	x.file, x.at = zip.NewWriter(out), tx.Now
	keys, err := tx.LogKeys()
	if err != nil {
		return err
	}
	manifest, err := json.MarshalIndent(x.manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	story, err := keyStory(tx)
	if err != nil {
		return err
	}
	outside, err := auditlog.ProveSpan(x.manifest.Size, x.manifest.From, x.manifest.Through, tx.LogNodes)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		auditlog.FileManifest: manifest, auditlog.FileKeys: []byte(strings.Join(keys, "\n") + "\n"), auditlog.FileKeyStory: story, auditlog.FileOutside: hashLines(outside),
		auditlog.FileCheckpoint: x.head.Message,
	} {
		if err := x.put(name, text); err != nil {
			return err
		}
	}
	if err := x.heads(tx); err != nil {
		return err
	}
	if err := x.sights(tx); err != nil {
		return err
	}
	if err := x.rows(tx); err != nil {
		return err
	}
	if err := x.put(auditlog.FileReadme, []byte(x.readme())); err != nil {
		return err
	}
	return x.file.Close()
}

func (x *logExport) begin(name string) (io.Writer, error) {
	return x.file.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: x.at})
}

func (x *logExport) put(name string, text []byte) error {
	w, err := x.begin(name)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

func hashLines(hashes []auditlog.Hash) []byte {
	var b bytes.Buffer
	for _, h := range hashes {
		b.WriteString(h.String() + "\n")
	}
	return b.Bytes()
}

// exportedHeads bounds the earlier heads in an export; the newest are there.
const exportedHeads = 1000

// heads writes earlier signed heads, each with the proof that the log only grew since.
func (x *logExport) heads(tx *db.Tx) error {
	heads, err := tx.Checkpoints(x.head.Size-1, exportedHeads)
	if err != nil {
		return err
	}
	for _, head := range slices.Backward(heads) {
		proof, err := auditlog.ProveGrowth(x.head.Size, head.Size, tx.LogNodes)
		if err != nil {
			return err
		}
		name := strconv.FormatInt(head.Size, 10) + ".txt"
		if err := errors.Join(x.put(path.Join(auditlog.DirectoryHeads, name), head.Message), x.put(path.Join(auditlog.DirectoryGrowth, name), hashLines(proof))); err != nil {
			return err
		}
		x.sizes[head.Size] = true
	}
	return nil
}

// rows writes the records, then their hashes, then the usage of their batches: a zip takes
// one file after the other.
func (x *logExport) rows(tx *db.Tx) error {
	var leaves bytes.Buffer
	var batches []batchName
	var decisions []id.Decision
	w, err := x.begin(auditlog.FileRecords)
	if err != nil {
		return err
	}
	records := bufio.NewWriter(w)
	for at := x.manifest.From; at < x.manifest.Through; {
		rows, err := tx.Log(at, int(min(verifyBatch, x.manifest.Through-at)))
		if err != nil {
			return err
		}
		if len(rows) == 0 || rows[0].Sequence != at {
			return fault.New(fault.KindInternal, "log_gap", fmt.Sprintf("Record %d of the log is missing.", at))
		}
		for i := range rows {
			if len(rows[i].Canonical) == 0 {
				x.miss(retention.Audit, period.MonthOf(rows[i].RecordedAt))
			}
			_, _ = records.Write(rows[i].Canonical) // Flush tells
			_ = records.WriteByte('\n')
			leaves.WriteString(auditlog.Hash(rows[i].Leaf).String() + "\n")
			if rows[i].Action == auditlog.UsageBatch || rows[i].Action == auditlog.AdjustmentBatch {
				batches = append(batches, batchName{rows[i].Action, rows[i].Subject})
			}
			if said := confirmation.ReadSaid(rows[i].Canonical); said != nil {
				decision, err := id.ParseDecision(said.Decision)
				if err != nil {
					return err
				}
				decisions = append(decisions, decision)
			}
		}
		at += int64(len(rows))
	}
	if err := records.Flush(); err != nil {
		return err
	}
	if err := x.put(auditlog.FileLeaves, leaves.Bytes()); err != nil {
		return err
	}
	if err := x.decisions(tx, decisions); err != nil {
		return err
	}
	if err := x.usage(tx, batches); err != nil {
		return err
	}
	return x.purges(tx)
}

// decisions writes what confirmed decisions rest on, and each key set once.
func (x *logExport) decisions(tx *db.Tx, decisions []id.Decision) error {
	written := map[string]bool{}
	for _, decision := range decisions {
		e, err := evidenceOf(tx, x.ring, decision)
		if err != nil {
			return fmt.Errorf("read evidence of %s: %w", decision, err)
		}
		in := path.Join(confirmation.Directory, decision.String())
		err = errors.Join(
			x.put(path.Join(in, confirmation.FileDocument), e.Document), x.put(path.Join(in, confirmation.FileToken), []byte(e.Token)),
			x.put(path.Join(in, confirmation.FileSignature), e.Signature),
		)
		if name := hex.EncodeToString(e.keysDigest); err == nil && !written[name] {
			written[name] = true
			err = x.keySet(tx, path.Join(confirmation.DirectoryKeys, name), &e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keySet writes an issuer's keys, and where the export begins later than their record,
// that and its place in the log.
func (x *logExport) keySet(tx *db.Tx, base string, e *Evidence) error {
	if err := x.put(base+confirmation.SuffixKeys, e.Keys); err != nil {
		return err
	}
	row, found, err := tx.LogRecord(e.keysRecord)
	if err != nil || !found || row.Sequence >= x.manifest.From {
		return err
	}
	hashes, err := auditlog.ProveRecord(x.manifest.Size, row.Sequence, tx.LogNodes)
	if err != nil {
		return fmt.Errorf("prove record of a key set: %w", err)
	}
	proof := auditlog.Proof{Sequence: row.Sequence, Hashes: hashes, Checkpoint: x.head.Message}.Text()
	return errors.Join(x.put(base+confirmation.SuffixRecord, row.Canonical), x.put(base+confirmation.SuffixProof, proof))
}

// batchName is a batch of requests, or of adjustments, that a record names.
type batchName struct{ action, subject string }

func (x *logExport) usage(tx *db.Tx, batches []batchName) error {
	unzip, err := batchReader()
	if err != nil {
		return err
	}
	defer unzip.Close()
	for _, name := range batches {
		subject := name.subject
		batch, err := id.ParseBatch(subject)
		if err != nil {
			return err
		}
		gone, found, err := tx.PurgedBatch(batch)
		if err != nil {
			return err
		}
		if found {
			x.miss(retention.Usage, period.MonthOf(gone.Month))
		}
		if found || !x.Usage {
			continue
		}
		compressed, found, err := batchBytes(tx, name.action)(batch)
		if err != nil {
			return err
		}
		if !found {
			return fault.New(fault.KindInternal, "batch_missing", "Usage batch "+subject+" is missing.")
		}
		lines, err := unzip.DecodeAll(compressed, nil)
		if err != nil {
			return fmt.Errorf("read usage batch %s: %w", subject, err)
		}
		if err := x.put(path.Join(auditlog.DirectoryUsage, subject+".jsonl"), lines); err != nil {
			return err
		}
	}
	return nil
}

func (x *logExport) readme() string {
	var b strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	say("Audit log of %s: records %d to %d of %d", x.manifest.Origin, x.manifest.From, x.manifest.Through-1, x.manifest.Size)
	say("")
	say("To check it on any machine, without Tollbook's servers:")
	say("")
	say("    tollbook verify FILE.zip --log-keys KEYS.txt")
	say("")
	say("KEYS.txt holds the log's public key, a line, as you got it another way: from the page")
	say("\"Audit log\" at an earlier time, by mail, from your own files. Without --log-keys the keys")
	say("in %s are used: that shows that this export agrees with itself, not who made it.", auditlog.FileKeys)
	say("")
	say("%s  the records, a line each, byte for byte as they were hashed", auditlog.FileRecords)
	say("%s    their hashes (RFC 6962 leaves)", auditlog.FileLeaves)
	say("%s   hashes of the rest of the log: with the leaves they make its root", auditlog.FileOutside)
	say("%s  the log's signed head (C2SP tlog-checkpoint, a signed note)", auditlog.FileCheckpoint)
	say("%s/ and %s/  earlier signed heads, and proofs that the log only grew since", auditlog.DirectoryHeads, auditlog.DirectoryGrowth)
	if x.Usage {
		say("%s/  the requests of each usage batch, and each batch of adjustments, whose root its record holds", auditlog.DirectoryUsage)
	}
	if len(x.gone) > 0 {
		say("%s/  of each purge that took something of these records: its own record, the proof of its", auditlog.DirectoryPurged)
		say("place, and the hashes of what it took. A record whose bytes are gone is an empty line.")
	}
	say("%s/  what decisions rest on that the decider's issuer confirmed: the document they decided", confirmation.Directory)
	say("by, the issuer's ID token, Tollbook's signature (a signed note)")
	say("%s/  the issuers' key sets that verify those tokens, each a record of the log before", confirmation.DirectoryKeys)
	say("")
	say("Of each such decision it proves that the issuer confirmed this person, then, for this digest,")
	say("if the key set is the issuer's: give the keys as you got them from the issuer yourself with")
	say("--issuer-keys FILE, a list of {\"issuer\":..., \"keys\":[...]}. It does not prove that the issuer")
	say("approved anything: Tollbook signs the decision.")
	x.witnessWords(say)
	say("")
	say("What it proves: these records are in the log at these places, none of them was changed,")
	say("added or left out since the head was signed, and the log only grew since each earlier head.")
	say("What it does not: that what a record says is true; and whoever operates the installation")
	say("and holds its log key could have signed another log for others, or signed again what no")
	say("head that you hold covers. Keep the heads you are given.")
	if x.signer == auditlog.SignerApart {
		say("The seed of the log key is in a signer of its own, apart from what serves and from the")
		say("database: it signs no head that does not go on from the one it signed before.")
	} else {
		say("The seed of the log key is in the process that serves: the operator can re-sign the")
		say("unwitnessed tail.")
	}
	if x.manifest.Unsigned > 0 {
		say("")
		say("%d newer records of that time are not covered by a signed head and are left out.", x.manifest.Unsigned)
	}
	return b.String()
}

package app

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tollbook/app/auditlog"
	"tollbook/app/confirmation"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// Signer signs the heads of tenants' logs and their decisions: with a seed in this process,
// or by another process or a key service that alone holds it.
type Signer interface {
	// SignHead signs a head that follows the one it signed last; an
	// *auditlog.StaleError tells that one's size where the ask was after another, and
	// auditlog.ErrForked that this log is not how that one went on.
	SignHead(ctx context.Context, ask auditlog.HeadAsk) (auditlog.Signed, error)
	// SignDecision signs the text of a decision.
	SignDecision(ctx context.Context, tenant id.Tenant, text string) (auditlog.Signed, error)
	// Apart tells whether the keys are in another process than this one.
	Apart() bool
}

// seedSigner keeps the seed in this process. It remembers nothing: what was signed before
// is what the database says.
type seedSigner struct{ authority *auditlog.Authority }

func (s seedSigner) SignHead(_ context.Context, ask auditlog.HeadAsk) (auditlog.Signed, error) {
	return s.authority.SignHead(ask.Tenant, ask.Size, ask.Root)
}

func (s seedSigner) SignDecision(_ context.Context, tenant id.Tenant, text string) (auditlog.Signed, error) {
	return s.authority.SignDecision(tenant, text)
}

func (seedSigner) Apart() bool { return false }

// SeedSigner makes a signer of seeds that this process keeps; of none, none.
func SeedSigner(seeds secret.Text) (Signer, error) {
	authority, err := ParseLogKeys(seeds)
	if err != nil || authority == nil {
		return nil, err
	}
	return seedSigner{authority}, nil
}

// CheckLogKey tells whether seeds can be used; none can: nothing is signed then.
func CheckLogKey(seeds secret.Text) error {
	_, err := ParseLogKeys(seeds)
	return err
}

// ParseLogKeys reads one seed, or two with a comma between while one follows the other: the
// new one first. It returns nothing of nothing.
func ParseLogKeys(seeds secret.Text) (*auditlog.Authority, error) {
	if seeds.IsZero() {
		return nil, nil
	}
	var raw [][]byte
	for part := range strings.SplitSeq(seeds.Reveal(), ",") {
		seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(part))
		if err != nil || len(seed) != auditlog.SeedBytes {
			return nil, fault.New(fault.KindInvalid, "log_key_syntax", "It should be 32 random bytes in base64, for example from: openssl rand -base64 32; or two of them, the new one first, with a comma between.")
		}
		raw = append(raw, seed)
	}
	return auditlog.NewAuthority(raw...)
}

// SignBy names the signer, in place of a seed in this process.
func (l *Log) SignBy(signer Signer) { l.signer = signer }

// Signs tells whether heads of the log are signed here.
func (l *Log) Signs() bool { return l.signer != nil }

// Apart tells whether they are signed by keys that are not in this process.
func (l *Log) Apart() bool { return l.signer != nil && l.signer.Apart() }

// signerPlace is where the seed is, in the word that exports use.
func (l *Log) signerPlace() string {
	switch {
	case !l.Signs():
		return auditlog.SignerNone
	case l.Apart():
		return auditlog.SignerApart
	}
	return auditlog.SignerInProcess
}

// SignEvery bounds the end of a log that no signed head covers.
const SignEvery = 15 * time.Minute

// maxSize is larger than any log.
const maxSize = 1 << 62

// signRounds bounds how often a head is asked for anew: each time the log has grown, and
// somebody else's head was signed in between.
const signRounds = 4

// Sign signs the head of a tenant's log unless one of its size was signed. It never asks
// for a log that does not begin with what was signed before, and a signer that is apart
// never signs one.
func (l *Log) Sign(ctx context.Context, tenant id.Tenant) error {
	if !l.Signs() {
		return nil
	}
	err := l.sign(ctx, tenant)
	if errors.Is(err, auditlog.ErrForked) {
		l.refused.Add(1)
	}
	if err != nil {
		return fmt.Errorf("sign log: %w", err)
	}
	return nil
}

func (l *Log) sign(ctx context.Context, tenant id.Tenant) error {
	after := int64(-1) // what the database says was signed last
	for stale := 0; stale < signRounds; {
		var ask auditlog.HeadAsk
		more := false
		if err := l.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
			var err error
			ask, more, err = askHead(tx, after)
			return err
		}); err != nil || ask.Size == 0 {
			return err
		}
		signed, err := l.signer.SignHead(ctx, ask)
		if other, ok := errors.AsType[*auditlog.StaleError](err); ok {
			after, stale = other.Size, stale+1 // it signed a head that is not in the database, or not yet
			continue
		}
		if err != nil {
			return err
		}
		if err := l.keepHead(ctx, &ask, &signed); err != nil || !more {
			return err
		}
		after = -1
	}
	return fault.New(fault.KindUnavailable, "log_busy", "The log's head was signed by others again and again. Try again.")
}

// askHead asks for the log as it is now, or as far as one head may follow another, which more
// tells; of nothing where its head is signed. After is the size that the signer says it
// signed last, or -1.
func askHead(tx *db.Tx, after int64) (ask auditlog.HeadAsk, more bool, err error) {
	size, err := tx.LogSize()
	if err != nil || size == 0 && after <= 0 {
		return ask, false, err
	}
	heads, err := tx.Checkpoints(maxSize, 1)
	if err != nil {
		return ask, false, err
	}
	known := int64(0)
	if len(heads) == 1 {
		if heads[0].Size == size && after <= size {
			return ask, false, nil
		}
		if err := continues(tx, heads[0], size); err != nil {
			return ask, false, err
		}
		known = heads[0].Size
	}
	if after < 0 {
		after = known
	}
	if after > size { // what it signed is not here any more
		return ask, false, auditlog.ErrForked
	}
	if more = after > 0 && size-after > auditlog.MaxGrowth; more {
		size = after + auditlog.MaxGrowth
	}
	ask = auditlog.HeadAsk{Tenant: tx.Tenant, Size: size, After: after}
	if ask.Root, err = auditlog.RootAt(size, tx.LogNodes); err != nil {
		return ask, false, err
	}
	if after > 0 { // a first head is trusted, being the first
		ask.Edge, ask.Leaves, err = auditlog.Growth(size, after, tx.LogNodes)
	}
	return ask, more, err
}

// continues refuses a log that does not begin with one whose head was signed.
func continues(tx *db.Tx, signed db.CheckpointRow, size int64) error {
	if signed.Size > size {
		return auditlog.ErrForked
	}
	keys, err := tx.LogKeys()
	if err != nil {
		return err
	}
	verifiers, err := auditlog.Verifiers(keys)
	if err != nil || !asSigned(tx, signed, verifiers) { // the columns beside it anybody could write
		return auditlog.ErrForked.Because(err)
	}
	before, err := auditlog.RootAt(signed.Size, tx.LogNodes)
	if err != nil {
		return err
	}
	if !bytes.Equal(before[:], signed.Root) {
		return auditlog.ErrForked
	}
	return nil
}

// asSigned tells whether a stored head is, column for column, what a key signed.
func asSigned(tx *db.Tx, stored db.CheckpointRow, verifiers note.Verifiers) bool {
	head, err := auditlog.OpenCheckpoint(stored.Message, verifiers)
	return err == nil && head.Size == stored.Size && bytes.Equal(head.Root[:], stored.Root) && head.Origin == auditlog.Origin(tx.Tenant)
}

var errSigner = fault.New(fault.KindInternal, "signer_answer", "What the signer answered is not what it was asked to sign.")

// keepHead stores a head that was signed, and what became of the keys with it.
func (l *Log) keepHead(ctx context.Context, ask *auditlog.HeadAsk, signed *auditlog.Signed) error {
	var now []string
	for _, key := range signed.Keys {
		now = append(now, key.Verifier)
	}
	verifiers, err := auditlog.Verifiers(now)
	if err != nil {
		return errSigner.Because(err)
	}
	head, err := auditlog.OpenCheckpoint(signed.Message, verifiers)
	if err != nil || head.Origin != auditlog.Origin(ask.Tenant) || head.Size != ask.Size || head.Root != ask.Root || len(auditlog.SignedBy(signed.Message, now)) != len(now) {
		return errSigner.Because(err)
	}
	return l.db.InTenant(ctx, ask.Tenant, func(tx *db.Tx) error {
		before, err := tx.Checkpoints(ask.Size-1, 1)
		if err != nil {
			return err
		}
		if err := tx.AddCheckpoint(db.CheckpointRow{Size: ask.Size, Root: ask.Root[:], Message: signed.Message}); err != nil {
			return err
		}
		if err := witnessJobs(tx, l.Witnesses()); err != nil {
			return err
		}
		if err := useLogKeys(tx, signed.Keys); err != nil || len(before) == 0 {
			return err
		}
		return endLogKeys(tx, before[0].Message, now, ask.Size)
	})
}

// useLogKeys keeps the public halves of keys that sign; that one did so first is a record,
// which tells whether the key before named it.
func useLogKeys(tx *db.Tx, keys []auditlog.PublicKey) error {
	for _, key := range slices.Backward(keys) { // the oldest first: it names the others
		known, err := tx.LogKeys()
		if err != nil {
			return err
		}
		fresh, err := tx.AddLogKey(key.Verifier, key.Endorsed)
		if err != nil {
			return err
		}
		if !fresh {
			continue
		}
		detail := map[string]any{"verifier": key.Verifier}
		if by, ok := auditlog.Endorser(key, known); ok {
			detail["endorsed_by"], detail["endorsement"] = by, confirmation.Hex(key.Endorsed)
		}
		if err := tx.AppendAudit(auditlog.Record{Action: "log.key_used", Actor: string(ActorSystem), Detail: detail}); err != nil {
			return err
		}
	}
	return nil
}

// endLogKeys records which keys signed the head before and not this one.
func endLogKeys(tx *db.Tx, before []byte, now []string, size int64) error {
	known, err := tx.LogKeys()
	if err != nil {
		return err
	}
	for _, key := range auditlog.SignedBy(before, known) {
		if slices.Contains(now, key) {
			continue
		}
		if err := tx.EndLogKey(key, size); err != nil {
			return err
		}
		if err := tx.AppendAudit(auditlog.Record{Action: "log.key_ended", Actor: string(ActorSystem), Detail: map[string]any{"verifier": key, "size": size}}); err != nil {
			return err
		}
	}
	return nil
}

// SignDecision signs the text of a tenant's decision with its key for decisions. A signer
// that is apart is on this machine, or answers within seconds: the decision waits for it.
func (l *Log) SignDecision(tx *db.Tx, text string) ([]byte, error) {
	signed, err := l.signer.SignDecision(tx.Context(), tx.Tenant, text)
	if err != nil {
		return nil, fmt.Errorf("sign decision: %w", err)
	}
	if len(signed.Keys) != 1 {
		return nil, errSigner
	}
	verifiers, err := auditlog.Verifiers([]string{signed.Keys[0].Verifier})
	if err != nil {
		return nil, errSigner.Because(err)
	}
	if err := confirmation.Open(signed.Message, tx.Tenant, text, verifiers); err != nil {
		return nil, errSigner.Because(err)
	}
	return signed.Message, useLogKeys(tx, signed.Keys)
}

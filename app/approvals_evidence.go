package app

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/confirmation"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// WitnessNone is what records and exports say while no witness is configured.
const WitnessNone = "none"

// relyOn keeps an issuer's keys before a decision rests on them: a key set that is new is
// a record of its own, which has its place in the log, under a signed head that a witness
// has seen, where one is configured, when this returns. Without one the record, the page
// and the export say so.
func (a *Approvals) relyOn(ctx context.Context, tenant id.Tenant, issuer Issuer, published []byte) (confirmation.KeySet, []byte, error) {
	set, err := confirmation.ReadKeySet(issuer.URL, published)
	if err != nil {
		return set, nil, err
	}
	canonical, err := set.Canonical()
	if err != nil {
		return set, nil, err
	}
	digest := digestOf(canonical)
	placed, at := false, int64(-1)
	var named id.Record
	err = a.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		if err := tx.LockKeySets(); err != nil {
			return err
		}
		row, known, err := tx.KeySet(digest)
		if err != nil {
			return err
		}
		if known {
			record, found, err := tx.LogRecord(row.RecordID)
			placed, at, named = found && record.Sequence >= 0, record.Sequence, row.RecordID
			return err
		}
		var kids []string
		for _, key := range set.Keys {
			kids = append(kids, key.Kid)
		}
		record := auditlog.Record{ID: id.NewRecord(tx.Now), Action: "issuer.keys", Actor: string(ActorSystem), Subject: issuer.ID.String(), Detail: map[string]any{
			"issuer": issuer.URL, "keys": hex.EncodeToString(digest), "kids": kids, "witness": a.witnessWords(),
		}}
		named = record.ID
		if err := tx.AppendAudit(record); err != nil {
			return err
		}
		return tx.AddKeySet(db.KeySetRow{Digest: digest, Issuer: issuer.URL, Document: canonical, RecordID: record.ID})
	})
	if err != nil {
		return set, digest, err
	}
	if !placed {
		if _, err := sequence(ctx, a.db, tenant); err != nil {
			return set, digest, err
		}
		if err := a.log.Sign(ctx, tenant); err != nil {
			return set, digest, err
		}
		if at, err = a.placeOf(ctx, tenant, named); err != nil {
			return set, digest, err
		}
	}
	return set, digest, a.log.rely(ctx, tenant, at)
}

// witnessWords are the names of the witnesses, as the record of a key set has them.
func (a *Approvals) witnessWords() string {
	if names := a.log.Witnesses(); len(names) > 0 {
		return strings.Join(names, ", ")
	}
	return WitnessNone
}

// placeOf is a record's place in the log.
func (a *Approvals) placeOf(ctx context.Context, tenant id.Tenant, record id.Record) (at int64, err error) {
	err = a.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		row, _, err := tx.LogRecord(record)
		at = row.Sequence
		return err
	})
	return at, err
}

// Evidence is what a confirmed decision rests on, byte for byte as it was hashed.
type Evidence struct {
	Document  []byte
	Token     string // the ID token; it holds what the issuer says of the person
	Claims    []byte // its claims
	Keys      []byte // the issuer's key set
	Signature []byte // Tollbook's

	keysDigest []byte
	keysRecord id.Record
}

var errNoEvidence = fault.New(fault.KindNotFound, "evidence_absent", "This decision was not confirmed, or its evidence is not yours to see.")

// evidenceOf reads what a decision rests on.
func evidenceOf(tx *db.Tx, ring *secret.Keyring, decision id.Decision) (Evidence, error) {
	document, err := tx.DecisionDocument(decision)
	if err != nil {
		return Evidence{}, err
	}
	kept, found, err := tx.Confirmation(decision)
	if err != nil {
		return Evidence{}, err
	}
	if !found {
		return Evidence{}, errNoEvidence
	}
	keys, found, err := tx.KeySet(kept.KeySetDigest)
	if err != nil {
		return Evidence{}, err
	}
	if !found {
		return Evidence{}, errNoEvidence
	}
	own, err := tenantRing(tx, ring)
	if err != nil {
		return Evidence{}, err
	}
	token, err := own.Open(purposeIDToken, decision.String(), kept.TokenSealed)
	if err != nil {
		return Evidence{}, err
	}
	e := Evidence{Document: document.Document, Token: string(token), Keys: keys.Document, Signature: kept.Signature, keysDigest: kept.KeySetDigest, keysRecord: keys.RecordID}
	if parts := strings.Split(e.Token, "."); len(parts) == 3 {
		e.Claims, err = base64.RawURLEncoding.DecodeString(parts[1])
	}
	return e, err
}

// DecisionState is what became of a decision that an issuer is to confirm.
type DecisionState string

// The states of a decision.
const (
	DecisionAsked     DecisionState = "asked"
	DecisionConfirmed DecisionState = "confirmed"
	DecisionRefused   DecisionState = "refused"
	DecisionExpired   DecisionState = "expired"
)

// DecisionView is a decision that an issuer is to confirm, or did.
type DecisionView struct {
	ID       id.Decision
	Change   ChangeView
	State    DecisionState
	Document confirmation.Document
	Nonce    string // the document's digest as the issuer is given it
	Digest   string // the document's, in hexadecimal
	Who, For Hand   // For is empty where they decide for themselves
	Reason   string
	Step     string    // its name
	EndedAt  time.Time // confirmed or refused
	Refused  string    // the code
	Own      bool      // the actor's own
	Evidence bool      // the actor may read it
	Ticket   []byte    // of one's own, while the issuer is to be asked
	Proof    *DecisionProof
}

// DecisionProof is what a confirmed decision is proved by.
type DecisionProof struct {
	KeyID      string
	AuthTime   time.Time
	Token      string // digests, in hexadecimal
	Claims     string
	Keys       string
	KeysRecord id.Record
	Signature  string // the signed note
}

// Decision shows a decision to who made it and to who may read its change.
func (a *Approvals) Decision(ctx context.Context, who Actor, decision id.Decision) (DecisionView, error) {
	if err := a.access.Check(who, "change", "read"); err != nil {
		return DecisionView{}, err
	}
	var view DecisionView
	err := a.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.DecisionDocument(decision)
		if err != nil {
			return err
		}
		room, err := a.room(tx)
		if err != nil {
			return err
		}
		change, _, err := a.visible(tx, room, who, row.ChangeID)
		if fault.KindOf(err) == fault.KindNotFound && err != nil {
			return db.ErrDecisionAbsent
		}
		if err != nil {
			return err
		}
		view = DecisionView{ID: decision, Change: change, Digest: hex.EncodeToString(row.Digest), Nonce: confirmation.Nonce(row.Document), Reason: row.Reason, Refused: row.Refused, Own: who.Member == row.MemberID}
		view.Evidence = view.Own || a.access.Check(who, "audit", "read") == nil
		if view.Document, err = confirmation.ParseDocument(row.Document); err != nil {
			return err
		}
		if steps := change.Terms.Policy.Steps; view.Document.Step < len(steps) {
			view.Step = steps[view.Document.Step].Name
		}
		if err := a.proof(tx, &row, &view); err != nil {
			return err
		}
		if view.State == DecisionAsked && view.Own {
			if view.Ticket, err = a.ring.Open(purposeDecision, decision.String(), row.TicketSealed); err != nil {
				return err
			}
		}
		return a.nameDecider(tx, &view)
	})
	return view, err
}

func (a *Approvals) nameDecider(tx *db.Tx, view *DecisionView) error {
	actors := []string{view.Document.Member.String()}
	if !view.Document.For.IsZero() {
		actors = append(actors, view.Document.For.String())
	}
	hands, err := a.members.hands(tx, actors)
	view.Who, view.For = hands[view.Document.Member.String()], hands[view.Document.For.String()]
	return err
}

// proof adds to a view what became of the decision.
func (a *Approvals) proof(tx *db.Tx, row *db.DecisionRow, view *DecisionView) error {
	switch {
	case row.EndedAt == nil && tx.Now.Before(row.ExpiresAt):
		view.State = DecisionAsked
		return nil
	case row.EndedAt == nil:
		view.State = DecisionExpired
		return nil
	}
	view.EndedAt = row.EndedAt.UTC()
	if row.Refused != "" {
		view.State = DecisionRefused
		return nil
	}
	view.State = DecisionConfirmed
	kept, found, err := tx.Confirmation(row.DecisionID)
	if err != nil || !found {
		return err
	}
	keys, _, err := tx.KeySet(kept.KeySetDigest)
	view.Proof = &DecisionProof{
		KeyID: kept.KeyID, AuthTime: kept.AuthTime.UTC(), Token: hex.EncodeToString(kept.TokenDigest), Claims: hex.EncodeToString(kept.ClaimsDigest), Keys: hex.EncodeToString(kept.KeySetDigest),
		KeysRecord: keys.RecordID, Signature: string(kept.Signature),
	}
	return err
}

// DecisionEvidence reads what a confirmed decision rests on: for who decided, and for who
// may read the audit log.
func (a *Approvals) DecisionEvidence(ctx context.Context, who Actor, decision id.Decision) (Evidence, error) {
	view, err := a.Decision(ctx, who, decision)
	if err != nil {
		return Evidence{}, err
	}
	if !view.Evidence {
		return Evidence{}, errNoEvidence
	}
	var found Evidence
	err = a.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		found, err = evidenceOf(tx, a.ring, decision)
		return err
	})
	return found, err
}

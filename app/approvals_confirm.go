package app

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"strings"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/confirmation"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

const (
	purposeDecision = "decision-ticket"
	purposeIDToken  = "decision-token"
)

// Faults of a decision that the decider's issuer is to confirm.
var (
	ErrUnsigned = fault.New(fault.KindConflict, "decision_unsigned",
		"Tollbook cannot sign decisions here, so that none of this kind is approved: the installation has no log key. Whoever runs it sets TOLLBOOK_LOG_KEY to 32 random bytes in base64 and restarts it. A change can still be rejected.")
	ErrNotFresh         = fault.New(fault.KindConflict, "fresh_sign_in_unasked", "The policy of this change does not ask to sign in again. Approve it on its page.")
	ErrDecisionUsed     = fault.New(fault.KindConflict, "decision_used", "This decision was confirmed or refused before. What comes back from an issuer counts once: approve again.")
	ErrDecisionLate     = fault.New(fault.KindConflict, "decision_expired", "You came back from your issuer too late: ten minutes after you approved, nothing is decided any more. Approve again.")
	ErrDecisionPerson   = fault.New(fault.KindForbidden, "decision_session", "Somebody else began this decision than who is signed in here now. Nothing was decided: sign in as who began it, and approve again.")
	ErrDecisionMoved    = fault.New(fault.KindConflict, "decision_moved", "Somebody decided another step while you were at your issuer, so that yours is a different one now. Look at the change, and approve again.")
	ErrDecisionBrowser  = fault.New(fault.KindForbidden, "decision_browser", "Another browser began this decision. Nothing was decided: approve again, and stay in one browser.")
	ErrDecisionDeclined = fault.New(fault.KindForbidden, "decision_declined", "Your issuer did not confirm you. Nothing was decided: approve again when you are ready to sign in there.")
	ErrDecisionExchange = fault.New(fault.KindForbidden, "decision_exchange", "Your issuer gave no ID token for what your browser brought back. Nothing was decided: approve again.")
	// ErrIssuerAway reports an issuer that does not answer: nothing is decided without it.
	ErrIssuerAway = fault.New(fault.KindUnavailable, "issuer_unavailable",
		"Your issuer does not answer. While it is away nobody can be confirmed, and nothing of this kind is approved; a change can still be rejected. Try again in a moment.")
	ErrDecisionIssuer = fault.New(fault.KindForbidden, "decision_issuer_gone", "The issuer of this decision is not set up here any more, or not yours. Nothing was decided: sign in again, and approve again.")
)

// DecisionWords say what a code of a refused decision means; empty for one of other origin.
func DecisionWords(code string) string {
	for _, f := range []*fault.Fault{
		ErrUnsigned, ErrUnwitnessed, ErrNotFresh, ErrDecisionUsed, ErrDecisionLate, ErrDecisionPerson, ErrDecisionMoved, ErrDecisionIssuer, ErrDecisionBrowser,
		ErrDecisionDeclined, ErrDecisionExchange, ErrIssuerAway,
		confirmation.ErrToken, confirmation.ErrAlgorithm, confirmation.ErrKey, confirmation.ErrSignature, confirmation.ErrIssuer, confirmation.ErrAudience, confirmation.ErrTokenEnded,
		confirmation.ErrNonce, confirmation.ErrSubject, confirmation.ErrNoAuthTime, confirmation.ErrStale,
		approval.ErrDigest, approval.ErrSelfApproval, approval.ErrNotAsked, approval.ErrNotYet, approval.ErrTwice, ErrExpired, ErrDuty,
	} {
		if f.Code == code {
			return f.Message
		}
	}
	return ""
}

// Signs tells whether decisions that issuers confirm can be signed here.
func (a *Approvals) Signs() bool { return a.log != nil && a.log.Signs() }

// Witnesses are the names of those outside who see an issuer's keys before a decision rests
// on them.
func (a *Approvals) Witnesses() []string {
	if a.log == nil {
		return nil
	}
	return a.log.Witnesses()
}

// AskIssuer stores what a person decides about a change whose policy asks for a fresh
// sign-in, so that their issuer can be asked to confirm it. It returns the decision; the
// ticket is made for the state that comes back and the nonce to ask for, and kept sealed.
// Nothing is decided by it. Keys are what the issuer publishes now.
func (a *Approvals) AskIssuer(
	ctx context.Context, who Actor, change id.Change, r Ruling, issuer Issuer, keys []byte, ticket func(state, nonce string) ([]byte, error),
) (id.Decision, error) {
	var decision id.Decision
	found := false
	err := a.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.Change(change)
		if err != nil {
			return err
		}
		kind, ok := a.changes.governed[row.Kind]
		if !ok {
			return db.ErrChangeAbsent
		}
		found = true
		if who.Kind != ActorPerson {
			return ErrNoPerson
		}
		view, err := changeView(&row)
		if err != nil {
			return err
		}
		weighed, err := a.weigh(tx, who, view, kind, r)
		switch {
		case err != nil:
			return err
		case !weighed.view.Terms.Policy.FreshSignIn || r.Verdict != approval.VerdictApprove:
			return ErrNotFresh
		case !a.Signs():
			return ErrUnsigned
		case who.issuer != issuer.URL:
			return ErrDecisionIssuer
		}
		decision, err = a.ask(tx, who, &weighed, r, issuer, ticket)
		return err
	})
	if err != nil {
		if found {
			if failed := a.refused(ctx, who, change, r, err); failed != nil {
				return id.Decision{}, failed
			}
		}
		return id.Decision{}, err
	}
	// Now, so that what comes back need not wait for it.
	_, _, err = a.relyOn(ctx, who.Tenant, issuer, keys)
	return decision, err
}

// ask stores a decision's document.
func (a *Approvals) ask(tx *db.Tx, who Actor, w *weighed, r Ruling, issuer Issuer, ticket func(state, nonce string) ([]byte, error)) (id.Decision, error) {
	salt := confirmation.NewSalt()
	document := confirmation.Document{
		Tenant: tx.Tenant, Change: w.view.ID, Number: w.view.Number, Kind: w.view.Kind, Digest: w.view.DigestText(), Verdict: string(r.Verdict), Reason: confirmation.Hex([]byte(r.Reason)),
		Step: w.out.Step, For: r.For, Member: who.Member, Person: who.Person, Issuer: issuer.URL, ClientID: issuer.ClientID, Subject: confirmation.SubjectOf(salt, who.subject), Salt: salt, AskedAt: tx.Now,
	}
	canonical, err := document.Canonical()
	if err != nil {
		return id.Decision{}, err
	}
	decision := id.NewDecision(tx.Now)
	state := decision.String() + "." + tx.Tenant.String() + "." + secret.Mint("").Reveal()
	made, err := ticket(state, confirmation.Nonce(canonical))
	if err != nil {
		return id.Decision{}, err
	}
	hash := a.ring.Hasher(purposeDecision).Current(state)
	err = tx.AddDecisionDocument(db.DecisionRow{
		DecisionID: decision, ChangeID: w.view.ID, MemberID: who.Member, IssuerID: issuer.ID, Digest: digestOf(canonical), Document: canonical, Reason: r.Reason,
		StateHash: hash[:], TicketSealed: a.ring.Seal(purposeDecision, decision.String(), made), ExpiresAt: document.ExpiresAt(),
	})
	if err != nil {
		return id.Decision{}, err
	}
	return decision, tx.AppendAudit(auditlog.Record{Action: "change.decision_asked", Actor: who.ID(), Subject: w.view.ID.String(), Detail: map[string]any{
		"decision": decision.String(), "document": confirmation.Hex(canonical), "digest": w.view.DigestText(), "kind": w.view.Kind, "number": w.view.Number, "issuer": issuer.URL,
	}})
}

// IsDecision tells whether a state that came back from an issuer is of a decision, not of
// a sign-in.
func IsDecision(state string) bool { return strings.HasPrefix(state, "dcn_") }

// Answer is what came back from an issuer for a decision, with the keys that it publishes
// at that time.
type Answer struct {
	Token string
	Keys  []byte
}

// Asked is a decision whose decider came back.
type Asked struct {
	Decision id.Decision
	Change   id.Change
	Issuer   id.Issuer
	Ticket   []byte
}

// Confirm takes what came back from a decider's issuer by its state, and decides: in one
// commit the token is kept with the key set that verified it, Tollbook signs the decision,
// and the verdict counts. Whatever is wrong is recorded, and uses the decision up. Fetch
// exchanges what the browser brought for the token; it is asked only when there is
// something to decide.
func (a *Approvals) Confirm(ctx context.Context, who Actor, state string, fetch func(Asked) (Answer, error)) (Asked, error) {
	row, err := a.came(ctx, who, state)
	if err != nil {
		return Asked{}, err
	}
	asked := Asked{Decision: row.DecisionID, Change: row.ChangeID, Issuer: row.IssuerID}
	document, err := confirmation.ParseDocument(row.Document)
	if err != nil {
		return asked, err
	}
	r := Ruling{
		Ruling: approval.Ruling{Verdict: approval.Verdict(document.Verdict), Reason: row.Reason}, For: document.For,
		confirmed: &confirming{area: a, row: row, document: document},
	}
	seen, err := digests(document.Digest)
	if err != nil {
		return asked, err
	}
	r.Seen = seen[0]
	if err := a.collect(ctx, who, r.confirmed, &asked, fetch); err != nil {
		if failed := a.refused(ctx, who, row.ChangeID, r, err); failed != nil {
			return asked, failed
		}
		return asked, err
	}
	_, err = a.Rule(ctx, who, row.ChangeID, r)
	return asked, err
}

// came finds the decision of a state.
func (a *Approvals) came(ctx context.Context, who Actor, state string) (db.DecisionRow, error) {
	text, rest, _ := strings.Cut(state, ".")
	tenant, _, _ := strings.Cut(rest, ".")
	decision, err := id.ParseDecision(text)
	if err != nil || tenant != who.Tenant.String() {
		return db.DecisionRow{}, db.ErrDecisionAbsent
	}
	var row db.DecisionRow
	err = a.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err = tx.DecisionDocument(decision)
		return err
	})
	if err != nil {
		return db.DecisionRow{}, err
	}
	for _, hash := range a.ring.Hasher(purposeDecision).Accepted(state) {
		if subtle.ConstantTimeCompare(hash[:], row.StateHash) == 1 {
			return row, nil
		}
	}
	return db.DecisionRow{}, db.ErrDecisionAbsent
}

// collect gets the token, unless the decision is over already.
func (a *Approvals) collect(ctx context.Context, who Actor, c *confirming, asked *Asked, fetch func(Asked) (Answer, error)) error {
	var issuer db.IssuerRow
	err := a.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		switch {
		case who.Kind != ActorPerson || who.Member != c.row.MemberID:
			return ErrDecisionPerson
		case c.row.EndedAt != nil:
			return ErrDecisionUsed
		case !tx.Now.Before(c.row.ExpiresAt):
			return ErrDecisionLate
		case !a.Signs():
			return ErrUnsigned
		}
		rows, err := tx.Issuers()
		if err != nil {
			return err
		}
		for _, one := range rows {
			if one.IssuerID == c.row.IssuerID && one.URL == c.document.Issuer && one.ClientID == c.document.ClientID {
				issuer = one
				return nil
			}
		}
		return ErrDecisionIssuer
	})
	if err != nil {
		return err
	}
	if asked.Ticket, err = a.ring.Open(purposeDecision, c.row.DecisionID.String(), c.row.TicketSealed); err != nil {
		return err
	}
	answer, err := fetch(*asked)
	if err != nil {
		return err
	}
	c.token = answer.Token
	c.keys, c.keysDigest, err = a.relyOn(ctx, who.Tenant, Issuer{ID: issuer.IssuerID, URL: issuer.URL}, answer.Keys)
	return err
}

// confirming is a decision on its way to being confirmed.
type confirming struct {
	area       *Approvals
	row        db.DecisionRow
	document   confirmation.Document
	token      string
	keys       confirmation.KeySet
	keysDigest []byte
	said       confirmation.Said // what its record says, once it is kept
}

// refuse uses a decision up; one that is used up stays what it is.
func (c *confirming) refuse(tx *db.Tx, code string, detail map[string]any) error {
	if c == nil {
		return nil
	}
	detail["decision"] = c.row.DecisionID.String()
	_, err := tx.EndDecision(c.row.DecisionID, code)
	return err
}

// keep checks the token and stores it with the vote that it confirms.
func (c *confirming) keep(tx *db.Tx, vote *db.VoteRow) error {
	if c == nil {
		return nil
	}
	if vote.Step != c.document.Step {
		return ErrDecisionMoved
	}
	claims, err := confirmation.Check(c.row.Document, c.token, c.keys, tx.Now)
	if err != nil {
		return err
	}
	decision := c.row.DecisionID
	named := confirmation.Digests{Document: confirmation.Hex(c.row.Document), Token: confirmation.Hex([]byte(c.token)), Keys: hex.EncodeToString(c.keysDigest)}
	if !c.area.Signs() {
		return ErrUnsigned
	}
	signature, err := c.area.log.SignDecision(tx, confirmation.Text(tx.Tenant, decision, named))
	if err != nil {
		return err
	}
	first, err := tx.EndDecision(decision, "")
	if err != nil {
		return err
	}
	if !first {
		return ErrDecisionUsed
	}
	c.said = confirmation.Said{
		Decision: decision.String(), Document: named.Document, Token: named.Token, Claims: confirmation.Hex(claims.Payload), Keys: named.Keys, KeyID: claims.KeyID,
		Signature: confirmation.Hex(signature), Issuer: c.document.Issuer, AskedAt: c.document.AskedAt, AuthTime: claims.AuthTime,
	}
	own, err := tenantRing(tx, c.area.ring)
	if err != nil {
		return err
	}
	return tx.AddConfirmation(db.ConfirmationRow{
		DecisionID: decision, ChangeID: vote.ChangeID, VoteID: vote.VoteID, KeySetDigest: c.keysDigest, KeyID: claims.KeyID,
		TokenSealed: own.Seal(purposeIDToken, decision.String(), []byte(c.token)), TokenDigest: digestOf([]byte(c.token)), ClaimsDigest: digestOf(claims.Payload),
		AuthTime: claims.AuthTime, Signature: signature,
	})
}

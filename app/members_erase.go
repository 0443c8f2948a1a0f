package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// ErasedName stands where the name of an erased person was.
const ErasedName = "erased person"

// personName opens a person's name; one that was erased has none any more.
func personName(ring *secret.Keyring, person id.Person, sealed []byte) (string, error) {
	if len(sealed) == 0 {
		return ErasedName, nil
	}
	plain, err := ring.Open(purposeName, person.String(), sealed)
	return string(plain), err
}

// erasureAsk is what a maker sends: an account of the person, or a developer's id. Exactly
// one is set.
type erasureAsk struct {
	Member    id.Member    `json:"member,omitzero"`
	Developer id.Developer `json:"developer,omitzero"`
}

// erasurePayload is what an erasure says, by opaque ids alone: it stays in the log. The
// database reads the last two.
type erasurePayload struct {
	Accounts     []string `json:"accounts"`
	PersonID     string   `json:"person_id,omitempty"`
	DeveloperIDs []string `json:"developer_ids"`
}

// AskErasure is the proposal that a person's names, address and labels become unreadable.
func AskErasure(member id.Member, reason string) Ask {
	return ask(changeErasure, reason, erasureAsk{Member: member})
}

// AskLabelErasure is the proposal that a developer's declared label becomes unreadable.
func AskLabelErasure(developer id.Developer, reason string) Ask {
	return ask(changeErasure, reason, erasureAsk{Developer: developer})
}

var (
	errErasedAlready = fault.New(fault.KindConflict, "erased_already", "This was erased already.")
	errNotSuspended  = fault.New(fault.KindConflict, "erasure_of_active", "Suspend the person first: sessions, tokens and proposals that wait end with that, and who can sign in cannot be erased.")
	errEraseSelf     = fault.New(fault.KindConflict, "own_erasure", "You cannot propose your own erasure. Ask another tenant owner.")
)

func (m *Members) draftErasure(tx *db.Tx, who Actor, payload []byte, _ time.Time) (draft, error) {
	var asked erasureAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	if asked.Member.IsZero() == asked.Developer.IsZero() {
		return draft{}, fault.Invalid("member", "erasure_whom", "Name a member, or a developer: one of the two.")
	}
	if !asked.Developer.IsZero() {
		rows, err := tx.Developers([]string{asked.Developer.UUID()})
		switch {
		case err != nil:
			return draft{}, err
		case len(rows) == 0:
			return draft{}, fault.New(fault.KindNotFound, "developer_absent", "There is no such developer.")
		case len(rows[0].LabelSealed) == 0:
			return draft{}, errErasedAlready
		}
		return draft{payload: erasurePayload{Accounts: []string{}, DeveloperIDs: []string{asked.Developer.UUID()}}}, nil
	}
	row, err := tx.Member(asked.Member)
	if err != nil {
		return draft{}, err
	}
	if row.PersonID == who.Person {
		return draft{}, errEraseSelf
	}
	p, err := m.erasureOf(tx, row.PersonID)
	return draft{payload: p}, err
}

// erasureOf names all of a person that is to be erased; every account has to be suspended.
func (m *Members) erasureOf(tx *db.Tx, person id.Person) (erasurePayload, error) {
	p := erasurePayload{PersonID: person.UUID(), DeveloperIDs: []string{}}
	if at, err := tx.PersonErased(person); err != nil || at != nil {
		return p, cmp.Or(err, error(errErasedAlready))
	}
	accounts, err := tx.Accounts(person)
	if err != nil {
		return p, err
	}
	for i := range accounts {
		if accounts[i].SuspendedAt == nil {
			return p, errNotSuspended
		}
	}
	p.Accounts = memberIDs(accounts)
	persons, err := tx.FormerPersons(person)
	if err != nil {
		return p, err
	}
	for _, one := range append([]id.Person{person}, persons...) { // each address is a label
		own, err := m.ownDeveloper(tx, one)
		if err != nil {
			return p, err
		}
		if own.IsZero() {
			continue
		}
		seen, err := tx.Developers([]string{own.UUID()})
		if err != nil {
			return p, err
		}
		if len(seen) > 0 && !slices.Contains(p.DeveloperIDs, own.UUID()) {
			p.DeveloperIDs = append(p.DeveloperIDs, own.UUID())
		}
	}
	return p, nil
}

func (m *Members) applyErasure(tx *db.Tx, c approval.Change) error {
	var p erasurePayload
	if err := stored(c, &p); err != nil {
		return err
	}
	if p.PersonID != "" {
		person, err := id.ParsePerson(p.PersonID)
		if err != nil {
			return err
		}
		now, err := m.erasureOf(tx, person)
		if err != nil { // resumed, or erased, since it was proposed
			return errOvertaken("erasure_overtaken", fault.From(err).Message+" Propose it again.")
		}
		if !slices.Equal(now.Accounts, p.Accounts) || !slices.Equal(now.DeveloperIDs, p.DeveloperIDs) {
			return errOvertaken("erasure_overtaken", "What it would reach is not what was proposed: an account was linked since, or a label came. Propose it again.")
		}
	}
	if err := tx.Erase(c.ID); err != nil {
		return fmt.Errorf("erase for %s: %w", c.ID, err)
	}
	return nil
}

// OutOfReach is what no erasure changes, in words, for whoever is about to propose one.
func OutOfReach() []string { return outOfReach() }

// outOfReach is what an erasure cannot change, in words; it is part of what is decided.
func outOfReach() []string {
	return []string{
		"Audit records and changes hold opaque ids and stay as they were hashed, so that proofs still verify.",
		"Packets, ERP files, exports and CSV files that left this installation, and mail that was sent.",
		"Raw responses of the provider, which hold its own ids.",
		"Tokens of issuers that are kept as the evidence of signed decisions.",
		"Backups made before, until they expire; a restore applies the erasure again.",
		"What somebody typed as free text: a reason, a comment, an attachment, a label of a key or a token.",
	}
}

func (m *Members) erasureImpact(_ *db.Tx, c approval.Change) (approval.Impact, error) {
	var p erasurePayload
	if err := stored(c, &p); err != nil {
		return approval.Impact{}, err
	}
	if p.PersonID == "" {
		return approval.Impact{Sentence: "The label that a developer declared can never be read again; requests keep their opaque id and their dollars stay where they are."}, nil
	}
	return approval.Impact{Sentence: fmt.Sprintf("Name, address, sign-in identity and developer label of %s can never be read again, by nobody and from no later backup. "+
		"Accounts that this clears: %d; their records and their dollars stay under opaque ids. It cannot be undone.", p.Accounts[0], len(p.Accounts))}, nil
}

// Erasure is the report of an applied erasure.
type Erasure struct {
	Change     id.Change
	Number     int64
	ErasedAt   time.Time
	Parts      []ErasedPart
	OutOfReach []string
}

// ErasedPart is one subject that was erased, and how much of it there was.
type ErasedPart struct {
	Kind                                          string // person or developer
	Subject                                       string // an opaque id
	Keys, Accounts, Sessions, Invitations, Labels int64
	Decisions, Deliveries, Exports                int64 // that are out of reach
}

var errErasureAbsent = fault.New(fault.KindNotFound, "erasure_absent", "There is no such erasure, or it was not applied.")

// Erasure reports what an applied change erased, and what it could not reach.
func (m *Members) Erasure(ctx context.Context, who Actor, change id.Change) (Erasure, error) {
	if err := m.access.Check(who, "member", "read"); err != nil {
		return Erasure{}, err
	}
	report := Erasure{Change: change, OutOfReach: outOfReach()}
	err := m.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Erasures(change, MaxRows)
		if err != nil {
			return err
		}
		if len(rows) == 0 || change.IsZero() {
			return errErasureAbsent
		}
		for i := range rows {
			r := &rows[i]
			report.Number, report.ErasedAt = r.Number, r.ErasedAt.UTC()
			part, err := erasedPart(tx, r)
			if err != nil {
				return err
			}
			report.Parts = append(report.Parts, part)
		}
		return nil
	})
	return report, err
}

func erasedPart(tx *db.Tx, r *db.ErasureRow) (ErasedPart, error) {
	var n struct{ Keys, Accounts, Sessions, Invitations, Labels int64 }
	if err := json.Unmarshal(r.Erased, &n); err != nil {
		return ErasedPart{}, errors.Join(errors.New("read what was erased"), err)
	}
	part := ErasedPart{Kind: r.Kind, Keys: n.Keys, Accounts: n.Accounts, Sessions: n.Sessions, Invitations: n.Invitations, Labels: n.Labels}
	if r.Kind == "developer" {
		part.Subject = id.DeveloperFromBytes(r.SubjectID.Bytes()).String()
		return part, nil
	}
	part.Subject = r.SubjectID.String()
	trace, err := tx.TraceOf(r.SubjectID)
	part.Decisions, part.Deliveries, part.Exports = trace.Decisions, trace.Deliveries, trace.Exports
	return part, err
}

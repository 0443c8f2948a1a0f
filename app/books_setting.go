package app

import (
	"fmt"
	"slices"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/ledger"
	"tollbook/app/usage"
	"tollbook/db"
)

// BooksTerms is how a company's charges are booked.
type BooksTerms struct {
	Treatment ledger.Treatment `json:"treatment"`
	Payer     string           `json:"payer"`     // the code of the entity that holds the workspace; empty: the hierarchy's first
	Workspace string           `json:"workspace"` // the provider's name of what is paid for
}

const (
	maxPayerBytes     = 40
	maxWorkspaceBytes = 100
)

// govern tells the funnel of how charges are booked, and of reversals. A second person
// decides: it says in whose books cost lies.
func (b *Books) govern() {
	b.changes.govern(changeBooks, governed{
		checks: "finance", floor: approval.FloorSecond, revisable: true, lock: (*db.Tx).LockBooks, draft: b.draftTerms, apply: b.applyTerms, impact: b.termsImpact,
	})
	b.changes.govern(changeReversal, governed{
		checks: "finance", floor: approval.FloorSecond, lock: (*db.Tx).LockJournal, draft: b.draftReversal, apply: b.applyReversal, impact: b.reversalImpact,
		months: reversalMonths,
	})
}

// AskBooks is the proposal of how charges are booked, from the day after it is decided.
func AskBooks(want BooksTerms, reason string) Ask { return ask(changeBooks, reason, want) }

func (b *Books) draftTerms(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var want BooksTerms
	if err := strict(payload, &want); err != nil {
		return draft{}, err
	}
	if want.Workspace == "" {
		want.Workspace = defaultWorkspace
	}
	switch {
	case want.Treatment != ledger.Chargeback && want.Treatment != ledger.Showback:
		return draft{}, fault.Invalid("treatment", "treatment_unknown", "Cost is charged back or only shown: chargeback or showback, not %.40q.", string(want.Treatment))
	case usage.Clip(want.Workspace, maxWorkspaceBytes) != want.Workspace:
		return draft{}, fault.Invalid("workspace", "workspace_length", "A workspace's name has at most %d bytes of printable UTF-8.", maxWorkspaceBytes)
	case usage.Clip(want.Payer, maxPayerBytes) != want.Payer:
		return draft{}, fault.Invalid("payer", "payer_unknown", "The payer is the code of an entity of the hierarchy; %.40q is none.", want.Payer)
	}
	if want.Payer != "" {
		trees, err := forestSince(tx, tx.Now)
		if err != nil {
			return draft{}, err
		}
		tree, err := trees.at(tx.Now)
		if err != nil {
			return draft{}, err
		}
		entities := []string{}
		for _, v := range tree.All() {
			entities = append(entities, v.Entity)
		}
		if !slices.Contains(entities, want.Payer) {
			return draft{}, fault.Invalid("payer", "payer_unknown", "The payer is the code of an entity of the hierarchy; %.40q is none.", want.Payer)
		}
	}
	now, err := b.latest(tx)
	if err != nil {
		return draft{}, err
	}
	if now == want {
		return draft{}, fault.Invalid("treatment", "books_same", "That is how charges are booked already: nothing would change.")
	}
	return draft{payload: want}, nil
}

// latest is how charges are booked from tomorrow on.
func (b *Books) latest(tx *db.Tx) (BooksTerms, error) {
	rows, err := tx.Books(1)
	if err != nil || len(rows) == 0 {
		return BooksTerms{Treatment: ledger.Chargeback, Workspace: defaultWorkspace}, err
	}
	return BooksTerms{Treatment: ledger.Treatment(rows[0].Treatment), Payer: rows[0].Payer, Workspace: rows[0].Workspace}, nil
}

func (b *Books) applyTerms(tx *db.Tx, c approval.Change) error {
	var want BooksTerms
	if err := stored(c, &want); err != nil {
		return err
	}
	return tx.AddBooks(&db.BooksRow{Treatment: string(want.Treatment), Payer: want.Payer, Workspace: want.Workspace, EffectiveFrom: tx.Now, ChangeID: c.ID})
}

func (b *Books) termsImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var want BooksTerms
	if err := stored(c, &want); err != nil {
		return approval.Impact{}, err
	}
	now, err := b.latest(tx)
	sentence := fmt.Sprintf("From the day after it is decided, charges are booked %s, instead of %s. Days before stay as they are booked.", want.words(), now.words())
	return approval.Impact{Sentence: sentence}, err
}

func (t BooksTerms) words() string {
	payer := t.Payer
	if payer == "" {
		payer = "the hierarchy’s first entity"
	}
	if t.Treatment == ledger.Showback {
		return fmt.Sprintf("as showback: all of it in %s, which pays for workspace %s", payer, t.Workspace)
	}
	return fmt.Sprintf("as chargeback: each node’s in its own entity, with what it owes %s, which pays for workspace %s", payer, t.Workspace)
}

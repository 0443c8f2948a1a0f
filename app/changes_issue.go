package app

import (
	"errors"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/db"
)

// errAskedInPlace is the answer to who proposes, as a bare change, what comes with a
// secret: nobody would ever be given it.
var errAskedInPlace = fault.New(fault.KindConflict, "asked_in_place",
	"Ask for it where such things are made: its secret is shown there, once, and works as soon as the change is decided. A change that is proposed here could not give it to anybody.")

// askedInPlace is the draft of such a kind.
func askedInPlace(*db.Tx, Actor, []byte, time.Time) (draft, error) { return draft{}, errAskedInPlace }

// issue makes something that comes with a secret. Its maker is given the secret at once;
// where a company's policy has somebody decide about the kind, it works only from the
// decision on, and never if that refuses. Keep stores what the payload must not hold.
func (c *Changes) issue(tx *db.Tx, who Actor, p proposal, keep func(approval.Change) error, apply func(approval.Change) error) (approval.Change, error) {
	p.rule = approval.RuleNoPolicy
	err := c.waits(tx, who, p)
	switch {
	case err == nil:
		return c.change(tx, who, p, apply)
	case !errors.Is(err, ErrMustPropose):
		return approval.Change{}, err
	}
	change, _, err := c.submit(tx, who, p.kind, p.reason, draft{
		payload: p.payload, store: func(_ *db.Tx, made approval.Change) error { return keep(made) },
	})
	return change, err
}

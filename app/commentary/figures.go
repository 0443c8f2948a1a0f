package commentary

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
)

// Figures are what one node, with all below it, came to in one month, as whoever writes
// about them sees them.
type Figures struct {
	Node    id.Node
	Actual  money.Sum
	Planned bool // a plan is in force and names the node or one below it
	Plan    money.Cents
	Before  money.Sum // the month before
	// Why the month differs from the one before: together they are the difference.
	Price, Volume, Mix, Tools money.Sum
}

// OverPlan is what was charged beyond the plan; below zero is under it.
func (f *Figures) OverPlan() money.Sum {
	var over money.Sum
	over.AddSum(&f.Actual)
	over.AddCents(-f.Plan)
	return over
}

// Movement is the difference to the month before.
func (f *Figures) Movement() money.Sum {
	var moved money.Sum
	moved.AddSum(&f.Actual)
	moved.SubSum(&f.Before)
	return moved
}

// document is what canonical bytes hold: whole pico-dollars and cents, in this order.
type document struct {
	V      int       `json:"v"`
	Month  string    `json:"month"`
	Node   id.Node   `json:"node"`
	Actual money.Sum `json:"actual_pico"`
	Plan   *int64    `json:"plan_cents"` // null: no plan
	Before money.Sum `json:"before_pico"`
	Price  money.Sum `json:"price_pico"`
	Volume money.Sum `json:"volume_pico"`
	Mix    money.Sum `json:"mix_pico"`
	Tools  money.Sum `json:"tools_pico"`
}

// Canonical are the bytes that a text is written about, in version 1. Nothing in them depends
// on how a figure is printed.
func (f *Figures) Canonical(m period.Month) ([]byte, error) {
	d := document{V: 1, Month: m.String(), Node: f.Node, Actual: f.Actual, Before: f.Before, Price: f.Price, Volume: f.Volume, Mix: f.Mix, Tools: f.Tools}
	if f.Planned {
		plan := int64(f.Plan)
		d.Plan = &plan
	}
	bytes, err := json.Marshal(&d)
	if err != nil {
		return nil, fmt.Errorf("encode figures: %w", err)
	}
	return bytes, nil
}

// Read are the figures that canonical bytes hold.
func Read(canonical []byte) (Figures, error) {
	var d document
	if err := json.Unmarshal(canonical, &d); err != nil {
		return Figures{}, fmt.Errorf("read figures: %w", err)
	}
	f := Figures{Node: d.Node, Actual: d.Actual, Before: d.Before, Price: d.Price, Volume: d.Volume, Mix: d.Mix, Tools: d.Tools}
	if d.Plan != nil {
		f.Planned, f.Plan = true, money.Cents(*d.Plan)
	}
	return f, nil
}

// Digest names canonical bytes, in hexadecimal.
func Digest(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// Threshold is how large a difference has to be for somebody to be asked about it: either
// bound is enough, against the plan or against the month before.
type Threshold struct {
	Above   money.Cents // at least one
	Percent int64       // of what it is compared with; 1 to 1000
}

// Standard is what finance begins with: fifty dollars, or a quarter.
func Standard() Threshold { return Threshold{Above: 50_00, Percent: 25} }

// Floor is what a difference has to reach before its percentage means anything.
const Floor money.Cents = 5_00

// Check refuses bounds that mean nothing.
func (t Threshold) Check() error {
	switch {
	case t.Above < 1 || t.Above > 1_000_000_000_00:
		return fault.Invalid("above", "threshold_above", "The amount to ask from is above zero dollars, and at most a billion.")
	case t.Percent < 1 || t.Percent > 1000:
		return fault.Invalid("percent", "threshold_percent", "The percentage to ask from is 1 to 1000.")
	}
	return nil
}

// Crossed tells whether a node's figures call for a commentary.
func (t Threshold) Crossed(f *Figures) bool {
	if f.Planned {
		over := f.OverPlan()
		var plan money.Sum
		plan.AddCents(f.Plan)
		if t.large(&over, &plan) {
			return true
		}
	}
	moved := f.Movement()
	return t.large(&moved, &f.Before)
}

// large tells whether a difference reaches a bound; base is what its percentage is of.
func (t Threshold) large(difference, base *money.Sum) bool {
	size := positive(difference)
	var above, floor money.Sum
	above.AddCents(t.Above)
	floor.AddCents(Floor)
	if size.Cmp(&above) >= 0 {
		return true
	}
	if size.Cmp(&floor) < 0 {
		return false
	}
	whole := positive(base)
	least := whole.Scaled(big.NewInt(t.Percent), big.NewInt(100))
	return size.Cmp(&least) >= 0
}

func positive(s *money.Sum) money.Sum {
	var out money.Sum
	if s.Sign() < 0 {
		out.SubSum(s)
		return out
	}
	out.AddSum(s)
	return out
}

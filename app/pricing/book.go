package pricing

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/usage"
)

//go:embed vendor.csv
var vendorList []byte

// VendorList returns the list prices this binary ships: a proposal, never applied
// by itself.
func VendorList() []byte { return bytes.Clone(vendorList) }

// MaxBookBytes bounds a book; the vendor's whole history is under 10 KB.
const MaxBookBytes = 1 << 20

// Rates are pico-dollars per token, by class.
type Rates [usage.ClassCount]money.Pico

type rateKey struct {
	model string
	speed string
}

// tier is the history of one model and speed for prompts of more tokens than over,
// oldest first.
type tier struct {
	over int64
	rows []*Row
}

// Book is one price version, read-only after Parse.
type Book struct {
	digest    [32]byte
	rows      []*Row             // in the document's order
	rates     map[rateKey][]tier // the longest prompts first
	factors   map[string][]*Row  // oldest first, as all below
	tools     map[string][]*Row
	discounts []*Row
}

// Digest is the SHA-256 of the bytes the book was read from.
func (b *Book) Digest() [32]byte { return b.digest }

// Rows lists the book in the document's order. They are not to be changed.
func (b *Book) Rows() []*Row { return b.rows }

// Parse reads a book and refuses one that is ambiguous: two lines for the same
// instant, a pause in a model's life, a class without a rate, a row without a
// source, a rate that is no whole number of pico-dollars under every factor.
func Parse(document []byte) (*Book, error) {
	if len(document) > MaxBookBytes {
		return nil, fault.Invalid("book", "book_size", "A price book is at most 1 MiB.")
	}
	b := &Book{
		digest: sha256.Sum256(document), rates: map[rateKey][]tier{},
		factors: map[string][]*Row{}, tools: map[string][]*Row{},
	}
	reader := csv.NewReader(bytes.NewReader(document))
	reader.Comment = '#'
	head, err := reader.Read() // the lines after it must have as many columns
	first := strings.Join(head, ",") == firstHeader
	if err != nil || !first && strings.Join(head, ",") != header {
		return nil, fault.Invalid("book", "book_syntax", "A price book starts with the line %s.", header).Because(err)
	}
	for {
		cells, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fault.Invalid("book", "book_syntax", "The price book is no CSV of %d columns: %v.", len(head), err)
		}
		if first {
			cells = fromFirst(cells)
		}
		one, err := parseRow(cells)
		if err != nil {
			at, _ := reader.FieldPos(0)
			return nil, fault.Invalid("book", "book_line", "Price book line %d: %v.", at, err)
		}
		b.add(one)
	}
	if first {
		b.endFirst()
	}
	return b, b.check()
}

func (b *Book) add(row *Row) {
	b.rows = append(b.rows, row)
	switch row.Kind {
	case KindRate:
		key := rateKey{model: row.Name, speed: row.Speed}
		tiers := b.rates[key]
		i := slices.IndexFunc(tiers, func(t tier) bool { return t.over == row.PromptOver })
		if i < 0 {
			i, tiers = len(tiers), append(tiers, tier{over: row.PromptOver})
		}
		tiers[i].rows = append(tiers[i].rows, row)
		b.rates[key] = tiers
	case KindFactor:
		b.factors[row.Name] = append(b.factors[row.Name], row)
	case KindTool:
		b.tools[row.Name] = append(b.tools[row.Name], row)
	case KindDiscount:
		b.discounts = append(b.discounts, row)
	}
}

// check orders every list by time and refuses overlaps and, for rates, gaps.
func (b *Book) check() error {
	if len(b.rates) == 0 {
		return fault.Invalid("book", "book_empty", "The price book has no rate.")
	}
	for key, tiers := range b.rates {
		sort.Slice(tiers, func(i, j int) bool { return tiers[i].over > tiers[j].over })
		if tiers[len(tiers)-1].over != 0 {
			return fault.Invalid("book", "book_gap", "%s (%s) has no rate for short prompts.", key.model, key.speed)
		}
		for _, t := range tiers {
			if err := checkTimes(t.rows, true); err != nil {
				return err
			}
		}
	}
	for _, lists := range []map[string][]*Row{b.factors, b.tools, {"": b.discounts}} {
		for _, list := range lists {
			if err := checkTimes(list, false); err != nil {
				return err
			}
		}
	}
	return b.checkFactors()
}

// checkTimes sorts the lines of one thing and refuses two for one instant, or a
// pause between two where there must be none.
func checkTimes(list []*Row, gapless bool) error {
	sort.Slice(list, func(i, j int) bool { return list[i].From.Before(list[j].From) })
	for i := 1; i < len(list); i++ {
		before, row := list[i-1], list[i]
		if before.To.IsZero() || before.To.After(row.From) {
			return fault.Invalid("book", "book_overlap", "%s has two lines in force on %s: end the earlier one.", row.label(), row.From.Format(time.DateOnly))
		}
		if gapless && before.To.Before(row.From) {
			return fault.Invalid("book", "book_gap", "%s has no rate from %s to %s.", row.label(), before.To.Format(time.DateOnly), row.From.Format(time.DateOnly))
		}
	}
	return nil
}

// checkFactors proves ahead of time that no rate loses a fraction under the
// factors, alone or together: exactness is decided when a book is read, never
// while a request is priced.
func (b *Book) checkFactors() error {
	num, den := int64(1), int64(1)
	for _, list := range b.factors {
		for _, f := range list {
			num, den = num*f.Num, den*f.Den
			if den > 1<<20 || num > 1<<20 {
				return fault.Invalid("book", "book_factor", "The factors of the price book are too large together.")
			}
		}
	}
	for _, row := range b.rows {
		if row.Kind != KindRate {
			continue
		}
		for _, name := range row.Factors {
			if len(b.factors[name]) == 0 {
				return fault.Invalid("book", "book_factor", "%s stacks with %s, which the price book does not have.", row.label(), name)
			}
		}
		for class, pico := range row.Rates {
			if _, err := pico.Times(num); err != nil || int64(pico)%den != 0 {
				return fault.Invalid("book", "book_fraction", "%s, class %s, is no whole number of pico-dollars under every factor.", row.label(), usage.Class(class))
			}
		}
	}
	return nil
}

// Models lists every model with a rate, sorted.
func (b *Book) Models() []string {
	seen := map[string]bool{}
	var models []string
	for key := range b.rates {
		if !seen[key.model] {
			seen[key.model] = true
			models = append(models, key.model)
		}
	}
	sort.Strings(models)
	return models
}

// lookup finds the row of a model for a prompt of that many tokens, as of an
// instant; nil when the book has no such model and speed. A row that is not in
// force then comes with the reason: it is the nearest there is.
func (b *Book) lookup(model, speed string, prompt int64, at time.Time) (*Row, string) {
	for _, t := range b.rates[rateKey{model: model, speed: speed}] {
		if prompt <= t.over && t.over > 0 {
			continue
		}
		row, ended := inForce(t.rows, at)
		switch {
		case row != nil:
			return row, ""
		case ended:
			return t.rows[len(t.rows)-1], reasonEnded
		case t.over == 0:
			return t.rows[0], reasonEarly
		}
		// A tier that has not begun leaves its prompts to the shorter ones'.
	}
	return nil, ""
}

// inForce finds the row that holds at an instant, and says whether all are past.
func inForce(list []*Row, at time.Time) (*Row, bool) {
	for i, row := range slices.Backward(list) {
		if at.Before(row.From) {
			continue
		}
		if row.To.IsZero() || at.Before(row.To) {
			return row, false
		}
		return nil, i == len(list)-1
	}
	return nil, false
}

// undated strips the release date the provider appends to a model's name
// ("claude-haiku-4-5-20251001"): the price belongs to the model.
func undated(model string) string {
	cut := strings.LastIndexByte(model, '-')
	if cut < 0 || len(model)-cut != 9 || strings.Trim(model[cut+1:], "0123456789") != "" {
		return model
	}
	return model[:cut]
}

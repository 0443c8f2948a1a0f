package pricing

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
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

// maxBookBytes bounds a book; the vendor's whole history is under 10 KB.
const maxBookBytes = 1 << 20

// Rates are pico-dollars per token, by class.
type Rates [usage.ClassCount]money.Pico

type rateKey struct {
	model string
	speed string
}

type rate struct {
	from       time.Time
	promptOver int64 // applies when the prompt has more tokens than this
	rates      Rates
}

type factor struct {
	from     time.Time
	num, den int64
}

type dated struct {
	from time.Time
	unit money.Pico // a tool: per use
	bps  int64      // a discount
}

// Book is one price version, read-only after Parse.
type Book struct {
	digest    [32]byte
	rates     map[rateKey][]rate // newest first, then the larger prompt_over first
	factors   map[string][]factor
	tools     map[string][]dated
	discounts []dated
}

// Digest is the SHA-256 of the bytes the book was read from.
func (b *Book) Digest() [32]byte { return b.digest }

// Parse reads a book and refuses one that is ambiguous: two rows for the same
// model, speed, tier and date, a class without a rate, a rate that is no whole
// number of pico-dollars under every factor.
func Parse(document []byte) (*Book, error) {
	if len(document) > maxBookBytes {
		return nil, fault.Invalid("book", "book_size", "A price book is at most 1 MiB.")
	}
	b := &Book{
		digest: sha256.Sum256(document), rates: map[rateKey][]rate{},
		factors: map[string][]factor{}, tools: map[string][]dated{},
	}
	reader := csv.NewReader(bytes.NewReader(document))
	reader.Comment = '#'
	reader.FieldsPerRecord = columns
	if _, err := reader.Read(); err != nil {
		return nil, fault.Invalid("book", "book_syntax", "The price book has no header line.").Because(err)
	}
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fault.Invalid("book", "book_syntax", "The price book is no CSV of %d columns: %v.", columns, err)
		}
		if err := b.add(row); err != nil {
			line, _ := reader.FieldPos(0)
			return nil, fault.Invalid("book", "book_line", "Price book line %d: %v.", line, err)
		}
	}
	return b, b.check()
}

const (
	columnKind = iota
	columnName
	columnSpeed
	columnPromptOver
	columnFrom
	columnInput
	columnOutput
	columnWrite5m
	columnWrite1h
	columnRead
	columnNum
	columnDen
	columnSource
	columns
)

func (b *Book) add(row []string) error {
	from, err := time.Parse(time.DateOnly, row[columnFrom])
	if err != nil {
		return fmt.Errorf("effective_from %q is no date", row[columnFrom])
	}
	name := row[columnName]
	switch row[columnKind] {
	case "rate":
		return b.addRate(row, from)
	case "factor":
		num, errNum := strconv.ParseInt(row[columnNum], 10, 32)
		den, errDen := strconv.ParseInt(row[columnDen], 10, 32)
		if errNum != nil || errDen != nil || num <= 0 || den <= 0 {
			return fmt.Errorf("factor %q needs num and den above zero", name)
		}
		b.factors[name] = append(b.factors[name], factor{from: from, num: num, den: den})
	case "tool":
		unit, err := money.ParsePico(row[columnInput])
		if err != nil {
			return err
		}
		b.tools[name] = append(b.tools[name], dated{from: from, unit: unit})
	case "discount":
		bps, err := strconv.ParseInt(row[columnNum], 10, 32)
		if err != nil || bps < 0 || bps > 10_000 {
			return fmt.Errorf("discount %q needs basis points from 0 to 10000 in num", name)
		}
		b.discounts = append(b.discounts, dated{from: from, bps: bps})
	default:
		return fmt.Errorf("kind %q is not rate, factor, tool or discount", row[columnKind])
	}
	return nil
}

func (b *Book) addRate(row []string, from time.Time) error {
	over, err := strconv.ParseInt(row[columnPromptOver], 10, 64)
	if err != nil || over < 0 {
		return fmt.Errorf("prompt_over %q is no token count", row[columnPromptOver])
	}
	r := rate{from: from, promptOver: over}
	for i, column := range []int{columnInput, columnOutput, columnWrite5m, columnWrite1h, columnRead} {
		perMillion, err := money.ParsePico(row[column])
		if err != nil {
			return fmt.Errorf("class %s: %w", usage.Class(i), err)
		}
		if perMillion < 0 || perMillion%1_000_000 != 0 {
			return fmt.Errorf("class %s: %s is no whole number of pico-dollars a token", usage.Class(i), row[column])
		}
		r.rates[i] = perMillion / 1_000_000
	}
	key := rateKey{model: row[columnName], speed: row[columnSpeed]}
	b.rates[key] = append(b.rates[key], r)
	return nil
}

// check orders every list newest first and refuses two rows for one instant.
func (b *Book) check() error {
	if len(b.rates) == 0 {
		return fault.Invalid("book", "book_empty", "The price book has no rate.")
	}
	for key, list := range b.rates {
		sort.Slice(list, func(i, j int) bool {
			if list[i].promptOver != list[j].promptOver {
				return list[i].promptOver > list[j].promptOver
			}
			return list[i].from.After(list[j].from)
		})
		for i := 1; i < len(list); i++ {
			if list[i].from.Equal(list[i-1].from) && list[i].promptOver == list[i-1].promptOver {
				return fault.Invalid("book", "book_overlap", "Two rates for %s (%s) start on %s.", key.model, key.speed, list[i].from.Format(time.DateOnly))
			}
		}
		if list[len(list)-1].promptOver != 0 {
			return fault.Invalid("book", "book_gap", "%s (%s) has no rate for short prompts.", key.model, key.speed)
		}
		if err := b.checkFactors(key, list); err != nil {
			return err
		}
	}
	for _, list := range b.factors {
		sort.Slice(list, func(i, j int) bool { return list[i].from.After(list[j].from) })
	}
	for _, list := range b.tools {
		sort.Slice(list, func(i, j int) bool { return list[i].from.After(list[j].from) })
	}
	sort.Slice(b.discounts, func(i, j int) bool { return b.discounts[i].from.After(b.discounts[j].from) })
	return nil
}

// checkFactors proves ahead of time that no rate loses a fraction under the
// factors, alone or together: exactness is decided when a book is read, never
// while a request is priced.
func (b *Book) checkFactors(key rateKey, list []rate) error {
	num, den := int64(1), int64(1)
	for _, f := range b.factors {
		for _, one := range f {
			num *= one.num
			den *= one.den
			if den > 1<<20 || num > 1<<20 {
				return fault.Invalid("book", "book_factor", "The factors of the price book are too large together.")
			}
		}
	}
	for _, r := range list {
		for class, pico := range r.rates {
			if scaled, err := pico.Times(num); err != nil || int64(scaled)%den != 0 {
				return fault.Invalid("book", "book_fraction", "%s, class %s, is no whole number of pico-dollars under every factor.", key.model, usage.Class(class))
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

// lookup finds the rates of a model as of an instant, for a prompt of that many
// tokens.
func (b *Book) lookup(model, speed string, prompt int64, at time.Time) (Rates, bool) {
	for _, r := range b.rates[rateKey{model: model, speed: speed}] {
		if prompt > r.promptOver || r.promptOver == 0 {
			if !at.Before(r.from) {
				return r.rates, true
			}
		}
	}
	return Rates{}, false
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

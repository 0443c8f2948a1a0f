package pricing

import (
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app/money"
	"tollbook/app/usage"
)

// The kinds of rows a book has.
const (
	KindRate     = "rate"
	KindFactor   = "factor"
	KindTool     = "tool"
	KindDiscount = "discount"
)

// Row is one line of a book. Which fields mean something depends on its kind.
type Row struct {
	Kind       string
	Name       string     // a model, "geography:us", "tier:batch", a tool, or what a contract is called
	Speed      string     // of a rate
	PromptOver int64      // of a rate: it is for prompts of more tokens than this
	From, To   time.Time  // half-open, UTC; To is zero while open
	Rates      Rates      // of a rate, before factors
	Factors    []string   // of a rate: the factors that may apply to it
	Num, Den   int64      // of a factor; Num is a discount's basis points
	Unit       money.Pico // of a tool, per use
	Source     string
}

const (
	columnKind = iota
	columnName
	columnSpeed
	columnPromptOver
	columnFrom
	columnTo
	columnInput
	columnOutput
	columnWrite5m
	columnWrite1h
	columnRead
	columnFactors
	columnNum
	columnDen
	columnSource
	columns
)

const header = "kind,name,speed,prompt_over,effective_from,effective_to,input,output,cache_write_5m,cache_write_1h,cache_read,factors,num,den,source"

func parseRow(cells []string) (*Row, error) {
	row := &Row{Kind: cells[columnKind], Name: cells[columnName], Speed: cells[columnSpeed], Source: strings.TrimSpace(cells[columnSource])}
	if row.Name == "" || row.Source == "" {
		return nil, errors.New("a line needs a name and a source")
	}
	if err := row.parseTimes(cells[columnFrom], cells[columnTo]); err != nil {
		return nil, err
	}
	var err error
	switch row.Kind {
	case KindRate:
		return row, row.parseRate(cells)
	case KindFactor:
		var errDen error
		row.Num, err = strconv.ParseInt(cells[columnNum], 10, 32)
		row.Den, errDen = strconv.ParseInt(cells[columnDen], 10, 32)
		if err != nil || errDen != nil || row.Num <= 0 || row.Den <= 0 {
			return nil, fmt.Errorf("factor %q needs num and den above zero", row.Name)
		}
	case KindTool:
		if row.Unit, err = money.ParsePico(cells[columnInput]); err != nil || row.Unit < 0 {
			return nil, fmt.Errorf("tool %q needs US dollars per use in input", row.Name)
		}
	case KindDiscount:
		if row.Num, err = strconv.ParseInt(cells[columnNum], 10, 32); err != nil || row.Num < 0 || row.Num > maxBps {
			return nil, fmt.Errorf("discount %q needs basis points from 0 to %d in num", row.Name, maxBps)
		}
	default:
		return nil, fmt.Errorf("kind %q is not rate, factor, tool or discount", row.Kind)
	}
	return row, nil
}

func (r *Row) parseTimes(from, to string) error {
	var err error
	if r.From, err = time.Parse(time.DateOnly, from); err != nil {
		return fmt.Errorf("effective_from %q is no date", from)
	}
	if to == "" {
		return nil
	}
	if r.To, err = time.Parse(time.DateOnly, to); err != nil || !r.To.After(r.From) {
		return fmt.Errorf("effective_to %q is no date after %s", to, from)
	}
	return nil
}

// maxBps is all of an amount in basis points.
const maxBps = 10_000

func (r *Row) parseRate(cells []string) error {
	var err error
	if r.PromptOver, err = strconv.ParseInt(cells[columnPromptOver], 10, 64); err != nil || r.PromptOver < 0 {
		return fmt.Errorf("prompt_over %q is no token count", cells[columnPromptOver])
	}
	if r.Speed == "" {
		return errors.New("a rate needs a speed")
	}
	for class, column := range [usage.ClassCount]int{columnInput, columnOutput, columnWrite5m, columnWrite1h, columnRead} {
		perMillion, err := money.ParsePico(cells[column])
		if err != nil {
			return fmt.Errorf("class %s: %w", usage.Class(class), err)
		}
		if perMillion < 0 || perMillion%perMega != 0 {
			return fmt.Errorf("class %s: %s is no whole number of pico-dollars a token", usage.Class(class), cells[column])
		}
		r.Rates[class] = perMillion / perMega
	}
	r.Factors = strings.Fields(cells[columnFactors])
	return nil
}

// perMega turns US dollars per million tokens into dollars per token.
const perMega = 1_000_000

// stacks says whether a factor may apply to the rate.
func (r *Row) stacks(factor string) bool { return slices.Contains(r.Factors, factor) }

// label names the line for people.
func (r *Row) label() string {
	text := r.Kind + " " + r.Name
	if r.Kind == KindRate {
		text = r.Name + " (" + r.Speed + ")"
	}
	if r.PromptOver > 0 {
		text += fmt.Sprintf(" above %d tokens", r.PromptOver)
	}
	return text
}

// String is the row as the file has it.
func (r *Row) String() string {
	cells := make([]string, columns)
	cells[columnKind], cells[columnName], cells[columnSpeed], cells[columnSource] = r.Kind, r.Name, r.Speed, r.Source
	cells[columnFrom] = r.From.Format(time.DateOnly)
	if !r.To.IsZero() {
		cells[columnTo] = r.To.Format(time.DateOnly)
	}
	switch r.Kind {
	case KindRate:
		cells[columnPromptOver], cells[columnFactors] = strconv.FormatInt(r.PromptOver, 10), strings.Join(r.Factors, " ")
		for class, column := range [usage.ClassCount]int{columnInput, columnOutput, columnWrite5m, columnWrite1h, columnRead} {
			cells[column] = trimmed(r.Rates[class] * perMega)
		}
	case KindFactor:
		cells[columnNum], cells[columnDen] = strconv.FormatInt(r.Num, 10), strconv.FormatInt(r.Den, 10)
	case KindTool:
		cells[columnInput] = trimmed(r.Unit)
	case KindDiscount:
		cells[columnNum] = strconv.FormatInt(r.Num, 10)
	}
	var out strings.Builder
	encoder := csv.NewWriter(&out)
	_ = encoder.Write(cells) // into memory
	encoder.Flush()
	return strings.TrimSuffix(out.String(), "\n")
}

// trimmed prints dollars without the zeros that say nothing.
func trimmed(amount money.Pico) string {
	return strings.TrimSuffix(strings.TrimRight(amount.String(), "0"), ".")
}

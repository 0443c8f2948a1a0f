package pricing

import (
	"bytes"
	"strings"
	"time"

	"tollbook/app/fault"
)

// WithDiscount returns the document with a contract discount of that many basis points
// from a day on. It takes the place of every discount that begins then or later, and
// ends the one that runs; nothing else changes. No basis points end it.
func WithDiscount(document []byte, bps int64, from time.Time, source string) ([]byte, error) {
	if bps < 0 || bps > maxBps {
		return nil, fault.Invalid("discount_bps", "discount_range", "A discount is between 0 and %d basis points; 1234 is 12.34%%.", maxBps)
	}
	if from.IsZero() || !from.Equal(from.UTC().Truncate(24*time.Hour)) {
		return nil, fault.Invalid("effective_from", "discount_day", "A discount begins with a UTC day, such as 2026-12-01.")
	}
	book, err := Parse(document)
	if err != nil {
		return nil, err
	}
	rows := []Row{}
	for _, row := range book.discounts {
		if !row.From.Before(from) {
			continue
		}
		kept := *row
		if kept.To.IsZero() || kept.To.After(from) {
			kept.To = from
		}
		rows = append(rows, kept)
	}
	if bps > 0 {
		rows = append(rows, Row{Kind: KindDiscount, Name: contractName, From: from, Num: bps, Source: strings.TrimSpace(source)})
	}
	return withDiscounts(document, rows)
}

// contractName is what a discount's row is called.
const contractName = "contract"

// Carry returns a vendor's document with the contract discounts of another: a contract
// is the tenant's own, and outlives the list it was made on.
func Carry(vendor []byte, applied *Book) ([]byte, error) {
	rows := make([]Row, 0, len(applied.discounts))
	for _, row := range applied.discounts {
		rows = append(rows, *row)
	}
	return withDiscounts(vendor, rows)
}

// withDiscounts replaces the discounts of a document and leaves every other byte of it.
func withDiscounts(document []byte, rows []Row) ([]byte, error) {
	var out bytes.Buffer
	for line := range bytes.Lines(document) {
		if !bytes.HasPrefix(line, []byte(KindDiscount+",")) {
			out.Write(line)
		}
	}
	if out.Len() > 0 && !bytes.HasSuffix(out.Bytes(), []byte("\n")) {
		out.WriteByte('\n')
	}
	for i := range rows {
		out.WriteString(rows[i].String() + "\n")
	}
	if _, err := Parse(out.Bytes()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

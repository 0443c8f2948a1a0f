package app

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"tollbook/app/attribution"
	"tollbook/app/id"
	"tollbook/app/pricing"
	"tollbook/app/usage"
	"tollbook/db"
)

// SettlePrices posts one batch of adjustments for requests whose price is provisional and
// that the price book in force, with no proposal against it, prices for good. It begins
// behind a request and says where the next batch begins; zero is the end. What a book alone
// cannot settle, and what is in a locked month, stays as it is.
func (a *Adjustments) SettlePrices(ctx context.Context, tenant id.Tenant, after id.Event) (next id.Event, err error) {
	err = a.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		if err := tx.LockAdjustments(); err != nil {
			return err
		}
		rows, err := tx.Unpriced(after, moveBatch)
		if err != nil || len(rows) == 0 {
			return err
		}
		next = id.Event{}
		if len(rows) == moveBatch {
			next = rows[len(rows)-1].EventID
		}
		books, err := standingBooks(tx)
		if err != nil {
			return err
		}
		var list []db.Adjusted
		var lying []db.LyingRow
		for i := range rows {
			one, settled, err := books.settle(&rows[i])
			if err != nil {
				return err
			}
			if settled {
				list, lying = append(list, one), append(lying, rows[i].LyingRow)
			}
		}
		if len(list) == 0 {
			return nil
		}
		if err := openBooks(tx, lying); err != nil {
			return err
		}
		return a.post(tx, db.AdjustPrice, books.change, list)
	})
	return next, err
}

// settling is the price book in force, the change that applied it, and what is proposed.
type settling struct {
	version  int
	change   id.Change
	book     *pricing.Book
	proposed []*pricing.Book
}

func standingBooks(tx *db.Tx) (*settling, error) {
	version, open, err := tx.PriceStanding()
	if err != nil {
		return nil, err
	}
	applied, err := tx.PriceVersions(1)
	if err != nil {
		return nil, err
	}
	s := &settling{version: version, change: applied[0].ChangeID}
	document, err := tx.PriceDocument(version)
	if err != nil {
		return nil, err
	}
	if s.book, err = pricing.Parse(document); err != nil {
		return nil, fmt.Errorf("read price book %d: %w", version, err)
	}
	for _, change := range open {
		proposal, err := tx.PriceProposal(change)
		if err != nil {
			return nil, err
		}
		book, err := pricing.Parse(proposal.Document)
		if err != nil {
			return nil, fmt.Errorf("read proposed price book %s: %w", change, err)
		}
		s.proposed = append(s.proposed, book)
	}
	return s, nil
}

// settle prices a request again; settled is false where that price is not final either.
func (s *settling) settle(row *db.UnpricedRow) (one db.Adjusted, settled bool, err error) {
	counts, known, err := countsOf(row)
	if err != nil || !known {
		return one, false, err
	}
	was, err := row.Lying()
	if err != nil {
		return one, false, err
	}
	rated, err := pricing.Rate(usage.Event{ID: row.EventID, State: usage.StateComplete, Counts: counts, Shares: was.Shares}, s.book, s.version)
	if err != nil {
		return one, false, fmt.Errorf("price %s again: %w", row.EventID, err)
	}
	if err := rated.Contest(s.proposed); err != nil {
		return one, false, fmt.Errorf("price %s again: %w", row.EventID, err)
	}
	if rated.Event.State != usage.StateComplete {
		return one, false, nil
	}
	now := attribution.Lying{Measured: attribution.Measured{Tokens: was.Tokens, Classes: rated.Charge.Classes, Charge: rated.Charge.Net, State: usage.StateComplete}, Shares: was.Shares}
	lines, err := attribution.Restate(&was, &now)
	if err != nil {
		return one, false, fmt.Errorf("restate %s: %w", row.EventID, err)
	}
	return db.Adjusted{Was: &row.LyingRow, Now: now, Lines: lines}, true, nil
}

// countsOf is what was counted of a request, as its row has it; known is false where a row
// does not say all that pricing needs: which model served a billed iteration.
func countsOf(row *db.UnpricedRow) (counts usage.Counts, known bool, err error) {
	if row.Flags != nil && !pricing.Settles(strings.Split(*row.Flags, "\x1f")) {
		return counts, false, nil
	}
	counts = usage.Counts{
		Model: deref(row.ModelServed), Speed: deref(row.Speed), Geography: deref(row.Geography), Tier: deref(row.Tier),
		Tokens: usage.Tokens{row.InputTokens, row.OutputTokens, row.CacheWrite5mTokens, row.CacheWrite1hTokens, row.CacheReadTokens},
	}
	if row.Lines == nil {
		return counts, true, nil
	}
	var lines []pricing.Line
	if err := json.Unmarshal([]byte(*row.Lines), &lines); err != nil {
		return counts, false, fmt.Errorf("read charge lines of %s: %w", row.EventID, err)
	}
	for _, l := range lines {
		if l.Class != pricing.WebSearch {
			return counts, false, nil
		}
		counts.WebSearches = l.Quantity
	}
	return counts, true, nil
}

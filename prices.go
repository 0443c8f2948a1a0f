package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"tollbook/app"
	"tollbook/app/pricing"
)

// commandPrices shows and proposes prices. What it proposes is decided by the tenant's
// people; force is the operator's way past them and leaves a record that says so.
func (h *house) commandPrices(ctx context.Context, who app.Actor, verb string, args []string, out io.Writer) error {
	switch {
	case verb == "show" && len(args) == 0:
		return h.showPrices(ctx, who, out)
	case verb == "diff" && len(args) == 1:
		return h.diffPrices(ctx, who, args[0], out)
	case (verb == "propose" || verb == "force") && len(args) == 2:
		document, err := readBook(args[0])
		if err != nil {
			return err
		}
		ask, err := app.AskDocument(document, args[1])
		if err != nil {
			return err
		}
		return h.askPrices(ctx, who, verb == "force", ask, out)
	case (verb == "discount" || verb == "force-discount") && len(args) == 3:
		bps, err := strconv.ParseInt(args[0], 10, 32)
		if err != nil {
			return misuse("prices %s: %q is no number of basis points, such as 1234 for 12.34 per cent", verb, args[0])
		}
		from, err := time.Parse(time.DateOnly, args[1])
		if err != nil {
			return misuse("prices %s: %q is no day, such as 2026-12-01", verb, args[1])
		}
		return h.askPrices(ctx, who, verb == "force-discount", app.AskDiscount(bps, from, args[2]), out)
	}
	return misuse("prices: %q with %d arguments means nothing", verb, len(args)+1)
}

// readBook reads a price book from a file, within the bound of one.
func readBook(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("price book: %w", err)
	}
	document, err := io.ReadAll(io.LimitReader(file, pricing.MaxBookBytes+1))
	return document, errors.Join(err, file.Close())
}

// showPrices prints the price book in force, as a file that can be edited and proposed.
func (h *house) showPrices(ctx context.Context, who app.Actor, out io.Writer) error {
	book, err := h.prices.Book(ctx, who, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "# price book %d, applied %s by change %d\n%s", book.Version, book.Versions[0].RecordedAt.Format(time.RFC3339), book.Versions[0].Number, book.Document)
	for i := range book.Open {
		_, _ = fmt.Fprintf(out, "# change %d waits for a decision: %s\n", book.Open[i].Number, book.Open[i].Impact.Sentence)
	}
	return err
}

// diffPrices compares a file with the price book in force, row by row.
func (h *house) diffPrices(ctx context.Context, who app.Actor, path string, out io.Writer) error {
	document, err := readBook(path)
	if err != nil {
		return err
	}
	proposed, err := pricing.Parse(document)
	if err != nil {
		return err
	}
	book, err := h.prices.Book(ctx, who, 0)
	if err != nil {
		return err
	}
	list := pricing.Diff(book.Book, proposed)
	for _, d := range list {
		if d.Before != nil {
			_, _ = fmt.Fprintln(out, "-", d.Before)
		}
		if d.After != nil {
			_, _ = fmt.Fprintln(out, "+", d.After)
		}
	}
	_, err = fmt.Fprintf(out, "# lines that differ from price book %d: %d\n", book.Version, len(list))
	return err
}

func (h *house) askPrices(ctx context.Context, who app.Actor, force bool, ask app.Ask, out io.Writer) error {
	if force {
		change, err := h.prices.Force(ctx, who, ask)
		if err == nil {
			_, err = fmt.Fprintf(out, "change %d is applied, past the tenant's people; the record says so\n", change.Number)
		}
		return err
	}
	change, err := h.approvals.Propose(ctx, who, ask, "")
	if err == nil {
		_, err = fmt.Fprintf(out, "change %d is proposed; somebody who may decide does so at %s\n%s\n",
			change.Number, h.settings.PublicURL.JoinPath("prices", "changes", change.ID.String()), change.Impact.Sentence)
	}
	return err
}

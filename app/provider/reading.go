package provider

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"time"
)

// Bounds of one reading.
const (
	MaxPages   = 200
	MaxBytes   = 64 << 20 // of all pages
	maxFigures = 200_000
	maxNames   = 20_000
)

// Reading adds the pages of one report up, in the order in which they were asked for.
type Reading struct {
	api       API
	report    Report
	day       time.Time
	rows      map[[sha256.Size]byte]struct{}
	asked     map[string]struct{} // cursors
	figures   map[dimensions]*Figure
	names     []Name
	refreshed time.Time
	unread    []string
	pages     int
	bytes     int
	next      string
	ended     bool
}

// Begin begins a reading of a report of a UTC day; of names, the day does not matter.
func Begin(api API, report Report, day time.Time) *Reading {
	return &Reading{api: api, report: report, day: day, rows: map[[sha256.Size]byte]struct{}{}, asked: map[string]struct{}{}, figures: map[dimensions]*Figure{}}
}

// Next is the cursor of the page to ask for, empty for the first one; more is false when
// the last page was read.
func (r *Reading) Next() (cursor string, more bool) { return r.next, !r.ended }

// Pages is how many were read.
func (r *Reading) Pages() int { return r.pages }

// Empty tells whether a page's bytes have no rows and still promise more, which is no
// answer worth keeping the first time.
func (r *Reading) Empty(body []byte) bool {
	p, err := parsePage(r.api, r.report, r.day, body)
	return err == nil && len(p.rows) == 0 && p.next != ""
}

// Room refuses a page that would make the reading larger than it may be.
func (r *Reading) Room(body []byte) error {
	if r.bytes+len(body) > MaxBytes {
		return refused("bytes_many", "The report has more than %d MB.", MaxBytes>>20)
	}
	return nil
}

// Read adds the bytes of the page that Next asked for. After an error the reading is over:
// what it has added up must not be used.
func (r *Reading) Read(body []byte) error {
	switch {
	case r.ended:
		return refused("page_after_end", "There is a page after the last one.")
	case r.pages >= MaxPages:
		return refused("pages_many", "The report has more than %d pages.", MaxPages)
	}
	if err := r.Room(body); err != nil {
		return err
	}
	p, err := parsePage(r.api, r.report, r.day, body)
	if err != nil {
		return err
	}
	r.pages++
	r.bytes += len(body)
	r.asked[r.next] = struct{}{}
	for i := range p.rows {
		if err := r.add(&p.rows[i]); err != nil {
			return err
		}
	}
	if r.names = append(r.names, p.names...); len(r.names) > maxNames {
		return refused("rows_many", "The list has more than %d names.", maxNames)
	}
	if _, before := r.asked[p.next]; before && p.next != "" {
		return refused("cursor_loop", "Page %d leads back to a page that was read before.", r.pages)
	}
	// Between two pages a report may have been refreshed: all of it is known as of the earliest.
	if !p.refreshed.IsZero() && (r.refreshed.IsZero() || p.refreshed.Before(r.refreshed)) {
		r.refreshed = p.refreshed
	}
	for _, name := range p.unread {
		if len(r.unread) < maxUnread && !slices.Contains(r.unread, name) {
			r.unread = append(r.unread, name)
		}
	}
	r.next, r.ended = p.next, p.next == ""
	return nil
}

func (r *Reading) add(one *row) error {
	if _, again := r.rows[one.identity]; again {
		return refused("row_repeated", "Page %d has a row that was there before.", r.pages)
	}
	r.rows[one.identity] = struct{}{}
	for i := range one.figures {
		f := &one.figures[i]
		key := f.dimensions()
		sum, there := r.figures[key]
		if !there {
			if len(r.figures) >= maxFigures {
				return refused("rows_many", "The report has more than %d figures.", maxFigures)
			}
			kept := *f
			r.figures[key] = &kept
			continue
		}
		if err := sum.plus(f); err != nil {
			return err
		}
	}
	return nil
}

// Figures are all that was read, in their order.
func (r *Reading) Figures() []Figure {
	list := make([]Figure, 0, len(r.figures))
	for _, f := range r.figures {
		list = append(list, *f)
	}
	Sort(list)
	return list
}

// Names are all that were listed, in the order of their ids.
func (r *Reading) Names() []Name {
	list := slices.Clone(r.names)
	slices.SortFunc(list, func(a, b Name) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// RefreshedAt is how fresh the provider says the report is; zero where it does not say.
func (r *Reading) RefreshedAt() time.Time { return r.refreshed }

// Unread names what was there and could be no figure.
func (r *Reading) Unread() []string { return slices.Clone(r.unread) }

// Digest is that of the figures, or of the names.
func (r *Reading) Digest() [sha256.Size]byte {
	if r.report.OfFigures() {
		return Digest(r.Figures())
	}
	return NamesDigest(r.Names())
}

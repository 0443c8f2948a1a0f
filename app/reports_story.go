package app

import (
	"context"
	"time"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/db"
)

// Story is one request with all that is known of it, but never content.
type Story struct {
	Request
	StopReason string
	Speed      string // as the response said; empty: it did not
	Geography  string
	Tier       string
	Project    string    // as declared
	RawUsage   []byte    // what the provider counted, word for word: JSON, or empty
	SentAt     time.Time // to the provider; zero where not known, as below
	FirstByte  time.Time
	EndedAt    time.Time
	Record     id.Record // of the flush that posted it
	Sequence   int64     // the record's place in the audit log
	Placed     bool      // false while the record waits for its place
	// History is every adjustment of the request, the first one first.
	History []Adjusted
}

// Request tells all of one request; found is false when there is none, or when it is
// not the actor's to see.
func (r *Reports) Request(ctx context.Context, who Actor, event id.Event) (Story, bool, error) {
	filter, err := r.filter(who, RequestFilter{Event: event, Limit: 1})
	if err != nil {
		return Story{}, false, err
	}
	var story Story
	found := false
	err = r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Usage(filter)
		if err != nil || len(rows) == 0 {
			return err
		}
		list, err := r.requests(tx, rows[:1], filter.Within)
		if err != nil {
			return err
		}
		rest, err := tx.UsageStory(event)
		if err != nil {
			return err
		}
		found = true
		story = Story{
			Request: list[0], StopReason: deref(rest.StopReason), Speed: deref(rest.Speed), Geography: deref(rest.Geography), Tier: deref(rest.Tier),
			Project: deref(rest.DeclaredProject), RawUsage: rest.RawUsage, SentAt: orZero(rest.UpstreamStartedAt), FirstByte: orZero(rest.FirstByteAt),
			EndedAt: orZero(rest.EndedAt), Record: rest.RecordID, Placed: rest.Sequence != nil,
		}
		if story.Placed {
			story.Sequence = *rest.Sequence
		}
		return story.history(tx)
	})
	return story, found, err
}

func (s *Story) history(tx *db.Tx) error {
	if s.Adjusted == nil {
		return nil
	}
	rows, err := tx.Adjustments(s.ID)
	for _, r := range rows {
		s.History = append(s.History, Adjusted{Times: r.Sequence, Kind: r.Kind, Change: r.ChangeID, Number: r.Number, At: r.RecordedAt.UTC(), Reason: r.Reason, Delta: money.Pico(r.DeltaPico)})
	}
	return err
}

package hierarchy

import (
	"slices"
	"time"

	"tollbook/app/id"
)

// span is what a node is from one instant until the next span begins, the last for good.
type span struct {
	from  time.Time
	v     Version
	there bool
}

// content is what a version says of its node, without when and by which change.
func (v Version) content() Version {
	v.ID, v.Change = id.Version{}, id.Change{}
	v.EffectiveFrom, v.EffectiveTo, v.RecordedAt, v.ClosedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return v
}

// resolve lays the versions of one node end to end from an instant on, as known at
// another (zero: from all there are).
func resolve(versions []Version, from, known time.Time) []span {
	starts := []time.Time{from}
	for i := range versions {
		v := &versions[i]
		if after(v.RecordedAt, known) {
			continue
		}
		for _, at := range []time.Time{v.EffectiveFrom, v.until(known)} {
			if at.After(from) {
				starts = append(starts, at)
			}
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	starts = slices.CompactFunc(starts, time.Time.Equal)
	spans := make([]span, 0, len(starts))
	for _, at := range starts {
		s := span{from: at}
		for i := range versions {
			if v := versions[i]; v.covers(at, known) && (!s.there || v.corrects(s.v)) {
				s.v, s.there = v, true
			}
		}
		s.there = s.there && !s.v.Retired
		if n := len(spans); n > 0 && spans[n-1].there == s.there && (!s.there || spans[n-1].v.ID == s.v.ID) {
			continue
		}
		spans = append(spans, s)
	}
	return spans
}

// at is the span that covers an instant; the first begins before every question.
func at(spans []span, instant time.Time) span {
	found := spans[0]
	for _, s := range spans[1:] {
		if s.from.After(instant) {
			break
		}
		found = s
	}
	return found
}

// alike tells whether two spans say the same of their node.
func alike(a, b span) bool {
	return a.there == b.there && (!a.there || a.v.content() == b.v.content())
}

// starts lists in order where any of several timelines turns.
func starts(timelines ...[]span) []time.Time {
	var list []time.Time
	for _, spans := range timelines {
		for _, s := range spans {
			list = append(list, s.from)
		}
	}
	slices.SortFunc(list, time.Time.Compare)
	return slices.CompactFunc(list, time.Time.Equal)
}

// Closing ends an open version.
type Closing struct {
	Version id.Version
	Ends    time.Time
}

// settle says what to close and what to add so that a node's versions say from now on what
// the new timeline says. Nothing that was recorded is touched but the open end of a
// version, once; where a version is closed already, the new one corrects it by being
// recorded later.
func settle(versions []Version, before, want []span) ([]Closing, []Version) {
	var closings []Closing
	left := slices.Clone(versions)
	turns := starts(before, want)
	for i := range left {
		v := &left[i]
		if !v.EffectiveTo.IsZero() {
			continue
		}
		for _, turn := range turns {
			// Where this version was what is known of the node and is no more, it ends.
			if was := at(before, turn); was.there && was.v.ID == v.ID && !alike(was, at(want, turn)) {
				closings = append(closings, Closing{Version: v.ID, Ends: turn})
				v.EffectiveTo, v.ClosedAt = turn, time.Unix(0, 1) // known from now on, whenever that is
				break
			}
		}
	}
	remaining := resolve(left, before[0].from, time.Time{})
	var added []Version
	open := false // whether the last one added may go on
	for _, turn := range starts(remaining, want, before) {
		is, should, was := at(remaining, turn), at(want, turn), at(before, turn)
		retires := was.there && !should.there // a row says so, and by which change
		if alike(is, should) && !retires {
			if open {
				added[len(added)-1].EffectiveTo = turn
			}
			open = false
			continue
		}
		next := should.v.content()
		if !should.there {
			next = was.v.content()
			next.Retired = true
		}
		if open {
			last := &added[len(added)-1]
			if last.content() == next {
				continue
			}
			last.EffectiveTo = turn
		}
		next.EffectiveFrom = turn
		added, open = append(added, next), true
	}
	return closings, added
}

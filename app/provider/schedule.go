package provider

import "time"

// Terms say which days are pulled, and until when again.
type Terms struct {
	FirstDay time.Time     // days from it on
	Lag      time.Duration // how long a day has to report the same until it is settled
	Repull   int           // days for which the provider may revise what it reported
}

// Bounds of a schedule.
const (
	// OldestDay is how many days back the provider reports.
	OldestDay = 364
	// retryAfter keeps a provider that cannot answer from being asked every minute. It doubles
	// with every few failures, up to retryMost.
	retryAfter = 15 * time.Minute
	retryMost  = 24 * time.Hour
	// retriesEach is how many failures one attempt may leave.
	retriesEach = 4
	// againAfter is how often a day is pulled that is not settled.
	againAfter = 6 * time.Hour
	// revisitAfter is how often a settled day is, while it may be revised.
	revisitAfter = 7 * day
	day          = 24 * time.Hour
)

// Pulled is what is known of a report of a day.
type Pulled struct {
	Since time.Time // it reports what it does; zero: it was never pulled
	AsOf  time.Time // that was last found so
	Tried time.Time // the last attempt; zero: none
	// Failures are the attempts that failed since one did not.
	Failures int
}

// RetryAfter is how long nothing is asked after so many failures in a row.
func RetryAfter(failures int) time.Duration {
	wait := retryAfter
	for n := retriesEach; n < failures && wait < retryMost; n += retriesEach {
		wait *= 2
	}
	return min(wait, retryMost)
}

// Complete tells whether what is known covers the whole day.
func (p Pulled) Complete(of time.Time) bool {
	return !p.AsOf.IsZero() && !p.AsOf.Before(of.Add(day))
}

// Settled tells whether a day is complete and has reported the same for the lag.
func (t Terms) Settled(of time.Time, p Pulled) bool {
	since := p.Since
	if ends := of.Add(day); since.Before(ends) {
		since = ends // what a day reports before it is over says nothing of what it will
	}
	return p.Complete(of) && !p.AsOf.Before(since.Add(t.Lag))
}

// Due tells whether a report of a day is to be pulled now.
func (t Terms) Due(of time.Time, p Pulled, now time.Time) bool {
	ends := of.Add(day)
	since := now.Sub(p.Tried)
	switch {
	case now.Before(ends), of.Before(t.FirstDay), now.Sub(of) > OldestDay*day, since < RetryAfter(p.Failures):
		return false
	case !p.Complete(of):
		return true
	case now.Sub(ends) > time.Duration(t.Repull)*day:
		return false
	case !t.Settled(of, p):
		return since >= againAfter
	}
	return since >= revisitAfter
}

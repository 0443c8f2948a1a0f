package reconcile

import (
	"cmp"
	"slices"

	"tollbook/app/id"
	"tollbook/app/money"
)

// Surface is which way requests reached the provider.
type Surface string

// The surfaces.
const (
	SurfaceGateway Surface = "gateway" // with a key that the gateway alone has
	SurfaceKey     Surface = "key"     // with another key
	SurfaceConsole Surface = "console" // without a key
)

// Meter is what the provider counts or charges: a token class, searches, requests, or a
// charge that no request explains.
type Meter string

// The meters.
const (
	MeterInput         Meter = "input"
	MeterOutput        Meter = "output"
	MeterCacheWrite5m  Meter = "cache_write_5m"
	MeterCacheWrite1h  Meter = "cache_write_1h"
	MeterCacheRead     Meter = "cache_read"
	MeterWebSearch     Meter = "web_search"
	MeterRequests      Meter = "requests" // counted, and never charged by themselves
	MeterCodeExecution Meter = "code_execution"
	MeterSession       Meter = "session_usage"
	MeterCredit        Meter = "credit" // what is taken off an amount without naming a meter
)

// Meters lists them in the order of every table.
func Meters() []Meter {
	return []Meter{
		MeterInput, MeterOutput, MeterCacheWrite5m, MeterCacheWrite1h, MeterCacheRead, MeterWebSearch, MeterRequests, MeterCodeExecution, MeterSession, MeterCredit,
	}
}

// Prompt tells whether a meter counts tokens that the model read.
func (m Meter) Prompt() bool {
	return m == MeterInput || m == MeterCacheWrite5m || m == MeterCacheWrite1h || m == MeterCacheRead
}

// Tokens tells whether a meter counts tokens.
func (m Meter) Tokens() bool { return m.Prompt() || m == MeterOutput }

// fee tells whether a meter charges what no request explains.
func (m Meter) fee() bool { return m == MeterCodeExecution || m == MeterSession }

// Group is where the provider adds requests up.
type Group struct {
	Surface   Surface `json:"surface"`
	Key       string  `json:"key,omitempty"` // the provider's id of a key that is not the gateway's
	Model     string  `json:"model"`         // as served
	Tier      string  `json:"tier"`
	Speed     string  `json:"speed"`
	Geography string  `json:"geography"`
}

// Plain is the group with what the provider leaves out or calls otherwise spelled in one way.
func (g Group) Plain() Group {
	g.Tier, g.Speed = cmp.Or(g.Tier, "standard"), cmp.Or(g.Speed, "standard")
	if g.Geography == "" || g.Geography == "not_available" {
		g.Geography = "global"
	}
	return g
}

func (g Group) compare(h Group) int {
	return cmp.Or(cmp.Compare(g.Surface, h.Surface), cmp.Compare(g.Key, h.Key), cmp.Compare(g.Model, h.Model),
		cmp.Compare(g.Tier, h.Tier), cmp.Compare(g.Speed, h.Speed), cmp.Compare(g.Geography, h.Geography))
}

// Cell is one meter of a group.
type Cell struct {
	Group

	Meter Meter `json:"meter"`
}

func (c Cell) compare(d Cell) int {
	return cmp.Or(c.Group.compare(d.Group), cmp.Compare(slices.Index(Meters(), c.Meter), slices.Index(Meters(), d.Meter)), cmp.Compare(c.Meter, d.Meter))
}

// Charged is what of an amount lies at one node.
type Charged struct {
	Node   id.Node   `json:"node"`
	Amount money.Sum `json:"amount"`
}

// Fact is what we measured and charged in one cell of a day.
type Fact struct {
	Cell

	Quantity  int64
	List, Net money.Sum
	Requests  int64 // with any of it: each net amount was rounded once
	Largest   int64 // quantity of one request, at most
	Held      int64 // quantity of requests that ended without their final usage
	Unpriced  money.Sum
	RateLow   money.Pico // per unit, at list
	RateHigh  money.Pico
	// Derived counts requests whose list amount follows from a net one, so that it may be off by
	// a pico-dollar each.
	Derived int64
	// DiscountBps is what was taken off the list; MixedDiscount that it was not the same for all.
	DiscountBps   int64
	MixedDiscount bool
	Nodes         []Charged // net
}

// Loose is requests of a model of which we do not know all.
type Loose struct {
	Model string
	// Unfinished ended without their final usage: what the model read is known, what it wrote is
	// known in part. Blind are those of which nothing is known, not even whether the provider
	// counts them.
	Unfinished, Blind int64
	Nodes             []Charged // by the number of requests
}

// Count is a quantity of the provider's usage report.
type Count struct {
	Cell

	Quantity int64
}

// Cost is an amount of the provider's cost report.
type Cost struct {
	Cell

	List, Amount money.Sum
	Rows         int64 // that were added up, each rounded once
}

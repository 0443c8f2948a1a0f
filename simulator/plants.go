package simulator

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// The classes of plants: what is wrong with the reports.
const (
	plantTokens  = "tokens"  // one request's count is off
	plantPrice   = "price"   // the cost of what it selects is off by basis points
	plantMissing = "missing" // what it selects is not there
	plantExtra   = "extra"   // a request that nobody made
	plantFee     = "fee"     // a charge that no request explains
	plantCredit  = "credit"  // the amount is lower, the list amount is not

	inUsage = "usage"
	inCost  = "cost"
)

// Plant is a planted discrepancy: the reports disagree with the books, which stay
// true. It shows from Since to Until, so that a missing one with Until is a late
// fact, and tokens with Since is a late revision.
type Plant struct {
	ID    string    `json:"id"`
	Class string    `json:"class"`
	Since time.Time `json:"since,omitzero"` // zero: always
	Until time.Time `json:"until,omitzero"`

	// What tokens, price and missing are about: one request, or a UTC day's, narrowed.
	RequestID string  `json:"request_id,omitempty"`
	Day       string  `json:"day,omitempty"`
	KeyID     *string `json:"api_key_id,omitempty"` // "" = no key; also of what is added
	Model     string  `json:"model,omitempty"`

	In         string `json:"in,omitempty"`          // usage | cost; empty: both
	TokenClass string `json:"token_class,omitempty"` // as in Tokens
	Delta      int64  `json:"delta,omitempty"`       // tokens
	Bps        int64  `json:"bps,omitempty"`         // of the price, signed

	// What extra, fee and credit add.
	OccurredAt  time.Time `json:"occurred_at,omitzero"`
	WorkspaceID string    `json:"workspace_id,omitempty"`
	Tokens      Tokens    `json:"tokens,omitzero"`
	CostType    string    `json:"cost_type,omitempty"` // of a fee: code_execution | session_usage
	AmountPico  int64     `json:"amount_pico,omitempty"`
}

func (p *Plant) adds() bool {
	return p.Class == plantExtra || p.Class == plantFee || p.Class == plantCredit
}

// validate checks a plant before it is kept.
func (p *Plant) validate() error {
	if err := p.validateTarget(); err != nil {
		return err
	}
	day, dayErr := time.Parse(time.DateOnly, p.Day)
	switch {
	case p.In != "" && p.In != inUsage && p.In != inCost:
		return errors.New("in must be usage, cost or nothing")
	case len(p.Model)+len(p.RequestID)+len(p.WorkspaceID) > 3*maxModelBytes || (p.KeyID != nil && len(*p.KeyID) > maxModelBytes):
		return errors.New("a word is too long")
	case p.Day != "" && (dayErr != nil || day.Year() < 2000):
		return errors.New("day must be YYYY-MM-DD")
	case !p.Until.IsZero() && p.Until.Before(p.Since):
		return errors.New("until is before since")
	}

	return nil
}

func (p *Plant) validateTarget() error {
	if p.adds() {
		return p.validateAdded()
	}
	switch p.Class {
	case plantTokens:
		if p.Delta == 0 || max(p.Delta, -p.Delta) > maxPlantTokens || p.counter(&Tokens{}) == nil {
			return fmt.Errorf("tokens needs a token_class and a delta up to %d", maxPlantTokens)
		}
	case plantPrice:
		if p.Bps == 0 || p.Bps < -10_000 || p.Bps > 100_000 {
			return errors.New("price needs bps from -10000 to 100000")
		}
	case plantMissing:
	default:
		return fmt.Errorf("class %q is none of tokens, price, missing, extra, fee, credit", cutText(p.Class, 40))
	}
	if p.RequestID == "" && p.Day == "" {
		return fmt.Errorf("%s needs request_id or day", p.Class)
	}

	return nil
}

func (p *Plant) validateAdded() error {
	total := p.Tokens.prompt() + p.Tokens.Output
	switch {
	case p.OccurredAt.IsZero():
		return fmt.Errorf("%s needs occurred_at", p.Class)
	case p.Tokens.validate() != nil || total > maxPlantTokens:
		return fmt.Errorf("tokens must be counts of at most %d together", maxPlantTokens)
	case p.Class == plantExtra:
		if total == 0 || p.Model == "" {
			return errors.New("extra needs model and tokens")
		}
	case p.AmountPico <= 0 || p.AmountPico > maxPartPico:
		return fmt.Errorf("%s needs amount_pico from 1 to %d", p.Class, int64(maxPartPico))
	case p.Class == plantFee && p.CostType != costCodeExecution && p.CostType != costSessionUsage:
		return errors.New("fee needs cost_type code_execution or session_usage")
	}

	return nil
}

// counter is the count that a token class names, or nil.
func (p *Plant) counter(t *Tokens) *int64 {
	switch p.TokenClass {
	case "input":
		return &t.Input
	case "output":
		return &t.Output
	case "cache_write_5m":
		return &t.CacheWrite5m
	case "cache_write_1h":
		return &t.CacheWrite1h
	case "cache_read":
		return &t.CacheRead
	default:
		return nil
	}
}

func (p *Plant) shift(t *Tokens) {
	if count := p.counter(t); count != nil {
		*count = max(0, *count+p.Delta)
	}
}

// picks reports whether the plant is about this turn of a fact; model "" asks for the
// whole fact.
func (p *Plant) picks(f *Fact, model string) bool {
	return (p.RequestID == "" || p.RequestID == f.RequestID) &&
		(p.Day == "" || p.Day == f.OccurredAt.UTC().Format(time.DateOnly)) &&
		(p.KeyID == nil || *p.KeyID == f.KeyHint) && (p.Model == "" || p.Model == model)
}

// fact is what an added line is made of.
func (p *Plant) fact() *Fact {
	f := &Fact{RequestID: p.ID, OccurredAt: p.OccurredAt, Model: p.Model, Tokens: p.Tokens, WorkspaceID: p.WorkspaceID}
	if p.KeyID != nil {
		f.KeyHint = *p.KeyID
	}
	f.fillDefaults()

	return f
}

// activePlants are the plants that show at one moment.
type activePlants struct {
	byRequest map[string][]*Plant
	byDay     map[string][]*Plant
	added     []*Plant
}

func (b *books) activePlants(now time.Time) *activePlants {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := &activePlants{byRequest: map[string][]*Plant{}, byDay: map[string][]*Plant{}}
	for _, p := range b.plants {
		switch {
		case now.Before(p.Since) || (!p.Until.IsZero() && !now.Before(p.Until)):
		case p.adds():
			a.added = append(a.added, p)
		case p.RequestID != "":
			a.byRequest[p.RequestID] = append(a.byRequest[p.RequestID], p)
		default:
			a.byDay[p.Day] = append(a.byDay[p.Day], p)
		}
	}

	return a
}

// about yields the plants of one class that pick a turn.
func (a *activePlants) about(class string, f *Fact, model string) []*Plant {
	var found []*Plant
	for _, list := range [][]*Plant{a.byRequest[f.RequestID], a.byDay[f.OccurredAt.UTC().Format(time.DateOnly)]} {
		for _, p := range list {
			if p.Class == class && p.picks(f, model) {
				found = append(found, p)
			}
		}
	}

	return found
}

func (a *activePlants) drops(f *Fact, model string) bool {
	return len(a.byRequest)+len(a.byDay) > 0 && len(a.about(plantMissing, f, model)) > 0
}

// misprice changes the cost of a line, class by class, half up.
func (a *activePlants) misprice(f *Fact, model string, l *reportLine) {
	if len(a.byRequest)+len(a.byDay) == 0 {
		return
	}
	for _, p := range a.about(plantPrice, f, model) {
		for _, part := range []*int64{&l.cost.input, &l.cost.output, &l.cost.write5m, &l.cost.write1h, &l.cost.read, &l.cost.search} {
			whole, rest := *part/10_000, *part%10_000 // a product of the two could overflow
			*part = min(maxPartPico, *part+whole*p.Bps+(rest*p.Bps+5_000)/10_000)
		}
	}
}

// plant keeps a plant for good.
func (b *books) plant(p *Plant) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.plants) >= maxPlants {
		return fmt.Errorf("at most %d plants", maxPlants)
	}
	p.ID = "plant_" + strconv.Itoa(len(b.plants)+1)
	raw, err := encodeLine(line{Plant: p})
	if err != nil {
		return err
	}
	if err := b.write(raw); err != nil {
		return err
	}
	b.plants = append(b.plants, p)

	return nil
}

// servePlant answers POST /books/plant.
func (s *Simulator) servePlant(w http.ResponseWriter, r *http.Request) {
	var p Plant
	if problem := readControl(w, r, &p); problem != nil {
		s.answerError(w, problem)

		return
	}
	if err := p.validate(); err != nil {
		s.answerError(w, invalid("%s", err))

		return
	}
	if err := s.resolve(&p); err != nil {
		s.answerError(w, invalid("%s", err))

		return
	}
	if err := s.books.plant(&p); err != nil {
		s.answerError(w, &apiError{status: 500, kind: "api_error", message: err.Error()})

		return
	}
	writeJSON(w, http.StatusOK, p)
}

// resolve pins a difference of tokens to one request, whatever a report asks for:
// the first of the day that it picks. A selection of nothing is a mistaken test.
func (s *Simulator) resolve(p *Plant) error {
	if p.adds() {
		return nil
	}
	q := filter{requestID: p.RequestID, limit: 1}
	if p.RequestID == "" {
		day, err := time.Parse(time.DateOnly, p.Day)
		if err != nil {
			return err
		}
		q = filter{from: day, to: day.AddDate(0, 0, 1), limit: maxFacts}
	}
	facts, _, err := s.books.find(q)
	if err != nil {
		return err
	}
	for _, f := range facts {
		picked := f.Status < 300 && !f.Refused && slices.ContainsFunc(slices.Collect(f.billed()), func(turn Iteration) bool { return p.picks(f, turn.Model) })
		if !picked {
			continue
		}
		if p.Class == plantTokens {
			p.RequestID = f.RequestID
		}

		return nil
	}

	return errors.New("the plant picks nothing that is billed in the books")
}

func (s *Simulator) servePlants(w http.ResponseWriter) {
	s.books.mu.Lock()
	plants := slices.Clone(s.books.plants)
	s.books.mu.Unlock()
	if plants == nil {
		plants = []*Plant{}
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": plants})
}

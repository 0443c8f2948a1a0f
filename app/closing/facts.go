package closing

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tollbook/app/money"
	"tollbook/app/period"
)

// Figure is one number a step rests on, as it is printed.
type Figure struct {
	Name  string `json:"name"` // in code
	Value string `json:"value"`
}

// Block is why a step cannot be done yet, or a month not be shut.
type Block struct {
	Code string // what it is about, for a link to where it is mended
	Text string
	Step Step // empty: it is about the month
}

// Facts are what a step rests on.
type Facts struct {
	Step    Step
	Figures []Figure
	Blocks  []Block
	// Asks is why whoever prepares the step has to say a reason; empty: they need not.
	Asks string
}

// Canonical are the bytes that a signature covers: the month, the step and its figures.
func (f *Facts) Canonical(m period.Month) ([]byte, error) {
	document, err := json.Marshal(struct {
		Version int      `json:"version"`
		Period  string   `json:"period"`
		Step    Step     `json:"step"`
		Figures []Figure `json:"figures"`
	}{1, m.String(), f.Step, f.Figures})
	if err != nil {
		return nil, fmt.Errorf("encode figures of %s: %w", f.Step, err)
	}
	return document, nil
}

// Digest is that of the bytes.
func Digest(canonical []byte) [sha256.Size]byte { return sha256.Sum256(canonical) }

// FiguresOf are those of a signed document.
func FiguresOf(canonical []byte) ([]Figure, error) {
	var document struct {
		Figures []Figure `json:"figures"`
	}
	if err := json.Unmarshal(canonical, &document); err != nil {
		return nil, fmt.Errorf("read signed figures: %w", err)
	}
	return document.Figures, nil
}

// Difference is a figure that is another than it was.
type Difference struct{ Name, Was, Is string }

// Differing pairs the figures that were with those that are, where they differ.
func Differing(was, is []Figure) []Difference {
	now := map[string]string{}
	for _, f := range is {
		now[f.Name] = f.Value
	}
	var list []Difference
	for _, f := range was {
		if now[f.Name] != f.Value {
			list = append(list, Difference{f.Name, f.Value, now[f.Name]})
		}
	}
	return list
}

func (f *Facts) count(name string, n int64) {
	f.Figures = append(f.Figures, Figure{name, strconv.FormatInt(n, 10)})
}

func (f *Facts) dollars(name string, s *money.Sum) {
	f.Figures = append(f.Figures, Figure{name, s.String()})
}

func (f *Facts) cents(name string, c money.Cents) {
	f.Figures = append(f.Figures, Figure{name, c.String()})
}

func (f *Facts) text(name, value string) { f.Figures = append(f.Figures, Figure{name, value}) }

func (f *Facts) blockf(code, format string, args ...any) {
	f.Blocks = append(f.Blocks, Block{Code: code, Text: fmt.Sprintf(format, args...), Step: f.Step})
}

// Usage is what a month's requests are, from its rollups.
type Usage struct {
	Days        int // with usage
	Requests    int64
	Provisional int64 // may still change: those without a price among them
	Unpriced    int64
	Charges     money.Sum
	Repriced    money.Sum // what adjustments of prices came to
	// Flushed tells whether every gateway's journal has passed the month's end.
	Flushed bool
	// Reaching are changes of the hierarchy that reach back into the month, and whose charges
	// have not followed yet.
	Reaching []Reach
}

// Reach is a change that reaches back.
type Reach struct {
	Change string // its id
	Number int64
}

// ChangeBlock begins the code of what is in the way because of a change; its id follows.
const ChangeBlock = "change:"

// UsageFacts are those of the step usage.
func UsageFacts(u *Usage) Facts {
	f := Facts{Step: StepUsage}
	f.count("days_with_usage", int64(u.Days))
	f.count("requests", u.Requests)
	f.count("unfinished", u.Provisional-u.Unpriced)
	f.dollars("charges_usd", &u.Charges)
	if !u.Flushed {
		f.blockf("journals", "A gateway’s journal has not passed the month’s end: requests of it may still come.")
	}
	if n := u.Provisional - u.Unpriced; n > 0 {
		f.blockf("unfinished", "%s open, incomplete or estimated: what they cost is not final.", countWords(n, "request is", "requests are"))
	}
	for i := range u.Reaching {
		if i == listed {
			f.blockf(ChangeBlock+u.Reaching[i].Change, "And %s.", countWords(int64(len(u.Reaching)-i), "change more", "changes more"))
			break
		}
		f.blockf(ChangeBlock+u.Reaching[i].Change, "Change %d reaches back into the month, and the charges it concerns have not moved along yet.", u.Reaching[i].Number)
	}
	return f
}

// PriceFacts are those of the step prices.
func PriceFacts(u *Usage) Facts {
	f := Facts{Step: StepPrices}
	f.count("unpriced", u.Unpriced)
	f.dollars("repriced_usd", &u.Repriced)
	f.dollars("charges_usd", &u.Charges)
	if u.Unpriced > 0 {
		f.blockf("unpriced", "%s a provisional price.", countWords(u.Unpriced, "request has", "requests have"))
	}
	return f
}

// SuspenseFacts are those of the step suspense.
func SuspenseFacts(requests int64, charges *money.Sum) Facts {
	f := Facts{Step: StepSuspense}
	f.count("requests", requests)
	f.dollars("suspense_usd", charges)
	if requests > 0 || charges.Sign() != 0 {
		f.Asks = "Suspense is not empty: say why the month can be closed with it."
	}
	return f
}

// Accrual is how the journal compares with the charges.
type Accrual struct {
	Days, Wrong, Waiting int
	Charges, Basis       money.Sum
	Owed, Rounded        money.Cents
}

// AccrualFacts are those of the step accrual.
func AccrualFacts(a *Accrual) Facts {
	f := Facts{Step: StepAccrual}
	f.count("days_accrued", int64(a.Days))
	f.dollars("charges_usd", &a.Charges)
	f.dollars("accrued_basis_usd", &a.Basis)
	f.cents("accrued_usd", a.Owed)
	if a.Waiting > 0 {
		f.blockf("unposted", "%s charges that are not posted.", countWords(int64(a.Waiting), "day has", "days have"))
	}
	if a.Wrong > 0 {
		f.blockf("wrong", "%s posted otherwise than charged.", countWords(int64(a.Wrong), "day is", "days are"))
	}
	if a.Owed != a.Rounded {
		f.blockf("owed", "The accrued liability is $%s, and the month’s charges round to $%s.", a.Owed, a.Rounded)
	}
	return f
}

// Invoices are what the provider has billed for a month.
type Invoices struct {
	Entered   int // that stand, of cycles that end in the month
	Total     money.Cents
	Digest    string // over their own
	Unbilled  int    // days of the month that no invoice of usage bills
	Allocated int
	Residual  money.Cents // that no rule and no figure of ours explains, of those that are allocated
	Gross     money.Cents // the same without signs
	Waiting   []string    // numbers of those that are not
}

// InvoiceFacts are those of the step invoice.
func InvoiceFacts(v *Invoices) Facts {
	f := Facts{Step: StepInvoice}
	f.count("invoices", int64(v.Entered))
	f.cents("invoiced_usd", v.Total)
	f.count("unbilled_days", int64(v.Unbilled))
	f.text("invoices_sha256", v.Digest)
	if v.Unbilled > 0 {
		f.Asks = fmt.Sprintf("%s by no invoice: say why the month can be closed with what is accrued for them.", countWords(int64(v.Unbilled), "day is billed", "days are billed"))
	}
	return f
}

// AllocationFacts are those of the step allocation.
func AllocationFacts(v *Invoices) Facts {
	f := Facts{Step: StepAllocation}
	f.count("invoices", int64(v.Entered))
	f.count("allocated", int64(v.Allocated))
	f.cents("unexplained_usd", v.Residual)
	f.text("invoices_sha256", v.Digest)
	if n := len(v.Waiting); n > 0 {
		f.blockf("unallocated", "%s not allocated: %s.", countWords(int64(n), "invoice is", "invoices are"), list(v.Waiting))
	}
	if v.Residual != 0 {
		f.Asks = "Something of what is billed is not explained: say why the month can be closed with it."
	}
	return f
}

// Capital is a month's charges by how they are treated.
type Capital struct {
	Capitalized, Expensed money.Sum
	Nodes                 int // whose charges are capitalized
	Unevidenced           []string
}

// CapitalFacts are those of the step capitalization.
func CapitalFacts(c *Capital) Facts {
	f := Facts{Step: StepCapital}
	f.dollars("capitalized_usd", &c.Capitalized)
	f.dollars("expensed_usd", &c.Expensed)
	f.count("capitalized_nodes", int64(c.Nodes))
	f.count("without_evidence", int64(len(c.Unevidenced)))
	if n := len(c.Unevidenced); n > 0 {
		// Which they are, and not their number alone, is what a reason is given for.
		codes := slices.Sorted(slices.Values(c.Unevidenced))
		digest := sha256.Sum256([]byte(strings.Join(codes, "\n")))
		f.text("without_evidence_sha256", hex.EncodeToString(digest[:]))
		f.Asks = fmt.Sprintf("%s capitalized without a document that says why (%s): say why that is right.", countWords(int64(n), "node is", "nodes are"), list(c.Unevidenced))
	}
	return f
}

// Journal is a month's entries.
type Journal struct {
	Entries         int64
	Debits, Credits money.Cents
	Digest          string // over the entries' own, in their order
	Balanced        bool   // in every entity
}

// JournalFacts are those of the steps about the journal.
func JournalFacts(step Step, j *Journal) Facts {
	f := Facts{Step: step}
	f.count("entries", j.Entries)
	f.cents("debits_usd", j.Debits)
	f.cents("credits_usd", j.Credits)
	f.text("entries_sha256", j.Digest)
	if !j.Balanced && step == StepJournal {
		f.blockf("unbalanced", "The books do not balance.")
	}
	return f
}

const listed = 5

// list names the first few.
func list(names []string) string {
	text := ""
	for i, n := range names {
		if i == listed {
			return text + fmt.Sprintf(" and %d more", len(names)-listed)
		}
		if i > 0 {
			text += ", "
		}
		text += n
	}
	return text
}

func countWords(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

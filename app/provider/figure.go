package provider

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/usage"
)

// Report is what was asked for.
type Report string

// The reports: two of figures, two of names.
const (
	Usage      Report = "usage"
	Cost       Report = "cost"
	Keys       Report = "keys"
	Workspaces Report = "workspaces"
)

// OfFigures tells whether a report is about a day.
func (r Report) OfFigures() bool { return r == Usage || r == Cost }

// API is which of the provider's interfaces answered.
type API string

// The interfaces. Legacy answers where analytics is not there for a credential: its cost has
// no keys and no discount.
const (
	Analytics    API = "analytics"
	Legacy       API = "legacy"
	Organization API = "organization"
)

// Classes beyond the token classes of package usage.
const (
	ClassWebSearches   = "web_search_requests" // of usage: how many
	ClassRequests      = "requests"            // of usage: how many
	ClassWebSearch     = "web_search"          // of cost
	ClassCodeExecution = "code_execution"      // of cost
	ClassSessionUsage  = "session_usage"       // of cost
	// ClassUntyped is cost of tokens that the report gives no token type: credits.
	ClassUntyped = "tokens"
	// ClassForeign begins a class that this program does not know, before the provider's own word.
	ClassForeign = "provider:"
)

// Known tells whether a class is one this program knows.
func Known(class string) bool { return !strings.HasPrefix(class, ClassForeign) }

// Figure is one reported number of a day. Words that the report leaves out are empty.
type Figure struct {
	Report    Report
	Day       time.Time // UTC midnight
	Workspace string    // the provider's id; empty: the report does not say, or the legacy default one
	Key       string    // api_key_id; empty: without a key (the Console), or of a report without keys
	Model     string
	Tier      string
	Speed     string
	Geography string
	Class     string
	// Quantity is the count of a usage figure: tokens, searches or requests.
	Quantity int64
	// List and Amount are a cost figure's: at list price, and what is to be paid. The legacy
	// report has one amount, which is both.
	List, Amount money.Pico
}

// dimensions is all that tells one figure from another.
type dimensions struct{ workspace, key, model, tier, speed, geography, class string }

func (f *Figure) dimensions() dimensions {
	return dimensions{f.Workspace, f.Key, f.Model, f.Tier, f.Speed, f.Geography, f.Class}
}

// plus adds another figure of the same dimensions.
func (f *Figure) plus(other *Figure) error {
	sum := f.Quantity + other.Quantity
	if sum < 0 { // both are above zero
		return refused("count_range", "A count of %s is too large.", f.Class)
	}
	list, err := f.List.Plus(other.List)
	if err != nil {
		return err
	}
	amount, err := f.Amount.Plus(other.Amount)
	f.Quantity, f.List, f.Amount = sum, list, amount
	return err
}

// Sort orders figures as their digest and every list has them.
func Sort(figures []Figure) {
	slices.SortFunc(figures, func(a, b Figure) int { return a.order(&b) })
}

func (f *Figure) order(of *Figure) int {
	return cmp.Or(cmp.Compare(f.Workspace, of.Workspace), cmp.Compare(f.Key, of.Key), cmp.Compare(f.Model, of.Model), cmp.Compare(f.Tier, of.Tier),
		cmp.Compare(f.Speed, of.Speed), cmp.Compare(f.Geography, of.Geography), cmp.Compare(f.Class, of.Class))
}

// Digest is the SHA-256 of figures in their order: two pulls of a day with the same one
// report the same. Words hold no control characters, so that no two sets of figures print alike.
func Digest(figures []Figure) [sha256.Size]byte {
	h := sha256.New()
	for i := range figures {
		f := &figures[i]
		_, _ = h.Write([]byte(strings.Join([]string{
			string(f.Report), f.Day.Format(time.DateOnly), f.Workspace, f.Key, f.Model, f.Tier, f.Speed, f.Geography, f.Class,
			strconv.FormatInt(f.Quantity, 10), strconv.FormatInt(int64(f.List), 10), strconv.FormatInt(int64(f.Amount), 10),
		}, "\t") + "\n"))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Kinds of what an organization has a name for.
const (
	KindKey       = "key"
	KindWorkspace = "workspace"
)

// Name is one API key or workspace of the organization.
type Name struct {
	Kind      string
	ID        string
	Name      string
	Status    string // of a key: active, inactive, archived, expired; of a workspace: active or archived
	Workspace string // a key's
}

// NamesDigest is the SHA-256 of names in the order of their ids.
func NamesDigest(names []Name) [sha256.Size]byte {
	h := sha256.New()
	for _, n := range names {
		_, _ = h.Write([]byte(strings.Join([]string{n.Kind, n.ID, n.Name, n.Status, n.Workspace}, "\t") + "\n"))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// tokenClasses are our words for the provider's counters of tokens, which are its token
// types too.
func tokenClass(word string) (string, bool) {
	switch word {
	case "uncached_input_tokens":
		return usage.ClassInput.String(), true
	case "output_tokens":
		return usage.ClassOutput.String(), true
	case "cache_creation.ephemeral_5m_input_tokens":
		return usage.ClassCacheWrite5m.String(), true
	case "cache_creation.ephemeral_1h_input_tokens":
		return usage.ClassCacheWrite1h.String(), true
	case "cache_read_input_tokens":
		return usage.ClassCacheRead.String(), true
	}
	return "", false
}

// countClass is the class of a counter of usage, by its path.
func countClass(path string) string {
	if class, ok := tokenClass(path); ok {
		return class
	}
	switch path {
	case "server_tool_use.web_search_requests":
		return ClassWebSearches
	case "requests":
		return ClassRequests
	}
	return ClassForeign + path
}

// costClass is the class of a cost row.
func costClass(costType, tokenType string) string {
	switch costType {
	case "tokens":
		if tokenType == "" {
			return ClassUntyped
		}
		if class, ok := tokenClass(tokenType); ok {
			return class
		}
		return ClassForeign + tokenType
	case ClassWebSearch, ClassCodeExecution, ClassSessionUsage:
		return costType
	}
	return ClassForeign + cmp.Or(costType, "untyped")
}

// refused is what is wrong with a page, as a reason that a pull ends with.
func refused(code, format string, args ...any) error {
	f := fault.Invalid("", code, format, args...)
	return f
}

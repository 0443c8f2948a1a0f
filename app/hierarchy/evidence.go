package hierarchy

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tollbook/app/fault"
)

// Standard is the accounting rule that a node's cost is capitalized under.
type Standard string

// The standards. Under ASU 2025-06 there are no stages; ASC 350-40 as it stood before has
// three; IAS 38 has six criteria.
const (
	StandardASU202506 Standard = "asu_2025_06"
	StandardASC35040  Standard = "asc_350_40"
	StandardIAS38     Standard = "ias_38"
)

// Category is what kind of work a node is.
type Category string

// The categories: only a new function is capitalized as a rule.
const (
	CategoryNewFunction Category = "new_function"
	CategoryMaintenance Category = "maintenance"
	CategoryResearch    Category = "research"
	CategoryTraining    Category = "training"
)

// Evidence is why a node's cost is treated as it is: what a controller decided on. Dates
// are UTC days written YYYY-MM-DD; the zero value is no evidence. Its members are in the
// order of their names, so that its JSON is canonical.
type Evidence struct {
	AuthorizationDocument string   `json:"authorization_document,omitempty"` // where management's authorization is kept
	AuthorizedOn          string   `json:"authorized_on,omitempty"`
	CapitalizableBps      int64    `json:"capitalizable_bps,omitempty"` // of the cost, in hundredths of a percent
	Category              Category `json:"category,omitempty"`
	FundingCommitment     string   `json:"funding_commitment,omitempty"` // what commits the money: an order, a budget's number
	InServiceOn           string   `json:"in_service_on,omitempty"`
	ReadyForUseOn         string   `json:"ready_for_use_on,omitempty"`
	Standard              Standard `json:"standard,omitempty"`
	StartedOn             string   `json:"started_on,omitempty"`
	Uncertain             bool     `json:"uncertain,omitempty"` // significant development uncertainty remains
}

const (
	maxEvidenceBytes = 300
	wholeBps         = 10_000
)

// Validate checks evidence by itself; the fault's field is the member's name.
func (e Evidence) Validate() error {
	if e.Standard != "" && !slices.Contains([]Standard{StandardASU202506, StandardASC35040, StandardIAS38}, e.Standard) {
		return fault.Invalid("standard", "evidence_standard", "A standard is asu_2025_06, asc_350_40 or ias_38, not %.40q.", string(e.Standard))
	}
	if e.Category != "" && !slices.Contains([]Category{CategoryNewFunction, CategoryMaintenance, CategoryResearch, CategoryTraining}, e.Category) {
		return fault.Invalid("category", "evidence_category", "A category is new_function, maintenance, research or training, not %.40q.", string(e.Category))
	}
	if e.CapitalizableBps < 0 || e.CapitalizableBps > wholeBps {
		return fault.Invalid("capitalizable_bps", "evidence_share", "The capitalizable share is 0 to 10000 hundredths of a percent.")
	}
	for _, text := range []struct{ field, value string }{{"authorization_document", e.AuthorizationDocument}, {"funding_commitment", e.FundingCommitment}} {
		if !printable(text.value, maxEvidenceBytes) {
			return fault.Invalid(text.field, "evidence_text", "This has at most %d bytes of text on one line.", maxEvidenceBytes)
		}
	}
	return e.days()
}

// days checks that days are days, and in the order work happens.
func (e Evidence) days() error {
	for _, day := range []struct{ field, value string }{
		{"authorized_on", e.AuthorizedOn}, {"started_on", e.StartedOn}, {"ready_for_use_on", e.ReadyForUseOn}, {"in_service_on", e.InServiceOn},
	} {
		if at, err := time.Parse(time.DateOnly, day.value); day.value != "" && (err != nil || at.Year() < 1990 || at.Year() > 2100) {
			return fault.Invalid(day.field, "evidence_day", "%.40q is not a day written YYYY-MM-DD between 1990 and 2100.", day.value)
		}
	}
	last, lastWords := "", ""
	for _, day := range []struct{ field, value, words string }{
		{"started_on", e.StartedOn, "start"}, {"ready_for_use_on", e.ReadyForUseOn, "ready-for-use day"}, {"in_service_on", e.InServiceOn, "in-service day"},
	} {
		if day.value == "" {
			continue
		}
		if day.value < last {
			return fault.Invalid(day.field, "evidence_order", "The %s, %s, lies before the %s, %s.", day.words, day.value, lastWords, last)
		}
		last, lastWords = day.value, day.words
	}
	return nil
}

// Gaps lists, in words, what an auditor will ask for and is not there. They hinder
// nothing: the controller decides.
func (e Evidence) Gaps() []string {
	var gaps []string
	for _, need := range []struct {
		missing bool
		words   string
	}{
		{e.Standard == "", "no standard"},
		{e.AuthorizedOn == "", "no day of authorization"},
		{e.AuthorizationDocument == "", "no authorization document"},
		{e.FundingCommitment == "", "no funding commitment"},
		{e.Uncertain, "development is uncertain"},
		{e.Category == "", "no category"},
		{e.Category != "" && e.Category != CategoryNewFunction, "the category is " + strings.ReplaceAll(string(e.Category), "_", " ")},
		{e.StartedOn == "", "no start"},
		{e.CapitalizableBps == 0, "no capitalizable share"},
	} {
		if need.missing {
			gaps = append(gaps, need.words)
		}
	}
	return gaps
}

// Canonical is the evidence as stored: the same evidence always gives the same bytes;
// none gives none.
func (e Evidence) Canonical() []byte {
	if e == (Evidence{}) {
		return nil
	}
	text, _ := json.Marshal(e) //nolint:errchkjson // strings, a number and a flag cannot fail
	return text
}

// Dimensions are a node's codes in ERP systems: canonical JSON of system, dimension and
// value; empty for none. Equal dimensions are equal strings.
type Dimensions string

// Systems lists the ERP systems a node can have codes in.
func Systems() []string { return []string{"netsuite", "oracle", "sap", "workday"} }

const (
	maxDimensions     = 20 // of one system
	maxDimensionBytes = 100
)

var dimensionForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_ -]{0,39}$`)

// NewDimensions checks codes by system and dimension; the fault's field names the
// dimension as "netsuite.department".
func NewDimensions(codes map[string]map[string]string) (Dimensions, error) {
	kept := map[string]map[string]string{}
	for _, system := range slices.Sorted(maps.Keys(codes)) {
		if !slices.Contains(Systems(), system) {
			return "", fault.Invalid(system, "dimension_system", "%.40q is no ERP system Tollbook knows: %s.", system, strings.Join(Systems(), ", "))
		}
		if len(codes[system]) > maxDimensions {
			return "", fault.Invalid(system, "dimensions_many", "A node has at most %d dimensions in %s.", maxDimensions, system)
		}
		for _, name := range slices.Sorted(maps.Keys(codes[system])) {
			value := codes[system][name]
			switch field := system + "." + name; {
			case !dimensionForm.MatchString(name):
				return "", fault.Invalid(field, "dimension_name", "A dimension's name is a letter and up to 39 letters, digits, spaces, dashes or underscores; %.60q is not.", name)
			case value == "" || strings.TrimSpace(value) != value || !printable(value, maxDimensionBytes):
				return "", fault.Invalid(field, "dimension_value", "A dimension's value is 1 to %d bytes of text without spaces around it.", maxDimensionBytes)
			}
		}
		if len(codes[system]) > 0 {
			kept[system] = codes[system]
		}
	}
	if len(kept) == 0 {
		return "", nil
	}
	text, err := json.Marshal(kept) // sorts its members
	return Dimensions(text), err
}

// Codes is what the dimensions say, by system and dimension; never nil.
func (d Dimensions) Codes() map[string]map[string]string {
	codes := map[string]map[string]string{}
	if d != "" {
		_ = json.Unmarshal([]byte(d), &codes) // NewDimensions wrote it
	}
	return codes
}

// printable tells text of one line without what a screen or a file could stumble over.
func printable(text string, most int) bool {
	return len(text) <= most && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl) && !strings.ContainsRune(text, '\ufeff')
}
